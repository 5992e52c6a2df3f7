//! How a checkpoint keeps a node: its path as the key, and a versioned record as the value.
//!
//! The value is a format byte and a [`postcard`] record. Children are not in it: each has a row.

use alloc::sync::Arc;
use alloc::vec::Vec;

use jute_proto::{Acl, Id, Perms, Zxid};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::acl::AclTable;
use super::node::{Content, NodeKind, Persisted};
use crate::time::WallTime;

/// The version of the record. A row of another version is refused.
const FORMAT: u8 = 1;

/// What is wrong with the value of a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It has no byte.
    #[error("it is empty")]
    Empty,
    /// A newer version of the service wrote it.
    #[error("it has format {0}; this server reads format {FORMAT}: upgrade it")]
    Format(u8),
    /// It is not such a record.
    #[error("it does not decode: {0}")]
    Record(#[from] postcard::Error),
    /// Bytes follow the record.
    #[error("{0} bytes follow it")]
    Trailing(usize),
    /// Kind and owner of the node contradict each other.
    #[error("kind {tag} with owner {owner:#x} does not exist")]
    Kind {
        /// The kind's number.
        tag: u8,
        /// The owner.
        owner: i64,
    },
}

/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    data: Option<Bytes<'a>>,
    #[serde(borrow)]
    acl: Vec<(i32, &'a str, &'a str)>,
    czxid: i64,
    mzxid: i64,
    pzxid: i64,
    ctime: i64,
    mtime: i64,
    tag: u8,
    owner: i64,
    version: i32,
    creates: i32,
    aversion: i32,
}

/// A slice that is written in one piece and read without copying.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Bytes<'de>;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Bytes(bytes))
            }

            fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Self::Value, E> {
                Err(E::custom("bytes that cannot be borrowed"))
            }
        }
        deserializer.deserialize_bytes(Borrow).map_err(D::Error::custom)
    }
}

/// Appends the value of a node's row.
pub(super) fn encode(content: &Content, out: Vec<u8>) -> Vec<u8> {
    let persisted = content.persisted();
    let entries = content.acl.entries().iter();
    let record = Record {
        data: content.data.as_deref().map(Bytes),
        acl: entries.map(|acl| (acl.perms.0, &*acl.id.scheme, &*acl.id.id)).collect(),
        czxid: persisted.czxid.0,
        mzxid: persisted.mzxid.0,
        pzxid: persisted.pzxid.0,
        ctime: persisted.ctime.0,
        mtime: persisted.mtime.0,
        tag: persisted.kind.tag() as u8,
        owner: persisted.kind.owner(),
        version: persisted.version,
        creates: persisted.creates,
        aversion: persisted.aversion,
    };
    let mut out = out;
    out.push(FORMAT);
    postcard::to_extend(&record, out).expect("appending to memory cannot fail")
}

/// Reads the value of a node's row.
pub(super) fn decode(
    path: &Arc<str>,
    value: &[u8],
    acls: &mut AclTable,
) -> Result<Content, RowError> {
    let (format, record) = value.split_first().ok_or(RowError::Empty)?;
    if *format != FORMAT {
        return Err(RowError::Format(*format));
    }
    let (record, rest) = postcard::take_from_bytes::<Record<'_>>(record)?;
    if !rest.is_empty() {
        return Err(RowError::Trailing(rest.len()));
    }
    let (tag, owner) = (record.tag, record.owner);
    let kind = NodeKind::from_parts(tag, owner).ok_or(RowError::Kind { tag, owner })?;
    let entries = record.acl.iter();
    let acl: Vec<Acl> = entries
        .map(|(perms, scheme, id)| Acl { perms: Perms(*perms), id: Id::new(*scheme, *id) })
        .collect();
    let persisted = Persisted {
        czxid: Zxid(record.czxid),
        mzxid: Zxid(record.mzxid),
        pzxid: Zxid(record.pzxid),
        ctime: WallTime(record.ctime),
        mtime: WallTime(record.mtime),
        kind,
        version: record.version,
        creates: record.creates,
        aversion: record.aversion,
    };
    let data = record.data.map(|bytes| bytes.0);
    Ok(Content::restore(path, data, acls.intern(&acl), &persisted))
}
