//! An ensemble of one, through the code that runs larger ones.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use grovekeeper::consensus::{Consensus, ConsensusConfig, ProposeError, Role, StartError};
use grovekeeper::storage::log::EntryKind;
use grovekeeper::storage::{DataDir, LogEntry, LogPosition, OpenOptions, RaftLog};
use tokio::time::timeout;

use super::toy::{Server, Toy};

/// Runs an async test body on a runtime of its own; dropping the runtime is the crash: tasks end
/// wherever they are, without a shutdown.
fn run<T>(body: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap().block_on(body)
}

/// All that was applied before a crash is applied again after it, once and in order.
#[test]
fn proposals_survive_a_crash_once_and_in_order() {
    const COUNT: u64 = 10_000;
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let server = Server::start(dir.path()).await;
        (0..COUNT).for_each(|number| server.push(number));
        server.toy.wait_for(COUNT as usize);
        assert_eq!(server.toy.numbers(), (0..COUNT).collect::<Vec<_>>());
    });
    run(async {
        let server = Server::start(dir.path()).await;
        // It leads, so it has all of them, also those not known to be committed before the crash.
        assert_eq!(server.toy.numbers().len() as u64, COUNT);
        server.push(COUNT);
        server.toy.wait_for(COUNT as usize + 1);
        assert_eq!(server.toy.numbers(), (0..=COUNT).collect::<Vec<_>>());
    });
}

/// A restart behind a checkpoint applies only the entries that came after it.
#[test]
fn a_restart_replays_only_what_came_after_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let config = || ConsensusConfig { entries_kept: 0, ..ConsensusConfig::standalone(1) };
    let options = OpenOptions::new(1);
    let start = || Server::start_with(dir.path(), &options, config());
    run(async {
        let server = start().await;
        (0..5000).for_each(|number| server.push(number));
        server.toy.wait_for(5000);
        server.consensus.checkpoint_now().await.unwrap();
        (5000..5100).for_each(|number| server.push(number));
        server.toy.wait_for(5100);
    });
    run(async {
        let server = start().await;
        server.push(5100);
        server.toy.wait_for(5101);
        assert_eq!(server.toy.numbers(), (0..=5100).collect::<Vec<_>>());
        assert_eq!(server.toy.applied_since_start(), 101);
        server.consensus.read_barrier().await.unwrap();
        server.consensus.shutdown().await;
    });
}

/// An entry that cannot be decoded stops the server with a message, at once and at every restart.
#[test]
fn an_entry_that_cannot_be_decoded_stops_the_server() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let server = Server::start(dir.path()).await;
        server.push(1);
        server.consensus.propose(Bytes::from_static(b"half")).await.unwrap();
        let mut status = server.consensus.watch_status();
        let stopped = status.wait_for(|status| status.role == Role::Stopped).await.unwrap().clone();
        let failure = stopped.failure.unwrap();
        assert!(failure.contains("half a number"), "{failure}");
        let refused = server.consensus.propose(Bytes::new()).await;
        assert_eq!(refused, Err(ProposeError::Stopped));
        // The task that proposes ends as well.
        let queue = || server.proposer.push(|_| ());
        while queue() != Err(ProposeError::Stopped) {
            tokio::task::yield_now().await;
        }
    });
    run(async {
        let dir = DataDir::open(dir.path(), &OpenOptions::new(1)).unwrap();
        let config = ConsensusConfig::standalone(1);
        match Consensus::start(config, &dir, Box::new(Toy::load(&dir))).await {
            // The entry was known to be committed, or is found to be when the server leads.
            Err(error) => assert!(error.to_string().contains("half a number"), "{error}"),
            Ok(consensus) => {
                let mut status = consensus.watch_status();
                let stopped = |status: &grovekeeper::consensus::Status| status.failure.is_some();
                status.wait_for(stopped).await.unwrap();
            }
        }
    });
}

/// A checkpoint without its log, or a log without its checkpoint, is refused.
#[test]
fn a_state_and_a_log_that_do_not_meet_are_refused() {
    for lost in ["log", "state.redb"] {
        let dir = tempfile::tempdir().unwrap();
        run(async {
            let config = ConsensusConfig { entries_kept: 0, ..ConsensusConfig::standalone(1) };
            let server = Server::start_with(dir.path(), &OpenOptions::new(1), config).await;
            server.push(1);
            server.toy.wait_for(1);
            server.consensus.checkpoint_now().await.unwrap();
            let purged = || server.consensus.status().purged.is_some();
            while !purged() {
                tokio::task::yield_now().await;
            }
            server.consensus.shutdown().await;
        });
        let path = dir.path().join(lost);
        fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).unwrap();
        run(async {
            let dir = DataDir::open(dir.path(), &OpenOptions::new(1)).unwrap();
            let config = ConsensusConfig::standalone(1);
            let started = Consensus::start(config, &dir, Box::new(Toy::load(&dir))).await;
            assert!(matches!(started, Err(StartError::Storage(_))), "without {lost}: {started:?}");
        });
    }
}

