//! The configuration of the ensemble, as it is stored: in log entries and beside checkpoints.

use std::collections::BTreeMap;

use bytes::Bytes;
use openraft::BasicNode;
use serde::{Deserialize, Serialize};

use super::types::LogId;
use super::types::Membership;
use super::types::StoredMembership;
use super::types::log_id;
use super::types::position;
use crate::consensus::error::Fatal;
use crate::storage::LogPosition;

/// The format that this version writes, and the newest that it reads.
const FORMAT: u8 = 1;

/// A configuration in our own encoding, so that no version of openraft is in our files.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Serialize, Deserialize)]
struct Record {
    /// Two sets of voters while the ensemble changes, else one.
    voters: Vec<Vec<u64>>,
    /// The address of each server.
    servers: Vec<(u64, String)>,
    /// Term and index of the entry that set it; absent inside of an entry.
    set_by: Option<(u64, u64)>,
}

/// Encodes the configuration carried by an entry.
pub(super) fn encode(membership: &Membership) -> Bytes {
    write(membership, None)
}

/// Encodes a configuration together with the entry that set it.
pub(super) fn encode_stored(stored: &StoredMembership) -> Bytes {
    write(stored.membership(), stored.log_id().as_ref())
}

/// Decodes the configuration carried by an entry.
pub(super) fn decode(bytes: &[u8]) -> Result<Membership, Fatal> {
    read(bytes).map(|(membership, _)| membership)
}

/// Decodes a configuration together with the entry that set it; no bytes are no configuration.
pub(super) fn decode_stored(bytes: &[u8]) -> Result<StoredMembership, Fatal> {
    if bytes.is_empty() {
        return Ok(StoredMembership::default());
    }
    read(bytes).map(|(membership, set_by)| StoredMembership::new(set_by, membership))
}

fn write(membership: &Membership, set_by: Option<&LogId>) -> Bytes {
    let voters = membership.get_joint_config();
    let record = Record {
        voters: voters.iter().map(|set| set.iter().copied().collect()).collect(),
        servers: membership.nodes().map(|(id, node)| (*id, node.addr.clone())).collect(),
        set_by: set_by.map(position).map(|position| (position.term, position.index)),
    };
    // Writing numbers and strings into memory cannot fail.
    postcard::to_extend(&record, vec![FORMAT]).unwrap_or_default().into()
}

fn read(bytes: &[u8]) -> Result<(Membership, Option<LogId>), Fatal> {
    let damaged = |what: &str| Fatal(format!("a stored configuration of the ensemble {what}"));
    let (format, rest) = bytes.split_first().ok_or_else(|| damaged("is empty"))?;
    if *format != FORMAT {
        return Err(damaged(&format!("has format {format}, this version reads {FORMAT}")));
    }
    let record: Record = postcard::from_bytes(rest).map_err(|_| damaged("cannot be decoded"))?;
    let voters = record.voters.into_iter().map(|set| set.into_iter().collect()).collect();
    let servers: BTreeMap<u64, BasicNode> =
        record.servers.into_iter().map(|(id, address)| (id, BasicNode::new(address))).collect();
    let membership = Membership::new(voters, servers)
        .map_err(|error| damaged(&format!("makes no sense: {error}")))?;
    let set_by = record.set_by.map(|(term, index)| log_id(LogPosition { term, index }));
    Ok((membership, set_by))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::golden::{BUILD_5DE72FB, BUILD_8AECE55, assert_written, golden};

    #[test]
    fn memberships_of_earlier_builds_are_read() {
        // In an entry and beside a checkpoint, also in the middle of a change.
        let sets = vec![BTreeSet::from([1, 2]), BTreeSet::from([1, 2, 300])];
        let nodes = [1, 2, 300].map(|id| (id, BasicNode::new(format!("host{id}:2888"))));
        let membership = Membership::new(sets, BTreeMap::from(nodes)).unwrap();
        let set_by = log_id(LogPosition { term: 6, index: 300 });
        let stored = StoredMembership::new(Some(set_by), membership.clone());
        for file in [BUILD_8AECE55, BUILD_5DE72FB] {
            assert_written(file, "membership.entry", &encode(&membership));
            assert_written(file, "membership.checkpoint", &encode_stored(&stored));
            assert_eq!(decode(&golden(file, "membership.entry")).unwrap(), membership);
            assert_eq!(decode_stored(&golden(file, "membership.checkpoint")).unwrap(), stored);
        }
    }
}
