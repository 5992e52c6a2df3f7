//! `multi`: all operations or none.

use alloc::vec;
use alloc::vec::Vec;

use jute_proto::{CreateMode, ErrorCode};

use super::super::error::OpError;
use super::super::tree::Tree;
use super::super::txn::{Change, OpContext, TxnResult, WriteOp};

impl Tree {
    /// Carries the operations out one after the other, each on what the earlier ones left, and
    /// takes all of it back if one fails.
    pub(super) fn multi(
        &mut self,
        ctx: &OpContext<'_>,
        ops: &[WriteOp<'_>],
        changes: &mut Vec<Change>,
    ) -> Result<TxnResult, OpError> {
        if !ops.iter().all(is_allowed) {
            return Err(OpError::Marshalling);
        }
        let changes_before = changes.len();
        let savepoint = self.begin_multi();
        let mut results = Vec::with_capacity(ops.len());
        for op in ops {
            match self.apply(ctx, op, changes) {
                Ok(result) => results.push(result),
                Err(error) => {
                    self.roll_back(&savepoint);
                    changes.truncate(changes_before);
                    return Ok(TxnResult::MultiFailed(codes(results.len(), error, ops.len())));
                }
            }
        }
        self.commit();
        Ok(TxnResult::Multi(results))
    }
}

/// Whether an operation makes sense within a `multi`. A create mode that does not exist spoils the
/// whole request there, while alone it is a bad argument.
fn is_allowed(op: &WriteOp<'_>) -> bool {
    match op {
        WriteOp::Create(create) => CreateMode::try_from(create.flags).is_ok(),
        WriteOp::Delete { .. } | WriteOp::SetData { .. } | WriteOp::Check { .. } => true,
        WriteOp::SetAcl { .. }
        | WriteOp::Multi(_)
        | WriteOp::DeleteContainer { .. }
        | WriteOp::CloseSession
        | WriteOp::SetConfig { .. } => false,
    }
}

/// `Ok` for each operation before the one that failed, its error, and for the rest the code that
/// says they were not tried.
fn codes(failed_at: usize, error: OpError, count: usize) -> Vec<ErrorCode> {
    let mut codes = vec![ErrorCode::Ok; failed_at];
    codes.push(error.into());
    codes.resize(count, ErrorCode::RuntimeInconsistency);
    codes
}
