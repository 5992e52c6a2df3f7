//! Reading and replacing access control lists.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::acl::Acl;
use crate::codec::record;
use crate::stat::Stat;

record! {
    /// Asks for the ACL of a znode.
    pub struct GetAclRequest<'a> {
        /// The znode.
        pub path: Cow<'a, str>,
    }
}

record! {
    /// The ACL of a znode.
    pub struct GetAclResponse {
        /// The entries.
        pub acl: Vec<Acl>,
        /// The metadata of the znode.
        pub stat: Stat,
    }
}

record! {
    /// Replaces the ACL of a znode.
    pub struct SetAclRequest<'a> {
        /// The znode.
        pub path: Cow<'a, str>,
        /// The new entries.
        pub acl: Option<Vec<Acl>>,
        /// The ACL version expected (`aversion`), -1 for any.
        pub version: i32,
    }
}

record! {
    /// The outcome of replacing an ACL.
    #[derive(Copy)]
    pub struct SetAclResponse {
        /// The metadata afterwards.
        pub stat: Stat,
    }
}
