//! What a connection asks and what it expects to hear.

use std::fmt;

use bytes::BytesMut;
use jute_proto::{DecodeError, ErrorCode, ReplyHeader, Xid};

/// Requests of one connection and the check of their replies.
///
/// Replies come in the order of the requests, so a script needs no memory of what is in flight: it
/// may draw the same random numbers twice, once for writing and once for checking.
pub(super) trait Script: Send {
    /// Appends the next request as a frame; false if there are no more.
    fn write(&mut self, xid: Xid, out: &mut BytesMut) -> bool;

    /// Checks the reply to the oldest request that was not yet checked.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(&mut self, header: ReplyHeader, body: &[u8]) -> Result<(), WrongReply>;
}

/// What is wrong with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrongReply {
    /// An error code where success was expected.
    Code(i32),
    /// The body cannot be decoded.
    Undecodable(DecodeError),
    /// The body does not say what it should; the text names the part.
    Body(&'static str),
}

impl From<DecodeError> for WrongReply {
    fn from(error: DecodeError) -> Self {
        Self::Undecodable(error)
    }
}

impl fmt::Display for WrongReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => match ErrorCode::try_from(*code) {
                Ok(known) => write!(f, "error {known:?} ({code})"),
                Err(_) => write!(f, "error {code}"),
            },
            Self::Undecodable(error) => write!(f, "unreadable body: {error}"),
            Self::Body(part) => write!(f, "wrong {part}"),
        }
    }
}

/// Success, or the error code of the reply.
pub(super) fn expect_ok(header: ReplyHeader) -> Result<(), WrongReply> {
    if header.err == 0 { Ok(()) } else { Err(WrongReply::Code(header.err)) }
}

/// `Ok` if `holds`, else the named part of the body is wrong.
pub(super) fn expect(holds: bool, part: &'static str) -> Result<(), WrongReply> {
    if holds { Ok(()) } else { Err(WrongReply::Body(part)) }
}
