//! Several servers as one, and what is done to them: one module a promise.
//!
//! Most tests hold for any ensemble: `GROVEKEEPER_TEST_SERVER=zookeeper` shows that they are right.

mod bounds;
mod catching_up;
mod clocks;
mod disks;
mod divergence;
mod earlier_build;
mod extensions;
mod failpoints;
mod far_apart;
mod formed_once;
mod forming;
mod joining;
mod leader_loss;
mod load;
mod lost_disks;
mod members;
mod minority;
mod namespaces;
mod numbers;
mod operators;
mod partitions;
mod patience;
mod peer_port;
mod proxy;
mod read_index;
mod reconfig;
mod sessions;
mod terms;
mod tls;
mod torture;
mod visibility;
