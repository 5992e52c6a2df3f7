//! The records of replies to writes, as clients read them.

use alloc::sync::Arc;

use bytes::{BufMut, BytesMut};
use jute_proto::{Encode, ErrorCode, MultiHeader, OpCode, Stat, Zxid, put_str};

use crate::session::CachedReply;
use crate::tree::{CreateOp, OpError, TxnResult};

/// The reply to a numbered write, encoded with the help of an empty buffer that is kept for it.
pub(super) fn reply(
    scratch: &mut BytesMut,
    zxid: Zxid,
    result: &Result<TxnResult, OpError>,
) -> CachedReply {
    scratch.clear();
    let code = match result {
        Ok(result) => {
            put_result(scratch, result);
            ErrorCode::Ok
        }
        Err(error) => (*error).into(),
    };
    CachedReply { zxid, code, body: Arc::from(&scratch[..]) }
}

/// Appends the result of a write that was done; closing a session has none.
pub(crate) fn put_result(out: &mut BytesMut, result: &TxnResult) {
    match result {
        TxnResult::Created { op: CreateOp::Create, path, .. } => put_str(out, path),
        TxnResult::Created { path, stat, .. } => {
            put_str(out, path);
            stat.encode(out);
        }
        TxnResult::DataSet(stat) | TxnResult::AclSet(stat) => stat.encode(out),
        TxnResult::Reconfigured { data, stat } => put_data(out, Some(data), stat),
        TxnResult::Deleted | TxnResult::Checked | TxnResult::SessionClosed { .. } => {}
        TxnResult::Multi(results) => {
            for result in results {
                put_multi_result(out, result);
            }
            MultiHeader::END.encode(out);
        }
        TxnResult::MultiFailed(codes) => {
            for code in codes {
                put_multi_error(out, *code);
            }
            MultiHeader::END.encode(out);
        }
    }
}

fn put_multi_result(out: &mut BytesMut, result: &TxnResult) {
    let op = match result {
        TxnResult::Created { op, .. } => op.result_op(),
        TxnResult::Deleted => OpCode::Delete,
        TxnResult::DataSet(_) => OpCode::SetData,
        TxnResult::Checked => OpCode::Check,
        TxnResult::AclSet(_)
        | TxnResult::Multi(_)
        | TxnResult::MultiFailed(_)
        | TxnResult::Reconfigured { .. }
        | TxnResult::SessionClosed { .. } => return put_multi_error(out, ErrorCode::SystemError),
    };
    MultiHeader::success(op).encode(out);
    put_result(out, result);
}

/// A failed operation: its code stands in the header and once more as its body.
pub(crate) fn put_multi_error(out: &mut BytesMut, code: ErrorCode) {
    MultiHeader { op: OpCode::Error.into(), done: false, err: code.into() }.encode(out);
    out.put_i32(code.into());
}

/// Data and stat, the answer to `getData`.
pub(crate) fn put_data(out: &mut BytesMut, data: Option<&[u8]>, stat: &Stat) {
    jute_proto::put_buffer(out, data);
    stat.encode(out);
}
