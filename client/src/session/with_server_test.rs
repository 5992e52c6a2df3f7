//! The session and the server's own connections and replica, joined by queues, in virtual time:
//! connections break in the middle of anything, servers restart, sessions expire, and the promises
//! stand.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use jute_proto::{
    Acl, Create2Response, CreateMode, CreateRequest, DeleteRequest, Encode, GetDataRequest,
    GetDataResponse, MultiOp, MultiRequest, MultiResponse, OpCode, OpResult, Reader, SessionId,
    SetDataRequest, Stat, Zxid, next_frame, once,
};
use kernel::conn::CloseReason;
use kernel::replica::{Op, Origin, Outcome as Applied};
use kernel::session::ConnId;
use testkit::InMemoryServer;

use crate::error::{Error, Fate};
use crate::random::SplitMix64;

use super::connection::Time;
use super::request::{Reply, Request, WatchRegistration};
use super::settings::Settings;
use super::state_machine::{Effect, Session};
use super::watches::{Notice, WatchKind, WatcherId};

/// The server's name for the connection.
const LINK: &str = "client";

const NODE: &str = "/node";

/// A node that is made and deleted by turns.
const TOGGLE: &str = "/toggle";

/// How many histories, and how many steps each has.
const HISTORIES: u64 = 300;
const STEPS: usize = 300;

/// What a call was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallKind {
    Set,
    Get,
    Watch,
    Sequential,
    Toggle,
    Pair,
    Setup,
}

/// What may happen in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scenario {
    /// The client does not ask for writes that happen once.
    Plain,
    /// It does; sessions expire.
    Once,
    /// It does, and its session lives on.
    Endless,
}

type Outcome = Result<Reply, Error>;

struct ClientAndServer {
    client: Session<usize, usize>,
    server: InMemoryServer,
    now: Time,
    random: SplitMix64,
    to_server: BytesMut,
    to_client: BytesMut,
    effects: VecDeque<Effect<usize, usize>>,
    dialing: bool,
    calls: Vec<CallKind>,
    outcomes: BTreeMap<usize, Outcome>,
    /// What watches were told, by the call that set them.
    told: BTreeMap<usize, Vec<Notice>>,
    /// How many sessions were ended by the server.
    expired: u64,
    scenario: Scenario,
    /// How many writes the server answered again.
    repeated: u64,
    /// Whether the next toggle makes the node.
    makes: bool,
}

impl ClientAndServer {
    fn new(seed: u64, scenario: Scenario) -> Self {
        let exactly_once = scenario != Scenario::Plain;
        let client = Session::new(Settings { seed, exactly_once, ..Settings::new(1) });
        let mut pair = Self {
            client,
            server: InMemoryServer::default(),
            now: Duration::ZERO,
            random: SplitMix64::new(seed),
            to_server: BytesMut::new(),
            to_client: BytesMut::new(),
            effects: VecDeque::new(),
            dialing: false,
            calls: Vec::new(),
            outcomes: BTreeMap::new(),
            told: BTreeMap::new(),
            expired: 0,
            scenario,
            repeated: 0,
            makes: true,
        };
        pair.client.start(pair.now);
        pair.settle();
        pair
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random.next() % limit
    }

