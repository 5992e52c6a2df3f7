//! A session with many ephemeral nodes ends in parts, so that readers have their turn. What comes of it is what comes
//! of one step.

use bytes::BytesMut;
use jute_proto::{Acl, AddWatchMode, CreateRequest, Encode, EventType, OpCode, SessionId, Zxid};
use kernel::ensemble::ServerId;
use kernel::replica::entry::encode_identities;
use kernel::replica::{Command, Event, EventSink, Op, Origin, Outcome, Replica, Stamp, VERSION_2};
use kernel::session::ConnId;
use proptest::prelude::*;

const SESSION: SessionId = SessionId(1);
const CONN: ConnId = ConnId { server: ServerId(1), boot: 1, number: 1 };
const USAGE: &str = "/zookeeper/quota/a/zookeeper_stats";
const PARENTS: [&str; 3] = ["/a", "/a/b", "/c"];
const TERM: u64 = 2;

/// What a watcher is told, in order.
#[derive(Debug, Default, Clone, PartialEq)]
struct Told(Vec<(Zxid, EventType, String)>);

impl EventSink for Told {
    fn event(&mut self, event: Event<'_>) {
        self.0.push((event.zxid, event.event_type, event.path.to_owned()));
    }
}

/// A replica whose session has ephemeral nodes, also below a quota, and what its watcher was told.
struct World {
    replica: Replica,
    told: Told,
    seq: u64,
}

fn stamp() -> Stamp {
    Stamp { term: TERM, ..Stamp::default() }
}

fn by_client(seq: u64) -> Origin {
    Origin { session: SESSION, conn: CONN, seq }
}

fn by_leader() -> Origin {
    Origin { session: SESSION, conn: ConnId::NONE, seq: 0 }
}

impl World {
    /// So many nodes below each of the parents.
    fn new(nodes: &[usize; 3]) -> Self {
        let mut world = Self { replica: Replica::default(), told: Told::default(), seq: 0 };
        world.apply(by_leader(), Op::RaiseVersion { version: VERSION_2 });
        world.client(Op::CreateSession { timeout_ms: 1000 });
        let quota = ["/zookeeper/quota/a", "/zookeeper/quota/a/zookeeper_limits", USAGE];
        for path in PARENTS.into_iter().chain(quota) {
            world.create(path, 0);
        }
        for (parent, count) in PARENTS.into_iter().zip(nodes) {
            (0..*count).for_each(|number| world.create(&format!("{parent}/{number}"), 1));
        }
        world.replica.watches().add_persistent("/", 9, AddWatchMode::PersistentRecursive);
        world
    }

    fn create(&mut self, path: &str, flags: i32) {
        let data: &[u8] = if path == USAGE { b"count=0,bytes=0" } else { b"count=-1,bytes=-1" };
        let request =
            CreateRequest { path: path.into(), data: Some(data), acl: Some(Acl::open()), flags };
        let mut body = BytesMut::new();
        request.encode(&mut body);
        let op_code = OpCode::Create.into();
        let outcome = self.client(Op::Request { op_code, body: &body });
        assert!(matches!(outcome, Outcome::Request(Ok(_))), "{path}: {outcome:?}");
    }

    fn client(&mut self, op: Op<'_>) -> Outcome {
        self.seq += 1;
        self.apply(by_client(self.seq - 1), op)
    }

    fn apply(&mut self, origin: Origin, op: Op<'_>) -> Outcome {
        let identities = encode_identities(&[]);
        let command = Command { origin, identities: &identities, op };
        self.replica.apply(&stamp(), &command, &mut self.told).expect("it decodes").outcome
    }

    /// A part of the end of the session; false where the command itself is next.
    fn part(&mut self, origin: Origin, op: Op<'_>, limit: usize) -> bool {
        let identities = encode_identities(&[]);
        let command = Command { origin, identities: &identities, op };
        self.replica.end_session_partly(&stamp(), &command, limit, &mut self.told)
    }

    fn shown(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let tree = self.replica.tree();
        assert_eq!(tree.digest(), tree.recomputed_digest());
        let stats = PARENTS.map(|path| tree.get(path).expect("it stays").stat());
        let usage = tree.get(USAGE).expect("it stays");
        let counts = (tree.node_count(), tree.ephemeral_count(), tree.approximate_data_size());
        let state = (self.replica.digest(), self.replica.last_zxid(), counts);
        let usage =
            (usage.stat(), String::from_utf8_lossy(usage.data().unwrap_or_default()).into_owned());
        (state, stats, usage, self.told.clone())
    }
}

proptest! {
    #[test]
    fn the_end_in_parts_is_the_end_at_once(
        nodes in [0..40_usize, 0..40, 0..40],
        limits in prop::collection::vec(0..30_usize, 0..10),
        expires in any::<bool>(),
    ) {
        // Nodes, their parents, usage of quotas, digests and events are the same in any parts, and until the last
        // one the zxid is that of before.
        let (mut whole, mut parts) = (World::new(&nodes), World::new(&nodes));
        let origin = if expires { by_leader() } else { by_client(whole.seq) };
        let end = || match expires {
            true => Op::ExpireSessionIn { owner: CONN, term: TERM },
            false => Op::CloseSession,
        };
        let before = parts.replica.last_zxid();
        let mut left = nodes.iter().sum::<usize>();
        for limit in limits {
            let more = left > limit;
            prop_assert_eq!(parts.part(origin, end(), limit), more);
            left -= if more { limit } else { 0 };
            prop_assert_eq!(parts.replica.tree().ephemerals_of(SESSION), left);
            prop_assert_eq!(parts.replica.last_zxid(), before);
        }
        prop_assert_eq!(whole.apply(origin, end()), Outcome::SessionClosed);
        prop_assert_eq!(parts.apply(origin, end()), Outcome::SessionClosed);
        prop_assert_eq!(whole.shown(), parts.shown());
    }
}

#[test]
fn an_end_that_will_be_refused_removes_nothing() {
    // By another connection, out of turn, or called by the leader of another term: the session goes on.
    let mut world = World::new(&[5, 5, 5]);
    let (next, other) = (world.seq, ConnId { number: 2, ..CONN });
    let expiry = |owner, term| Op::ExpireSessionIn { owner, term };
    let refused = [
        (by_client(next - 1), Op::CloseSession),
        (by_client(next + 1), Op::CloseSession),
        (Origin { conn: other, ..by_client(next) }, Op::CloseSession),
        (by_leader(), expiry(other, TERM)),
        (by_leader(), expiry(CONN, TERM - 1)),
        (by_leader(), Op::ExpireSession { owner: other }),
        (by_client(next), Op::NameEnsemble { name: 1 }),
    ];
    let before = world.shown();
    for (origin, op) in refused {
        assert!(!world.part(origin, op.clone(), 1), "{op:?}");
    }
    assert_eq!(world.shown(), before);
    assert!(world.part(by_client(next), Op::CloseSession, 1));
}
