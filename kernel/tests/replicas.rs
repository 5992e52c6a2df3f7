//! The same log on several replicas, each with checkpoints and restarts of its own.

#[path = "replicas/damaged.rs"]
mod damaged;

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use jute_proto::{
    Acl, CreateRequest, DeleteRequest, Encode, ErrorCode, Id, MultiOp, MultiRequest, OpCode, Perms,
    ReconfigRequest, Request, SessionId, SetAclRequest, SetDataRequest, Zxid,
};
use kernel::replica::checkpoint::{META_KEY, Restore, RestoreError};
use kernel::replica::entry::{
    HEADER_LEN, encode_identities, next_command, open_entry, push_command, seal_batch,
};
use kernel::replica::section::{self, RESERVED_LEN, next_section};
use kernel::replica::{
    Command, EntryHeader, Event, EventSink, Op, Origin, Outcome, Replica, Section, SectionClaim,
    Sender, Stamp, VERSION_ONCE,
};
use kernel::session::{ConnId, KeptReply};
use kernel::tree::Policy;
use proptest::prelude::*;
use testkit::checkpoint::{self, Rows, restore};

/// What a command of the test log does.
#[derive(Clone, Debug)]
enum Act {
    Create { path: String, flags: i32, private: bool },
    Delete { path: String },
    SetData { path: String, len: usize },
    SetAcl { path: String },
    Multi(Vec<(bool, String)>),
    NewSession,
    Attach,
    Close,
    Expire,
    DeleteContainer { path: String },
}

/// A command, from one of a few sessions and connections.
#[derive(Clone, Debug)]
struct Step {
    act: Act,
    session: i64,
    conn: u64,
    /// Whether it is the connection above that sends it, and not the one that has the session.
    stranger: bool,
    /// How far the number of the command is from the one that is due.
    skew: i64,
    /// Of a write that has a number in its session: how far the number is from the next one, and how
    /// many before it are not acknowledged.
    numbered: Option<(u64, u64)>,
    /// Whether the entry ends here, and whether a new term begins then.
    ends: bool,
    new_term: bool,
    /// In an entry with sections: what is wrong with the section, if anything.
    fate: Fate,
    /// What each replica does behind the entry.
    pauses: [Pause; 3],
}

/// How a section arrives.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    InTurn,
    /// With a number that was applied before.
    Again,
    /// With one missing in front of it.
    Early,
    /// Behind the registration of another process, as the first section of that.
    NewProcess,
    /// From the process before.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Pause {
    None,
    Checkpoint,
    Restart,
}

fn path() -> impl Strategy<Value = String> {
    let names = prop_oneof![Just("a"), Just("b"), Just("c")];
    let depth = prop_oneof![4 => 1..2_usize, 2 => 2..3_usize, 1 => 3..4_usize];
    depth
        .prop_flat_map(move |depth| prop::collection::vec(names.clone(), depth))
        .prop_map(|names| names.iter().map(|name| format!("/{name}")).collect())
}

fn act() -> impl Strategy<Value = Act> {
    let flags = prop_oneof![Just(0), Just(0), Just(1), Just(2), Just(3), Just(9)];
    prop_oneof![
        12 => (path(), flags, prop::bool::weighted(0.1))
            .prop_map(|(path, flags, private)| Act::Create { path, flags, private }),
        4 => path().prop_map(|path| Act::Delete { path }),
        6 => (path(), 0..50_usize).prop_map(|(path, len)| Act::SetData { path, len }),
        1 => path().prop_map(|path| Act::SetAcl { path }),
        6 => prop::collection::vec((any::<bool>(), path()), 0..5).prop_map(Act::Multi),
        3 => Just(Act::NewSession),
        2 => Just(Act::Attach),
        1 => Just(Act::Close),
        1 => Just(Act::Expire),
        1 => path().prop_map(|path| Act::DeleteContainer { path }),
    ]
}

