//! The multi-threaded C client.

use integration::{Server, Tool};

#[test]
fn the_c_client_has_every_call_answered() {
    // Synchronous and asynchronous calls, transactions, watches and auth of libzookeeper_mt.
    Tool::C.run("suite", &Server::start());
}
