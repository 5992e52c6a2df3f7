//! Listing a session's ephemeral znodes.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::codec::record;

record! {
    /// Asks for the session's ephemeral znodes.
    pub struct GetEphemeralsRequest<'a> {
        /// What their paths begin with, as text and not by path component; null for all.
        pub prefix: Option<Cow<'a, str>>,
    }
}

record! {
    /// The session's ephemeral znodes.
    pub struct GetEphemeralsResponse<'a> {
        /// Their paths, in no promised order.
        pub ephemerals: Vec<Cow<'a, str>>,
    }
}