fn pause() -> impl Strategy<Value = Pause> {
    prop_oneof![
        6 => Just(Pause::None),
        1 => Just(Pause::Checkpoint),
        1 => Just(Pause::Restart),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::InTurn),
        1 => Just(Fate::Again),
        1 => Just(Fate::Early),
        1 => Just(Fate::NewProcess),
        1 => Just(Fate::Ended),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let skew = prop_oneof![16 => Just(0), 1 => Just(-1), 1 => Just(1)];
    let stranger = prop::bool::weighted(0.1);
    let numbered = prop::option::of((0..4_u64, 0..6_u64));
    let rest = (
        (stranger, skew, numbered),
        any::<bool>(),
        (prop::bool::weighted(0.05), fate()),
        [pause(), pause(), pause()],
    );
    (act(), 1..4_i64, 1..4_u64, rest).prop_map(
        |(act, session, conn, ((stranger, skew, numbered), ends, (new_term, fate), pauses))| Step {
            act,
            session,
            conn,
            stranger,
            skew,
            numbered,
            ends,
            new_term,
            fate,
            pauses,
        },
    )
}

/// One entry of the log.
struct Entry {
    term: u64,
    payload: Bytes,
    fate: Fate,
    pauses: [Pause; 3],
}

/// The server whose clients write.
const SERVER: u64 = 1;

/// The processes of the server, as the log's writer follows them.
#[derive(Default)]
struct Processes {
    /// The incarnations of this process and the one before; 0 for none.
    now: u64,
    before: u64,
    applied: u64,
}

impl Processes {
    /// The sections of the next entry, whose index this is, and which ends with these commands.
    fn sections(&mut self, index: u64, fate: Fate) -> (Option<Bytes>, Sender) {
        let fate = if self.now == 0 { Fate::NewProcess } else { fate };
        let sender = |incarnation, number| Sender { server: SERVER, incarnation, number };
        match fate {
            Fate::InTurn => self.applied += 1,
            Fate::Again => return (None, sender(self.now, self.applied)),
            Fate::Early => return (None, sender(self.now, self.applied + 2)),
            Fate::Ended => return (None, sender(self.before, self.applied + 1)),
            Fate::NewProcess => {
                *self = Self { now: index, before: self.now, applied: 1 };
                let op = Op::RegisterServer { server: SERVER, process: index };
                return (Some(of_nobody(op)), sender(index, 1));
            }
        }
        (None, sender(self.now, self.applied))
    }
}

/// A command of no connection.
fn of_nobody(op: Op<'_>) -> Bytes {
    let mut buffer = BytesMut::new();
    let origin = Origin { session: SessionId(0), conn: ConnId::NONE, seq: 0 };
    push_command(&mut buffer, &Command { origin, identities: &[], op });
    buffer.freeze()
}

/// The index of an entry in the log, from its place.
fn index(at: usize) -> u64 {
    at as u64 + 1
}

/// Writes the log down, and follows the sessions so that most commands are the ones that are due. From step
/// `raised` on, sections are numbered.
fn write_log(steps: &[Step], raised: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut due: BTreeMap<i64, (u64, i64)> = BTreeMap::new();
    let mut numbers: BTreeMap<i64, u64> = BTreeMap::new();
    let mut processes = Processes::default();
    let (mut term, mut is_raised) = (1, false);
    let mut commands = BytesMut::new();
    let mut count = 0;
    for (at, step) in steps.iter().enumerate() {
        push_step(&mut commands, step, &mut due, &mut numbers);
        count += 1;
        if !step.ends && at + 1 < steps.len() {
            continue;
        }
        let policy = Policy { enforce_quota: at % 2 == 0, ..Policy::default() };
        let time_ms = at as i64 * 10;
        let payload = if is_raised {
            // Clocks go back; elapsed time does not.
            let time_ms = time_ms - i64::from(at % 7 == 0) * 500;
            let header = section::Header { time_ms, elapsed_ms: at as u64 * 10, policy };
            let (before, sender) = processes.sections(index(entries.len()), step.fate);
            let sections = before
                .iter()
                .map(|before| Section { sender: Sender::default(), count: 1, commands: before })
                .chain([Section { sender, count, commands: &commands }]);
            section::seal(BytesMut::zeroed(RESERVED_LEN), &header, None, sections)
        } else {
            let mut buffer = BytesMut::zeroed(HEADER_LEN);
            buffer.extend_from_slice(&commands);
            is_raised = at >= raised;
            if is_raised {
                buffer.extend_from_slice(&of_nobody(Op::RaiseVersion { version: VERSION_ONCE }));
                count += 1;
            }
            seal_batch(buffer, &EntryHeader { time_ms, policy, count })
        };
        entries.push(Entry { term, payload, fate: step.fate, pauses: step.pauses });
        commands.clear();
        count = 0;
        term += u64::from(step.new_term);
    }
    entries
}