    /// Carries out what the client wants.
    fn settle(&mut self) {
        self.client.take_effects(&mut self.effects);
        self.client.take_output(self.now, &mut self.to_server);
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Dial(_) | Effect::DialAt(_) => self.dialing = true,
                Effect::Hangup => self.cut(),
                Effect::Complete(call, outcome) => {
                    let before = self.outcomes.insert(call, outcome);
                    assert_eq!(before, None, "call {call} was answered twice");
                }
                Effect::Notify(call, notice) => self.told.entry(call).or_default().push(notice),
                Effect::Status(_) | Effect::Probe(_) => {}
            }
        }
    }

    /// What is under way on the connection is lost.
    fn cut(&mut self) {
        self.to_server.clear();
        self.to_client.clear();
        self.dialing = false;
        self.server.disconnect(LINK);
    }

    fn step(&mut self) {
        match self.below(100) {
            0..45 => self.call(),
            45..60 => self.server_reads(),
            60..75 => self.apply(),
            75..90 => self.client_reads(),
            90..93 => {
                self.cut();
                self.client.disconnected(self.now);
            }
            93..98 => self.pass(),
            98 => self.restart(),
            _ if self.scenario == Scenario::Endless => self.restart(),
            _ => self.expire(),
        }
        if self.dialing {
            self.dialing = false;
            self.server.connect(LINK, [127, 0, 0, 1]);
            self.client.socket_opened(self.now);
        }
        self.settle();
    }

    fn apply(&mut self) {
        let applied = self.server.apply_next();
        let newest = self.server.replica.last_zxid();
        self.repeated +=
            u64::from(matches!(&applied, Some(Applied::Numbered(reply)) if reply.zxid < newest));
        assert_ne!(applied, Some(Applied::BadWriteNumber));
    }

    /// The server is killed, and with it some of what is not in its log yet.
    fn restart(&mut self) {
        let under_way = self.server.log.queue.len() as u64;
        let lost = usize::try_from(self.below(under_way + 1)).expect("small");
        self.server.restart(lost);
        self.cut();
        self.client.disconnected(self.now);
    }

    fn pass(&mut self) {
        let period = self.below(200);
        self.now += Duration::from_millis(period);
        self.client.tick(self.now);
    }

    fn call(&mut self) {
        let kind = match self.below(if self.scenario == Scenario::Endless { 6 } else { 4 }) {
            0 => CallKind::Set,
            1 => CallKind::Get,
            2 => CallKind::Watch,
            3 => CallKind::Sequential,
            4 => CallKind::Toggle,
            _ => CallKind::Pair,
        };
        self.ask(kind);
    }

    fn ask(&mut self, kind: CallKind) {
        let call = self.calls.len();
        let mut body = BytesMut::new();
        let create = |path: &'static str, mode: CreateMode| CreateRequest {
            path: path.into(),
            data: Some(b""),
            acl: Some(Acl::open()),
            flags: mode.into(),
        };
        let op = match kind {
            CallKind::Set => {
                let set = SetDataRequest { path: NODE.into(), data: Some(b"x"), version: -1 };
                set.encode(&mut body);
                OpCode::SetData
            }
            CallKind::Get | CallKind::Watch => {
                let watch = kind == CallKind::Watch;
                GetDataRequest { path: NODE.into(), watch }.encode(&mut body);
                OpCode::GetData
            }
            CallKind::Sequential => {
                create("/node/n-", CreateMode::PersistentSequential).encode(&mut body);
                OpCode::Create2
            }
            CallKind::Toggle => {
                self.makes = !self.makes;
                if self.makes {
                    DeleteRequest { path: TOGGLE.into(), version: -1 }.encode(&mut body);
                    OpCode::Delete
                } else {
                    create(TOGGLE, CreateMode::Persistent).encode(&mut body);
                    OpCode::Create2
                }
            }
            CallKind::Pair => {
                let made =
                    || MultiOp::Create2(create("/node/n-", CreateMode::PersistentSequential));
                MultiRequest { ops: vec![made(), made()] }.encode(&mut body);
                OpCode::Multi
            }
            CallKind::Setup => {
                create(NODE, CreateMode::Persistent).encode(&mut body);
                OpCode::Create2
            }
        };
        let registration = (kind == CallKind::Watch).then(|| WatchRegistration {
            id: WatcherId(call as u64),
            path: NODE.to_owned(),
            kind: WatchKind::Data,
            sink: call,
        });
        self.calls.push(kind);
        let request = Request { op, body: body.into(), token: Some(call), registration };
        if let Err(error) = self.client.submit(request) {
            self.outcomes.insert(call, Err(error));
        }
    }

    /// A whole frame reaches the server.
    fn server_reads(&mut self) {
        let frame = next_frame(&mut self.to_server, 1 << 20).expect("frames of the client");
        if let Some(frame) = frame
            && self.server.conns.get(LINK).is_some_and(|conn| conn.close_reason().is_none())
        {
            self.server.receive(LINK, frame);
        }
    }

    /// Some bytes reach the client, or the news that the server has closed the connection.
    fn client_reads(&mut self) {
        let Some(conn) = self.server.conns.get_mut(LINK) else { return };
        self.to_client.unsplit(conn.take_output());
        let closed = conn.close_reason().is_some();
        assert_ne!(conn.close_reason(), Some(&CloseReason::BadWriteNumber));
        let most = self.to_client.len() as u64;
        let some = usize::try_from(self.below(most + 1)).expect("small");
        let mut arrived = self.held_back(some);
        while self.client.receive(self.now, &mut arrived) {}
        // What the client did not use yet comes before what follows.
        arrived.unsplit(std::mem::take(&mut self.to_client));
        self.to_client = arrived;
        if closed && some as u64 == most {
            self.settle();
            self.cut();
            self.client.disconnected(self.now);
        } else {
            self.server.resume(LINK);
        }
    }

    fn held_back(&mut self, some: usize) -> BytesMut {
        let arrived = BytesMut::from(self.to_client.chunk().get(..some).unwrap_or_default());
        self.to_client.advance(some);
        arrived
    }

    /// The server ends the session.
    fn expire(&mut self) {
        let session = self.client.status().session;
        let owner = self.server.replica.sessions().get(session).map(|record| record.owner);
        if let (Some(owner), true) = (owner, session != SessionId(0)) {
            let origin = Origin { session, conn: ConnId::NONE, seq: 0 };
            self.server.forge(origin, Op::ExpireSession { owner });
            self.expired += 1;
        }
    }

    /// Lets everything come to its end.
    fn quiesce(&mut self) {
        for _ in 0..2000 {
            self.server_reads();
            self.apply();
            self.client_reads();
            self.settle();
            self.pass();
            if self.dialing {
                self.dialing = false;
                self.server.connect(LINK, [127, 0, 0, 1]);
                self.client.socket_opened(self.now);
            }
            self.settle();
        }
    }

    fn version(&self, call: usize) -> Option<i32> {
        let reply = self.outcomes.get(&call)?.as_ref().ok().filter(|reply| reply.err == 0)?;
        let read: GetDataResponse<'_> = Reader::new(&reply.body).record().expect("a record");
        Some(read.stat.version)
    }

    /// Whether it was the end of the session that left fates unknown, and nothing else.
    fn unknown_only_with_the_session(&self) -> bool {
        let mut errors = self.outcomes.values().filter_map(|outcome| outcome.as_ref().err());
        errors.all(|error| {
            error.fate() != Fate::Unknown || matches!(error, Error::SessionLost { .. })
        })
    }

    /// Counts the calls of a kind that were done, and those whose fate is unknown.
    fn counted(&self, kind: CallKind) -> (usize, usize) {
        let of_kind = |call: &usize| self.calls.get(*call) == Some(&kind);
        let calls = self.outcomes.iter().filter(|(call, _)| of_kind(call));
        let (mut done, mut unknown) = (0, 0);
        for (_, outcome) in calls {
            match outcome {
                Ok(reply) if reply.err == 0 => done += 1,
                Ok(_) => {}
                Err(error) if error.fate() == Fate::Unknown => unknown += 1,
                Err(_) => {}
            }
        }
        (done, unknown)
    }
}

