//! Which record answers each operation.

use bytes::BytesMut;

use crate::codec::{Encode, Reader};
use crate::error::DecodeError;
use crate::operations::OpCode;
use crate::records::{
    AddWatchResponse, Create2Response, CreateResponse, ExistsResponse, GetAclResponse,
    GetAllChildrenNumberResponse, GetChildren2Response, GetChildrenResponse, GetDataResponse,
    GetEphemeralsResponse, GetSubtreeResponse, ListPageResponse, MultiResponse, ReconfigResponse,
    SaslResponse, SetAclResponse, SetDataResponse, SyncResponse, WhoAmIResponse,
};

/// What follows a reply header that says success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response<'a> {
    /// The header is all: `delete`, `deleteContainer`, `check`, `checkWatches`, `removeWatches`, `setWatches`,
    /// `setWatches2`, `auth`, `ping` and `closeSession`.
    Empty,
    /// `create`
    Create(CreateResponse<'a>),
    /// `create2`, `createContainer`, `createTTL`
    Create2(Create2Response<'a>),
    /// `exists`
    Exists(ExistsResponse),
    /// `getData`
    GetData(GetDataResponse<'a>),
    /// `setData`
    SetData(SetDataResponse),
    /// `getACL`
    GetAcl(GetAclResponse),
    /// `setACL`
    SetAcl(SetAclResponse),
    /// `getChildren`
    GetChildren(GetChildrenResponse<'a>),
    /// `getChildren2`
    GetChildren2(GetChildren2Response<'a>),
    /// `getAllChildrenNumber`
    GetAllChildrenNumber(GetAllChildrenNumberResponse),
    /// `getEphemerals`
    GetEphemerals(GetEphemeralsResponse<'a>),
    /// `sync`
    Sync(SyncResponse<'a>),
    /// `multi`, `multiRead`
    Multi(MultiResponse<'a>),
    /// `reconfig`
    Reconfig(ReconfigResponse<'a>),
    /// `addWatch`
    AddWatch(AddWatchResponse),
    /// `sasl`
    Sasl(SaslResponse<'a>),
    /// `whoAmI`
    WhoAmI(WhoAmIResponse<'a>),
    /// `listPage`
    ListPage(ListPageResponse<'a>),
    /// `getSubtree`
    GetSubtree(GetSubtreeResponse<'a>),
}

impl<'a> Response<'a> {
    /// Reads the record that answers an operation.
    ///
    /// # Errors
    /// Where the bytes are not such a record, or the operation is never answered.
    pub fn decode(op: OpCode, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match op {
            OpCode::Create => Self::Create(r.record()?),
            OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
                Self::Create2(r.record()?)
            }
            OpCode::Exists => Self::Exists(r.record()?),
            OpCode::GetData => Self::GetData(r.record()?),
            OpCode::SetData => Self::SetData(r.record()?),
            OpCode::GetAcl => Self::GetAcl(r.record()?),
            OpCode::SetAcl => Self::SetAcl(r.record()?),
            OpCode::GetChildren => Self::GetChildren(r.record()?),
            OpCode::GetChildren2 => Self::GetChildren2(r.record()?),
            OpCode::GetAllChildrenNumber => Self::GetAllChildrenNumber(r.record()?),
            OpCode::GetEphemerals => Self::GetEphemerals(r.record()?),
            OpCode::Sync => Self::Sync(r.record()?),
            OpCode::Multi | OpCode::MultiRead => Self::Multi(r.record()?),
            OpCode::Reconfig => Self::Reconfig(r.record()?),
            OpCode::AddWatch => Self::AddWatch(r.record()?),
            OpCode::Sasl => Self::Sasl(r.record()?),
            OpCode::WhoAmI => Self::WhoAmI(r.record()?),
            OpCode::ListPage => Self::ListPage(r.record()?),
            OpCode::GetSubtree => Self::GetSubtree(r.record()?),
            OpCode::Delete
            | OpCode::DeleteContainer
            | OpCode::Check
            | OpCode::CheckWatches
            | OpCode::RemoveWatches
            | OpCode::SetWatches
            | OpCode::SetWatches2
            | OpCode::Auth
            | OpCode::Ping
            | OpCode::CloseSession => Self::Empty,
            OpCode::Notification | OpCode::CreateSession | OpCode::Error => {
                return Err(DecodeError::NoSuchRecord { op: op.into() });
            }
        })
    }
}

impl Encode for Response<'_> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Empty => {}
            Self::Create(response) => response.encode(out),
            Self::Create2(response) => response.encode(out),
            Self::Exists(response) => response.encode(out),
            Self::GetData(response) => response.encode(out),
            Self::SetData(response) => response.encode(out),
            Self::GetAcl(response) => response.encode(out),
            Self::SetAcl(response) => response.encode(out),
            Self::GetChildren(response) => response.encode(out),
            Self::GetChildren2(response) => response.encode(out),
            Self::GetAllChildrenNumber(response) => response.encode(out),
            Self::GetEphemerals(response) => response.encode(out),
            Self::Sync(response) => response.encode(out),
            Self::Multi(response) => response.encode(out),
            Self::Reconfig(response) => response.encode(out),
            Self::AddWatch(response) => response.encode(out),
            Self::Sasl(response) => response.encode(out),
            Self::WhoAmI(response) => response.encode(out),
            Self::ListPage(response) => response.encode(out),
            Self::GetSubtree(response) => response.encode(out),
        }
    }
}
