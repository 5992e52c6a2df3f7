//! Watch events and the enumerations around watches.

use crate::codec::record;
use crate::error::UnknownValue;
use crate::numbered::numbered;
use alloc::borrow::Cow;

record! {
    /// The body of a notification, see [`Xid::NOTIFICATION`](crate::Xid::NOTIFICATION).
    pub struct WatcherEvent<'a> {
        /// What happened, see [`EventType`].
        pub event_type: i32,
        /// The state of the session, see [`KeeperState`].
        pub state: i32,
        /// The znode that it happened to.
        pub path: Cow<'a, str>,
    }
}

impl<'a> WatcherEvent<'a> {
    /// An event as servers send it.
    pub fn new(event_type: EventType, path: impl Into<Cow<'a, str>>) -> Self {
        let state = KeeperState::SyncConnected.into();
        Self { event_type: event_type.into(), state, path: path.into() }
    }
}

/// What happened to a znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum EventType {
    /// The state of the session changed; made up by clients.
    None = -1,
    /// A znode was created.
    NodeCreated = 1,
    /// A znode was deleted.
    NodeDeleted = 2,
    /// The data of a znode was set.
    NodeDataChanged = 3,
    /// A child was created or deleted.
    NodeChildrenChanged = 4,
    /// A data watch was removed; made up by clients.
    DataWatchRemoved = 5,
    /// A child watch was removed; made up by clients.
    ChildWatchRemoved = 6,
    /// A persistent watch was removed; made up by clients.
    PersistentWatchRemoved = 7,
}

impl EventType {
    /// Every value, in the order of the declaration.
    pub const ALL: &'static [Self] = &[
        Self::None,
        Self::NodeCreated,
        Self::NodeDeleted,
        Self::NodeDataChanged,
        Self::NodeChildrenChanged,
        Self::DataWatchRemoved,
        Self::ChildWatchRemoved,
        Self::PersistentWatchRemoved,
    ];

    /// The name that Apache ZooKeeper uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::NodeCreated => "NodeCreated",
            Self::NodeDeleted => "NodeDeleted",
            Self::NodeDataChanged => "NodeDataChanged",
            Self::NodeChildrenChanged => "NodeChildrenChanged",
            Self::DataWatchRemoved => "DataWatchRemoved",
            Self::ChildWatchRemoved => "ChildWatchRemoved",
            Self::PersistentWatchRemoved => "PersistentWatchRemoved",
        }
    }
}

impl TryFrom<i32> for EventType {
    type Error = UnknownValue;

    fn try_from(value: i32) -> Result<Self, UnknownValue> {
        match value {
            -1 => Ok(Self::None),
            1 => Ok(Self::NodeCreated),
            2 => Ok(Self::NodeDeleted),
            3 => Ok(Self::NodeDataChanged),
            4 => Ok(Self::NodeChildrenChanged),
            5 => Ok(Self::DataWatchRemoved),
            6 => Ok(Self::ChildWatchRemoved),
            7 => Ok(Self::PersistentWatchRemoved),
            _ => Err(UnknownValue { what: "event type", value }),
        }
    }
}

numbered!(EventType);

/// The state of a session in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum KeeperState {
    /// Not known.
    Unknown = -1,
    /// No connection.
    Disconnected = 0,
    /// Not used.
    NoSyncConnected = 1,
    /// Connected; the only state that servers send.
    SyncConnected = 3,
    /// Authentication failed.
    AuthFailed = 4,
    /// Connected to a server in read-only mode.
    ConnectedReadOnly = 5,
    /// Authenticated by SASL.
    SaslAuthenticated = 6,
    /// Closed by the client.
    Closed = 7,
    /// The session has ended.
    Expired = -112,
}