fn history(seed: u64, scenario: Scenario) -> ClientAndServer {
    let mut pair = ClientAndServer::new(seed, scenario);
    pair.ask(CallKind::Setup);
    pair.quiesce();
    for _ in 0..STEPS {
        pair.step();
    }
    pair.quiesce();
    // One more read shows how it ended.
    pair.ask(CallKind::Get);
    pair.quiesce();
    pair
}

#[test]
fn every_call_has_one_outcome_and_it_is_true() {
    // Changes that were answered were made once, those refused or not sent were not, and only those
    // of unknown fate may be either; reads never go back in time.
    for scenario in [Scenario::Plain, Scenario::Once] {
        judge_outcomes(scenario);
    }
}

fn judge_outcomes(scenario: Scenario) {
    let (mut unknown_ever, mut expired_ever) = (0, 0);
    for seed in 1..=HISTORIES {
        let pair = history(seed, scenario);
        let calls = pair.calls.len();
        assert_eq!(pair.outcomes.len(), calls, "seed {seed}: calls without an outcome");
        let last = pair.version(calls - 1).unwrap_or_else(|| panic!("seed {seed}: no last read"));
        let (done, unknown) = pair.counted(CallKind::Set);
        let version = usize::try_from(last).expect("a count");
        assert!((done..=done + unknown).contains(&version), "seed {seed}: {version} {done}");
        let (made, perhaps) = pair.counted(CallKind::Sequential);
        let children = pair.server.replica.tree().node_count();
        let children = children - InMemoryServer::default().replica.tree().node_count() - 1;
        assert!((made..=made + perhaps).contains(&children), "seed {seed}: {children} {made}");
        let mut newest = -1;
        for call in 0..calls {
            if let CallKind::Get | CallKind::Watch = pair.calls[call]
                && let Some(version) = pair.version(call)
            {
                assert!(version >= newest, "seed {seed}: call {call} goes back in time");
                newest = version;
            }
        }
        if scenario == Scenario::Once {
            assert!(pair.unknown_only_with_the_session(), "seed {seed}");
        }
        unknown_ever += unknown;
        expired_ever += pair.expired;
    }
    assert!(expired_ever > 100, "{expired_ever}");
    assert!(unknown_ever > 100 || scenario == Scenario::Once, "{unknown_ever}");
}

