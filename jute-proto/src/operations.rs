//! The table of operations: one row says the number, the name and the records of an operation.
//!
//! [`OpCode`], [`Request`] and [`Response`] are generated from the rows, with their codecs. A new operation begins
//! with a row here. It does not compile until [`OpCode::facts`] says what clients and servers must know about it.

use bytes::BytesMut;

use crate::codec::{Encode, Reader};
use crate::error::{DecodeError, UnknownValue};
use crate::numbered::numbered;
use crate::records::{
    AddWatchRequest, AddWatchResponse, AuthRequest, CheckRequest, CheckWatchesRequest,
    Create2Response, CreateRequest, CreateResponse, CreateTtlRequest, DeleteContainerRequest,
    DeleteRequest, ExistsRequest, ExistsResponse, GetAclRequest, GetAclResponse,
    GetAllChildrenNumberRequest, GetAllChildrenNumberResponse, GetChildren2Request,
    GetChildren2Response, GetChildrenRequest, GetChildrenResponse, GetDataRequest, GetDataResponse,
    GetEphemeralsRequest, GetEphemeralsResponse, GetSubtreeRequest, GetSubtreeResponse,
    ListPageRequest, ListPageResponse, MultiReadRequest, MultiRequest, MultiResponse,
    ReconfigRequest, ReconfigResponse, RemoveWatchesRequest, SaslRequest, SaslResponse,
    SetAclRequest, SetAclResponse, SetDataRequest, SetDataResponse, SetWatches2Request,
    SetWatchesRequest, SyncRequest, SyncResponse, WhoAmIResponse,
};

