//! Long lists and subtrees in answers of bounded size (`Extensions::PAGES`).
//!
//! An answer is one look at the state under the lock that the caller holds, and its header carries
//! the zxid of that state. Nothing is kept between two answers: the next request says where to go on.

use bytes::{BufMut, BytesMut};
use jute_proto::{
    Encode, ErrorCode, GetSubtreeRequest, ListPageRequest, Perms, Stat, begin_vec, end_vec, put_str,
};

use super::read::{Answer, Read};
use super::settings::Settings;
use crate::replica::answer::put_data;
use crate::tree::{Node, OpError};

/// Most names or nodes in an answer.
const PAGE_COUNT_MAX: usize = 10_000;

/// An answer that has reached this length takes no more, unless it has nothing yet. It is read and
/// written with the state locked against writes, for about as long as its length says.
const PAGE_LEN_MAX: usize = 256 << 10;

/// A length before a string or a buffer.
const PREFIX_LEN: usize = 4;

/// What fits into an answer.
struct Room {
    count: usize,
    count_max: usize,
    len: usize,
    len_max: usize,
}

impl Room {
    /// The room that a client asks for, within the limits of this server: the longest answer must be
    /// one that clients of the same `jute.maxbuffer` take.
    fn new(limit: i32, settings: &Settings) -> Result<Self, ErrorCode> {
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
        let count_max = limit.ok_or(ErrorCode::BadArguments)?.min(PAGE_COUNT_MAX);
        let len_max = PAGE_LEN_MAX.min(settings.packet_len_max / 2);
        Ok(Self { count: 0, count_max, len: 0, len_max })
    }

    /// Whether there is room for so many bytes more, which are then taken. The first always fits: an
    /// answer without any would be no step forward.
    fn take(&mut self, len: usize) -> bool {
        let fits = self.count < self.count_max && self.len + len <= self.len_max;
        if self.count > 0 && !fits {
            return false;
        }
        self.count += 1;
        self.len += len;
        true
    }
}

impl Read<'_> {
    pub(super) fn list_page(&mut self, request: &ListPageRequest<'_>) -> Result<Answer, ErrorCode> {
        let mut room = Room::new(request.limit, self.view.settings)?;
        let node = self.node(&request.path)?;
        Ok(self.send(|out| {
            let mark = begin_vec(out);
            let names = node.children_after(request.after.as_deref());
            let more = fill(
                out,
                names,
                &mut room,
                |name| PREFIX_LEN + name.len(),
                |out, name| {
                    put_str(out, name);
                },
            );
            end_vec(out, mark, room.count);
            out.put_u8(more.into());
            node.stat().encode(out);
        }))
    }

    pub(super) fn get_subtree(
        &mut self,
        request: &GetSubtreeRequest<'_>,
    ) -> Result<Answer, ErrorCode> {
        let mut room = Room::new(request.limit, self.view.settings)?;
        let (tree, policy) = (self.view.replica.tree(), self.view.settings.policy);
        let identities = self.identities;
        let may_read = |node: &Node| tree.check_acl(node, identities, Perms::READ, policy).is_ok();
        let nodes = tree.subtree(&request.path, request.after.as_deref(), may_read)?;
        Ok(self.send(|out| {
            let mark = begin_vec(out);
            let more = fill(out, nodes, &mut room, node_len, put_node);
            end_vec(out, mark, room.count);
            out.put_u8(more.into());
        }))
    }
}

/// Writes as many items as there is room for; returns whether some are left.
fn fill<T>(
    out: &mut BytesMut,
    items: impl Iterator<Item = T>,
    room: &mut Room,
    len: impl Fn(&T) -> usize,
    put: impl Fn(&mut BytesMut, T),
) -> bool {
    for item in items {
        if !room.take(len(&item)) {
            return true;
        }
        put(out, item);
    }
    false
}

fn node_len((node, readable): &(&Node, bool)) -> usize {
    let data_len = node.data().filter(|_| *readable).map_or(0, <[u8]>::len);
    PREFIX_LEN + node.path().len() + size_of::<i32>() + PREFIX_LEN + data_len + Stat::LEN
}

/// One that may not be read is named, for the list that it is in may be read, and that is all.
fn put_node(out: &mut BytesMut, (node, readable): (&Node, bool)) {
    put_str(out, node.path());
    if readable {
        out.put_i32(ErrorCode::Ok.into());
        put_data(out, node.data(), &node.stat());
    } else {
        out.put_i32(ErrorCode::from(OpError::NoAuth).into());
        put_data(out, None, &Stat::default());
    }
}
