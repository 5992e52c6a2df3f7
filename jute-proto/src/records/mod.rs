//! The records of each operation, request and response side by side.

mod acl;
mod auth;
mod check;
mod children;
mod create;
mod data;
mod delete;
mod ephemerals;
mod exists;
mod multi;
mod multi_read;
mod pages;
mod reconfig;
mod sync;
mod watches;

pub use acl::{GetAclRequest, GetAclResponse, SetAclRequest, SetAclResponse};
pub use auth::{AuthRequest, ClientInfo, SaslRequest, SaslResponse, WhoAmIResponse};
pub use check::CheckRequest;
pub use children::{
    GetAllChildrenNumberRequest, GetAllChildrenNumberResponse, GetChildren2Request,
    GetChildren2Response, GetChildrenRequest, GetChildrenResponse,
};
pub use create::{Create2Response, CreateRequest, CreateResponse, CreateTtlRequest};
pub use data::{GetDataRequest, GetDataResponse, SetDataRequest, SetDataResponse};
pub use delete::{DeleteContainerRequest, DeleteRequest};
pub use ephemerals::{GetEphemeralsRequest, GetEphemeralsResponse};
pub use exists::{ExistsRequest, ExistsResponse};
pub use multi::{MultiHeader, MultiOp, MultiRequest, MultiResponse, OpResult};
pub use multi_read::{MultiReadOp, MultiReadRequest};
pub use pages::{
    GetSubtreeRequest, GetSubtreeResponse, ListPageRequest, ListPageResponse, SubtreeNode,
};
pub use reconfig::{ReconfigRequest, ReconfigResponse};
pub use sync::{SyncRequest, SyncResponse};
pub use watches::{
    AddWatchRequest, AddWatchResponse, CheckWatchesRequest, RemoveWatchesRequest,
    SetWatches2Request, SetWatchesRequest,
};
