//! Requests that the local state answers. A read and the watch that it sets are one step: both
//! happen under the lock that the caller holds.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};
use jute_proto::{
    AddWatchMode, AddWatchRequest, CheckWatchesRequest, ClientInfo, Encode, ErrorCode,
    ExistsRequest, GetChildrenRequest, GetDataRequest, Id, MultiHeader, MultiReadOp,
    MultiReadRequest, OpCode, RemoveWatchesRequest, Request, SessionId, WatcherType,
    WhoAmIResponse, Xid, begin_vec, end_vec, put_str,
};

use super::output::Output;
use super::requests::RequestMeta;
use super::surroundings::View;
use crate::limits::{REPLY_LEN_MAX, RESULT_LEN_LONG};
use crate::replica::answer::{put_data, put_multi_error};
use crate::tree::{Node, OpError};
use crate::watch::{WatchKind, WatchModes};

/// What a path is taken to be long.
const PATH_LEN: usize = 64;

/// Whether a read was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// The reply is in the output.
    Sent,
    /// Nothing was done. The result takes long to write, and is left to who has time for that.
    PutOff,
}

/// A read that is being answered: what it may look at, and where its reply goes.
pub(super) struct Read<'a> {
    pub(super) view: View<'a>,
    pub(super) request: RequestMeta,
    /// The connection's number, under which it watches.
    pub(super) watcher: u64,
    pub(super) session: SessionId,
    pub(super) identities: &'a [Id],
    pub(super) output: &'a mut Output,
}

impl<'a> Read<'a> {
    /// Answers a request that goes no further than this server.
    ///
    /// # Errors
    /// The code to answer with, where it fails. Nothing was sent then.
    pub(super) fn answer(&mut self, request: &Request<'_>) -> Result<Answer, ErrorCode> {
        match request {
            Request::GetData(request) => self.get_data(request),
            Request::Exists(request) => self.exists(request),
            Request::GetChildren(request) => self.get_children(request, false),
            Request::GetChildren2(request) => self.get_children(request, true),
            Request::GetAcl(request) => self.get_acl(&request.path),
            Request::GetAllChildrenNumber(request) => {
                let (tree, policy) = (self.view.replica.tree(), self.view.settings.policy);
                let count = tree.count_descendants(&request.path, self.identities, policy)?;
                Ok(self.send(|out| out.put_i32(i32::try_from(count).unwrap_or(i32::MAX))))
            }
            Request::GetEphemerals(request) => Ok(self.get_ephemerals(request.prefix.as_deref())),
            Request::MultiRead(request) => Ok(self.multi_read(request)),
            Request::Sync(request) => Ok(self.send(|out| put_str(out, &request.path))),
            Request::Ping => {
                // Whatever the client numbered it with.
                self.request.xid = Xid::PING;
                Ok(self.send(|_| {}))
            }
            Request::WhoAmI => Ok(self.who_am_i()),
            Request::ListPage(request) => self.list_page(request),
            Request::GetSubtree(request) => self.get_subtree(request),
            Request::AddWatch(request) => self.add_watch(request),
            Request::CheckWatches(request) => self.check_watches(request),
            Request::RemoveWatches(request) => self.remove_watches(request),
            Request::SetWatches(_)
            | Request::SetWatches2(_)
            | Request::Create(_)
            | Request::Create2(_)
            | Request::CreateContainer(_)
            | Request::CreateTtl(_)
            | Request::Delete(_)
            | Request::DeleteContainer(_)
            | Request::SetData(_)
            | Request::SetAcl(_)
            | Request::Check(_)
            | Request::Multi(_)
            | Request::Reconfig(_)
            | Request::Auth(_)
            | Request::Sasl(_)
            | Request::CloseSession => Err(ErrorCode::SystemError),
        }
    }

    /// Sends a reply, which carries the zxid of the state that it shows.
    pub(super) fn send(&mut self, body: impl FnOnce(&mut BytesMut)) -> Answer {
        let header = (self.view.replica.last_zxid(), ErrorCode::Ok);
        self.output.reply(self.view, self.request, header, body);
        Answer::Sent
    }

