//! What the kernel and the client must agree on about paths.
//!
//! Each has a function of its own for the parent of a path: the client cannot depend on the kernel,
//! which is not published. They differ only for the root, which the kernel takes for its own parent
//! and of which the client says that it has none.

/// Paths below the root, and their parents.
pub const PARENTS: [(&str, &str); 6] = [
    ("/a", "/"),
    ("/a/b", "/a"),
    ("/a/b/c", "/a/b"),
    ("/été/日本", "/été"),
    ("/a/.b", "/a"),
    ("/a/", "/a"),
];

#[cfg(test)]
mod tests {
    use kernel::tree::path::parent;

    use super::PARENTS;

    #[test]
    fn the_kernel_knows_the_parents() {
        // The client's tests have the same table.
        for (path, above) in PARENTS {
            assert_eq!(parent(path), Some(above), "{path}");
        }
        assert_eq!(parent("/"), Some("/"));
    }
}
