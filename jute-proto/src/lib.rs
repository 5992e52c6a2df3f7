//! The ZooKeeper wire protocol: Jute records to bytes and back.
//!
//! Three rings, each ignorant of the next: [`codec`] turns primitives and records into bytes, [`frame`] cuts a byte
//! stream into length-prefixed packets, and [`operations`] says which records an operation carries.
//! The crate does no IO, keeps no state and never panics on bytes from outside. It is `no_std`: it has no files, clocks
//! or threads.
//!
//! Decoding borrows: strings are [`Cow`](alloc::borrow::Cow) and buffers are slices of the frame they came from.
//! Encoding appends to a [`BytesMut`](bytes::BytesMut), which may be the output buffer of a connection.
//!
//! ```
//! use bytes::BytesMut;
//! use jute_proto::{
//!     DeleteRequest, Encode, OpCode, Reader, Request, RequestHeader, Xid, begin_frame, end_frame, frame_len,
//! };
//!
//! // A client writes a frame: length, header, record.
//! let mut out = BytesMut::new();
//! let frame = begin_frame(&mut out);
//! RequestHeader { xid: Xid(1), op: OpCode::Delete.into() }.encode(&mut out);
//! DeleteRequest { path: "/a".into(), version: -1 }.encode(&mut out);
//! end_frame(&mut out, frame);
//!
//! // A server finds the whole frame in its input and decodes it in place.
//! let len = frame_len(&out, 1_048_575)?.expect("the frame is complete");
//! let mut reader = Reader::new(&out[4..4 + len]);
//! let header: RequestHeader = reader.record()?;
//! let op = OpCode::try_from(header.op)?;
//! let Request::Delete(delete) = Request::decode(op, &mut reader)? else { panic!("not a delete") };
//! assert_eq!((header.xid, delete.path.as_ref(), delete.version), (Xid(1), "/a", -1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod codec;
pub mod error;
pub mod frame;
mod numbered;

pub mod acl;
pub mod connect;
pub mod create_mode;
pub mod error_code;
pub mod event;
pub mod extension;
pub mod facts;
pub mod header;
pub mod ids;
pub mod once;
pub mod operations;
pub mod password;
pub mod records;
pub mod stat;

pub use acl::{Acl, Id, Perms};
pub use codec::{Decode, Encode, Reader, VecMark, begin_vec, end_vec, put_buffer, put_str};
pub use connect::{ConnectRequest, ConnectResponse};
pub use create_mode::CreateMode;
pub use error::{DecodeError, FrameError, UnknownValue};
pub use error_code::ErrorCode;
pub use event::{AddWatchMode, EventType, KeeperState, WatcherEvent, WatcherType};
pub use extension::{Extensions, LeaderHint};
pub use facts::OperationFacts;
pub use frame::{FrameMark, begin_frame, end_frame, frame_len, next_frame};
pub use header::{ReplyHeader, RequestHeader};
pub use ids::{SessionId, Xid, Zxid};
pub use once::WriteNumber;
pub use operations::{OpCode, Request, Response};
pub use password::session_password;
pub use records::*;
pub use stat::Stat;