/// What a write was answered with: its zxid, and the names that it made.
fn answer(pair: &ClientAndServer, call: usize) -> (Zxid, Vec<String>) {
    let outcome = &pair.outcomes[&call];
    let reply = outcome.as_ref().unwrap_or_else(|error| panic!("call {call}: {error}"));
    assert_eq!(reply.err, 0, "call {call}");
    let kind = pair.calls[call];
    let names = match kind {
        CallKind::Sequential => {
            let made: Create2Response<'_> = Reader::new(&reply.body).record().expect("a record");
            vec![made.path.into_owned()]
        }
        CallKind::Pair => {
            let done: MultiResponse<'_> = Reader::new(&reply.body).record().expect("a record");
            let made = |result: OpResult<'_>| {
                let OpResult::Create2(made) = result else { panic!("call {call}: {result:?}") };
                made.path.into_owned()
            };
            done.results.into_iter().map(made).collect()
        }
        CallKind::Set => {
            let stat: Stat = Reader::new(&reply.body).record().expect("a record");
            vec![format!("version {}", stat.version)]
        }
        CallKind::Toggle | CallKind::Setup | CallKind::Get | CallKind::Watch => Vec::new(),
    };
    (reply.zxid, names)
}

#[test]
fn each_write_happens_once_whatever_breaks() {
    // With connections that break, a server that restarts and a log that loses what was not
    // acknowledged, no write ends with an error: each is made once, in the order of the calls, and
    // answered with what it did.
    let mut repeated_ever = 0;
    for seed in 1..=HISTORIES {
        let pair = history(seed, Scenario::Endless);
        let (mut newest, mut counter, mut sets) = (Zxid(0), 0, 0);
        for call in 0..pair.calls.len() {
            if let CallKind::Get | CallKind::Watch = pair.calls[call] {
                continue;
            }
            let (zxid, names) = answer(&pair, call);
            assert!(zxid > newest, "seed {seed}: call {call}");
            newest = zxid;
            for name in names {
                let expected = if pair.calls[call] == CallKind::Set {
                    sets += 1;
                    format!("version {sets}")
                } else {
                    counter += 1;
                    format!("/node/n-{:010}", counter - 1)
                };
                assert_eq!(name, expected, "seed {seed}: call {call}");
            }
        }
        assert_eq!(pair.version(pair.calls.len() - 1), Some(sets), "seed {seed}");
        let children = pair.server.replica.tree().get(NODE).expect("made").child_count();
        assert_eq!(children, counter, "seed {seed}");
        repeated_ever += pair.repeated;
    }
    assert!(repeated_ever > 100, "{repeated_ever}");
}

