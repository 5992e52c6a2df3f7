//! End-to-end tests that need only Rust: one module a promise.

mod rust_client;
mod sessions;
