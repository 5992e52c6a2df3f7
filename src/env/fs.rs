//! Files: the data directory as a whole, configuration and keys.

use std::io;
use std::path::Path;

use rustix::fs::FallocateFlags;

pub use std::fs::{
    File, Metadata, OpenOptions, TryLockError, canonicalize, create_dir_all, metadata, read,
    read_dir, read_to_string, remove_file, rename, write,
};

/// The bytes that an unprivileged user could still write to the file system that holds `path`.
///
/// # Errors
/// As of `statvfs(3)`.
pub fn available_bytes(path: &Path) -> io::Result<u64> {
    let stats = rustix::fs::statvfs(path)?;
    Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
}

/// Makes a file `to` bytes long, and takes the space for what lies behind `from` at once, where the file system can do
/// that. Elsewhere the file only becomes longer.
///
/// # Errors
/// As of `fallocate(2)`: the disk is full. The file is as long as before.
pub fn reserve(file: &File, from: u64, to: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), from, to.saturating_sub(from)) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(to),
        Err(error) => Err(error.into()),
    }
}