fn push_step(
    buffer: &mut BytesMut,
    step: &Step,
    due: &mut BTreeMap<i64, (u64, i64)>,
    numbers: &mut BTreeMap<i64, u64>,
) {
    let mut body = BytesMut::new();
    let (owner, next) = due.get(&step.session).copied().unwrap_or((step.conn, 1));
    let claims = matches!(
        step.act,
        Act::Create { .. }
            | Act::Delete { .. }
            | Act::SetData { .. }
            | Act::SetAcl { .. }
            | Act::Multi(_)
            | Act::Close
    );
    let number = if claims && !step.stranger { owner } else { step.conn };
    let conn = ConnId { server: 1, boot: 2, number };
    let seq = if claims { (next + step.skew) as u64 } else { 0 };
    let origin = Origin { session: SessionId(step.session), conn, seq };
    let op = match &step.act {
        Act::NewSession => Op::CreateSession { timeout_ms: 4000 },
        Act::Attach => Op::AttachSession { timeout_ms: 5000 },
        Act::Expire => Op::ExpireSession { owner: ConnId { number: owner, ..conn } },
        Act::DeleteContainer { path } => Op::DeleteContainer { path },
        Act::Close => Op::CloseSession,
        Act::Create { .. }
        | Act::Delete { .. }
        | Act::SetData { .. }
        | Act::SetAcl { .. }
        | Act::Multi(_) => {
            let request = request(&step.act);
            request.encode(&mut body);
            let op_code = request.op_code().into();
            match step.numbered {
                None => Op::Request { op_code, body: &body },
                Some((back, unanswered)) => {
                    let next = numbers.entry(step.session).or_insert(1);
                    let number = (*next).saturating_sub(back).max(1);
                    *next += u64::from(number == *next);
                    let answered = (number - 1).saturating_sub(unanswered);
                    Op::Numbered { number, answered, op_code, body: &body }
                }
            }
        }
    };
    let identities = encode_identities(&[user(step.conn)]);
    push_command(buffer, &Command { origin, identities: &identities, op });
    follow(step, number, due);
}

/// What the command does to the sessions, as far as the log's writer needs to know.
fn follow(step: &Step, conn: u64, due: &mut BTreeMap<i64, (u64, i64)>) {
    let granted = due.get(&step.session).is_some_and(|(owner, _)| *owner == conn) && step.skew == 0;
    match &step.act {
        Act::NewSession => {
            due.entry(step.session).or_insert((conn, 1));
        }
        Act::Attach => {
            due.entry(step.session).and_modify(|owner| *owner = (conn, 1));
        }
        Act::Expire => {
            due.remove(&step.session);
        }
        Act::Close if granted => {
            due.remove(&step.session);
        }
        Act::Create { .. }
        | Act::Delete { .. }
        | Act::SetData { .. }
        | Act::SetAcl { .. }
        | Act::Multi(_)
            if granted =>
        {
            due.entry(step.session).and_modify(|(_, next)| *next += 1);
        }
        Act::Create { .. }
        | Act::Delete { .. }
        | Act::SetData { .. }
        | Act::SetAcl { .. }
        | Act::Multi(_)
        | Act::Close
        | Act::DeleteContainer { .. } => {}
    }
}

