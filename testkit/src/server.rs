//! A server without sockets, disk and clock: a replica, connections, and a log that is a queue.

use std::collections::{BTreeMap, VecDeque};

use bytes::{BufMut, Bytes, BytesMut};
use jute_proto::{LeaderHint, SessionId};
use kernel::conn::{CloseReason, Conn, ConnStats, Propose, Refusal, Settings, Surroundings, View};
use kernel::ensemble::ServerId;
use kernel::replica::entry::{next_command, push_command};
use kernel::replica::{Applied, Command, Event, EventSink, Op, Origin, Outcome, Replica, Stamp};
use kernel::session::{ConnId, ConnectionThrottle};
use kernel::time::WallTime;

use crate::checkpoint;

/// The way into the log: a queue of encoded commands.
#[derive(Debug, Default)]
pub struct ProposalQueue {
    /// The commands that were proposed and are not applied, encoded.
    pub queue: VecDeque<Bytes>,
    /// Why the log takes no command, where it takes none.
    pub refusal: Option<Refusal>,
    /// Limits new connections, where they are limited.
    pub throttle: Option<ConnectionThrottle>,
    /// The time that the throttle is told.
    pub now_ms: u64,
    last_session: i64,
    /// How many read barriers were asked for, where they are needed.
    pub barriers: Option<u64>,
}

impl Propose for ProposalQueue {
    fn propose(&mut self, command: &Command<'_>) -> Result<(), Refusal> {
        match self.refusal {
            Some(refusal) => Err(refusal),
            None => {
                let mut buffer = BytesMut::new();
                push_command(&mut buffer, command);
                self.queue.push_back(buffer.freeze());
                Ok(())
            }
        }
    }

    fn read_barrier(&mut self, _conn: ConnId) -> u64 {
        self.barriers.map_or(0, |last| {
            self.barriers = Some(last + 1);
            last + 1
        })
    }

    fn leader(&self, _secure: bool) -> LeaderHint<'static> {
        LeaderHint::Here
    }

    fn next_session_id(&mut self) -> SessionId {
        self.last_session += 1;
        SessionId(self.last_session)
    }

    fn may_connect(&mut self, tokens: u32) -> bool {
        self.throttle.as_mut().is_none_or(|throttle| throttle.admits(self.now_ms, tokens, 0.5))
    }
}

/// What connections of a server with a majority always know.
fn around<'a>(settings: &'a Settings, stats: &'a ConnStats, now_us: u64) -> Surroundings<'a> {
    Surroundings { settings, stats, now_us, read_only: false }
}

/// One server that has a majority, driven by its test step by step. Its methods panic where the
/// test names a connection that is not there.
#[derive(Debug)]
pub struct InMemoryServer {
    /// The settings of its connections.
    pub settings: Settings,
    /// What its connections count.
    pub stats: ConnStats,
    /// Its tree, sessions and watches.
    pub replica: Replica,
    /// Its connections, by the names that the test gave them.
    pub conns: BTreeMap<String, Conn>,
    /// What was proposed and is not applied yet.
    pub log: ProposalQueue,
    /// The stamp that every command is applied with.
    pub stamp: Stamp,
    /// The server's clock.
    pub now_us: u64,
    /// Whether there is time for what takes long, without [`InMemoryServer::resume`].
    pub at_length: bool,
    last_number: u64,
    /// What is on disk, by table and key.
    rows: checkpoint::Rows,
}

impl Default for InMemoryServer {
    fn default() -> Self {
        let settings = Settings::default();
        let stamp =
            Stamp { wall_time: WallTime(1000), policy: settings.policy, ..Stamp::default() };
        Self {
            settings,
            stats: ConnStats::default(),
            replica: Replica::default(),
            conns: BTreeMap::new(),
            log: ProposalQueue::default(),
            stamp,
            now_us: 0,
            at_length: true,
            last_number: 0,
            rows: checkpoint::Rows::new(),
        }
    }
}

impl InMemoryServer {
    /// A new connection under this name, from this address.
    pub fn connect(&mut self, name: &str, address: [u8; 4]) {
        self.disconnect(name);
        self.last_number += 1;
        let id = ConnId { server: ServerId(1), boot: 1, number: self.last_number };
        let peer = (address, 40_000).into();
        self.conns.insert(name.to_owned(), Conn::new(id, peer, self.now_us));
    }

    /// The connection ends as it does when its socket does.
    pub fn disconnect(&mut self, name: &str) {
        if let Some(conn) = self.conns.remove(name) {
            let _ = self.replica.watches().remove_watcher(conn.id().number, usize::MAX);
        }
    }

