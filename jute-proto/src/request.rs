//! Which record each operation sends.

use bytes::BytesMut;

use crate::codec::{Encode, Reader};
use crate::error::DecodeError;
use crate::operations::OpCode;
use crate::records::{
    AddWatchRequest, AuthRequest, CheckRequest, CheckWatchesRequest, CreateRequest,
    CreateTtlRequest, DeleteContainerRequest, DeleteRequest, ExistsRequest, GetAclRequest,
    GetAllChildrenNumberRequest, GetChildren2Request, GetChildrenRequest, GetDataRequest,
    GetEphemeralsRequest, GetSubtreeRequest, ListPageRequest, MultiReadRequest, MultiRequest,
    ReconfigRequest, RemoveWatchesRequest, SaslRequest, SetAclRequest, SetDataRequest,
    SetWatches2Request, SetWatchesRequest, SyncRequest,
};

/// A request of a client, without its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
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
    /// `deleteContainer`
    DeleteContainer(DeleteContainerRequest<'a>),
    /// `exists`
    Exists(ExistsRequest<'a>),
    /// `getData`
    GetData(GetDataRequest<'a>),
    /// `setData`
    SetData(SetDataRequest<'a>),
    /// `getACL`
    GetAcl(GetAclRequest<'a>),
    /// `setACL`
    SetAcl(SetAclRequest<'a>),
    /// `getChildren`
    GetChildren(GetChildrenRequest<'a>),
    /// `getChildren2`
    GetChildren2(GetChildren2Request<'a>),
    /// `getAllChildrenNumber`
    GetAllChildrenNumber(GetAllChildrenNumberRequest<'a>),
    /// `getEphemerals`
    GetEphemerals(GetEphemeralsRequest<'a>),
    /// `sync`
    Sync(SyncRequest<'a>),
    /// `check`
    Check(CheckRequest<'a>),
    /// `multi`
    Multi(MultiRequest<'a>),
    /// `multiRead`
    MultiRead(MultiReadRequest<'a>),
    /// `reconfig`
    Reconfig(ReconfigRequest<'a>),
    /// `checkWatches`
    CheckWatches(CheckWatchesRequest<'a>),
    /// `removeWatches`
    RemoveWatches(RemoveWatchesRequest<'a>),
    /// `setWatches`
    SetWatches(SetWatchesRequest<'a>),
    /// `setWatches2`
    SetWatches2(SetWatches2Request<'a>),
    /// `addWatch`
    AddWatch(AddWatchRequest<'a>),
    /// `auth`
    Auth(AuthRequest<'a>),
    /// `sasl`
    Sasl(SaslRequest<'a>),
    /// `whoAmI`
    WhoAmI,
    /// `listPage`
    ListPage(ListPageRequest<'a>),
    /// `getSubtree`
    GetSubtree(GetSubtreeRequest<'a>),
    /// `ping`
    Ping,
    /// `closeSession`
    CloseSession,
}

impl<'a> Request<'a> {
    /// Reads the record of an operation. Bytes behind the record are left unread, as Apache ZooKeeper does.
    ///
    /// # Errors
    /// Where the bytes are not such a record, or the operation is none that clients send.
    pub fn decode(op: OpCode, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match op {
            OpCode::Create => Self::Create(r.record()?),
            OpCode::Create2 => Self::Create2(r.record()?),
            OpCode::CreateContainer => Self::CreateContainer(r.record()?),
            OpCode::CreateTtl => Self::CreateTtl(r.record()?),
            OpCode::Delete => Self::Delete(r.record()?),
            OpCode::DeleteContainer => Self::DeleteContainer(r.record()?),
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
            OpCode::Check => Self::Check(r.record()?),
            OpCode::Multi => Self::Multi(r.record()?),
            OpCode::MultiRead => Self::MultiRead(r.record()?),
            OpCode::Reconfig => Self::Reconfig(r.record()?),
            OpCode::CheckWatches => Self::CheckWatches(r.record()?),
            OpCode::RemoveWatches => Self::RemoveWatches(r.record()?),
            OpCode::SetWatches => Self::SetWatches(r.record()?),
            OpCode::SetWatches2 => Self::SetWatches2(r.record()?),
            OpCode::AddWatch => Self::AddWatch(r.record()?),
            OpCode::Auth => Self::Auth(r.record()?),
            OpCode::Sasl => Self::Sasl(r.record()?),
            OpCode::WhoAmI => Self::WhoAmI,
            OpCode::ListPage => Self::ListPage(r.record()?),
            OpCode::GetSubtree => Self::GetSubtree(r.record()?),
            OpCode::Ping => Self::Ping,
            OpCode::CloseSession => Self::CloseSession,
            OpCode::Notification | OpCode::CreateSession | OpCode::Error => {
                return Err(DecodeError::NoSuchRecord { op: op.into() });
            }
        })
    }

    /// The operation's code.
    #[must_use]
    pub const fn op_code(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::Create,
            Self::Create2(_) => OpCode::Create2,
            Self::CreateContainer(_) => OpCode::CreateContainer,
            Self::CreateTtl(_) => OpCode::CreateTtl,
            Self::Delete(_) => OpCode::Delete,
            Self::DeleteContainer(_) => OpCode::DeleteContainer,
            Self::Exists(_) => OpCode::Exists,
            Self::GetData(_) => OpCode::GetData,
            Self::SetData(_) => OpCode::SetData,
            Self::GetAcl(_) => OpCode::GetAcl,
            Self::SetAcl(_) => OpCode::SetAcl,
            Self::GetChildren(_) => OpCode::GetChildren,
            Self::GetChildren2(_) => OpCode::GetChildren2,
            Self::GetAllChildrenNumber(_) => OpCode::GetAllChildrenNumber,
            Self::GetEphemerals(_) => OpCode::GetEphemerals,
            Self::Sync(_) => OpCode::Sync,
            Self::Check(_) => OpCode::Check,
            Self::Multi(_) => OpCode::Multi,
            Self::MultiRead(_) => OpCode::MultiRead,
            Self::Reconfig(_) => OpCode::Reconfig,
            Self::CheckWatches(_) => OpCode::CheckWatches,
            Self::RemoveWatches(_) => OpCode::RemoveWatches,
            Self::SetWatches(_) => OpCode::SetWatches,
            Self::SetWatches2(_) => OpCode::SetWatches2,
            Self::AddWatch(_) => OpCode::AddWatch,
            Self::Auth(_) => OpCode::Auth,
            Self::Sasl(_) => OpCode::Sasl,
            Self::WhoAmI => OpCode::WhoAmI,
            Self::ListPage(_) => OpCode::ListPage,
            Self::GetSubtree(_) => OpCode::GetSubtree,
            Self::Ping => OpCode::Ping,
            Self::CloseSession => OpCode::CloseSession,
        }
    }
}

impl Encode for Request<'_> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Create(request) => request.encode(out),
            Self::Create2(request) => request.encode(out),
            Self::CreateContainer(request) => request.encode(out),
            Self::CreateTtl(request) => request.encode(out),
            Self::Delete(request) => request.encode(out),
            Self::DeleteContainer(request) => request.encode(out),
            Self::Exists(request) => request.encode(out),
            Self::GetData(request) => request.encode(out),
            Self::SetData(request) => request.encode(out),
            Self::GetAcl(request) => request.encode(out),
            Self::SetAcl(request) => request.encode(out),
            Self::GetChildren(request) => request.encode(out),
            Self::GetChildren2(request) => request.encode(out),
            Self::GetAllChildrenNumber(request) => request.encode(out),
            Self::GetEphemerals(request) => request.encode(out),
            Self::Sync(request) => request.encode(out),
            Self::Check(request) => request.encode(out),
            Self::Multi(request) => request.encode(out),
            Self::MultiRead(request) => request.encode(out),
            Self::Reconfig(request) => request.encode(out),
            Self::CheckWatches(request) => request.encode(out),
            Self::RemoveWatches(request) => request.encode(out),
            Self::SetWatches(request) => request.encode(out),
            Self::SetWatches2(request) => request.encode(out),
            Self::AddWatch(request) => request.encode(out),
            Self::Auth(request) => request.encode(out),
            Self::Sasl(request) => request.encode(out),
            Self::ListPage(request) => request.encode(out),
            Self::GetSubtree(request) => request.encode(out),
            Self::WhoAmI | Self::Ping | Self::CloseSession => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::error::UnknownValue;
    use crate::records::{CreateRequest, MultiHeader, MultiOp};

    fn encoded(request: &Request<'_>) -> BytesMut {
        let mut out = BytesMut::new();
        request.encode(&mut out);
        out
    }

    fn create(flags: i32) -> CreateRequest<'static> {
        CreateRequest { path: "/a".into(), data: None, acl: Some(vec![]), flags }
    }

    #[test]
    fn requests_that_only_servers_make_are_refused() {
        // The codes without a client's record are no requests.
        for op in [OpCode::Notification, OpCode::CreateSession, OpCode::Error] {
            let refused = Request::decode(op, &mut Reader::new(&[0; 64]));
            assert_eq!(refused, Err(DecodeError::NoSuchRecord { op: op.into() }));
        }
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
