//! Carrying out writes: one file an operation, each with its checks in ZooKeeper's order.

mod check;
mod close_session;
mod create;
mod delete;
mod delete_container;
mod dispatch;
mod multi;
mod set_acl;
mod set_config;
mod set_data;
