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
//! A field that a message did not have at first goes
//! behind the others, as [`Later`]: a server of an earlier version does not read it, and sends none.

use serde::{Deserialize, Deserializer, Serialize};

use super::super::transport::WireBytes as Payload;

/// The last field of a message that did not have it at first; its default, where the other server sent none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Later<T>(pub(super) T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Later<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(T::deserialize(deserializer).unwrap_or_default()))
    }
}

/// From a follower.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToLeader {
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
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToFollower {
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
    use bytes::Bytes;

    use super::*;
    use crate::golden::{BUILD_5DE72FB, BUILD_8AECE55, assert_message, golden};

    fn to_leader() -> Vec<ToLeader> {
        let payload = || Payload(Bytes::from_static(b"commands"));
        vec![
            ToLeader::Open { term: 300 },
            ToLeader::Batch { number: 300, commands: 2, payload: payload() },
            ToLeader::ReadIndex { id: 300, acks_leader: Later(true) },
            ToLeader::Report { report: payload() },
            ToLeader::Register { process: u64::MAX },
            ToLeader::Numbered { incarnation: 9, number: 300, commands: 2, payload: payload() },
        ]
    }

    fn to_follower() -> Vec<ToFollower> {
        let notice = Payload(Bytes::from_static(b"notice"));
        vec![
            ToFollower::Accepted,
            ToFollower::Applied { number: 300 },
            ToFollower::ReadIndex { id: 300, at: Some((6, 301)) },
            ToFollower::Notice { has_quorum: true, notice },
        ]
    }

    /// The number of a message on the wire, and its name in the golden files. Both stay; a new one has the next number.
    fn number(message: &ToLeader) -> (u8, &'static str) {
        match message {
            ToLeader::Open { .. } => (0, "forward.Open"),
            ToLeader::Batch { .. } => (1, "forward.Batch"),
            ToLeader::ReadIndex { .. } => (2, "forward.ReadIndex"),
            ToLeader::Report { .. } => (3, "forward.Report"),
            ToLeader::Register { .. } => (4, "forward.Register"),
            ToLeader::Numbered { .. } => (5, "forward.Numbered"),
        }
    }

    /// As [`number`], of what comes back.
    fn number_back(message: &ToFollower) -> (u8, &'static str) {
        match message {
            ToFollower::Accepted => (0, "forward.Accepted"),
            ToFollower::Applied { .. } => (1, "forward.Applied"),
            ToFollower::ReadIndex { .. } => (2, "forward.ReadIndexAt"),
            ToFollower::Notice { .. } => (3, "forward.Notice"),
        }
    }

    #[test]
    fn messages_keep_their_numbers() {
        // The wire knows a message by its place among the others: swapped, inserted or removed, it would be another.
        for (place, message) in (0..).zip(&to_leader()) {
            let bytes = postcard::to_stdvec(message).unwrap();
            assert_eq!((place, bytes[0]), (number(message).0, place), "{message:?}");
        }
        for (place, message) in (0..).zip(&to_follower()) {
            let bytes = postcard::to_stdvec(message).unwrap();
            assert_eq!((place, bytes[0]), (number_back(message).0, place), "{message:?}");
        }
    }

    #[test]
    fn messages_of_earlier_builds_are_read() {
        // What an earlier build sends is understood, and it is sent the same. One of 8aece55 had a field less.
        for message in to_leader() {
            assert_message(BUILD_5DE72FB, number(&message).1, &message);
        }
        for message in to_follower() {
            assert_message(BUILD_5DE72FB, number_back(&message).1, &message);
            assert_message(BUILD_8AECE55, number_back(&message).1, &message);
        }
        for message in to_leader().drain(..4) {
            if !matches!(message, ToLeader::ReadIndex { .. }) {
                assert_message(BUILD_8AECE55, number(&message).1, &message);
            }
        }
        let bytes = golden(BUILD_8AECE55, "forward.ReadIndex");
        let read = postcard::from_bytes(&bytes).unwrap();
        assert!(
            matches!(read, ToLeader::ReadIndex { id: 300, acks_leader: Later(false) }),
            "{read:?}"
        );
    }

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
