//! The kinds of znode that a create asks for.

use crate::error::UnknownValue;
use crate::numbered::numbered;

/// The kind of znode, as the flags of a create name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum CreateMode {
    /// Stays until it is deleted.
    Persistent = 0,
    /// Goes with the session that created it.
    Ephemeral = 1,
    /// Persistent, with a number appended to the name.
    PersistentSequential = 2,
    /// Ephemeral, with a number appended to the name.
    EphemeralSequential = 3,
    /// Goes some time after its last child has gone.
    Container = 4,
    /// Goes after a time without change and without children.
    PersistentWithTtl = 5,
    /// With a TTL, and a number appended to the name.
    PersistentSequentialWithTtl = 6,
}

impl CreateMode {
    /// Every value, in the order of the declaration.
    pub const ALL: &'static [Self] = &[
        Self::Persistent,
        Self::Ephemeral,
        Self::PersistentSequential,
        Self::EphemeralSequential,
        Self::Container,
        Self::PersistentWithTtl,
        Self::PersistentSequentialWithTtl,
    ];

    /// The name that Apache ZooKeeper uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Persistent => "PERSISTENT",
            Self::Ephemeral => "EPHEMERAL",
            Self::PersistentSequential => "PERSISTENT_SEQUENTIAL",
            Self::EphemeralSequential => "EPHEMERAL_SEQUENTIAL",
            Self::Container => "CONTAINER",
            Self::PersistentWithTtl => "PERSISTENT_WITH_TTL",
            Self::PersistentSequentialWithTtl => "PERSISTENT_SEQUENTIAL_WITH_TTL",
        }
    }

    /// Whether the session that creates the znode owns it.
    #[must_use]
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }

    /// Whether a number is appended to the name.
    #[must_use]
    pub const fn is_sequential(self) -> bool {
        matches!(
            self,
            Self::PersistentSequential
                | Self::EphemeralSequential
                | Self::PersistentSequentialWithTtl
        )
    }

    /// Whether the znode carries a time to live.
    #[must_use]
    pub const fn is_ttl(self) -> bool {
        matches!(self, Self::PersistentWithTtl | Self::PersistentSequentialWithTtl)
    }
}

impl TryFrom<i32> for CreateMode {
    type Error = UnknownValue;

    fn try_from(value: i32) -> Result<Self, UnknownValue> {
        match value {
            0 => Ok(Self::Persistent),
            1 => Ok(Self::Ephemeral),
            2 => Ok(Self::PersistentSequential),
            3 => Ok(Self::EphemeralSequential),
            4 => Ok(Self::Container),
            5 => Ok(Self::PersistentWithTtl),
            6 => Ok(Self::PersistentSequentialWithTtl),
            _ => Err(UnknownValue { what: "create mode", value }),
        }
    }
}

numbered!(CreateMode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_means_one_value() {
        // Number and value convert into each other, and no two values share a number.
        for &value in CreateMode::ALL {
            assert_eq!(CreateMode::try_from(i32::from(value)), Ok(value));
        }
    }
}
