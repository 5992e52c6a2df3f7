//! A random log: commands of a few sessions, most of them the ones that are due.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use jute_proto::{
    Acl, CreateRequest, DeleteRequest, Encode, Id, MultiOp, MultiRequest, Perms, Request,
    SessionId, SetAclRequest, SetDataRequest,
};
use kernel::ensemble::ServerId;
use kernel::replica::entry::{HEADER_LEN, encode_identities, push_command, seal_batch};
use kernel::replica::section::{self, RESERVED_LEN};
use kernel::replica::{Command, EntryHeader, Op, Origin, Section, Sender, VERSION_2};
use kernel::session::ConnId;
use kernel::time::{ElapsedTime, WallTime};
use kernel::tree::Policy;
use proptest::prelude::*;

/// What a command of the test log does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
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
pub(crate) struct Step {
    pub(crate) act: Act,
    pub(crate) session: i64,
    pub(crate) conn: u64,
    /// Whether it is the connection above that sends it, and not the one that has the session.
    pub(crate) stranger: bool,
    /// How far the number of the command is from the one that is due.
    pub(crate) skew: i64,
    /// Of a write that has a number in its session: how far the number is from the next one, and how
    /// many before it are not acknowledged.
    pub(crate) numbered: Option<(u64, u64)>,
    /// Whether the entry ends here, and whether a new term begins then.
    pub(crate) ends: bool,
    pub(crate) new_term: bool,
    /// In an entry with sections: what is wrong with the section, if anything.
    pub(crate) fate: Fate,
    /// What each replica does behind the entry.
    pub(crate) pauses: [Pause; 3],
}

/// How a section arrives.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Fate {
    InTurn,
    /// With a number that was applied before.
    Again,
    /// With one missing in front of it.
    OutOfOrder,
    /// Behind the registration of another process, as the first section of that.
    NewProcess,
    /// From the process before.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Pause {
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
        1 => Just(Fate::OutOfOrder),
        1 => Just(Fate::NewProcess),
        1 => Just(Fate::Ended),
    ]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
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
pub(crate) struct Entry {
    pub(crate) term: u64,
    pub(crate) payload: Bytes,
    pub(crate) fate: Fate,
    pub(crate) pauses: [Pause; 3],
}

/// The server whose clients write.
pub(crate) const SERVER: ServerId = ServerId(1);

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
            Fate::OutOfOrder => return (None, sender(self.now, self.applied + 2)),
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
pub(crate) fn index(at: usize) -> u64 {
    at as u64 + 1
}

/// Writes the log down, and follows the sessions so that most commands are the ones that are due. From step
/// `raised` on, sections are numbered.
pub(crate) fn write_log(steps: &[Step], raised: usize) -> Vec<Entry> {
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
        let ms = at as i64 * 10;
        let payload = if is_raised {
            // Clocks go back; elapsed time does not.
            let wall_time = WallTime(ms - i64::from(at % 7 == 0) * 500);
            let elapsed = ElapsedTime(at as u64 * 10);
            let header = section::Header { wall_time, elapsed, policy };
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
                buffer.extend_from_slice(&of_nobody(Op::RaiseVersion { version: VERSION_2 }));
                count += 1;
            }
            seal_batch(buffer, &EntryHeader { wall_time: WallTime(ms), policy, count })
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
    let conn = ConnId { server: ServerId(1), boot: 2, number };
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
