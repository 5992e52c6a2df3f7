//! Watches and credentials on a new connection.
//!
//! Servers keep both with the connection, so each new one is told them before anything else. The
//! server answers one-shot watches whose change happened in between with their event. For persistent
//! watches it has nothing of the kind: they are told of a gap, unless the server has seen no
//! transaction since the last answer on the old connection.

use std::borrow::Cow;

use bytes::BytesMut;
use jute_proto::{
    AuthRequest, Encode, OpCode, ReplyHeader, SetWatches2Request, SetWatchesRequest, Xid, Zxid,
};

use super::outstanding::put_frame;
use super::settings::Credential;
use super::state_machine::Session;
use super::watches::WatchKind;

/// How many characters of paths go into one request, so that it stays far below the limit of a
/// frame; Java clients use the same number.
const PATH_CHARS_MAX: usize = 128 * 1024;

/// How far re-arming has come.
#[derive(Debug, Default)]
pub(super) struct Rearm {
    /// Batches without an answer.
    waiting: usize,
    /// The newest transaction seen on the connections before.
    relative: Zxid,
    /// Whether persistent watches are still to be told that something may be missing, if something
    /// is.
    gap_due: bool,
}

impl<T, W: Clone> Session<T, W> {
    /// Sends the credentials again.
    pub(super) fn authenticate(&mut self) {
        self.auth_sent.clear();
        for (at, (credential, _)) in self.credentials.iter().enumerate() {
            put_auth(&mut self.out, credential);
            self.auth_sent.push_back(at);
        }
    }

    /// Sets all watches again.
    pub(super) fn rearm(&mut self) {
        self.rearm = Rearm { waiting: 0, relative: self.last_zxid, gap_due: false };
        let armed = self.watches.armed();
        self.rearm.gap_due = armed
            .iter()
            .any(|(kind, _)| matches!(kind, WatchKind::Persistent | WatchKind::Recursive));
        let (mut batch, mut chars) = (SetWatches::default(), 0);
        for (kind, path) in armed {
            if chars > 0 && chars + path.len() > PATH_CHARS_MAX {
                batch.put(self.last_zxid, &mut self.out);
                self.rearm.waiting += 1;
                (batch, chars) = (SetWatches::default(), 0);
            }
            chars += path.len();
            batch.add(kind, path);
        }
        if chars > 0 {
            batch.put(self.last_zxid, &mut self.out);
            self.rearm.waiting += 1;
        }
    }

    /// A batch of watches was answered.
    pub(super) fn rearmed(&mut self, header: ReplyHeader) {
        self.rearm.waiting = self.rearm.waiting.saturating_sub(1);
        if header.err != 0 || header.zxid != self.rearm.relative {
            self.tell_gap();
        }
        if self.rearm.waiting == 0 {
            self.rearm.gap_due = false;
        }
    }

    /// Tells persistent watches of a gap, once a connection.
    pub(super) fn tell_gap(&mut self) {
        if std::mem::take(&mut self.rearm.gap_due) {
            let effects = &mut self.effects;
            self.watches.gap(|sink, notice| {
                effects.push_back(super::state_machine::Effect::Notify(sink, notice));
            });
        }
    }
}

/// Appends a frame that shows a credential.
pub(super) fn put_auth(out: &mut BytesMut, credential: &Credential) {
    let mut body = BytesMut::new();
    let scheme = credential.scheme.as_str().into();
    AuthRequest { auth_type: 0, scheme, auth: Some(&credential.auth) }.encode(&mut body);
    put_frame(out, Xid::AUTH, OpCode::Auth, &body);
}

/// Watches that go into one request.
#[derive(Default)]
struct SetWatches<'a> {
    data: Vec<Cow<'a, str>>,
    exist: Vec<Cow<'a, str>>,
    child: Vec<Cow<'a, str>>,
    persistent: Vec<Cow<'a, str>>,
    recursive: Vec<Cow<'a, str>>,
}

impl<'a> SetWatches<'a> {
    fn add(&mut self, kind: WatchKind, path: &'a str) {
        let paths = match kind {
            WatchKind::Data => &mut self.data,
            WatchKind::Exist => &mut self.exist,
            WatchKind::Child => &mut self.child,
            WatchKind::Persistent => &mut self.persistent,
            WatchKind::Recursive => &mut self.recursive,
        };
        paths.push(path.into());
    }

    /// Appends the request. Servers before 3.6 know only the one without persistent watches.
    fn put(self, relative_zxid: Zxid, out: &mut BytesMut) {
        let mut body = BytesMut::new();
        let (data_watches, exist_watches, child_watches) = (self.data, self.exist, self.child);
        let op = if self.persistent.is_empty() && self.recursive.is_empty() {
            SetWatchesRequest { relative_zxid, data_watches, exist_watches, child_watches }
                .encode(&mut body);
            OpCode::SetWatches
        } else {
            SetWatches2Request {
                relative_zxid,
                data_watches,
                exist_watches,
                child_watches,
                persistent_watches: self.persistent,
                persistent_recursive_watches: self.recursive,
            }
            .encode(&mut body);
            OpCode::SetWatches2
        };
        put_frame(out, Xid::SET_WATCHES, op, &body);
    }
}
