//! Long lists and whole subtrees in chunks of bounded size: an extension of Grovekeeper, see
//! [`Extensions::PAGES`](crate::Extensions::PAGES).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::codec::record;
use crate::stat::Stat;

record! {
    /// Asks for some of the children of a znode, in the order of their names.
    pub struct ListPageRequest<'a> {
        /// The parent.
        pub path: Cow<'a, str>,
        /// The page begins behind this name, whether or not there is such a child; null for the first page.
        pub after: Option<Cow<'a, str>>,
        /// How many names at most, at least 1. The server has limits of its own.
        pub limit: i32,
    }
}

record! {
    /// Some of the children of a znode.
    pub struct ListPageResponse<'a> {
        /// The names, without the path of the parent, in the order of their UTF-8 bytes. At least one, if there is
        /// any behind `after`.
        pub children: Vec<Cow<'a, str>>,
        /// Whether there are more behind the last of them.
        pub more: bool,
        /// The metadata of the parent. Where `pzxid` is the same for two pages no child came or went between them.
        pub stat: Stat,
    }
}

record! {
    /// Asks for some of the znodes of a subtree: a znode comes before those below it, siblings come in the order of
    /// their names.
    pub struct GetSubtreeRequest<'a> {
        /// The top of the subtree, which is the first znode of it.
        pub path: Cow<'a, str>,
        /// The chunk begins behind this path, whether or not there is such a znode; null for the first chunk.
        pub after: Option<Cow<'a, str>>,
        /// How many znodes at most, at least 1. The server has limits of its own.
        pub limit: i32,
    }
}

record! {
    /// Some of the znodes of a subtree.
    pub struct GetSubtreeResponse<'a> {
        /// The znodes, at least one, if there is any behind `after`.
        pub nodes: Vec<SubtreeNode<'a>>,
        /// Whether there may be more behind the last of them.
        pub more: bool,
    }
}

record! {
    /// A znode of a subtree.
    pub struct SubtreeNode<'a> {
        /// Its whole path.
        pub path: Cow<'a, str>,
        /// Zero, or an error code (`NOAUTH`) for a znode that may not be read: nothing else is said of it then, and
        /// nothing of what is below it.
        pub err: i32,
        /// The data, which may be null.
        pub data: Option<&'a [u8]>,
        /// The metadata.
        pub stat: Stat,
    }
}
