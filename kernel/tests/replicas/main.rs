//! The same log on several replicas, each with checkpoints and restarts of its own.

mod damaged;
mod log;
mod numbered_writes;
mod sections;
mod server;

use log::{Pause, step, write_log};
use proptest::prelude::*;
use server::{Server, assert_same};

proptest! {
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
