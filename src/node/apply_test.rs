//! What clients may see while the state of another server is taken over.

use std::sync::Arc;
use std::thread;

use bytes::BytesMut;
use jute_proto::{SessionId, Zxid};
use kernel::conn::Conn;
use kernel::replica::entry::{begin_batch, push_command, seal_batch};
use kernel::replica::{Command, EntryHeader, Op, Origin, Replica};
use kernel::session::ConnId;
use kernel::time::WallTime;
use kernel::tree::Policy;

use super::apply::Applier;
use super::connections::ConnectionHandle;
use super::core::Shared;
use super::settings::settings;
use crate::config::Config;
use crate::consensus::{AddressBook, Committed, StateMachine as _};
use crate::storage::{Row, RowRef};

/// Enough that letting them go takes a while.
const CLIENTS: u64 = 20_000;

fn server() -> Arc<Shared> {
    let config = Config::standalone("/nowhere");
    let settings = settings(&config);
    Arc::new(Shared::new(config, settings, Replica::default(), 1, AddressBook::default()))
}

/// The rows of a server that applied one entry, and its last zxid.
fn checkpoint() -> (Vec<Row>, Zxid) {
    let shared = server();
    let mut machine = Applier::new(Arc::clone(&shared));
    let origin = Origin { session: SessionId(7), conn: ConnId::NONE, seq: 1 };
    let op = Op::CreateSession { timeout_ms: 4_000 };
    let mut batch = BytesMut::new();
    begin_batch(&mut batch);
    push_command(&mut batch, &Command { origin, identities: &[], op });
    let header = EntryHeader { wall_time: WallTime(1), policy: Policy::default(), count: 1 };
    let payload = seal_batch(batch, &header);
    machine.apply(Committed { term: 3, index: 1, payload: Some(&payload) }).unwrap();
    let mut rows = Vec::new();
    let mut keep = |RowRef { table, key, value }: RowRef<'_>| {
        let value = value.map(|value| value.to_vec().into());
        rows.push(Row { table, key: key.to_vec().into(), value });
        Ok(())
    };
    machine.begin_checkpoint().rows(&mut keep).unwrap();
    let zxid = shared.replica.read_blocking().last_zxid();
    (rows, zxid)
}

fn connect(shared: &Shared) -> Arc<ConnectionHandle> {
    let number = shared.connections.next_number();
    let conn = Conn::new(ConnId { server: 1, boot: 1, number }, ([127, 0, 0, 1], 1).into(), 0);
    shared.connections.insert(conn, 0, None)
}

#[test]
fn nobody_is_served_from_a_state_whose_events_it_missed() {
    // Whoever sees the state that was taken over, as each reply and ping does under the lock, finds every client
    // let go: else a client hears of the new zxid, and its setWatches skips the events in between. Nor does a
    // write of theirs count as one that waits.
    let (rows, installed) = checkpoint();
    let shared = server();
    let clients: Vec<_> = (0..CLIENTS).map(|_| connect(&shared)).collect();
    let last = Arc::clone(clients.last().unwrap());
    shared.stats.conns.writes_proposed.add(3);
    assert!(shared.replica.read_blocking().last_zxid() < installed);
    let watched = Arc::clone(&shared);
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
    let mut machine = Applier::new(Arc::clone(&shared));
    machine.install(&mut rows.into_iter().map(Ok)).unwrap();
    assert!(!served.join().unwrap(), "a client is served that missed what happened in between");
    assert_eq!(shared.stats.conns.outstanding(), 0);
}
