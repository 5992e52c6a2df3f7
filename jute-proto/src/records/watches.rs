//! Adding, removing and re-arming watches.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::codec::record;
use crate::ids::Zxid;

record! {
    /// Adds a persistent watch.
    pub struct AddWatchRequest<'a> {
        /// The znode, which need not exist.
        pub path: Cow<'a, str>,
        /// What the watch covers, see [`AddWatchMode`](crate::AddWatchMode).
        pub mode: i32,
    }
}

record! {
    /// The outcome of adding a watch, beside the error of the header.
    #[derive(Copy)]
    pub struct AddWatchResponse {
        /// Always zero.
        pub err: i32,
    }
}

record! {
    /// Asks whether a watch is set.
    pub struct CheckWatchesRequest<'a> {
        /// The znode.
        pub path: Cow<'a, str>,
        /// The kind of watch, see [`WatcherType`](crate::WatcherType).
        pub watcher_type: i32,
    }
}

record! {
    /// Removes watches.
    pub struct RemoveWatchesRequest<'a> {
        /// The znode.
        pub path: Cow<'a, str>,
        /// The kind of watch, see [`WatcherType`](crate::WatcherType).
        pub watcher_type: i32,
    }
}

record! {
    /// Re-arms one-shot watches on a new connection.
    pub struct SetWatchesRequest<'a> {
        /// The newest transaction that the client has seen; later changes are reported at once.
        pub relative_zxid: Zxid,
        /// Data watches.
        pub data_watches: Vec<Cow<'a, str>>,
        /// Watches set by `exists` on znodes that were not there.
        pub exist_watches: Vec<Cow<'a, str>>,
        /// Child watches.
        pub child_watches: Vec<Cow<'a, str>>,
    }
}

record! {
    /// Re-arms watches of all kinds on a new connection.
    pub struct SetWatches2Request<'a> {
        /// The newest transaction that the client has seen; later changes are reported at once.
        pub relative_zxid: Zxid,
        /// Data watches.
        pub data_watches: Vec<Cow<'a, str>>,
        /// Watches set by `exists` on znodes that were not there.
        pub exist_watches: Vec<Cow<'a, str>>,
        /// Child watches.
        pub child_watches: Vec<Cow<'a, str>>,
        /// Persistent watches.
        pub persistent_watches: Vec<Cow<'a, str>>,
        /// Persistent watches on a subtree.
        pub persistent_recursive_watches: Vec<Cow<'a, str>>,
    }
}