/// Opens a data directory, and waits until what is done to its log is on disk.
fn change_log(dir: &Path, change: impl FnOnce(&RaftLog, LogPosition)) {
    let dir = DataDir::open(dir, &OpenOptions::new(1)).unwrap();
    change(dir.log(), dir.state().mark().position.unwrap());
    dir.log().flush().wait().unwrap();
}

/// A loss of power may leave a checkpoint that is ahead of its log, or a log with entries that the ensemble has
/// replaced. The server goes on from the checkpoint.
#[test]
fn a_server_goes_on_from_a_checkpoint_that_is_ahead_of_its_log() {
    let config = || ConsensusConfig { entries_kept: 1000, ..ConsensusConfig::standalone(1) };
    for replaced in [0, 5] {
        let temp = tempfile::tempdir().unwrap();
        let options = OpenOptions::new(1);
        let start = || Server::start_with(temp.path(), &options, config());
        for round in 0..2 {
            run(async {
                let server = start().await;
                for number in 1..=10 {
                    server.push(10 * round + number);
                    server.toy.wait_for((10 * round + number) as usize);
                }
                server.consensus.checkpoint_now().await.unwrap();
                server.consensus.shutdown().await;
            });
        }
        // The last three entries were never flushed; in their place are older ones of the first term.
        change_log(temp.path(), |log, checkpoint| {
            let from = checkpoint.index - 2;
            log.truncate(from);
            let older = (from..from + replaced).map(|index| LogEntry {
                position: LogPosition { term: 1, index },
                kind: EntryKind::Normal,
                payload: Bytes::from_static(&[0; 8]),
            });
            log.append(older, Box::new(|_| ())).unwrap();
        });
        run(async {
            let server = start().await;
            server.push(21);
            server.toy.wait_for(21);
            assert_eq!(server.toy.numbers(), (1..=21).collect::<Vec<_>>());
            server.consensus.shutdown().await;
        });
        run(async {
            assert_eq!(start().await.toy.numbers(), (1..=21).collect::<Vec<_>>());
        });
    }
}

/// More than one member is refused as long as there is no transport.
#[test]
fn an_ensemble_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let dir = DataDir::open(dir.path(), &OpenOptions::new(1)).unwrap();
        let mut config = ConsensusConfig::standalone(1);
        config.servers.insert(2, "localhost:2888".to_owned());
        config.voters.insert(2);
        let started = Consensus::start(config, &dir, Box::new(Toy::default())).await;
        assert!(matches!(started, Err(StartError::Config(_))), "{started:?}");
    });
}

/// No condition is waited for longer than this.
const DEADLINE: Duration = Duration::from_secs(60);

async fn nothing_waits(server: &Server) {
    while server.proposer.waiting_bytes() > 0 {
        tokio::task::yield_now().await;
    }
}

/// The room that a small entry takes is given back although nobody waits for the entry and none follows it.
#[test]
fn what_nobody_waits_for_gives_its_room_back() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let server = Server::start(dir.path()).await;
        for number in 0..10 {
            server.push(number);
            assert!(timeout(DEADLINE, nothing_waits(&server)).await.is_ok(), "entry {number}");
        }
        assert_eq!(server.toy.numbers().len(), 10);
    });
}

/// The room that a large entry takes is given back when it is applied: writes are refused for want of it. A
/// machine that is busy for a while only makes it take longer.
#[test]
fn a_large_entry_gives_its_room_back_at_once() {
    // What nobody waits for is looked at every 20 ms: then so many in a row take more than this.
    const IN_A_ROW: u32 = 4;
    const LESS: Duration = Duration::from_millis(50);
    let dir = tempfile::tempdir().unwrap();
    let large = |buffer: &mut BytesMut| (0..1000).for_each(|number| buffer.put_u64(number));
    run(async {
        let server = Server::start(dir.path()).await;
        let in_a_row = async || {
            for _ in 0..IN_A_ROW {
                server.proposer.push(large).unwrap();
                nothing_waits(&server).await;
            }
        };
        let once_in_time = async { while timeout(LESS, in_a_row()).await.is_err() {} };
        assert!(timeout(DEADLINE, once_in_time).await.is_ok());
    });
}
