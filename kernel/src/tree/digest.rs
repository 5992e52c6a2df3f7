//! A running digest of the tree, to find replicas that differ.
//!
//! The digest is the wrapping sum of one 64-bit hash a node, so it does not depend on the order of
//! changes and each change costs two hashes. A node's hash covers its path, data, ACL and persisted
//! stat; children are covered by their own paths. The functions are part of the format: replicas of
//! different builds compare their digests, so a change needs another [`VERSION`].

use jute_proto::Acl;

/// The version of the hash functions; digests of different versions cannot be compared.
pub const VERSION: u32 = 1;

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes one word into a hash: multiply to 128 bits and fold.
#[inline]
pub(crate) const fn mix(hash: u64, word: u64) -> u64 {
    let product = ((hash ^ word) as u128).wrapping_mul((MULTIPLIER | 1) as u128);
    ((product as u64) ^ ((product >> 64) as u64)).wrapping_add(MULTIPLIER)
}

/// Hashes bytes, starting from `seed`. The length is part of it.
#[inline]
pub(crate) fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = mix(seed, bytes.len() as u64);
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(hash, u64::from_le_bytes(last))
}

/// Hashes a path and the data of its node; null data differs from empty data.
#[inline]
pub(super) fn hash_content(path: &str, data: Option<&[u8]>) -> u64 {
    let path = hash_bytes(u64::from(data.is_some()), path.as_bytes());
    hash_bytes(path, data.unwrap_or_default())
}

/// Hashes an access control list.
pub(super) fn hash_acl(entries: &[Acl]) -> u64 {
    entries.iter().fold(entries.len() as u64, |hash, acl| {
        let hash = hash_bytes(mix(hash, acl.perms.0 as u32 as u64), acl.id.scheme.as_bytes());
        hash_bytes(hash, acl.id.id.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_functions_stay_as_they_are() {
        // Builds that differ in these functions would take each other for diverged replicas.
        let hashes = [
            hash_content("/a", Some(b"some data")),
            hash_content("/a", None),
            hash_acl(&Acl::open()),
        ];
        let expected =
            [12_154_127_370_416_169_454, 16_032_091_943_904_501_030, 14_679_329_598_277_619_802];
        assert_eq!(hashes, expected);
    }

    #[test]
    fn small_differences_show() {
        // Null and empty, a moved boundary between path and data, and trailing zeros all differ.
        let hashes = [
            hash_content("/a", None),
            hash_content("/a", Some(b"")),
            hash_content("/a", Some(b"\0")),
            hash_content("/a", Some(b"\0\0")),
            hash_content("/ab", Some(b"")),
            hash_content("/a", Some(b"b")),
        ];
        for (at, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..at].contains(hash), "{at}");
        }
    }
}
