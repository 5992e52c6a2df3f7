//! Node's `node-zookeeper-client`.

use integration::{Server, Tool};

#[test]
fn the_node_client_has_every_call_answered() {
    // Znodes, watches, transactions, ACLs and large values through node-zookeeper-client.
    Tool::Node.run("suite", &Server::start());
}
