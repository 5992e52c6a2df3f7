//! Several writes that succeed or fail together.

use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};

use crate::codec::{Decode, Encode, Reader, record};
use crate::create_mode::CreateMode;
use crate::error::DecodeError;
use crate::error_code::ErrorCode;
use crate::operations::OpCode;
use crate::stat::Stat;

use super::{
    CheckRequest, Create2Response, CreateRequest, CreateResponse, CreateTtlRequest, DeleteRequest,
    GetChildrenResponse, GetDataResponse, SetDataRequest, SetDataResponse,
};

record! {
    /// What stands before each operation and each result, and behind the last.
    #[derive(Copy)]
    pub struct MultiHeader {
        /// The operation, or -1.
        pub op: i32,
        /// Whether this is the mark behind the last.
        pub done: bool,
        /// Of a result: its error. Otherwise -1.
        pub err: i32,
    }
}

impl MultiHeader {
    /// The mark behind the last operation or result.
    pub const END: Self = Self { op: -1, done: true, err: -1 };

    /// The header of an operation in a request.
    #[must_use]
    pub fn request(op: OpCode) -> Self {
        Self { op: op.into(), done: false, err: -1 }
    }

    /// The header of a result that is not an error.
    #[must_use]
    pub fn success(op: OpCode) -> Self {
        Self { op: op.into(), done: false, err: 0 }
    }
}

/// One operation of a [`MultiRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiOp<'a> {
    /// `create`
    Create(CreateRequest<'a>),
    /// `create2`
    Create2(CreateRequest<'a>),
    /// `createContainer`
    CreateContainer(CreateRequest<'a>),
    /// `createTTL`
    CreateTtl(CreateTtlRequest<'a>),
    /// `delete`
    Delete(DeleteRequest<'a>),
    /// `setData`
    SetData(SetDataRequest<'a>),
    /// `check`
    Check(CheckRequest<'a>),
}

impl<'a> MultiOp<'a> {
    /// The operation's code.
    #[must_use]
    pub const fn op_code(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::Create,
            Self::Create2(_) => OpCode::Create2,
            Self::CreateContainer(_) => OpCode::CreateContainer,
            Self::CreateTtl(_) => OpCode::CreateTtl,
            Self::Delete(_) => OpCode::Delete,
            Self::SetData(_) => OpCode::SetData,
            Self::Check(_) => OpCode::Check,
        }
    }

    /// The path that the operation names.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Create(create) | Self::Create2(create) | Self::CreateContainer(create) => {
                &create.path
            }
            Self::CreateTtl(create) => &create.path,
            Self::Delete(delete) => &delete.path,
            Self::SetData(set) => &set.path,
            Self::Check(check) => &check.path,
        }
    }

    fn decode(op: i32, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const CREATE: i32 = OpCode::Create as i32;
        const CREATE2: i32 = OpCode::Create2 as i32;
        const CREATE_CONTAINER: i32 = OpCode::CreateContainer as i32;
        const CREATE_TTL: i32 = OpCode::CreateTtl as i32;
        const DELETE: i32 = OpCode::Delete as i32;
        const SET_DATA: i32 = OpCode::SetData as i32;
        const CHECK: i32 = OpCode::Check as i32;
        Ok(match op {
            CREATE => Self::create(create(r)?, Self::Create),
            CREATE2 => Self::create(create(r)?, Self::Create2),
            CREATE_CONTAINER => Self::CreateContainer(create(r)?),
            CREATE_TTL => Self::create_ttl(r.record()?),
            DELETE => Self::Delete(r.record()?),
            SET_DATA => Self::SetData(r.record()?),
            CHECK => Self::Check(r.record()?),
            op => return Err(DecodeError::OpNotAllowedInMulti { op }),
        })
    }

    /// In a multi the flags decide what is created, also where the operation names something else.
    fn create(create: CreateRequest<'a>, other: fn(CreateRequest<'a>) -> Self) -> Self {
        if create.flags == CreateMode::Container.into() {
            Self::CreateContainer(create)
        } else {
            other(create)
        }
    }

    /// With the flags of a create without a TTL the operation is one.
    fn create_ttl(create: CreateTtlRequest<'a>) -> Self {
        match CreateMode::try_from(create.flags) {
            Ok(mode) if !mode.is_ttl() && create.acl.is_some() => {
                let CreateTtlRequest { path, data, acl, flags, ttl_ms: _ } = create;
                Self::create(CreateRequest { path, data, acl, flags }, Self::Create)
            }
            Ok(_) | Err(_) => Self::CreateTtl(create),
        }
    }
}

/// Reads a create without a TTL. Flags that mean nothing, those of a TTL, and a null ACL make the whole multi
/// undecodable; outside of a multi the server judges them.
fn create<'a>(r: &mut Reader<'a>) -> Result<CreateRequest<'a>, DecodeError> {
    let offset = r.position();
    let create: CreateRequest<'_> = r.record()?;
    if CreateMode::try_from(create.flags)?.is_ttl() {
        return Err(DecodeError::OpNotAllowedInMulti { op: OpCode::CreateTtl.into() });
    }
    if create.acl.is_none() {
        return Err(DecodeError::NullAclInMulti { offset });
    }
    Ok(create)
}

