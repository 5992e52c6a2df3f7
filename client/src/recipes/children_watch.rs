//! The children of a znode and what they hold, each time that they change.

use bytes::Bytes;
use jute_proto::Stat;

use crate::client::{Client, Watch};
use crate::error::Error;
use crate::path::child;

use super::session_scope::SessionScope;

/// A child of a znode.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildData {
    /// Its name, without the path of its parent.
    pub name: String,
    /// Its data.
    pub data: Bytes,
    /// Its metadata.
    pub stat: Stat,
}

/// The children of a znode, by name. A znode that is missing has none.
pub(super) async fn read_children(
    scope: &SessionScope,
    path: &str,
) -> Result<Vec<ChildData>, Error> {
    match scope.retry(|| scope.client().list(path)).await {
        Ok((names, _)) => read(scope, path, names).await,
        Err(error) if error.is_no_node() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Reads children; those that have gone in the meantime are left out.
async fn read(
    scope: &SessionScope,
    path: &str,
    mut names: Vec<String>,
) -> Result<Vec<ChildData>, Error> {
    names.sort_unstable();
    let client = scope.client();
    let calls: Vec<_> = names.iter().map(|name| client.get(&child(path, name))).collect();
    let mut entries = Vec::with_capacity(names.len());
    for (name, call) in names.into_iter().zip(calls) {
        let outcome = match call.await {
            Err(error) if error.is_interruption() => {
                scope.retry(|| client.get(&child(path, &name))).await
            }
            outcome => outcome,
        };
        match outcome {
            Ok((data, stat)) => entries.push(ChildData { name, data, stat }),
            Err(error) if error.is_no_node() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}

/// The children of a znode, each time that one comes or goes.
///
/// **When the connection is lost** it goes on with the next one, and **when the session is lost**
/// with the next session: it tells of the children that are there then.
#[derive(Debug)]
pub struct ChildrenWatch {
    client: Client,
    path: String,
    change: Option<Watch>,
}

impl ChildrenWatch {
    pub(super) fn new(client: &Client, path: &str) -> Self {
        Self { client: client.clone(), path: path.to_owned(), change: None }
    }

    /// The children at first, then those after each change. Changes that follow each other quickly
    /// are told as one. A change of what a child holds is seen with the next child that comes or
    /// goes.
    ///
    /// # Errors
    ///
    /// A refusal of the server, and the end of the client.
    pub async fn next(&mut self) -> Result<Vec<ChildData>, Error> {
        loop {
            let scope = SessionScope::of(&self.client);
            match self.next_children(&scope).await {
                Err(Error::SessionLost { .. }) if !scope.client_has_ended() => {}
                outcome => return outcome,
            }
        }
    }

    async fn next_children(&mut self, scope: &SessionScope) -> Result<Vec<ChildData>, Error> {
        if let Some(change) = &mut self.change {
            let told = change.await;
            self.change = None;
            told?;
        }
        let (client, path) = (&self.client, &self.path);
        loop {
            match scope.retry(|| client.list_and_watch(path)).await {
                Ok((names, _, change)) => {
                    self.change = Some(change);
                    return read(scope, path, names).await;
                }
                Err(error) if error.is_no_node() => {
                    let (stat, change) = scope.retry(|| client.exists_and_watch(path)).await?;
                    if stat.is_none() {
                        self.change = Some(change);
                        return Ok(Vec::new());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
