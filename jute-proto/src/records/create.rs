//! Creating znodes.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::acl::Acl;
use crate::codec::record;
use crate::stat::Stat;

record! {
    /// Creates a znode (`create`, `create2` and `createContainer`).
    pub struct CreateRequest<'a> {
        /// The path, to which sequential modes append a number.
        pub path: Cow<'a, str>,
        /// The data; null is kept as null.
        pub data: Option<&'a [u8]>,
        /// The access control list.
        pub acl: Option<Vec<Acl>>,
        /// The kind of znode, see [`CreateMode`](crate::CreateMode).
        pub flags: i32,
    }
}

record! {
    /// Creates a znode that goes after a time without change.
    pub struct CreateTtlRequest<'a> {
        /// The path, to which sequential modes append a number.
        pub path: Cow<'a, str>,
        /// The data; null is kept as null.
        pub data: Option<&'a [u8]>,
        /// The access control list.
        pub acl: Option<Vec<Acl>>,
        /// The kind of znode, see [`CreateMode`](crate::CreateMode).
        pub flags: i32,
        /// The time to live in milliseconds.
        pub ttl_ms: i64,
    }
}

record! {
    /// The outcome of `create`.
    pub struct CreateResponse<'a> {
        /// The path created, with the number of a sequential znode.
        pub path: Cow<'a, str>,
    }
}

record! {
    /// The outcome of `create2`, `createContainer` and `createTTL`.
    pub struct Create2Response<'a> {
        /// The path created, with the number of a sequential znode.
        pub path: Cow<'a, str>,
        /// The metadata of the new znode.
        pub stat: Stat,
    }
}

impl<'a> CreateResponse<'a> {
    /// A created path.
    pub fn new(path: impl Into<Cow<'a, str>>) -> Self {
        Self { path: path.into() }
    }
}

impl<'a> Create2Response<'a> {
    /// A created path and its metadata.
    pub fn new(path: impl Into<Cow<'a, str>>, stat: Stat) -> Self {
        Self { path: path.into(), stat }
    }
}
