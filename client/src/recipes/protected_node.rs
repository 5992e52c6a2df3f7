//! A place in a queue: an ephemeral sequential znode that is never left behind.
//!
//! Curator calls it protected (`withProtection`). A create whose answer is lost may have made the
//! znode. Under a name that only the server knows, such a znode would stay in the queue until the
//! session ends, and everyone behind it would wait for nobody.

use crate::client::Created;
use crate::error::{Error, Fate};
use crate::path::child;
use crate::runtime::spawn_detached;
use crate::{Client, CreateMode, Zxid};

use super::session_scope::SessionScope;

/// A znode of the session's own, with a number.
///
/// Its name begins with a prefix that nobody else uses, so that it is found again when the answer
/// to its creation was lost. Dropping it deletes it in the background.
#[derive(Debug)]
pub(super) struct ProtectedNode {
    scope: SessionScope,
    dir: String,
    prefix: String,
    /// Its name and the transaction that created it, once known.
    created: Option<(String, Zxid)>,
    /// Whether the znode may exist, so that dropping this must delete it. It is true from before
    /// the request to create it is sent. It becomes false when the server refused to create the
    /// znode, and when it was deleted.
    must_delete: bool,
}

impl ProtectedNode {
    /// Makes the znode in `dir`, which is made where it is missing. `prefix` is unique.
    pub(super) async fn create(
        client: &Client,
        dir: &str,
        prefix: String,
        data: &[u8],
    ) -> Result<Self, Error> {
        let scope = SessionScope::of(client);
        // From here on dropping the future has something to clean up.
        let mut node =
            Self { scope, dir: dir.to_owned(), prefix, created: None, must_delete: true };
        let path = child(dir, &node.prefix);
        loop {
            match client.create(&path, data, CreateMode::EphemeralSequential).await {
                Ok(Created { path, stat, .. }) => {
                    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
                    node.created = Some((name, stat.czxid));
                    return Ok(node);
                }
                Err(error) if error.is_no_node() => client.create_all(dir).await?,
                Err(error) if error.is_interruption() => {
                    // A session that is lost has taken the znode along: this fails then.
                    node.scope.reconnected().await?;
                    if error.fate() == Fate::Unknown && node.find().await? {
                        return Ok(node);
                    }
                }
                Err(error) => {
                    node.must_delete = error.fate() != Fate::NotApplied;
                    return Err(error);
                }
            }
        }
    }

    /// Looks whether the znode was made, by its prefix.
    async fn find(&mut self) -> Result<bool, Error> {
        let client = self.scope.client().clone();
        for name in names(&self.scope, &self.dir, &self.prefix).await? {
            let path = child(&self.dir, &name);
            if let Some(stat) = self.scope.retry(|| client.exists(&path)).await? {
                self.created = Some((name, stat.czxid));
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn scope(&self) -> &SessionScope {
        &self.scope
    }

    /// The name of the znode, without its folder.
    pub(super) fn name(&self) -> &str {
        self.created.as_ref().map(|(name, _)| name.as_str()).unwrap_or_default()
    }

    /// The transaction that created the znode.
    pub(super) fn czxid(&self) -> Zxid {
        self.created.as_ref().map_or(Zxid(0), |(_, czxid)| *czxid)
    }

    /// Deletes the znode, and returns when it is gone.
    pub(super) async fn delete(mut self) -> Result<(), Error> {
        let path = child(&self.dir, self.name());
        let outcome = self.scope.ensure_deleted(&path).await;
        // With its session the znode has gone too.
        self.must_delete = false;
        match outcome {
            Err(Error::SessionLost { .. }) => Ok(()),
            outcome => outcome,
        }
    }
}

impl Drop for ProtectedNode {
    fn drop(&mut self) {
        if !self.must_delete {
            return;
        }
        let (scope, dir, prefix) =
            (self.scope.clone(), std::mem::take(&mut self.dir), std::mem::take(&mut self.prefix));
        let created = self.created.take();
        spawn_detached(async move {
            // An error means that the session is over, and the znode with it.
            drop(clean_up(&scope, &dir, &prefix, created).await);
        });
    }
}

async fn clean_up(
    scope: &SessionScope,
    dir: &str,
    prefix: &str,
    created: Option<(String, Zxid)>,
) -> Result<(), Error> {
    let names = match created {
        Some((name, _)) => vec![name],
        // The request to create it may be under way: this one is answered behind it.
        None => names(scope, dir, prefix).await?,
    };
    for name in names {
        scope.ensure_deleted(&child(dir, &name)).await?;
    }
    Ok(())
}

/// The children of `dir` whose names begin with `prefix`.
async fn names(scope: &SessionScope, dir: &str, prefix: &str) -> Result<Vec<String>, Error> {
    match scope.retry(|| scope.client().list(dir)).await {
        Ok((mut names, _)) => {
            names.retain(|name| name.starts_with(prefix));
            Ok(names)
        }
        Err(error) if error.is_no_node() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
