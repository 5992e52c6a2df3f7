//! Servers find each other and become one ensemble, once.

use crate::patience::{client, create, three};

#[test]
fn an_ensemble_forms_in_any_order() {
    // Started one after the other, last first, two of three serve without the third, which joins
    // when it comes; started in another order they are the same ensemble with the same data.
    let mut ensemble = three().prepare();
    ensemble.start(2);
    ensemble.start(0);
    create(ensemble.addr(0), "/first");
    create(ensemble.addr(2), "/second");
    ensemble.start(1);
    ensemble.wait_until_all_serve();
    let mut third = client(ensemble.addr(1));
    third.sync("/").expect("synced");
    assert_eq!(third.children("/", false).expect("listed"), ["first", "second", "zookeeper"]);

    for server in ensemble.servers() {
        ensemble.stop(server);
    }
    for server in [1, 2, 0] {
        ensemble.start(server);
    }
    ensemble.wait_until_all_serve();
    for addr in ensemble.addrs() {
        let mut client = client(addr);
        client.sync("/").expect("synced");
        assert_eq!(client.children("/", false).expect("listed"), ["first", "second", "zookeeper"]);
    }
}
