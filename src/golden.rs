//! Bytes that earlier builds wrote, for tests of formats: docs/reference/formats.md.
//!
//! `tests/golden/COMMIT.txt` holds what this commit wrote. A new build never writes into these files; a new format gets
//! lines of its own, in a file of the commit that first wrote it.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use testkit::golden::hex;

pub(crate) use testkit::golden::bytes as golden;

/// Version 1 of what servers send each other, directories without lives.
pub(crate) const BUILD_8AECE55: &str = include_str!("../tests/golden/8aece55.txt");

/// Version 2.
pub(crate) const BUILD_5DE72FB: &str = include_str!("../tests/golden/5de72fb.txt");

/// Shows that these bytes are written today as they were then.
pub(crate) fn assert_written(file: &str, name: &str, written: &[u8]) {
    assert_eq!(hex(written), hex(&golden(file, name)), "{name}");
}

/// Shows that a message in postcard is written today as it was then, and that what was written then is read as that
/// message.
pub(crate) fn assert_message<T: Serialize + DeserializeOwned + Debug>(
    file: &str,
    name: &str,
    message: &T,
) {
    let encode = |message: &T| postcard::to_stdvec(message).unwrap();
    assert_written(file, name, &encode(message));
    let read: T = postcard::from_bytes(&golden(file, name)).unwrap();
    assert_eq!(format!("{read:?}"), format!("{message:?}"), "{name}");
    // What is printed may leave bytes out.
    assert_written(file, name, &encode(&read));
}