    /// Whether a result of this length takes longer to write than there is time for.
    fn takes_too_long(&self, len: usize) -> bool {
        len > RESULT_LEN_LONG && !self.view.at_length
    }

    pub(super) fn node(&self, path: &str) -> Result<&'a Node, OpError> {
        self.view.replica.tree().read(path, self.identities, self.view.settings.policy)
    }

    fn watch(&self, kind: WatchKind, path: &str) {
        self.view.replica.watches().add(kind, path, self.watcher, WatchModes::STANDARD);
    }

    fn get_data(&mut self, request: &GetDataRequest<'_>) -> Result<Answer, ErrorCode> {
        let node = self.node(&request.path)?;
        if self.takes_too_long(node.data().map_or(0, <[u8]>::len)) {
            return Ok(Answer::PutOff);
        }
        if request.watch {
            self.watch(WatchKind::Data, &request.path);
        }
        Ok(self.send(|out| put_data(out, node.data(), &node.stat())))
    }

    /// The watch of `exists` is set whether or not the node exists, but not where reading is denied.
    fn exists(&mut self, request: &ExistsRequest<'_>) -> Result<Answer, ErrorCode> {
        let (tree, policy) = (self.view.replica.tree(), self.view.settings.policy);
        let found = tree.exists(&request.path, self.identities, policy);
        if request.watch && matches!(found, Ok(_) | Err(OpError::NoNode)) {
            self.watch(WatchKind::Data, &request.path);
        }
        let stat = found?.stat();
        Ok(self.send(|out| stat.encode(out)))
    }

    fn get_children(
        &mut self,
        request: &GetChildrenRequest<'_>,
        with_stat: bool,
    ) -> Result<Answer, ErrorCode> {
        let node = self.node(&request.path)?;
        let len = children_len(node);
        if len > REPLY_LEN_MAX {
            return Err(ErrorCode::MarshallingError);
        }
        if self.takes_too_long(len) {
            return Ok(Answer::PutOff);
        }
        if request.watch {
            self.watch(WatchKind::Child, &request.path);
        }
        Ok(self.send(|out| {
            put_children(out, node);
            if with_stat {
                node.stat().encode(out);
            }
        }))
    }

    fn get_acl(&mut self, path: &str) -> Result<Answer, ErrorCode> {
        let (tree, policy) = (self.view.replica.tree(), self.view.settings.policy);
        let (node, list) = tree.read_acl(path, self.identities, policy)?;
        Ok(self.send(|out| {
            let mark = begin_vec(out);
            for acl in list.iter() {
                acl.encode(out);
            }
            end_vec(out, mark, list.len());
            node.stat().encode(out);
        }))
    }

    fn get_ephemerals(&mut self, prefix: Option<&str>) -> Answer {
        let (tree, session) = (self.view.replica.tree(), self.session);
        if self.takes_too_long(tree.ephemerals_of(session).saturating_mul(PATH_LEN)) {
            return Answer::PutOff;
        }
        self.send(|out| {
            let (mark, mut count) = (begin_vec(out), 0);
            let until = out.len() + REPLY_LEN_MAX;
            for path in tree.ephemerals(session, prefix) {
                if out.len() > until {
                    // Too long a reply is taken back as a whole.
                    return;
                }
                put_str(out, path);
                count += 1;
            }
            end_vec(out, mark, count);
        })
    }

    /// Each read fails for itself, and none sets a watch. So do those whose results do not fit into the reply:
    /// a request of 40 KB may ask for 2 GB.
    fn multi_read(&mut self, request: &MultiReadRequest<'_>) -> Answer {
        let results: Vec<_> = request
            .ops
            .iter()
            .map(|op| match op {
                MultiReadOp::GetData(read) => (op, self.node(&read.path)),
                MultiReadOp::GetChildren(read) => (op, self.node(&read.path)),
            })
            .collect();
        let lens = results.iter().filter_map(|(op, node)| Some(read_len(op, node.as_ref().ok()?)));
        let len_max = self.view.settings.multi_read_len_max;
        if self.takes_too_long(lens.fold(0, usize::saturating_add).min(len_max)) {
            return Answer::PutOff;
        }
        self.send(|out| {
            let until = out.len() + len_max;
            for (op, result) in results {
                match result {
                    Err(error) => put_multi_error(out, error.into()),
                    Ok(node) if put_read(out, op, node, until) => {}
                    Ok(_) => put_multi_error(out, ErrorCode::MarshallingError),
                }
            }
            MultiHeader::END.encode(out);
        })
    }

    fn who_am_i(&mut self) -> Answer {
        let user = |id: &Id| match id.scheme.as_str() {
            "digest" => id.id.split(':').next().unwrap_or_default().to_owned(),
            "ip" | "x509" | "sasl" => id.id.clone(),
            _ => String::new(),
        };
        let clients = self
            .identities
            .iter()
            .map(|id| ClientInfo { auth_scheme: id.scheme.clone().into(), user: user(id).into() })
            .collect();
        self.send(|out| WhoAmIResponse { clients }.encode(out))
    }

    fn add_watch(&mut self, request: &AddWatchRequest<'_>) -> Result<Answer, ErrorCode> {
        let mode = AddWatchMode::try_from(request.mode).map_err(|_| ErrorCode::MarshallingError)?;
        self.view.replica.watches().add_persistent(&request.path, self.watcher, mode);
        Ok(self.send(|out| out.put_i32(ErrorCode::Ok.into())))
    }

    fn check_watches(&mut self, request: &CheckWatchesRequest<'_>) -> Result<Answer, ErrorCode> {
        let kind = watcher_type(request.watcher_type)?;
        if !self.view.replica.watches().contains(&request.path, self.watcher, kind) {
            return Err(ErrorCode::NoWatcher);
        }
        Ok(self.send(|_| {}))
    }

    fn remove_watches(&mut self, request: &RemoveWatchesRequest<'_>) -> Result<Answer, ErrorCode> {
        let kind = watcher_type(request.watcher_type)?;
        if !self.view.replica.watches().remove(&request.path, self.watcher, kind) {
            return Err(ErrorCode::NoWatcher);
        }
        Ok(self.send(|_| {}))
    }
}

