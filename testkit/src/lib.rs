//! What the tests of several crates share.
//!
//! The crate is a dev-dependency only. It depends on the kernel, and the kernel's tests depend on
//! it: Cargo allows that circle for the tests in `kernel/tests`. The kernel's unit tests cannot use
//! it, because they would see two kernels, whose types differ.

#[cfg(feature = "certificates")]
pub mod certificates;
pub mod checkpoint;
pub mod golden;
pub mod paths;
pub mod server;

pub use server::InMemoryServer;