fn user(number: u64) -> Id {
    Id::new("digest", format!("user{number}:hash="))
}

fn request(act: &Act) -> Request<'_> {
    static DATA: [u8; 64] = [b'x'; 64];
    let create = |path: &'_ str, flags, acl| CreateRequest {
        path: path.to_owned().into(),
        data: None,
        acl: Some(acl),
        flags,
    };
    match act {
        Act::Create { path, flags, private } => {
            let acl =
                if *private { vec![Acl { perms: Perms::ALL, id: user(1) }] } else { Acl::open() };
            Request::Create2(create(path, *flags, acl))
        }
        Act::Delete { path } => Request::Delete(DeleteRequest { path: path.into(), version: -1 }),
        Act::SetData { path, len } => Request::SetData(SetDataRequest {
            path: path.into(),
            data: Some(&DATA[..*len]),
            version: -1,
        }),
        Act::SetAcl { path } => Request::SetAcl(SetAclRequest {
            path: path.into(),
            acl: Some(vec![Acl { perms: Perms::ALL, id: user(2) }]),
            version: -1,
        }),
        Act::Multi(ops) => {
            let op = |(creates, path): &(bool, String)| {
                if *creates {
                    MultiOp::Create(create(path, 2, Acl::open()))
                } else {
                    MultiOp::Delete(DeleteRequest { path: path.clone().into(), version: -1 })
                }
            };
            Request::Multi(MultiRequest { ops: ops.iter().map(op).collect() })
        }
        Act::NewSession | Act::Attach | Act::Close | Act::Expire | Act::DeleteContainer { .. } => {
            Request::Ping
        }
    }
}

/// Takes events that nobody waits for.
struct Nobody;

