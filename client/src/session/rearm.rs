//! Watches on a new connection.
//!
//! Servers keep watches with the connection, so each new one is told them before any request. The
//! server answers one-shot watches whose change happened in between with their event. For
//! persistent watches it has nothing of the kind: they are told of a gap, unless the server has
//! seen no transaction since the last answer on the old connection.

use std::borrow::Cow;

use bytes::BytesMut;
use jute_proto::{Encode, OpCode, ReplyHeader, SetWatches2Request, SetWatchesRequest, Xid, Zxid};

use super::packets::put_packet;
use super::watches::{WatchKind, Watches};

/// How many characters of paths go into one request, so that it stays far below the limit of a
/// frame; Java clients use the same number.
const PATH_CHARS_MAX: usize = 128 * 1024;

/// How far re-arming has come on the present connection.
#[derive(Debug, Default)]
pub(super) struct Rearm {
    /// Requests without an answer.
    unanswered: usize,
    /// The newest transaction seen on the connections before.
    last_zxid: Zxid,
    /// Whether persistent watches may have missed something and were not told. It is set where
    /// there are such watches, and cleared when they are told of the gap, or when every request was
    /// answered without a sign of a change. It is never set twice on a connection, so that each
    /// interruption makes at most one gap.
    may_have_gap: bool,
}

impl Rearm {
    /// Sends all armed watches. `last_zxid` is the newest transaction that an answer told of.
    pub(super) fn begin<W: Clone>(
        &mut self,
        watches: &Watches<W>,
        last_zxid: Zxid,
        out: &mut BytesMut,
    ) {
        let armed = watches.armed();
        let is_persistent =
            |kind: &WatchKind| matches!(kind, WatchKind::Persistent | WatchKind::Recursive);
        let may_have_gap = armed.iter().any(|(kind, _)| is_persistent(kind));
        *self = Self { unanswered: 0, last_zxid, may_have_gap };
        let (mut request, mut chars) = (SetWatches::default(), 0);
        for (kind, path) in armed {
            if chars > 0 && chars + path.len() > PATH_CHARS_MAX {
                self.send(std::mem::take(&mut request), out);
                chars = 0;
            }
            chars += path.len();
            request.add(kind, path);
        }
        if chars > 0 {
            self.send(request, out);
        }
    }

    fn send(&mut self, request: SetWatches<'_>, out: &mut BytesMut) {
        request.put(self.last_zxid, out);
        self.unanswered += 1;
    }

    /// A request was answered. Returns whether persistent watches are to be told of a gap.
    pub(super) fn answered(&mut self, header: ReplyHeader) -> bool {
        self.unanswered = self.unanswered.saturating_sub(1);
        // The server applied a transaction that the client has not seen, or could not set the
        // watches.
        let changed = header.err != 0 || header.zxid != self.last_zxid;
        let gap = changed && self.take_gap();
        if self.unanswered == 0 {
            self.may_have_gap = false;
        }
        gap
    }

    /// An event has come, so something has changed. Returns whether persistent watches are to be
    /// told of a gap before it.
    pub(super) fn take_gap(&mut self) -> bool {
        std::mem::take(&mut self.may_have_gap)
    }
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
        put_packet(out, Xid::SET_WATCHES, op, &body);
    }
}
