//! What clients may see while the state of another server is taken over.

use std::sync::Arc;
use std::thread;

use bytes::BytesMut;
use jute_proto::{SessionId, Zxid};
use kernel::replica::entry::{begin_batch, push_command, seal_batch};
use kernel::replica::{Command, EntryHeader, Op, Origin, Replica};
use kernel::session::ConnId;
use kernel::time::WallTime;
use kernel::tree::Policy;

use super::apply::Applier;
use super::connections::ConnectionHandle;
use super::core::Core;
use crate::config::Config;
use crate::consensus::{AddressBook, Committed, StateMachine as _};
use crate::storage::{Row, RowRef};

/// Enough that letting them go takes a while.
const CLIENTS: u64 = 20_000;

fn server() -> Arc<Core> {
    let config = Config::standalone("/nowhere");
    Arc::new(Core::new(&config, Replica::default(), 1, AddressBook::default()))
}

/// The rows of a server that applied one entry, and its last zxid.
fn checkpoint() -> (Vec<Row>, Zxid) {
    let core = server();
    let mut applier = Applier::new(Arc::clone(&core));
    let origin = Origin { session: SessionId(7), conn: ConnId::NONE, seq: 1 };
    let op = Op::CreateSession { timeout_ms: 4_000 };
    let mut batch = BytesMut::new();
    begin_batch(&mut batch);
    push_command(&mut batch, &Command { origin, identities: &[], op });
    let header = EntryHeader { wall_time: WallTime(1), policy: Policy::default(), count: 1 };
    let payload = seal_batch(batch, &header);
    applier.apply(Committed { term: 3, index: 1, payload: Some(&payload) }).unwrap();
    let mut rows = Vec::new();
    let mut keep = |RowRef { table, key, value }: RowRef<'_>| {
        let value = value.map(|value| value.to_vec().into());
        rows.push(Row { table, key: key.to_vec().into(), value });
        Ok(())
    };
    applier.begin_checkpoint().rows(&mut keep).unwrap();
    let zxid = core.replica.read_blocking().last_zxid();
    (rows, zxid)
}

fn connect(core: &Core) -> Arc<ConnectionHandle> {
    core.connect(([127, 0, 0, 1], 1).into(), None, |_| ())
}

#[test]
fn nobody_is_served_from_a_state_whose_events_it_missed() {
    // Whoever sees the state that was taken over, as each reply and ping does under the lock, finds every client
    // let go: else a client hears of the new zxid, and its setWatches skips the events in between. Nor does a
    // write of theirs count as one that waits.
    let (rows, installed) = checkpoint();
    let core = server();
    let clients: Vec<_> = (0..CLIENTS).map(|_| connect(&core)).collect();
    let last = Arc::clone(clients.last().unwrap());
    core.stats.conns.writes_proposed.add(3);
    assert!(core.replica.read_blocking().last_zxid() < installed);
    let watched = Arc::clone(&core);
    let served = thread::spawn(move || {
        loop {
            let replica = watched.replica.read_blocking();
            if replica.last_zxid() == installed {
                return last.conn.lock().close_reason().is_none();
            }
            drop(replica);
            thread::yield_now();
        }
    });
    let mut applier = Applier::new(Arc::clone(&core));
    applier.install(&mut rows.into_iter().map(Ok)).unwrap();
    assert!(!served.join().unwrap(), "a client is served that missed what happened in between");
    assert_eq!(core.stats.conns.outstanding(), 0);
}
