//! Requests that the local state answers. A read and the watch that it sets are one step: both
//! happen under the lock that the caller holds.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};
use jute_proto::{
    AddWatchMode, AddWatchRequest, CheckWatchesRequest, ClientInfo, Encode, ErrorCode,
    ExistsRequest, GetChildrenRequest, GetDataRequest, MultiHeader, MultiReadOp, MultiReadRequest,
    OpCode, Reader, RemoveWatchesRequest, Request, RequestHeader, WatcherType, WhoAmIResponse, Xid,
    Zxid, begin_vec, end_vec, put_str,
};

use super::close::CloseReason;
use super::conn::{Conn, View};
use super::handling::{Handling, Route};
use super::rearm::Rearming;
use crate::limits::{REPLY_LEN_MAX, RESULT_LEN_LONG};
use crate::replica::answer::{put_data, put_multi_error};
use crate::tree::{Node, OpError};
use crate::watch::{WatchKind, WatchModes};

/// The zxid of the reply to an operation that does not exist.
const NO_ZXID: Zxid = Zxid(-1);

/// What a path is taken to be long.
const PATH_LEN: usize = 64;

/// A request whose turn has come.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) view: View<'a>,
    xid: Xid,
    op: OpCode,
    start_us: u64,
}

impl Conn {
    /// Answers a request that goes no further than this server.
    pub(super) fn answer(&mut self, view: View<'_>, frame: &Bytes, start_us: u64) {
        let mut reader = Reader::new(frame);
        let header: RequestHeader = match reader.record() {
            Ok(header) => header,
            Err(error) => return self.close(CloseReason::BadHeader(error)),
        };
        let xid = header.xid;
        let op = self.operation(header.op);
        if Handling::of(op).route == Route::Refused {
            let failure = (NO_ZXID, ErrorCode::Unimplemented);
            self.reply(view, (xid, op), failure, start_us, |_| {});
            return self.close(CloseReason::UnknownOperation(header.op));
        }
        let turn = Turn { view, xid, op, start_us };
        let result = match Request::decode(op, &mut reader) {
            Ok(Request::SetWatches(_) | Request::SetWatches2(_)) => {
                if let Some(rearming) = Rearming::new(frame, op, start_us) {
                    self.hold.until_answered();
                    self.go_on_rearming(view, Box::new(rearming));
                }
                return;
            }
            Ok(request) => self.read(turn, &request),
            Err(_) => Err(ErrorCode::MarshallingError),
        };
        if core::mem::take(&mut self.put_off) {
            let slot = self.waiting(frame.clone(), start_us, 0, true);
            return self.order.push_front(slot);
        }
        view.stats.read_latency_us.record(view.now_us.saturating_sub(start_us));
        if let Err(code) = result {
            let zxid = view.replica.last_zxid();
            self.reply_error(view, (xid, op), zxid, code, start_us);
        }
        if self.oversized.is_some() {
            self.report_oversized(view, op, Self::describe(frame).1.as_deref());
        }
    }

