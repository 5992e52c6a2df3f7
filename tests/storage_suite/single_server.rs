//! An ensemble of one, through the code that runs larger ones.

use grovekeeper::consensus::ConsensusConfig;
use grovekeeper::storage::OpenOptions;

use super::toy::Server;

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