impl Encode for MultiOp<'_> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Create(create) | Self::Create2(create) | Self::CreateContainer(create) => {
                create.encode(out);
            }
            Self::CreateTtl(create) => create.encode(out),
            Self::Delete(delete) => delete.encode(out),
            Self::SetData(set) => set.encode(out),
            Self::Check(check) => check.encode(out),
        }
    }
}

/// Several writes that succeed or fail together. A read among them makes the request undecodable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MultiRequest<'a> {
    /// The operations, in order; there may be none.
    pub ops: Vec<MultiOp<'a>>,
}

impl<'a> Decode<'a> for MultiRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        decode_until_end(r, MultiOp::decode).map(|ops| Self { ops })
    }
}

impl Encode for MultiRequest<'_> {
    fn encode(&self, out: &mut BytesMut) {
        for op in &self.ops {
            MultiHeader::request(op.op_code()).encode(out);
            op.encode(out);
        }
        MultiHeader::END.encode(out);
    }
}

/// Reads elements, each behind its header, up to the end mark.
pub(super) fn decode_until_end<'a, T>(
    r: &mut Reader<'a>,
    element: impl Fn(i32, &mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut elements = Vec::new();
    loop {
        let header: MultiHeader = r.record()?;
        if header.done {
            return Ok(elements);
        }
        elements.push(element(header.op, r)?);
    }
}

/// One result of a multi or multiRead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult<'a> {
    /// Of `create`.
    Create(CreateResponse<'a>),
    /// Of `create2`, `createContainer` and `createTTL`.
    Create2(Create2Response<'a>),
    /// Of `delete`.
    Delete,
    /// Of `setData`.
    SetData(Stat),
    /// Of `check`.
    Check,
    /// Of `getChildren`.
    GetChildren(GetChildrenResponse<'a>),
    /// Of `getData`.
    GetData(GetDataResponse<'a>),
    /// Of any operation: in a failed multi 0 before the one that failed and -2 behind it; in a multiRead the
    /// failure of this read alone.
    Error(i32),
}

impl OpResult<'_> {
    /// A failure.
    #[must_use]
    pub fn error(code: ErrorCode) -> Self {
        Self::Error(code.into())
    }
}

impl<'a> OpResult<'a> {
    fn decode(op: i32, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const ERROR: i32 = OpCode::Error as i32;
        const CREATE: i32 = OpCode::Create as i32;
        const CREATE2: i32 = OpCode::Create2 as i32;
        const DELETE: i32 = OpCode::Delete as i32;
        const SET_DATA: i32 = OpCode::SetData as i32;
        const CHECK: i32 = OpCode::Check as i32;
        const GET_CHILDREN: i32 = OpCode::GetChildren as i32;
        const GET_DATA: i32 = OpCode::GetData as i32;
        Ok(match op {
            ERROR => Self::Error(r.i32()?),
            CREATE => Self::Create(r.record()?),
            CREATE2 => Self::Create2(r.record()?),
            DELETE => Self::Delete,
            SET_DATA => Self::SetData(r.record()?),
            CHECK => Self::Check,
            GET_CHILDREN => Self::GetChildren(r.record()?),
            GET_DATA => Self::GetData(r.record()?),
            op => return Err(DecodeError::OpNotAllowedInMulti { op }),
        })
    }
}

/// Encodes the result with its header.
impl Encode for OpResult<'_> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Create(response) => {
                MultiHeader::success(OpCode::Create).encode(out);
                response.encode(out);
            }
            Self::Create2(response) => {
                MultiHeader::success(OpCode::Create2).encode(out);
                response.encode(out);
            }
            Self::Delete => MultiHeader::success(OpCode::Delete).encode(out),
            Self::SetData(stat) => {
                MultiHeader::success(OpCode::SetData).encode(out);
                SetDataResponse { stat: *stat }.encode(out);
            }
            Self::Check => MultiHeader::success(OpCode::Check).encode(out),
            Self::GetChildren(response) => {
                MultiHeader::success(OpCode::GetChildren).encode(out);
                response.encode(out);
            }
            Self::GetData(response) => {
                MultiHeader::success(OpCode::GetData).encode(out);
                response.encode(out);
            }
            Self::Error(err) => {
                MultiHeader { op: OpCode::Error.into(), done: false, err: *err }.encode(out);
                out.put_i32(*err);
            }
        }
    }
}