#[test]
fn many_writes_at_once_are_never_more_than_the_server_keeps() {
    // With more writes under way than replies are kept, and connections that break, the server has
    // no reason to refuse one.
    let mut pair = ClientAndServer::new(3, Scenario::Endless);
    pair.ask(CallKind::Setup);
    pair.quiesce();
    for _ in 0..3 * once::WRITES_MAX {
        pair.ask(CallKind::Sequential);
    }
    for round in 0..20_000 {
        pair.server_reads();
        pair.apply();
        pair.client_reads();
        pair.settle();
        if round % 700 == 0 {
            pair.restart();
        }
        pair.pass();
        if pair.dialing {
            pair.dialing = false;
            pair.server.connect(LINK, [127, 0, 0, 1]);
            pair.client.socket_opened(pair.now);
        }
        pair.settle();
    }
    let calls = 1..pair.calls.len();
    for (at, call) in calls.enumerate() {
        assert_eq!(answer(&pair, call).1, [format!("/node/n-{at:010}")]);
    }
}

#[test]
fn created_names_are_never_told_twice() {
    // Two creates that were answered made two znodes.
    for seed in 1..=HISTORIES / 3 {
        let pair = history(seed, Scenario::Plain);
        let mut names = std::collections::BTreeSet::new();
        for (call, outcome) in &pair.outcomes {
            if let (CallKind::Sequential, Ok(reply)) = (pair.calls[*call], outcome)
                && reply.err == 0
            {
                let made: Create2Response<'_> =
                    Reader::new(&reply.body).record().expect("a record");
                assert!(names.insert(made.path.into_owned()), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_one_shot_watch_misses_nothing() {
    // Whoever read a version that is not the last was told of a change, once, or that the session
    // is over; whoever read the last was not told of any.
    for seed in 1..=HISTORIES {
        let pair = history(seed, if seed % 2 == 0 { Scenario::Plain } else { Scenario::Once });
        let last = pair.version(pair.calls.len() - 1).expect("a last read");
        for call in 0..pair.calls.len() {
            let told = pair.told.get(&call).map(Vec::as_slice).unwrap_or_default();
            let watches = pair.calls[call] == CallKind::Watch;
            let Some(version) = Some(call).filter(|_| watches).and_then(|call| pair.version(call))
            else {
                let silent = told.iter().all(|notice| matches!(notice, Notice::End(_)));
                assert!(silent, "seed {seed}: {told:?} without a watch");
                continue;
            };
            assert!(told.len() <= 1, "seed {seed}: {told:?}");
            let changed = matches!(told.first(), Some(Notice::Event(_)));
            let over = matches!(told.first(), Some(Notice::End(_)));
            if version < last {
                assert!(changed || over, "seed {seed}: call {call} missed a change");
            } else {
                assert!(!changed, "seed {seed}: call {call} was told of nothing");
            }
        }
    }
}

#[test]
fn the_pair_itself_moves_bytes() {
    // Without faults a call is answered as the server answers.
    let mut pair = ClientAndServer::new(7, Scenario::Plain);
    pair.ask(CallKind::Setup);
    pair.ask(CallKind::Set);
    pair.ask(CallKind::Get);
    pair.quiesce();
    assert_eq!(pair.version(2), Some(1));
    assert_eq!(pair.outcomes[&0].as_ref().map(|reply| reply.err), Ok(0));
    assert_eq!(pair.client.status().session, SessionId(1));
    let _: Bytes = pair.to_client.freeze();
}
