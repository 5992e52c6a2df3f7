//! What the servers of an ensemble go through while clients use them.

use integration::Ensemble;

/// Kills of the leader.
const KILLS: usize = 3;

/// Restarts each server in its turn, then kills the leader some times; all serve at the end.
pub(crate) fn restarts_and_kills(ensemble: &mut Ensemble) {
    for server in ensemble.servers() {
        ensemble.stop(server);
        ensemble.start(server);
        ensemble.wait_until_all_serve();
    }
    for _ in 0..KILLS {
        let leader = ensemble.wait_for_leader();
        ensemble.kill(leader);
        let _ = ensemble.wait_for_leader_but(leader);
        ensemble.start(leader);
        ensemble.wait_until_all_serve();
    }
}
