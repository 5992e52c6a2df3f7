//! Reading a part of a long list, or of a subtree, and going on from there.
//!
//! A part begins behind a name or a path that need not exist any more, so a client that reads part by part
//! needs nothing to be kept here between two of them. The cost follows the part, not what the list or
//! the subtree holds.

use alloc::format;
use alloc::vec::Vec;

use super::children::Paths;
use super::error::OpError;
use super::node::Node;
use super::path;
use super::tree::Tree;

impl Node {
    /// The names of its children behind a name, sorted; all of them without one.
    pub fn children_after<'a>(
        &'a self,
        name: Option<&str>,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        let offset = path::child_name_offset(&self.path);
        self.child_paths_after(name).map(move |child| &child[offset..])
    }

    fn child_paths_after(&self, name: Option<&str>) -> Paths<'_> {
        let children = self.child_list();
        let Some(name) = name else { return children.after(None) };
        let slash = if self.path() == path::ROOT { "" } else { "/" };
        let last = format!("{}{slash}{name}", self.path);
        children.after(Some(&last))
    }
}

/// The nodes of a subtree, see [`Tree::subtree`].
pub struct Subtree<'a, F> {
    tree: &'a Tree,
    may_read: F,
    /// The top, where it is yet to come.
    top: Option<&'a Node>,
    /// What is to come, level by level: the rest of the children of each node above the last.
    levels: Vec<Paths<'a>>,
}

impl Tree {
    /// The nodes of a subtree: a node before those below it, siblings in the order of their names.
    /// With `after` they begin behind that path, whether or not there is such a node. Each comes with
    /// whether it may be read; where not, what is below it is left out, because its list of children
    /// may not be read either.
    ///
    /// # Errors
    /// [`OpError::NoNode`] and [`OpError::NoAuth`] for the top, [`OpError::BadArguments`] where `after`
    /// is not the top or below it.
    pub fn subtree<'a, F: Fn(&Node) -> bool>(
        &'a self,
        top: &str,
        after: Option<&str>,
        may_read: F,
    ) -> Result<Subtree<'a, F>, OpError> {
        let top = self.get(top).ok_or(OpError::NoNode)?;
        if !may_read(top) {
            return Err(OpError::NoAuth);
        }
        let mut subtree = Subtree { tree: self, may_read, top: None, levels: Vec::new() };
        match after {
            None => subtree.top = Some(top),
            Some(after) => subtree.go_behind(top, after)?,
        }
        Ok(subtree)
    }
}

impl<'a, F: Fn(&Node) -> bool> Subtree<'a, F> {
    /// Goes down to `after` as far as it exists.
    fn go_behind(&mut self, top: &'a Node, after: &str) -> Result<(), OpError> {
        let mut node = top;
        if after != top.path() {
            let rest = after.strip_prefix(top.path()).ok_or(OpError::BadArguments)?;
            if top.path() != path::ROOT && !rest.starts_with('/') {
                return Err(OpError::BadArguments);
            }
            let mut start = path::child_name_offset(top.path());
            while start <= after.len() {
                let end = after[start..].find('/').map_or(after.len(), |len| start + len);
                self.levels.push(node.child_paths_after(Some(&after[start..end])));
                match self.tree.get(&after[..end]) {
                    Some(child) if (self.may_read)(child) => node = child,
                    // Nothing of what is below it would come.
                    Some(_) | None => return Ok(()),
                }
                start = end + 1;
            }
        }
        self.levels.push(node.child_paths_after(None));
        Ok(())
    }

    fn advance(&mut self) -> Option<&'a Node> {
        if let Some(top) = self.top.take() {
            return Some(top);
        }
        loop {
            match self.levels.last_mut()?.next() {
                Some(path) => return self.tree.get(path),
                None => drop(self.levels.pop()),
            }
        }
    }
}

impl<'a, F: Fn(&Node) -> bool> Iterator for Subtree<'a, F> {
    type Item = (&'a Node, bool);

    fn next(&mut self) -> Option<Self::Item> {
        let node = self.advance()?;
        let readable = (self.may_read)(node);
        if readable && node.child_count() > 0 {
            self.levels.push(node.child_paths_after(None));
        }
        Some((node, readable))
    }
}

impl<F> core::fmt::Debug for Subtree<'_, F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Subtree").field("depth", &self.levels.len()).finish_non_exhaustive()
    }
}