/// Generates the operations and their codecs from rows of this form, in any order:
///
/// ```text
/// /// What the operation does.
/// Variant = number, "name", (record of the request) -> (record of the reply);
/// ```
///
/// `()` stands for no bytes behind the header. A row without records is a number that no client sends as a request.
macro_rules! operations {
    ($(
        $(#[$doc:meta])*
        $op:ident = $number:literal, $name:literal $(, ($($request:ty)?) -> ($($response:ty)?))?;
    )+) => {
        /// An operation, as the request header names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i32)]
        pub enum OpCode {
            $( $(#[$doc])* $op = $number, )+
        }

        impl OpCode {
            /// Every operation, in the order of the table.
            pub const ALL: &'static [Self] = &[$( Self::$op, )+];

            /// The name that Apache ZooKeeper uses, or would use for an operation that only Grovekeeper has.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$op => $name, )+
                }
            }
        }

        impl TryFrom<i32> for OpCode {
            type Error = UnknownValue;

            fn try_from(value: i32) -> Result<Self, UnknownValue> {
                match value {
                    $( $number => Ok(Self::$op), )+
                    _ => Err(UnknownValue { what: "operation", value }),
                }
            }
        }

        /// A request of a client, without its header.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Request<'a> {
            $($( #[doc = concat!("`", $name, "`")] $op $(($request))?, )?)+
        }

        impl<'a> Request<'a> {
            /// Reads the record of an operation. Bytes behind the record are left unread, as Apache ZooKeeper does.
            ///
            /// # Errors
            /// Where the bytes are not such a record, or the operation is none that clients send.
            pub fn decode(op: OpCode, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
                match op {
                    $( OpCode::$op => decode_as!(r, $op $(($($request)?))?), )+
                }
            }

            /// The operation's code.
            #[must_use]
            pub const fn op_code(&self) -> OpCode {
                match self {
                    $($( Self::$op $((only!(_, $request)))? => OpCode::$op, )?)+
                }
            }
        }

        impl<'a> Encode for Request<'a> {
            fn encode(&self, out: &mut BytesMut) {
                match self {
                    $($( Self::$op $((only!(record, $request)))? => {
                        $( <$request as Encode>::encode(record, out); )?
                    } )?)+
                }
            }
        }

        /// What follows a reply header that says success.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Response<'a> {
            $($( #[doc = concat!("`", $name, "`")] $op $(($response))?, )?)+
        }

        impl<'a> Response<'a> {
            /// Reads the record that answers an operation.
            ///
            /// # Errors
            /// Where the bytes are not such a record, or the operation is never answered.
            pub fn decode(op: OpCode, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
                match op {
                    $( OpCode::$op => decode_as!(r, $op $(($($response)?))?), )+
                }
            }
        }

        impl<'a> Encode for Response<'a> {
            fn encode(&self, out: &mut BytesMut) {
                match self {
                    $($( Self::$op $((only!(record, $response)))? => {
                        $( <$response as Encode>::encode(record, out); )?
                    } )?)+
                }
            }
        }
    };
}

/// Reads what a row has in the parentheses: nothing, a record, or, where there are no parentheses, it fails.
macro_rules! decode_as {
    ($reader:ident, $op:ident ($record:ty)) => {
        Ok(Self::$op($reader.record::<$record>()?))
    };
    ($reader:ident, $op:ident ()) => {
        Ok(Self::$op)
    };
    ($reader:ident, $op:ident) => {
        Err(DecodeError::NoSuchRecord { op: OpCode::$op.into() })
    };
}

/// The pattern alone. The record beside it says whether a repetition of [`operations!`] has the pattern at all.
macro_rules! only {
    ($pattern:pat, $record:ty) => {
        $pattern
    };
}

operations! {
    /// A watch event; never sent by a client.
    Notification = 0, "notification";
    /// Create a znode.
    Create = 1, "create", (CreateRequest<'a>) -> (CreateResponse<'a>);
    /// Delete a znode.
    Delete = 2, "delete", (DeleteRequest<'a>) -> ();
    /// Read the `Stat` of a znode, or watch for its creation.
    Exists = 3, "exists", (ExistsRequest<'a>) -> (ExistsResponse);
    /// Read data and `Stat`.
    GetData = 4, "getData", (GetDataRequest<'a>) -> (GetDataResponse<'a>);
    /// Replace the data.
    SetData = 5, "setData", (SetDataRequest<'a>) -> (SetDataResponse);
    /// Read the ACL and `Stat`.
    GetAcl = 6, "getACL", (GetAclRequest<'a>) -> (GetAclResponse);
    /// Replace the ACL.
    SetAcl = 7, "setACL", (SetAclRequest<'a>) -> (SetAclResponse);
    /// List the children.
    GetChildren = 8, "getChildren", (GetChildrenRequest<'a>) -> (GetChildrenResponse<'a>);
    /// Catch up with the leader.
    Sync = 9, "sync", (SyncRequest<'a>) -> (SyncResponse<'a>);
    /// Keep the session alive.
    Ping = 11, "ping", () -> ();
    /// List the children, with `Stat`.
    GetChildren2 = 12, "getChildren2", (GetChildren2Request<'a>) -> (GetChildren2Response<'a>);
    /// Compare a version; inside a multi only.
    Check = 13, "check", (CheckRequest<'a>) -> ();
    /// Several writes that succeed or fail together.
    Multi = 14, "multi", (MultiRequest<'a>) -> (MultiResponse<'a>);
    /// Create a znode and return its `Stat`.
    Create2 = 15, "create2", (CreateRequest<'a>) -> (Create2Response<'a>);
    /// Change the members of the ensemble.
    Reconfig = 16, "reconfig", (ReconfigRequest<'a>) -> (ReconfigResponse<'a>);
    /// Ask whether a watch is set.
    CheckWatches = 17, "checkWatches", (CheckWatchesRequest<'a>) -> ();
    /// Remove watches.
    RemoveWatches = 18, "removeWatches", (RemoveWatchesRequest<'a>) -> ();
    /// Create a container, which goes when its last child has gone.
    CreateContainer = 19, "createContainer", (CreateRequest<'a>) -> (Create2Response<'a>);
    /// Delete an empty container; servers only.
    DeleteContainer = 20, "deleteContainer", (DeleteContainerRequest<'a>) -> ();
    /// Create a znode that goes after a time without change.
    CreateTtl = 21, "createTTL", (CreateTtlRequest<'a>) -> (Create2Response<'a>);
    /// Several reads in one request.
    MultiRead = 22, "multiRead", (MultiReadRequest<'a>) -> (MultiResponse<'a>);
    /// Add an identity to the connection.
    Auth = 100, "auth", (AuthRequest<'a>) -> ();
    /// Re-arm one-shot watches after a reconnect.
    SetWatches = 101, "setWatches", (SetWatchesRequest<'a>) -> ();
    /// A step of SASL authentication.
    Sasl = 102, "sasl", (SaslRequest<'a>) -> (SaslResponse<'a>);
    /// List the session's ephemeral znodes.
    GetEphemerals = 103, "getEphemerals", (GetEphemeralsRequest<'a>) -> (GetEphemeralsResponse<'a>);
    /// Count all znodes below one.
    GetAllChildrenNumber = 104, "getAllChildrenNumber",
        (GetAllChildrenNumberRequest<'a>) -> (GetAllChildrenNumberResponse);
    /// Re-arm watches of all kinds after a reconnect.
    SetWatches2 = 105, "setWatches2", (SetWatches2Request<'a>) -> ();
    /// Add a persistent watch.
    AddWatch = 106, "addWatch", (AddWatchRequest<'a>) -> (AddWatchResponse);
    /// List the connection's identities.
    WhoAmI = 107, "whoAmI", () -> (WhoAmIResponse<'a>);
    /// List some of the children; where [`Extensions::PAGES`](crate::Extensions::PAGES) was granted.
    ListPage = 600, "listPage", (ListPageRequest<'a>) -> (ListPageResponse<'a>);
    /// Read some of the znodes below one; likewise.
    GetSubtree = 601, "getSubtree", (GetSubtreeRequest<'a>) -> (GetSubtreeResponse<'a>);
    /// Create a session; not a request, the handshake does it.
    CreateSession = -10, "createSession";
    /// End the session.
    CloseSession = -11, "closeSession", () -> ();
    /// A failed transaction, or a failed part of a multi; never sent by a client.
    Error = -1, "error";
}

numbered!(OpCode);

/// The lowest operation code.
const CODE_MIN: i32 = OpCode::CloseSession as i32;

/// The index of each operation in [`OpCode::ALL`], by its code less [`CODE_MIN`]. Servers look operations up for each
/// request, and a search would cost more than what it is for.
const INDEXES: [u8; 640] = {
    let mut indexes = [0; 640];
    let mut at = 0;
    while at < OpCode::COUNT {
        indexes[(OpCode::ALL[at] as i32 - CODE_MIN) as usize] = at as u8;
        at += 1;
    }
    indexes
};

impl OpCode {
    /// How many operations there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The place of the operation in [`OpCode::ALL`], for tables that have an entry for each operation.
    #[must_use]
    pub const fn index(self) -> usize {
        INDEXES[(self as i32 - CODE_MIN) as usize] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_only_servers_make_are_refused() {
        // The codes without a client's record are no requests.
        for op in [OpCode::Notification, OpCode::CreateSession, OpCode::Error] {
            let refused = Request::decode(op, &mut Reader::new(&[0; 64]));
            assert_eq!(refused, Err(DecodeError::NoSuchRecord { op: op.into() }));
        }
    }

    #[test]
    fn every_number_means_one_operation() {
        // Number and operation convert into each other, and no two operations share a number.
        for &op in OpCode::ALL {
            assert_eq!(OpCode::try_from(i32::from(op)), Ok(op));
        }
    }

    #[test]
    fn every_operation_has_a_place_of_its_own() {
        // A table with an entry for each operation is never asked for another one's.
        for (at, op) in OpCode::ALL.iter().enumerate() {
            assert_eq!(op.index(), at);
        }
    }
}
