//! Catching up with the leader.

use alloc::borrow::Cow;

use crate::codec::record;

record! {
    /// Asks to be answered once the server has caught up with the leader.
    pub struct SyncRequest<'a> {
        /// Any path; it is only repeated.
        pub path: Cow<'a, str>,
    }
}

record! {
    /// The server has caught up.
    pub struct SyncResponse<'a> {
        /// The path of the request.
        pub path: Cow<'a, str>,
    }
}
