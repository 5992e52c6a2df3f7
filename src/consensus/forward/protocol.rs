//! What a follower and its leader say to each other on a connection for forwarding.
//!
//! ```text
//! follower                              leader
//!   Open { term }                  ──►
//!                                  ◄──  Accepted, or the connection ends
//!   Batch { number: 1.. }          ──►  into the leader's own batches, in order
//!                                  ◄──  Applied { number }: all up to it are in the log for good
//!   ReadIndex { id, acks_leader }  ──►  after a majority confirmed the leader
//!                                  ◄──  ReadIndex { id, at }
//!   Report                         ──►  several times a second
//!                                  ◄──  Notice { has_quorum }
//! ```
//!
//! From version 2 on a follower sees in its own state which of its sections are applied:
//!
//! ```text
//!   Register { process }           ──►  into an entry, unless the process is registered
//!   Numbered { incarnation, .. }   ──►  into the leader's own batches, in order
//! ```
//!
//! Variants are numbered on the wire: new ones go to the end. A field that a message did not have at first goes
//! behind the others, as [`Later`]: a server of an earlier version does not read it, and sends none.

use serde::{Deserialize, Deserializer, Serialize};

use super::super::transport::WireBytes as Payload;

/// The last field of a message that did not have it at first; its default, where the other server sent none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Later<T>(pub(crate) T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Later<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(T::deserialize(deserializer).unwrap_or_default()))
    }
}

/// From a follower.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToLeader {
    /// First of all: which term the other is taken to lead.
    Open { term: u64 },
    /// Commands of the follower's clients.
    Batch { number: u64, commands: u32, payload: Payload },
    /// Which entry must be applied for a linearizable read?
    ReadIndex {
        id: u64,
        /// Whether this server had promised no later term its vote when it was asked for the read: then it is one
        /// of the majority.
        acks_leader: Later<bool>,
    },
    /// What the leader is to know.
    Report { report: Payload },
    /// A process of the follower wants to number what it wants written.
    Register { process: u64 },
    /// Commands of the follower's clients, with their place among all that its process wants written.
    Numbered { incarnation: u64, number: u64, commands: u32, payload: Payload },
}

/// From the leader.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToFollower {
    /// It leads that term.
    Accepted,
    /// All batches up to this one are applied.
    Applied { number: u64 },
    /// The answer to the question of this number, a term and an index: `None` where no majority confirmed the
    /// leader.
    ReadIndex { id: u64, at: Option<(u64, u64)> },
    /// The answer to a report: whether a majority heard of the leader lately, and more.
    Notice { has_quorum: bool, notice: Payload },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages as version 1 of the protocol began with them.
    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    enum AtFirst {
        Open { term: u64 },
        Batch { number: u64, commands: u32, payload: Vec<u8> },
        ReadIndex { id: u64 },
    }

    #[test]
    fn servers_with_and_without_a_later_field_understand_each_other() {
        // Who does not know the field skips it; who knows it takes its absence for the default.
        let asked = |acks_leader| ToLeader::ReadIndex { id: 300, acks_leader: Later(acks_leader) };
        for acks_leader in [false, true] {
            let bytes = postcard::to_stdvec(&asked(acks_leader)).unwrap();
            let ToLeader::ReadIndex { id: 300, acks_leader: read } =
                postcard::from_bytes(&bytes).unwrap()
            else {
                panic!("not what was sent");
            };
            assert_eq!(read, Later(acks_leader));
            let old: AtFirst = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(old, AtFirst::ReadIndex { id: 300 });
        }
        let bytes = postcard::to_stdvec(&AtFirst::ReadIndex { id: 300 }).unwrap();
        let read = postcard::from_bytes(&bytes).unwrap();
        assert!(
            matches!(read, ToLeader::ReadIndex { id: 300, acks_leader: Later(false) }),
            "{read:?}"
        );
    }
}