impl KeeperState {
    /// Every value, in the order of the declaration.
    pub const ALL: &'static [Self] = &[
        Self::Unknown,
        Self::Disconnected,
        Self::NoSyncConnected,
        Self::SyncConnected,
        Self::AuthFailed,
        Self::ConnectedReadOnly,
        Self::SaslAuthenticated,
        Self::Closed,
        Self::Expired,
    ];

    /// The name that Apache ZooKeeper uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Disconnected => "Disconnected",
            Self::NoSyncConnected => "NoSyncConnected",
            Self::SyncConnected => "SyncConnected",
            Self::AuthFailed => "AuthFailed",
            Self::ConnectedReadOnly => "ConnectedReadOnly",
            Self::SaslAuthenticated => "SaslAuthenticated",
            Self::Closed => "Closed",
            Self::Expired => "Expired",
        }
    }
}

impl TryFrom<i32> for KeeperState {
    type Error = UnknownValue;

    fn try_from(value: i32) -> Result<Self, UnknownValue> {
        match value {
            -1 => Ok(Self::Unknown),
            0 => Ok(Self::Disconnected),
            1 => Ok(Self::NoSyncConnected),
            3 => Ok(Self::SyncConnected),
            4 => Ok(Self::AuthFailed),
            5 => Ok(Self::ConnectedReadOnly),
            6 => Ok(Self::SaslAuthenticated),
            7 => Ok(Self::Closed),
            -112 => Ok(Self::Expired),
            _ => Err(UnknownValue { what: "keeper state", value }),
        }
    }
}

numbered!(KeeperState);

/// Which watches to check or remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum WatcherType {
    /// One-shot watches on the children.
    Children = 1,
    /// One-shot watches on the data.
    Data = 2,
    /// Watches of every kind.
    Any = 3,
    /// Persistent watches.
    Persistent = 4,
    /// Persistent watches on a subtree.
    PersistentRecursive = 5,
}

impl WatcherType {
    /// Every value, in the order of the declaration.
    pub const ALL: &'static [Self] =
        &[Self::Children, Self::Data, Self::Any, Self::Persistent, Self::PersistentRecursive];

    /// The name that Apache ZooKeeper uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Children => "Children",
            Self::Data => "Data",
            Self::Any => "Any",
            Self::Persistent => "Persistent",
            Self::PersistentRecursive => "PersistentRecursive",
        }
    }
}

impl TryFrom<i32> for WatcherType {
    type Error = UnknownValue;

    fn try_from(value: i32) -> Result<Self, UnknownValue> {
        match value {
            1 => Ok(Self::Children),
            2 => Ok(Self::Data),
            3 => Ok(Self::Any),
            4 => Ok(Self::Persistent),
            5 => Ok(Self::PersistentRecursive),
            _ => Err(UnknownValue { what: "watcher type", value }),
        }
    }
}

numbered!(WatcherType);

/// What a persistent watch covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum AddWatchMode {
    /// One znode, all four kinds of event.
    Persistent = 0,
    /// A znode and everything below it; no `NodeChildrenChanged`.
    PersistentRecursive = 1,
}

impl AddWatchMode {
    /// Every value, in the order of the declaration.
    pub const ALL: &'static [Self] = &[Self::Persistent, Self::PersistentRecursive];

    /// The name that Apache ZooKeeper uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Persistent => "PERSISTENT",
            Self::PersistentRecursive => "PERSISTENT_RECURSIVE",
        }
    }
}

impl TryFrom<i32> for AddWatchMode {
    type Error = UnknownValue;

    fn try_from(value: i32) -> Result<Self, UnknownValue> {
        match value {
            0 => Ok(Self::Persistent),
            1 => Ok(Self::PersistentRecursive),
            _ => Err(UnknownValue { what: "addWatch mode", value }),
        }
    }
}

numbered!(AddWatchMode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_means_one_value() {
        // Number and value convert into each other in all four enumerations.
        for &value in EventType::ALL {
            assert_eq!(EventType::try_from(i32::from(value)), Ok(value));
        }
        for &value in KeeperState::ALL {
            assert_eq!(KeeperState::try_from(i32::from(value)), Ok(value));
        }
        for &value in WatcherType::ALL {
            assert_eq!(WatcherType::try_from(i32::from(value)), Ok(value));
        }
        for &value in AddWatchMode::ALL {
            assert_eq!(AddWatchMode::try_from(i32::from(value)), Ok(value));
        }
    }
}
