//! What stands before the record of every packet after the handshake.

use crate::codec::record;
use crate::ids::{Xid, Zxid};

record! {
    /// The front of every request.
    #[derive(Copy)]
    pub struct RequestHeader {
        /// The client's number for the request.
        pub xid: Xid,
        /// The operation, see [`OpCode`](crate::OpCode); a number because clients may send any.
        pub op: i32,
    }
}

record! {
    /// The front of every reply and notification.
    #[derive(Copy)]
    pub struct ReplyHeader {
        /// The number of the request answered, or one with a fixed meaning.
        pub xid: Xid,
        /// The last transaction that the answering server had applied.
        pub zxid: Zxid,
        /// Zero, or an [`ErrorCode`](crate::ErrorCode); a record follows only where it is zero.
        pub err: i32,
    }
}

impl ReplyHeader {
    /// The encoded length in bytes.
    pub const LEN: usize = 16;
}
