//! What a leader proposes by itself has no number: it is judged when it is applied.

use bytes::BytesMut;
use jute_proto::{Acl, CreateMode, CreateRequest, DeleteRequest, Encode, OpCode, SessionId, Zxid};
use kernel::ensemble::ServerId;
use kernel::replica::entry::encode_identities;
use kernel::replica::{Command, Event, EventSink, Op, Origin, Outcome, Replica, Stamp, VERSION_2};
use kernel::session::ConnId;
use kernel::time::ElapsedTime;
use kernel::tree::Policy;

const SESSION: SessionId = SessionId(1);
const CONN: ConnId = ConnId { server: ServerId(1), boot: 1, number: 1 };

struct Nobody;

impl EventSink for Nobody {
    fn event(&mut self, _: Event<'_>) {}
}

/// A replica with a session, in the version that has sections.
struct World {
    replica: Replica,
    term: u64,
    elapsed: ElapsedTime,
    last: u64,
}

impl World {
    fn new() -> Self {
        let mut world =
            Self { replica: Replica::default(), term: 1, elapsed: ElapsedTime(0), last: 0 };
        world.leader(Op::RaiseVersion { version: VERSION_2 });
        world.client(Op::CreateSession { timeout_ms: 1000 });
        world
    }

    fn apply(&mut self, origin: Origin, op: Op<'_>) -> Outcome {
        let policy = Policy { extended_types: true, ..Policy::default() };
        let stamp = Stamp { term: self.term, elapsed: self.elapsed, policy, ..Stamp::default() };
        self.replica.begin_entry(&stamp);
        let identities = encode_identities(&[]);
        let command = Command { origin, identities: &identities, op };
        self.replica.apply(&stamp, &command, &mut Nobody).expect("it decodes").outcome
    }

    fn leader(&mut self, op: Op<'_>) -> Outcome {
        self.apply(Origin { session: SessionId(0), conn: ConnId::NONE, seq: 0 }, op)
    }

    fn expiry(&mut self, term: u64) -> Outcome {
        let owner = CONN;
        let origin = Origin { session: SESSION, conn: ConnId::NONE, seq: 0 };
        self.apply(origin, Op::ExpireSessionIn { owner, term })
    }

    fn client(&mut self, op: Op<'_>) -> Outcome {
        let origin = Origin { session: SESSION, conn: CONN, seq: self.last };
        self.last += 1;
        self.apply(origin, op)
    }

    fn request(&mut self, op_code: OpCode, request: &impl Encode) -> Outcome {
        let mut body = BytesMut::new();
        request.encode(&mut body);
        self.client(Op::Request { op_code: op_code.into(), body: &body })
    }

    fn create_container(&mut self) -> Zxid {
        let flags = CreateMode::Container.into();
        let request =
            CreateRequest { path: "/c".into(), data: None, acl: Some(Acl::open()), flags };
        self.request(OpCode::CreateContainer, &request);
        self.replica.tree().get("/c").expect("created").stat().czxid
    }
}

#[test]
fn a_container_that_was_made_anew_is_not_removed() {
    // Two leaders, or one that proposes twice, saw a container whose life is over. Where it was removed and made
    // anew meanwhile, the second removal means another one.
    let mut world = World::new();
    let first = world.create_container().0;
    world.elapsed = ElapsedTime(1 << 40);
    let removal = Op::DeleteContainerIn { path: "/c", czxid: first, mzxid: first, term: 1 };
    let delete = DeleteRequest { path: "/c".into(), version: -1 };
    world.request(OpCode::Delete, &delete);
    let second = world.create_container();
    assert_ne!(second.0, first);
    let before = (world.replica.digest(), world.replica.last_zxid());
    assert_eq!(world.leader(removal), Outcome::Repeated);
    assert_eq!((world.replica.digest(), world.replica.last_zxid()), before);
}

#[test]
fn what_belongs_to_an_earlier_term_does_nothing() {
    // A session that an earlier leader called expired, and a container that it called over, stay: it did not know
    // what was heard since.
    let mut world = World::new();
    let czxid = world.create_container().0;
    world.term = 2;
    let before = (world.replica.digest(), world.replica.last_zxid());
    assert_eq!(world.expiry(1), Outcome::Repeated);
    let removal = Op::DeleteContainerIn { path: "/c", czxid, mzxid: czxid, term: 1 };
    assert_eq!(world.leader(removal), Outcome::Repeated);
    assert_eq!((world.replica.digest(), world.replica.last_zxid()), before);
    assert_eq!(world.expiry(2), Outcome::SessionClosed);
}

#[test]
fn the_digest_shows_sessions_kept_replies_and_registrations() {
    // Replicas that differ in nothing but these are told apart.
    let mut digests = vec![World::new().replica.digest()];
    let mut world = World::new();
    assert_eq!(world.replica.digest(), digests[0]);
    let request = DeleteRequest { path: "/none".into(), version: -1 };
    let mut body = BytesMut::new();
    request.encode(&mut body);
    let (number, answered) = (1, 0);
    let op_code = OpCode::Delete.into();
    world.client(Op::Numbered { number, answered, op_code, body: &body });
    digests.push(world.replica.digest());
    let mut world = World::new();
    world.apply(
        Origin { session: SessionId(2), conn: CONN, seq: 0 },
        Op::CreateSession { timeout_ms: 1000 },
    );
    digests.push(world.replica.digest());
    let count = digests.len();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), count);
}