    /// The server is killed and starts again with what is on disk. Of the log, `lost` commands were
    /// not there yet.
    pub fn restart(&mut self, lost: usize) {
        self.conns.clear();
        let kept = self.log.queue.len().saturating_sub(lost);
        self.log.queue.truncate(kept);
        checkpoint::store(&mut self.replica, &mut self.rows, 1000);
        self.replica = checkpoint::restore(&self.rows).expect("its own rows");
    }

    /// Gives a frame to a connection.
    pub fn receive(&mut self, name: &str, frame: Bytes) {
        let Some(conn) = self.conns.get_mut(name) else { panic!("{name} is not connected") };
        let around = around(&self.settings, &self.stats, self.now_us);
        conn.receive(
            View { replica: &self.replica, around, at_length: self.at_length },
            &mut self.log,
            frame,
        );
    }

    /// Gives a frame that waited too long to a connection.
    pub fn receive_throttled(&mut self, name: &str, frame: Bytes) {
        let Some(conn) = self.conns.get_mut(name) else { panic!("{name} is not connected") };
        let around = around(&self.settings, &self.stats, self.now_us);
        let view = View { replica: &self.replica, around, at_length: self.at_length };
        conn.receive_throttled(view, &mut self.log, frame);
    }

    /// Answers what was paused, as the server does when the output was sent.
    pub fn resume(&mut self, name: &str) {
        let Some(conn) = self.conns.get_mut(name) else { panic!("{name} is not connected") };
        let around = around(&self.settings, &self.stats, self.now_us);
        conn.resume(View { replica: &self.replica, around, at_length: true }, &mut self.log);
    }

    /// Proposes what a server, or a connection that repeats itself, would.
    pub fn forge(&mut self, origin: Origin, op: Op<'_>) {
        let proposed = self.log.propose(&Command { origin, identities: &[], op });
        assert_eq!(proposed, Ok(()), "the log is there");
    }

    /// Tells a connection that a read barrier has passed.
    pub fn pass_barrier(&mut self, name: &str, number: u64) {
        let around = around(&self.settings, &self.stats, self.now_us);
        let view = View { replica: &self.replica, around, at_length: self.at_length };
        let conn = self.conns.get_mut(name).expect("a connection of that name");
        conn.barrier_passed(view, &mut self.log, number);
    }

    /// Applies the oldest command and hands out what comes of it, as the server does.
    pub fn apply_next(&mut self) -> Option<Outcome> {
        let entry = self.log.queue.pop_front()?;
        let command = next_command(&mut &entry[..], 0).expect("its own encoding");
        let around = around(&self.settings, &self.stats, self.now_us);
        if let Some(conn) = by_id(&mut self.conns, command.origin.conn) {
            conn.resume_all(View { replica: &self.replica, around, at_length: self.at_length });
        }
        let mut delivery = Delivery { conns: &mut self.conns, around };
        let applied = self.replica.apply(&self.stamp, &command, &mut delivery);
        let Applied { outcome, finished, displaced } = applied.expect("conn has decoded it before");
        let view = View { replica: &self.replica, around, at_length: self.at_length };
        let (conn, zxid) = (command.origin.conn, self.replica.last_zxid());
        if let Some(conn) = by_id(&mut self.conns, conn) {
            conn.complete(view, command.origin.seq, zxid, outcome.clone());
        }
        if let Some((origin, outcome)) = finished
            && let Some(conn) = by_id(&mut self.conns, origin.conn)
        {
            conn.complete(view, origin.seq, zxid, outcome);
        }
        if let Some(conn) = displaced.and_then(|id| by_id(&mut self.conns, id)) {
            let expired = matches!(command.op, Op::ExpireSession { .. });
            let reason =
                if expired { CloseReason::SessionEnded } else { CloseReason::SessionMoved };
            conn.close(reason);
        }
        Some(outcome)
    }
}

struct Delivery<'a> {
    conns: &'a mut BTreeMap<String, Conn>,
    around: Surroundings<'a>,
}

impl EventSink for Delivery<'_> {
    fn event(&mut self, event: Event<'_>) {
        let mut conns = self.conns.values_mut();
        if let Some(conn) = conns.find(|conn| conn.id().number == event.watcher) {
            conn.notify(self.around, &event);
        }
    }
}

fn by_id(conns: &mut BTreeMap<String, Conn>, id: ConnId) -> Option<&mut Conn> {
    conns.values_mut().find(|conn| conn.id() == id)
}

/// The frame of a handshake, without its length.
pub fn handshake(request: &jute_proto::ConnectRequest<'_>) -> Bytes {
    let mut frame = BytesMut::new();
    jute_proto::Encode::encode(request, &mut frame);
    frame.freeze()
}

/// The frame of a request, without its length.
pub fn frame(xid: i32, op: i32, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(xid);
    frame.put_i32(op);
    frame.put_slice(body);
    frame.freeze()
}
