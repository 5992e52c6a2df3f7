//! A call under way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use jute_proto::{Decode, Encode, OpCode, Reader};
use tokio::sync::oneshot;

use crate::error::{Error, Fate};
use crate::path::Chroot;
use crate::session::{Reply, Request, WatchKind, WatchRegistration};
use crate::transport::{Token, WatchQueue};

use super::handle::Client;
use super::watch::WatchHandle;

/// A call under way: a future of its outcome.
///
/// The request was sent, or put in the queue of those to send, when the method was called. So calls
/// take effect in the order in which they were made, also when none of them has been awaited yet,
/// and many can be under way at once. Dropping a `Call` does not take the request back; it only
/// means that nobody learns of the outcome.
#[must_use = "the outcome is known only to whoever awaits it"]
pub struct Call<T> {
    state: State,
    decode: fn(Reply, &mut DecodeContext) -> Result<T, Error>,
    context: DecodeContext,
}

impl<T> std::fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum State {
    Waiting(oneshot::Receiver<Result<Reply, Error>>),
    Refused(Option<Error>),
}

/// The parts of a call that decoding its answer needs.
#[derive(Debug)]
pub(super) struct DecodeContext {
    pub(super) chroot: Chroot,
    pub(super) watch: Option<WatchHandle>,
}

impl<T> Call<T> {
    /// Sends a request whose record is `record`.
    pub(super) fn send(
        client: &Client,
        op: OpCode,
        record: Result<impl Encode, Error>,
        decode: fn(Reply, &mut DecodeContext) -> Result<T, Error>,
    ) -> Self {
        Self::start(client, op, record, None, decode)
    }

    /// Sends a request that sets a watch.
    pub(super) fn send_watching(
        client: &Client,
        op: OpCode,
        record: Result<impl Encode, Error>,
        (path, kind): (&str, WatchKind),
        decode: fn(Reply, &mut DecodeContext) -> Result<T, Error>,
    ) -> Self {
        let path = match client.chroot.to_server(path) {
            Ok(path) => path.into_owned(),
            Err(error) => return Self::refused(client, error, decode),
        };
        let watch = WatchHandle::new(client, kind);
        let registration = WatchRegistration { id: watch.id(), path, kind, sink: watch.sink() };
        Self::start(client, op, record, Some((registration, watch)), decode)
    }

    /// A call that fails before anything is sent.
    pub(super) fn refused(
        client: &Client,
        error: Error,
        decode: fn(Reply, &mut DecodeContext) -> Result<T, Error>,
    ) -> Self {
        let context = DecodeContext { chroot: client.chroot.clone(), watch: None };
        Self { state: State::Refused(Some(error)), decode, context }
    }

    /// A call that `send` starts by other means than a request.
    pub(super) fn with_token(
        client: &Client,
        send: impl FnOnce(Token) -> Result<(), Error>,
        decode: fn(Reply, &mut DecodeContext) -> Result<T, Error>,
    ) -> Self {
        let (token, waiting) = oneshot::channel();
        match send(token) {
            Ok(()) => {
                let context = DecodeContext { chroot: client.chroot.clone(), watch: None };
                Self { state: State::Waiting(waiting), decode, context }
            }
            Err(error) => Self::refused(client, error, decode),
        }
    }

    fn start(
        client: &Client,
        op: OpCode,
        record: Result<impl Encode, Error>,
        watch: Option<(WatchRegistration<std::sync::Arc<WatchQueue>>, WatchHandle)>,
        decode: fn(Reply, &mut DecodeContext) -> Result<T, Error>,
    ) -> Self {
        let body = match record {
            Ok(record) => encode(&record),
            Err(error) => return Self::refused(client, error, decode),
        };
        let (registration, watch) = watch.unzip();
        let (token, waiting) = oneshot::channel();
        let sent = client.session().submit(Request { op, body, token: Some(token), registration });
        let state = match sent {
            Ok(()) => State::Waiting(waiting),
            Err(error) => State::Refused(Some(error)),
        };
        Self { state, decode, context: DecodeContext { chroot: client.chroot.clone(), watch } }
    }
}

impl<T> Future for Call<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let closed = Error::Closed { fate: Fate::Unknown };
        let outcome = match &mut self.state {
            State::Waiting(waiting) => match Pin::new(waiting).poll(cx) {
                Poll::Ready(outcome) => outcome.unwrap_or(Err(closed)),
                Poll::Pending => return Poll::Pending,
            },
            State::Refused(error) => Err(error.take().unwrap_or(closed)),
        };
        let decode = self.decode;
        Poll::Ready(outcome.and_then(|reply| decode(reply, &mut self.context)))
    }
}

fn encode(record: &impl Encode) -> Vec<u8> {
    let mut body = BytesMut::with_capacity(128);
    record.encode(&mut body);
    // A frozen buffer would be shared, at the price of an allocation more.
    body.into()
}

/// Fails where the server refused.
pub(super) fn check(reply: &Reply) -> Result<(), Error> {
    if reply.err == 0 { Ok(()) } else { Err(Error::from_code(reply.err)) }
}

/// Reads the record of an answer that is not an error.
pub(super) fn record<'a, R: Decode<'a>>(reply: &'a Reply) -> Result<R, Error> {
    check(reply)?;
    Ok(Reader::new(&reply.body).record()?)
}

/// An answer without a record.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a decoder")]
pub(super) fn without_record(reply: Reply, _: &mut DecodeContext) -> Result<(), Error> {
    check(&reply)
}
