//! Which instances of which services there are, and where.

use bytes::Bytes;

use crate::client::Client;
use crate::error::Error;
use crate::path::child;

use super::children_watch::{ChildData, ChildrenWatch, read_children};
use super::persistent_node::PersistentNode;
use super::session_scope::SessionScope;

/// A register of services: `base/service/instance`, where instances are ephemeral.
///
/// The tree is that of Curator's service discovery; what an instance's znode holds is up to its
/// users (Curator's Java users keep JSON there). An instance promises what [`PersistentNode`]
/// promises.
///
/// ```no_run
/// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
/// use grovekeeper_client::recipes::ServiceRegistry;
///
/// let registry = ServiceRegistry::new(&client, "/services");
/// let me = registry.register("search", "search-7", "10.0.0.7:8080");
/// me.ready().await?;
/// for instance in registry.instances("search").await? {
///     println!("{} at {:?}", instance.name, instance.data);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ServiceRegistry {
    client: Client,
    base: String,
}

impl ServiceRegistry {
    /// The register at the znode `base`, which is made where it is missing.
    #[must_use]
    pub fn new(client: &Client, base: &str) -> Self {
        Self { client: client.clone(), base: base.to_owned() }
    }

    /// Registers an instance of a service under an id that no other instance has; dropping the
    /// result takes it back.
    #[must_use]
    pub fn register(
        &self,
        service: &str,
        instance: &str,
        data: impl Into<Bytes>,
    ) -> PersistentNode {
        let path = child(&child(&self.base, service), instance);
        PersistentNode::start(&self.client, &path, data)
    }

    /// The services that have or had instances, by name.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub async fn services(&self) -> Result<Vec<String>, Error> {
        let scope = SessionScope::of(&self.client);
        match scope.retry(|| self.client.list(&self.base)).await {
            Ok((mut names, _)) => {
                names.sort_unstable();
                Ok(names)
            }
            Err(error) if error.is_no_node() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The present instances of a service, by id.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub async fn instances(&self, service: &str) -> Result<Vec<ChildData>, Error> {
        read_children(&SessionScope::of(&self.client), &child(&self.base, service)).await
    }

    /// The instances of a service, present and after each coming and going.
    #[must_use]
    pub fn watch(&self, service: &str) -> ChildrenWatch {
        ChildrenWatch::new(&self.client, &child(&self.base, service))
    }
}
