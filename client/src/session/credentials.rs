//! The credentials with which the connections of a session authenticate.

use std::collections::VecDeque;

use bytes::BytesMut;
use jute_proto::{AuthRequest, Encode, OpCode, Xid};

use crate::error::Error;

use super::packets::put_packet;
use super::settings::Credential;

/// How many credentials a client may have.
const CREDENTIALS_MAX: usize = 64;

/// The credentials of a session, and who waits for one to be accepted.
///
/// Servers keep identities with the connection, so each new connection is shown all credentials
/// again, before any request. Answers to them carry no number of their own: they come in the order
/// in which the credentials were sent.
#[derive(Debug)]
pub(super) struct Credentials<T> {
    known: Vec<(Credential, Option<T>)>,
    /// Those that were sent on the present connection and not answered, oldest first, by their
    /// places in `known`.
    unanswered: VecDeque<usize>,
}

impl<T> Credentials<T> {
    pub(super) fn new(known: Vec<Credential>) -> Self {
        let known = known.into_iter().map(|credential| (credential, None)).collect();
        Self { known, unanswered: VecDeque::new() }
    }

    /// Adds a credential. Where there is a connection, [`send_newest`](Self::send_newest) follows.
    pub(super) fn add(&mut self, credential: Credential, token: T) -> Result<(), Error> {
        if self.known.len() >= CREDENTIALS_MAX {
            return Err(Error::Busy);
        }
        self.known.push((credential, Some(token)));
        Ok(())
    }

    pub(super) fn send_newest(&mut self, out: &mut BytesMut) {
        if let (Some((credential, _)), Some(at)) =
            (self.known.last(), self.known.len().checked_sub(1))
        {
            put_credential(out, credential);
            self.unanswered.push_back(at);
        }
    }

    /// Shows all credentials to a new connection.
    pub(super) fn send_all(&mut self, out: &mut BytesMut) {
        self.unanswered = (0..self.known.len()).collect();
        for (credential, _) in &self.known {
            put_credential(out, credential);
        }
    }

    /// The oldest unanswered credential was accepted. Returns the caller that waited for that.
    pub(super) fn accepted(&mut self) -> Option<T> {
        let at = self.unanswered.pop_front()?;
        self.known.get_mut(at)?.1.take()
    }

    /// The connection is gone, and with it the answers. Those who wait go on waiting for the next.
    pub(super) fn disconnected(&mut self) {
        self.unanswered.clear();
    }

    /// Takes all who wait.
    pub(super) fn take_waiting(&mut self) -> impl Iterator<Item = T> {
        self.known.iter_mut().filter_map(|(_, token)| token.take())
    }
}

fn put_credential(out: &mut BytesMut, credential: &Credential) {
    let mut body = BytesMut::new();
    let scheme = credential.scheme.as_str().into();
    AuthRequest { auth_type: 0, scheme, auth: Some(&credential.auth) }.encode(&mut body);
    put_packet(out, Xid::AUTH, OpCode::Auth, &body);
}
