//! Operations that only some servers have. They are never sent to another one, which would end the
//! connection for it, with all that is under way: the caller is told what the server would say.

use jute_proto::{ErrorCode, Extensions, OpCode};

use crate::error::Error;

use super::state_machine::{Effect, Phase, Session};

/// What a server says to an operation that it does not have.
const UNKNOWN: Error = Error::Server(ErrorCode::Unimplemented);

impl<T, W: Clone> Session<T, W> {
    /// Fails where the server that this client is connected to does not have the operation.
    pub(super) fn check_operation(&self, op: OpCode) -> Result<(), Error> {
        let is_open = matches!(self.phase, Phase::Open { .. });
        if is_open && !is_known(self.granted, op) { Err(UNKNOWN) } else { Ok(()) }
    }

    /// Fails what waited for a connection and is unknown to the server of the one that came.
    pub(super) fn withdraw_unknown(&mut self) {
        let granted = self.granted;
        for request in self.outstanding.withdraw(|op| !is_known(granted, op)) {
            if let Some(token) = request.token {
                self.effects.push_back(Effect::Complete(token, Err(UNKNOWN)));
            }
        }
    }
}

fn is_known(granted: Extensions, op: OpCode) -> bool {
    op.facts().extension.is_none_or(|needed| granted.contains(needed))
}
