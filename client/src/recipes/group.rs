//! The members of a group.

use bytes::Bytes;

use crate::client::Client;
use crate::error::Error;
use crate::path::child;

use super::children_watch::{ChildData, ChildrenWatch, read_children};
use super::persistent_node::PersistentNode;
use super::session_scope::SessionScope;

/// A group of processes, each of which is a child of one znode while it lives.
///
/// The znodes are those of Curator's `GroupMember`. A member promises what [`PersistentNode`]
/// promises: it is missing from the group between the loss of its session and the next one.
///
/// ```no_run
/// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
/// use grovekeeper_client::recipes::Group;
///
/// let group = Group::new(&client, "/workers");
/// let me = group.join("worker-7", "10.0.0.7");
/// me.ready().await?;
/// let mut changes = group.watch();
/// loop {
///     let members = changes.next().await?;
///     println!("{} members", members.len());
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Group {
    client: Client,
    path: String,
}

impl Group {
    /// The group at the znode `path`, which is made where it is missing.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        Self { client: client.clone(), path: path.to_owned() }
    }

    /// Joins under a name that no other member has; dropping the result leaves the group.
    #[must_use]
    pub fn join(&self, name: &str, data: impl Into<Bytes>) -> PersistentNode {
        PersistentNode::start(&self.client, &child(&self.path, name), data)
    }

    /// The present members, by name.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub async fn members(&self) -> Result<Vec<ChildData>, Error> {
        read_children(&SessionScope::of(&self.client), &self.path).await
    }

    /// The members, present and after each coming and going.
    #[must_use]
    pub fn watch(&self) -> ChildrenWatch {
        ChildrenWatch::new(&self.client, &self.path)
    }
}
