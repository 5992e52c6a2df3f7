//! What the clients of a round do; each keeps its own history.

mod bank;
mod history;
mod locks;
mod once;
mod registers;
mod sequences;
mod staff;
mod visitors;
mod writers;

pub(super) use bank::{ACCOUNTS, TOTAL, balance};
pub(super) use history::{RoundHistory, register_paths};
pub(super) use locks::folder as locks;
pub(super) use registers::last_read;
pub(super) use staff::{ANSWER_PATIENCE, prepare, run};
