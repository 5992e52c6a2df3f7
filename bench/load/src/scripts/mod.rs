//! The scripts of the workloads: requests, and the check of each reply.

mod bulk;
mod children;
mod churn;
mod keys;
mod material;
mod once;

pub(super) use bulk::{BulkCreate, BulkDelete};
pub(super) use children::ListChildren;
pub(super) use churn::{CreateNodes, DeleteNodes, EphemeralPairs};
pub(super) use keys::{KeyMix, KeyScript};
pub(super) use material::{Names, Value, frame};
pub(super) use once::{ChildNames, Paths, SyncOnce, WatchAbsent};