fn watcher_type(number: i32) -> Result<WatcherType, ErrorCode> {
    WatcherType::try_from(number).map_err(|_| ErrorCode::MarshallingError)
}

/// Appends the result of one read; false, and nothing appended, where the buffer would become longer than
/// `until`.
fn put_read(out: &mut BytesMut, op: &MultiReadOp<'_>, node: &Node, until: usize) -> bool {
    if out.len().saturating_add(read_len(op, node)) > until {
        return false;
    }
    match op {
        MultiReadOp::GetData(_) => {
            MultiHeader::success(OpCode::GetData).encode(out);
            put_data(out, node.data(), &node.stat());
        }
        MultiReadOp::GetChildren(_) => {
            MultiHeader::success(OpCode::GetChildren).encode(out);
            put_children(out, node);
        }
    }
    true
}

fn read_len(op: &MultiReadOp<'_>, node: &Node) -> usize {
    match op {
        MultiReadOp::GetData(_) => node.data().map_or(0, <[u8]>::len),
        MultiReadOp::GetChildren(_) => children_len(node),
    }
}

/// How many bytes the list of the children takes.
fn children_len(node: &Node) -> usize {
    let names_len = usize::try_from(node.names_len()).unwrap_or(usize::MAX);
    names_len.saturating_add((node.child_count() + 1) * size_of::<i32>())
}

fn put_children(out: &mut BytesMut, node: &Node) {
    let mark = begin_vec(out);
    let children = node.children();
    let count = children.len();
    for name in children {
        put_str(out, name);
    }
    end_vec(out, mark, count);
}
