//! Paths of znodes: what is a valid one, and its parts.
//!
//! Operations differ in how much they check, as in ZooKeeper: `create`, `setData`, `setACL` and
//! `check` want a [valid](validate) path, `delete` only a slash and no NUL, and reads take any
//! string and find nothing there.

use alloc::format;
use alloc::string::String;

use super::error::OpError;

/// The root of the tree.
pub const ROOT: &str = "/";
/// The node above all that the service itself keeps in the tree.
pub const ZOOKEEPER: &str = "/zookeeper";
/// The node above all quotas.
pub const QUOTA: &str = "/zookeeper/quota";
/// The node that shows the configuration of the ensemble.
pub const CONFIG: &str = "/zookeeper/config";

/// The nodes that each tree has and that cannot be deleted; parents first.
pub const BUILT_IN: [&str; 4] = [ROOT, ZOOKEEPER, QUOTA, CONFIG];

/// Checks that a node could have this path.
///
/// # Errors
/// [`OpError::BadArguments`] where the path is not absolute, has an empty, `.` or `..` component
/// or a character that ZooKeeper does not allow.
pub fn validate(path: &str) -> Result<(), OpError> {
    let Some(below_root) = path.strip_prefix('/') else { return Err(OpError::BadArguments) };
    if below_root.is_empty() {
        return Ok(());
    }
    if names(below_root).any(|name| matches!(name, b"" | b"." | b"..")) {
        return Err(OpError::BadArguments);
    }
    let allowed = if path.is_ascii() {
        path.bytes().all(is_allowed_ascii)
    } else {
        path.chars().all(is_allowed)
    };
    if allowed { Ok(()) } else { Err(OpError::BadArguments) }
}

/// The parts between slashes, as bytes: to look for a character in text costs more, where names are short.
pub(super) fn names(path: &str) -> impl Iterator<Item = &[u8]> {
    path.as_bytes().split(|byte| *byte == b'/')
}

/// Whether there is a NUL in a path.
pub(super) fn has_nul(path: &str) -> bool {
    path.as_bytes().contains(&0)
}

fn is_allowed_ascii(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte)
}

/// Control characters, the private-use area and the specials are out, and with them all that Java
/// writes as two surrogates.
fn is_allowed(c: char) -> bool {
    !matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

/// The path before the last slash, the root for what is directly below it; `None` without a slash.
/// The root is its own parent, for the checks that come before one finds that it exists.
#[must_use]
pub fn parent(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 => Some(ROOT),
        at => Some(&path[..at]),
    }
}

/// The last component.
#[must_use]
pub fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Where the name of a child begins within the child's path.
pub(super) fn child_name_offset(parent: &str) -> usize {
    if parent == ROOT { 1 } else { parent.len() + 1 }
}

/// What a sequential node is called: the requested path and ten digits of its parent's count of
/// creates. A count that wrapped around shows its sign, as Java formats it.
#[must_use]
pub fn sequential(path: &str, creates: i32) -> String {
    if creates < 0 {
        return format!("{path}{creates:010}");
    }
    let mut out = String::with_capacity(path.len() + 10);
    out.push_str(path);
    let mut divisor = 1_000_000_000;
    while divisor > 0 {
        out.push(char::from(b'0' + (creates / divisor % 10) as u8));
        divisor /= 10;
    }
    out
}

/// The parent of a path that `delete` may act on.
pub(super) fn deletable_parent(path: &str) -> Result<&str, OpError> {
    if has_nul(path) || BUILT_IN.contains(&path) {
        return Err(OpError::BadArguments);
    }
    parent(path).ok_or(OpError::BadArguments)
}

#[cfg(test)]
#[path = "path_test.rs"]
mod tests;
