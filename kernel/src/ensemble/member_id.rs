//! Who counts in the consensus.

use core::fmt;

/// A member of the consensus: a server's number, and the life of its disk.
///
/// A Raft id stands for one log and one vote for ever (Ongaro's dissertation, 3.8; etcd gives each data
/// directory a member id of its own). The number of a server is only its name, so a data directory
/// that was lost and one that replaces it are two members with one number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MemberId {
    /// The N of `server.N`, at most [`NUMBER_MAX`].
    pub number: u64,
    /// Drawn at random for a new data directory; 0 for directories of builds that knew no lives.
    pub life: u32,
}

/// The highest number of a server. ZooKeeper's are signed and of 64 bits; the upper half of a Raft id is the life.
pub const NUMBER_MAX: u64 = u32::MAX as u64;

impl MemberId {
    /// The id that the consensus knows: the number in the low 32 bits, the life in the high ones.
    #[must_use]
    pub const fn raft_id(self) -> u64 {
        (self.life as u64) << 32 | (self.number & NUMBER_MAX)
    }

    /// The member that an id of the consensus stands for.
    #[must_use]
    pub const fn from_raft_id(id: u64) -> Self {
        Self { number: id & NUMBER_MAX, life: (id >> 32) as u32 }
    }

    /// The number of the server that an id of the consensus stands for.
    #[must_use]
    pub const fn number_of(raft_id: u64) -> u64 {
        Self::from_raft_id(raft_id).number
    }
}

/// `3`, or `3 (life 5f2ac01d)`.
impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        if self.life == 0 { Ok(()) } else { write!(f, " (life {:08x})", self.life) }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn ids_of_earlier_builds_are_members_of_life_0() {
        // Votes, memberships and greetings that name a server by its number alone stay readable.
        assert_eq!(MemberId::from_raft_id(3), MemberId { number: 3, life: 0 });
        assert_eq!(MemberId { number: 255, life: 0 }.raft_id(), 255);
    }

    #[test]
    fn each_life_of_a_number_is_another_member() {
        // No two pairs share an id, also at the ends of both ranges.
        for number in [0, 1, 255, 256, NUMBER_MAX] {
            for life in [0, 1, u32::MAX] {
                let member = MemberId { number, life };
                assert_eq!(MemberId::from_raft_id(member.raft_id()), member);
                assert_eq!(MemberId::number_of(member.raft_id()), number);
            }
        }
        assert_eq!(MemberId { number: 3, life: 0x5f }.to_string(), "3 (life 0000005f)");
    }
}
