//! Keys and the znodes that they stand for.

use bytes::Bytes;
use jute_proto::{SessionId, Stat};

use crate::error::Error;

/// The path of a key; the slash at its beginning may be left out, and one at its end is ignored.
pub(super) fn path_of(key: &str) -> String {
    format!("/{}", key.trim_matches('/'))
}

/// Values must not be empty: a znode without data is a step on the way to others.
pub(super) fn check_value(value: &[u8]) -> Result<(), Error> {
    if value.is_empty() { Err(Error::InvalidArgument("a value must not be empty")) } else { Ok(()) }
}

/// Whether a znode is a key of the store.
pub(super) fn is_key(data: &Bytes, stat: &Stat) -> bool {
    !data.is_empty() || is_lease(stat)
}

/// Whether a znode ends with a session. Containers and znodes with a time to live mark themselves
/// in the same field.
pub(super) fn is_lease(stat: &Stat) -> bool {
    let SessionId(owner) = stat.ephemeral_owner;
    owner != 0 && owner != i64::MIN && (owner >> 56) != -1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_paths_with_or_without_slashes() {
        // However it is written, it is the same key.
        for key in ["/a/b", "a/b", "a/b/", "//a/b"] {
            assert_eq!(path_of(key), "/a/b");
        }
        assert_eq!(path_of("/"), "/");
        assert_eq!(path_of(""), "/");
    }

    #[test]
    fn only_the_znodes_of_sessions_are_leases() {
        // Containers and TTL znodes have an owner field, too.
        let owned = |owner| Stat { ephemeral_owner: SessionId(owner), ..Stat::default() };
        for (owner, lease) in
            [(0, false), (i64::MIN, false), (-1 << 56, false), (0x100_0000, true), (1 << 56, true)]
        {
            assert_eq!(is_lease(&owned(owner)), lease, "{owner:#x}");
        }
    }
}