    fn read(&mut self, turn: Turn<'_>, request: &Request<'_>) -> Result<(), ErrorCode> {
        match request {
            Request::GetData(request) => self.get_data(turn, request),
            Request::Exists(request) => self.exists(turn, request),
            Request::GetChildren(request) => self.get_children(turn, request, false),
            Request::GetChildren2(request) => self.get_children(turn, request, true),
            Request::GetAcl(request) => self.get_acl(turn, &request.path),
            Request::GetAllChildrenNumber(request) => {
                let (replica, settings) = (turn.view.replica, turn.view.settings);
                let count = replica.tree().count_descendants(
                    &request.path,
                    &self.identities,
                    settings.policy,
                )?;
                self.ok(turn, |out| out.put_i32(i32::try_from(count).unwrap_or(i32::MAX)));
                Ok(())
            }
            Request::GetEphemerals(request) => {
                self.get_ephemerals(turn, request.prefix.as_deref());
                Ok(())
            }
            Request::MultiRead(request) => {
                self.multi_read(turn, request);
                Ok(())
            }
            Request::Sync(request) => {
                self.ok(turn, |out| put_str(out, &request.path));
                Ok(())
            }
            Request::Ping => {
                // Whatever the client numbered it with.
                self.ok(Turn { xid: Xid::PING, ..turn }, |_| {});
                Ok(())
            }
            Request::WhoAmI => {
                self.who_am_i(turn);
                Ok(())
            }
            Request::ListPage(request) => self.list_page(turn, request),
            Request::GetSubtree(request) => self.get_subtree(turn, request),
            Request::AddWatch(request) => self.add_watch(turn, request),
            Request::CheckWatches(request) => self.check_watches(turn, request),
            Request::RemoveWatches(request) => self.remove_watches(turn, request),
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

    /// A read's reply carries the zxid of the state that it shows.
    pub(super) fn ok(&mut self, turn: Turn<'_>, body: impl FnOnce(&mut BytesMut)) {
        let header = (turn.view.replica.last_zxid(), ErrorCode::Ok);
        self.reply(turn.view, (turn.xid, turn.op), header, turn.start_us, body);
    }

    /// Whether a request is left to who has time for a result of this length.
    fn puts_off(&mut self, view: View<'_>, len: usize) -> bool {
        self.put_off = len > RESULT_LEN_LONG && !view.at_length;
        self.put_off
    }

    pub(super) fn node<'a>(&self, view: View<'a>, path: &str) -> Result<&'a Node, OpError> {
        view.replica.tree().read(path, &self.identities, view.settings.policy)
    }

    fn watch(&self, view: View<'_>, kind: WatchKind, path: &str) {
        view.replica.watches().add(kind, path, self.id().number, WatchModes::STANDARD);
    }

    fn get_data(&mut self, turn: Turn<'_>, request: &GetDataRequest<'_>) -> Result<(), ErrorCode> {
        let node = self.node(turn.view, &request.path)?;
        if self.puts_off(turn.view, node.data().map_or(0, <[u8]>::len)) {
            return Ok(());
        }
        if request.watch {
            self.watch(turn.view, WatchKind::Data, &request.path);
        }
        self.ok(turn, |out| put_data(out, node.data(), &node.stat()));
        Ok(())
    }

    /// The watch of `exists` is set whether or not the node exists, but not where reading is denied.
    fn exists(&mut self, turn: Turn<'_>, request: &ExistsRequest<'_>) -> Result<(), ErrorCode> {
        let (replica, settings) = (turn.view.replica, turn.view.settings);
        let found = replica.tree().exists(&request.path, &self.identities, settings.policy);
        if request.watch && matches!(found, Ok(_) | Err(OpError::NoNode)) {
            self.watch(turn.view, WatchKind::Data, &request.path);
        }
        let stat = found?.stat();
        self.ok(turn, |out| stat.encode(out));
        Ok(())
    }

    fn get_children(
        &mut self,
        turn: Turn<'_>,
        request: &GetChildrenRequest<'_>,
        with_stat: bool,
    ) -> Result<(), ErrorCode> {
        let node = self.node(turn.view, &request.path)?;
        let len = children_len(node);
        if len > REPLY_LEN_MAX {
            return Err(ErrorCode::MarshallingError);
        }
        if self.puts_off(turn.view, len) {
            return Ok(());
        }
        if request.watch {
            self.watch(turn.view, WatchKind::Child, &request.path);
        }
        self.ok(turn, |out| {
            put_children(out, node);
            if with_stat {
                node.stat().encode(out);
            }
        });
        Ok(())
    }

    fn get_acl(&mut self, turn: Turn<'_>, path: &str) -> Result<(), ErrorCode> {
        let (replica, settings) = (turn.view.replica, turn.view.settings);
        let (node, list) = replica.tree().read_acl(path, &self.identities, settings.policy)?;
        self.ok(turn, |out| {
            let mark = begin_vec(out);
            for acl in list.iter() {
                acl.encode(out);
            }
            end_vec(out, mark, list.len());
            node.stat().encode(out);
        });
        Ok(())
    }

