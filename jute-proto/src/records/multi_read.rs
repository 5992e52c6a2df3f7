//! Several reads in one request, each failing for itself.

use alloc::vec::Vec;

use bytes::BytesMut;

use crate::codec::{Decode, Encode, Reader};
use crate::error::DecodeError;
use crate::operations::OpCode;

use super::multi::decode_until_end;
use super::{GetChildrenRequest, GetDataRequest, MultiHeader};

/// One read of a [`MultiReadRequest`]. Servers ignore the wish for a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiReadOp<'a> {
    /// `getData`
    GetData(GetDataRequest<'a>),
    /// `getChildren`
    GetChildren(GetChildrenRequest<'a>),
}

impl<'a> MultiReadOp<'a> {
    /// The operation's code.
    #[must_use]
    pub const fn op_code(&self) -> OpCode {
        match self {
            Self::GetData(_) => OpCode::GetData,
            Self::GetChildren(_) => OpCode::GetChildren,
        }
    }

    fn decode(op: i32, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const GET_DATA: i32 = OpCode::GetData as i32;
        const GET_CHILDREN: i32 = OpCode::GetChildren as i32;
        Ok(match op {
            GET_DATA => Self::GetData(r.record()?),
            GET_CHILDREN => Self::GetChildren(r.record()?),
            op => return Err(DecodeError::OpNotAllowedInMulti { op }),
        })
    }
}

/// Several reads. A write among them makes the request undecodable.
/// The response is a [`MultiResponse`](super::MultiResponse).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MultiReadRequest<'a> {
    /// The reads, in order; there may be none.
    pub ops: Vec<MultiReadOp<'a>>,
}

impl<'a> Decode<'a> for MultiReadRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        decode_until_end(r, MultiReadOp::decode).map(|ops| Self { ops })
    }
}

impl Encode for MultiReadRequest<'_> {
    fn encode(&self, out: &mut BytesMut) {
        for op in &self.ops {
            MultiHeader::request(op.op_code()).encode(out);
            match op {
                MultiReadOp::GetData(get) => get.encode(out),
                MultiReadOp::GetChildren(get) => get.encode(out),
            }
        }
        MultiHeader::END.encode(out);
    }
}
