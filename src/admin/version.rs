//! What the server calls itself.

/// The release of ZooKeeper whose behaviour this is, then our own. Tools read the numbers at the
/// front to know what the server can do.
pub const VERSION: &str = concat!("3.9.3-grovekeeper-", env!("CARGO_PKG_VERSION"));
