//! Which server has failpoints.

use std::path::Path;

use integration::{Failpoint, binary, binary_with_failpoints};

fn contains(binary: &Path, name: &str) -> bool {
    let bytes = std::fs::read(binary).expect("the binary is there");
    String::from_utf8_lossy(&bytes).contains(name)
}

#[test]
fn only_the_server_for_tests_has_failpoints() {
    // The server that is released knows no variable of a failpoint; the one that is built for tests knows each.
    for failpoint in Failpoint::ALL {
        assert!(contains(binary_with_failpoints(), failpoint.variable()), "{failpoint:?}");
    }
    let binary = binary();
    assert!(
        !contains(&binary, "GROVEKEEPER_TEST_"),
        "{} was built with the feature `failpoints`: run `cargo build`",
        binary.display()
    );
}
