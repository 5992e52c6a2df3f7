//! Paths as the caller sees them and as the server does: the difference is the chroot.
//!
//! The server's rules for paths are the kernel's. The client is a crate of its own, which other
//! programs depend on without the server's code, so it has the little that it needs here. It checks
//! only what would change the meaning of a path on its way; everything else is for the server to
//! refuse.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Error;

/// The znode that the caller sees as its root; empty where that is the server's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chroot(Arc<str>);

impl Default for Chroot {
    fn default() -> Self {
        Self(Arc::from(""))
    }
}

impl Chroot {
    /// A chroot at `path`, inside this one.
    pub(crate) fn join(&self, path: &str) -> Result<Self, Error> {
        if path == "/" {
            return Ok(self.clone());
        }
        if path.ends_with('/') {
            return Err(invalid(path, "ends with a slash"));
        }
        Ok(Self(Arc::from(self.to_server(path)?.as_ref())))
    }

    /// The server's path of the caller's `path`.
    pub(crate) fn to_server<'a>(&self, path: &'a str) -> Result<Cow<'a, str>, Error> {
        if !path.starts_with('/') {
            return Err(invalid(path, "does not begin with a slash"));
        }
        if path.contains('\0') {
            return Err(invalid(path, "contains a null character"));
        }
        Ok(match (self.0.as_ref(), path) {
            ("", path) => Cow::Borrowed(path),
            (root, "/") => Cow::Owned(root.to_owned()),
            (root, path) => Cow::Owned(format!("{root}{path}")),
        })
    }

    /// The caller's path of the server's `path`.
    pub(crate) fn to_caller<'a>(&self, path: &'a str) -> &'a str {
        match path.strip_prefix(self.0.as_ref()) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            Some(_) | None => path,
        }
    }
}

fn invalid(path: &str, why: &'static str) -> Error {
    Error::InvalidPath { path: path.to_owned(), why }
}

/// The path of a child.
pub(crate) fn child(parent: &str, name: &str) -> String {
    if parent == "/" { format!("/{name}") } else { format!("{parent}/{name}") }
}

/// The parent of a path; the root has none.
pub(crate) fn parent(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        _ if path == "/" => None,
        0 => Some("/"),
        at => path.get(..at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chroot_is_added_and_taken_away() {
        // A path goes to the server and comes back as the caller's own, also for the root.
        let none = Chroot::default();
        let app = none.join("/app").expect("valid");
        for (root, path, there) in [
            (&none, "/a/b", "/a/b"),
            (&none, "/", "/"),
            (&app, "/a", "/app/a"),
            (&app, "/", "/app"),
            (&app.join("/x").expect("valid"), "/a", "/app/x/a"),
        ] {
            assert_eq!(root.to_server(path).expect("valid"), there);
            assert_eq!(root.to_caller(there), path);
        }
        assert_eq!(app.to_caller("/application"), "/application");
        assert!(app.to_server("a").is_err());
        assert!(app.to_server("/a\0").is_err());
        assert!(none.join("/a/").is_err());
    }

    #[test]
    fn a_parent_is_one_step_up() {
        // As the kernel sees it, except that the root has no parent.
        assert_eq!(parent("/"), None);
        for (path, above) in testkit::paths::PARENTS {
            assert_eq!(parent(path), Some(above), "{path}");
        }
    }
}
