//! What can be wrong with bytes from the other side.

use thiserror::Error;

/// Why a record could not be decoded. A server answers all of these with `MARSHALLINGERROR`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The input ended inside a field.
    #[error("record ends early: {needed} bytes needed at offset {offset}, {left} left")]
    Truncated {
        /// Where in the input the field starts.
        offset: usize,
        /// How many bytes the field needs; for a vector the fewest that its count could stand for.
        needed: usize,
        /// How many bytes the input still has.
        left: usize,
    },
    /// A string or buffer has a negative length other than -1, which means null.
    #[error("negative length {length} at offset {offset}")]
    NegativeLength {
        /// Where in the input the length stands.
        offset: usize,
        /// The length found.
        length: i32,
    },
    /// A string that must be present is null.
    #[error("null string at offset {offset}")]
    NullString {
        /// Where in the input the length stands.
        offset: usize,
    },
    /// A request inside a multi is of a kind that this multi does not take: unknown, or a read among writes.
    #[error("operation {op} cannot be part of this multi")]
    OpNotAllowedInMulti {
        /// The operation code found.
        op: i32,
    },
    /// A create inside a multi has a null ACL.
    #[error("null ACL in the create at offset {offset}")]
    NullAclInMulti {
        /// Where in the input the create stands.
        offset: usize,
    },
    /// The code of the operation is never sent by a client (or, for a response, has none).
    #[error("operation {op} has no such record")]
    NoSuchRecord {
        /// The operation code.
        op: i32,
    },
    /// A field holds a number that its enumeration does not know.
    #[error(transparent)]
    UnknownValue(#[from] UnknownValue),
}

/// A number outside the enumeration that it should belong to.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{value} is not a known {what}")]
pub struct UnknownValue {
    /// The enumeration, in words.
    pub what: &'static str,
    /// The number found.
    pub value: i32,
}

/// Why a byte stream cannot be cut into frames any further; the connection has to be closed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// The length prefix is negative.
    #[error("negative frame length {len}")]
    Negative {
        /// The length found.
        len: i32,
    },
    /// The length prefix is over the limit (`jute.maxbuffer`).
    #[error("frame of {len} bytes exceeds the limit of {max} bytes")]
    TooLong {
        /// The length found.
        len: usize,
        /// The limit.
        max: usize,
    },
}
