//! Servers find each other and become one ensemble, once.

use crate::patience::{client, create, three};

#[test]
fn an_ensemble_forms_in_any_order() {
    // Started one after the other, last first, they form when all are there; started in another order
    // they are the same ensemble with the same data, and two of three serve without the third.
    let mut ensemble = three().prepare();
    for server in [2, 0, 1] {
        ensemble.start(server);
    }
    ensemble.wait_until_all_serve();
    create(ensemble.addr(0), "/first");
    create(ensemble.addr(2), "/second");
    let mut third = client(ensemble.addr(1));
    third.sync("/").expect("synced");
    assert_eq!(third.children("/", false).expect("listed"), ["first", "second", "zookeeper"]);

    for server in ensemble.servers() {
        ensemble.stop(server);
    }
    ensemble.start(1);
    ensemble.start(2);
    let mut early = client(ensemble.addr(1));
    early.sync("/").expect("synced");
    ensemble.start(0);
    ensemble.wait_until_all_serve();
    for addr in ensemble.addrs() {
        let mut client = client(addr);
        client.sync("/").expect("synced");
        assert_eq!(client.children("/", false).expect("listed"), ["first", "second", "zookeeper"]);
    }
}