    fn get_ephemerals(&mut self, turn: Turn<'_>, prefix: Option<&str>) {
        let session = self.session();
        let paths = turn.view.replica.tree().ephemerals_of(session);
        if self.puts_off(turn.view, paths.saturating_mul(PATH_LEN)) {
            return;
        }
        self.ok(turn, |out| {
            let (mark, mut count) = (begin_vec(out), 0);
            let until = out.len() + REPLY_LEN_MAX;
            for path in turn.view.replica.tree().ephemerals(session, prefix) {
                if out.len() > until {
                    // Too long a reply is taken back as a whole.
                    return;
                }
                put_str(out, path);
                count += 1;
            }
            end_vec(out, mark, count);
        });
    }

    /// Each read fails for itself, and none sets a watch. So do those whose results do not fit into the reply:
    /// a request of 40 KB may ask for 2 GB.
    fn multi_read(&mut self, turn: Turn<'_>, request: &MultiReadRequest<'_>) {
        let results: Vec<_> = request
            .ops
            .iter()
            .map(|op| match op {
                MultiReadOp::GetData(read) => (op, self.node(turn.view, &read.path)),
                MultiReadOp::GetChildren(read) => (op, self.node(turn.view, &read.path)),
            })
            .collect();
        let lens = results.iter().filter_map(|(op, node)| Some(read_len(op, node.as_ref().ok()?)));
        let len_max = turn.view.settings.multi_read_len_max;
        if self.puts_off(turn.view, lens.fold(0, usize::saturating_add).min(len_max)) {
            return;
        }
        self.ok(turn, |out| {
            let until = out.len() + len_max;
            for (op, result) in results {
                match result {
                    Err(error) => put_multi_error(out, error.into()),
                    Ok(node) if put_read(out, op, node, until) => {}
                    Ok(_) => put_multi_error(out, ErrorCode::MarshallingError),
                }
            }
            MultiHeader::END.encode(out);
        });
    }

    fn who_am_i(&mut self, turn: Turn<'_>) {
        let user = |id: &jute_proto::Id| match id.scheme.as_str() {
            "digest" => id.id.split(':').next().unwrap_or_default().to_owned(),
            "ip" | "x509" | "sasl" => id.id.clone(),
            _ => String::new(),
        };
        let clients = self
            .identities
            .iter()
            .map(|id| ClientInfo { auth_scheme: id.scheme.clone().into(), user: user(id).into() })
            .collect();
        self.ok(turn, |out| WhoAmIResponse { clients }.encode(out));
    }

    fn add_watch(
        &mut self,
        turn: Turn<'_>,
        request: &AddWatchRequest<'_>,
    ) -> Result<(), ErrorCode> {
        let mode = AddWatchMode::try_from(request.mode).map_err(|_| ErrorCode::MarshallingError)?;
        turn.view.replica.watches().add_persistent(&request.path, self.id().number, mode);
        self.ok(turn, |out| out.put_i32(ErrorCode::Ok.into()));
        Ok(())
    }

    fn check_watches(
        &mut self,
        turn: Turn<'_>,
        request: &CheckWatchesRequest<'_>,
    ) -> Result<(), ErrorCode> {
        let kind = watcher_type(request.watcher_type)?;
        if !turn.view.replica.watches().contains(&request.path, self.id().number, kind) {
            return Err(ErrorCode::NoWatcher);
        }
        self.ok(turn, |_| {});
        Ok(())
    }

    fn remove_watches(
        &mut self,
        turn: Turn<'_>,
        request: &RemoveWatchesRequest<'_>,
    ) -> Result<(), ErrorCode> {
        let kind = watcher_type(request.watcher_type)?;
        if !turn.view.replica.watches().remove(&request.path, self.id().number, kind) {
            return Err(ErrorCode::NoWatcher);
        }
        self.ok(turn, |_| {});
        Ok(())
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