/// The results of a multi or multiRead, in the order of the operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MultiResponse<'a> {
    /// One result an operation.
    pub results: Vec<OpResult<'a>>,
}

impl<'a> Decode<'a> for MultiResponse<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        decode_until_end(r, OpResult::decode).map(|results| Self { results })
    }
}

impl Encode for MultiResponse<'_> {
    fn encode(&self, out: &mut BytesMut) {
        for result in &self.results {
            result.encode(out);
        }
        MultiHeader::END.encode(out);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::error::UnknownValue;
    use crate::operations::Request;
    use crate::records::GetDataRequest;

    fn encoded(request: &Request<'_>) -> BytesMut {
        let mut out = BytesMut::new();
        request.encode(&mut out);
        out
    }

    fn create(flags: i32) -> CreateRequest<'static> {
        CreateRequest { path: "/a".into(), data: None, acl: Some(vec![]), flags }
    }

    #[test]
    fn a_read_among_writes_makes_a_multi_undecodable() {
        // Neither kind of multi takes what belongs into the other.
        let mut mixed = BytesMut::new();
        MultiHeader::request(OpCode::GetData).encode(&mut mixed);
        GetDataRequest { path: "/a".into(), watch: false }.encode(&mut mixed);
        MultiHeader::END.encode(&mut mixed);
        assert!(Request::decode(OpCode::MultiRead, &mut Reader::new(&mixed)).is_ok());
        let refused = Request::decode(OpCode::Multi, &mut Reader::new(&mixed));
        assert_eq!(refused, Err(DecodeError::OpNotAllowedInMulti { op: 4 }));
    }

    #[test]
    fn unknown_flags_make_a_multi_undecodable_and_a_create_not() {
        // Outside of a multi the flags are judged later, where they are a bad argument.
        let alone = encoded(&Request::Create(create(7)));
        assert!(Request::decode(OpCode::Create, &mut Reader::new(&alone)).is_ok());
        let multi = MultiRequest { ops: vec![MultiOp::Create(create(7))] };
        let multi = encoded(&Request::Multi(multi));
        assert_eq!(
            Request::decode(OpCode::Multi, &mut Reader::new(&multi)),
            Err(UnknownValue { what: "create mode", value: 7 }.into())
        );
    }

    #[test]
    fn in_a_multi_the_flags_decide_what_is_created() {
        // A create with the flag of a container creates a container.
        let multi =
            encoded(&Request::Multi(MultiRequest { ops: vec![MultiOp::Create2(create(4))] }));
        let decoded = Request::decode(OpCode::Multi, &mut Reader::new(&multi));
        let expected = MultiRequest { ops: vec![MultiOp::CreateContainer(create(4))] };
        assert_eq!(decoded, Ok(Request::Multi(expected)));
    }
}
