//! End-to-end tests that need only Rust: one module a promise.

mod chance;
mod crash;
mod restart;
mod rust_client;
mod sessions;