impl EventSink for Nobody {
    fn event(&mut self, _: Event<'_>) {}
}

/// A replica with its disk.
#[derive(Default)]
struct Server {
    replica: Replica,
    rows: Rows,
    /// The first entry that the rows do not hold.
    next: usize,
}

impl Server {
    /// Applies the entry at this place; `each` is told what became of each command.
    fn apply(&mut self, at: usize, entry: &Entry, mut each: impl FnMut(&Command<'_>, Outcome)) {
        let stamp = Stamp { term: entry.term, index: index(at), ..Stamp::default() };
        if entry.payload[0] == section::FORMAT {
            let (header, mut rest) = section::open(&entry.payload).expect("its own encoding");
            let section::Header { time_ms, elapsed_ms, policy } = header;
            let stamp = Stamp { time_ms, elapsed_ms, policy, ..stamp };
            self.replica.begin_entry(&stamp);
            while let Some(section) = next_section(&mut rest).expect("its own encoding") {
                if self.replica.claim_section(section.sender) == SectionClaim::Granted {
                    self.apply_commands(&stamp, section.count, section.commands, &mut each);
                }
            }
        } else {
            let (header, commands) = open_entry(&entry.payload).expect("its own encoding");
            let EntryHeader { time_ms, policy, count } = header;
            let stamp = Stamp { time_ms, policy, ..stamp };
            self.replica.begin_entry(&stamp);
            self.apply_commands(&stamp, count, commands, &mut each);
        }
    }

    fn apply_commands(
        &mut self,
        stamp: &Stamp,
        count: u32,
        mut commands: &[u8],
        each: &mut impl FnMut(&Command<'_>, Outcome),
    ) {
        for number in 0..count {
            let command = next_command(&mut commands, number).expect("its own encoding");
            let applied = self.replica.apply(stamp, &command, &mut Nobody).expect("it decodes");
            each(&command, applied.outcome);
        }
    }

    /// As [`Self::apply`]: what became of all commands.
    fn outcomes(&mut self, at: usize, entry: &Entry) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        self.apply(at, entry, |_, outcome| outcomes.push(outcome));
        outcomes
    }

    fn checkpoint(&mut self, next: usize) {
        checkpoint::store(&mut self.replica, &mut self.rows, 3);
        self.next = next;
    }

    /// Loses what is in memory, loads the rows, and applies the log behind them again.
    fn restart(&mut self, log: &[Entry]) {
        self.replica = restore(&self.rows).expect("its own rows");
        for (at, entry) in log.iter().enumerate().skip(self.next) {
            self.outcomes(at, entry);
        }
    }
}

fn assert_same(one: &Replica, other: &Replica) {
    assert_eq!(one.last_zxid(), other.last_zxid());
    assert_eq!(one.last_time_ms(), other.last_time_ms());
    assert_eq!(one.tree().digest(), other.tree().digest());
    assert_eq!((one.version(), one.digest()), (other.version(), other.digest()));
    assert_eq!(one.elapsed_ms(), other.elapsed_ms());
    assert_eq!(one.tree().digest(), one.tree().recomputed_digest());
    let sessions = |replica: &Replica| -> Vec<_> {
        replica.sessions().iter().map(|(id, record)| (id, record.clone())).collect()
    };
    assert_eq!(sessions(one), sessions(other));
}

/// What is known of numbered writes without a window: every answer ever given.
#[derive(Default)]
struct Model {
    answers: BTreeMap<(SessionId, u64), KeptReply>,
    /// The newest transaction of a numbered write, by session.
    newest: BTreeMap<SessionId, (u64, Zxid)>,
}

impl Model {
    fn judge(&mut self, command: &Command<'_>, outcome: &Outcome) {
        let session = command.origin.session;
        if *outcome == Outcome::SessionClosed {
            self.answers.retain(|(of, _), _| *of != session);
            self.newest.remove(&session);
        }
        let Op::Numbered { number, answered, .. } = command.op else { return };
        let last = self.newest.get(&session).copied();
        match outcome {
            Outcome::Numbered(reply) if reply.code == ErrorCode::ThrottledOp => {
                assert!(!self.answers.contains_key(&(session, number)), "it was applied");
                assert!(last.is_some_and(|(last, _)| number < last), "it may be applied");
            }
            Outcome::Numbered(reply) => match self.answers.get(&(session, number)) {
                Some(first) => assert_eq!(first, reply),
                None => {
                    assert!(last.is_none_or(|(last, zxid)| number > last && reply.zxid > zxid));
                    self.newest.insert(session, (number, reply.zxid));
                    self.answers.insert((session, number), reply.clone());
                }
            },
            // Acknowledged before, so nobody needs an answer.
            Outcome::Misnumbered => assert!(number > answered),
            Outcome::Disowned | Outcome::Early | Outcome::Repeated => {}
            Outcome::Request(_)
            | Outcome::SessionOpened { .. }
            | Outcome::SessionRefused
            | Outcome::SessionClosed
            | Outcome::Deferred => panic!("{outcome:?}"),
        }
    }
}

proptest! {
    #[test]
    fn a_numbered_write_has_one_answer(
        steps in prop::collection::vec(step(), 1..200), raised in 0..200_usize,
    ) {
        // Whatever comes again, from whichever connection and behind whichever restarts: each number
        // of a session is applied at most once, in order, and later answers are the first one.
        let log = write_log(&steps, raised);
        let mut server = Server::default();
        let mut model = Model::default();
        for (at, entry) in log.iter().enumerate() {
            server.apply(at, entry, |command, outcome| model.judge(command, &outcome));
            match entry.pauses[0] {
                Pause::None => {}
                Pause::Checkpoint => server.checkpoint(at + 1),
                Pause::Restart => server.restart(&log[..=at]),
            }
        }
    }

    #[test]
    fn one_log_makes_one_state(
        steps in prop::collection::vec(step(), 1..150), raised in 0..150_usize,
    ) {
        // Whatever checkpoints and restarts the replicas have, after each entry they have the same
        // nodes, sessions, servers, zxid, time and digest, and gave each command the same outcome.
        let log = write_log(&steps, raised);
        let mut servers: [Server; 3] = Default::default();
        for (at, entry) in log.iter().enumerate() {
            let outcomes = servers.each_mut().map(|server| server.outcomes(at, entry));
            assert_eq!(outcomes[0], outcomes[1]);
            assert_eq!(outcomes[0], outcomes[2]);
            for (server, pause) in servers.iter_mut().zip(entry.pauses) {
                match pause {
                    Pause::None => {}
                    Pause::Checkpoint => server.checkpoint(at + 1),
                    Pause::Restart => server.restart(&log[..=at]),
                }
            }
            assert_same(&servers[0].replica, &servers[1].replica);
            assert_same(&servers[0].replica, &servers[2].replica);
        }
    }
}

/// The numbered sections of an entry, as they come once more in a later one.
fn again(entry: &Entry) -> Option<Bytes> {
    if entry.payload[0] != section::FORMAT {
        return None;
    }
    let (header, mut rest) = section::open(&entry.payload).expect("its own encoding");
    let sections = std::iter::from_fn(|| next_section(&mut rest).expect("its own encoding"));
    let numbered = sections.filter(|section| section.sender.incarnation > 0);
    Some(section::seal(BytesMut::zeroed(RESERVED_LEN), &header, None, numbered))
}

proptest! {
    #[test]
    fn what_comes_again_does_nothing(
        steps in prop::collection::vec(step(), 1..150), back in prop::collection::vec(0..40_usize, 150),
    ) {
        // A section that was in an entry changes nothing when it comes again, however late: not where the
        // session that it made is gone, nor behind another process of its server.
        let log = write_log(&steps, 0);
        let mut server = Server::default();
        for (at, entry) in log.iter().enumerate() {
            server.outcomes(at, entry);
            let earlier = &log[at.saturating_sub(back[at])];
            // One that was not the next when it came may be it now.
            let (Some(payload), Fate::InTurn | Fate::NewProcess) = (again(earlier), earlier.fate) else {
                continue;
            };
            let before = (server.replica.digest(), server.replica.last_zxid());
            let repeated = Entry { payload, term: entry.term, ..*earlier };
            prop_assert_eq!(server.outcomes(at, &repeated), []);
            prop_assert_eq!((server.replica.digest(), server.replica.last_zxid()), before);
        }
    }
}

#[test]
fn a_session_that_was_closed_does_not_come_back() {
    // A client's whole life in one section: when the section comes again, neither the session nor what it wrote
    // is made anew (a follower that did not hear that it was applied sends it again).
    let step = |act, ends| Step {
        act,
        session: 1,
        conn: 1,
        stranger: false,
        skew: 0,
        numbered: None,
        ends,
        new_term: false,
        fate: Fate::InTurn,
        pauses: [Pause::None; 3],
    };
    let create = |flags| Act::Create { path: "/job".to_owned(), flags, private: false };
    let log = write_log(
        &[
            step(Act::Expire, true),
            step(Act::NewSession, false),
            step(create(2), false),
            step(Act::Close, true),
        ],
        0,
    );
    let mut server = Server::default();
    assert_eq!(log.len(), 2);
    for (at, entry) in log.iter().enumerate() {
        server.outcomes(at, entry);
    }
    let nodes = server.replica.tree().node_count();
    let payload = again(&log[1]).expect("numbered sections");
    let entry = Entry { payload, ..log[1] };
    assert_eq!(server.outcomes(2, &entry), []);
    assert_eq!(server.replica.tree().node_count(), nodes);
    assert!(server.replica.sessions().is_empty());
}
