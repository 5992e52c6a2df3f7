//! Leases that have to be refreshed.
//!
//! The servers end an ephemeral znode with its session; that it also ends when it is not refreshed
//! is this program's doing: a task for each lease deletes the znode when its time is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::client::Client;
use crate::error::Error;
use crate::path::parent;
use crate::recipes::session_scope::SessionScope;
use crate::runtime::{Instant, now, sleep_until, spawn};
use crate::{CreateMode, ErrorCode};

/// The leases of a store, by path.
#[derive(Debug, Default)]
pub(super) struct Leases {
    table: Arc<Mutex<BTreeMap<String, Lease>>>,
    /// Dropped with the store, which the tasks notice.
    alive: watch::Sender<()>,
}

#[derive(Debug)]
struct Lease {
    scope: SessionScope,
    ttl: Duration,
    ends: Instant,
}

type Table = Arc<Mutex<BTreeMap<String, Lease>>>;

impl Leases {
    pub(super) async fn register(
        &self,
        client: &Client,
        path: &str,
        ttl: Duration,
    ) -> Result<(), Error> {
        let scope = SessionScope::of(client);
        create(&scope, path).await?;
        let lease = Lease { scope: scope.clone(), ttl, ends: now() + ttl };
        self.table.lock().insert(path.to_owned(), lease);
        let table = Arc::clone(&self.table);
        spawn(expire(table, scope, path.to_owned(), self.alive.subscribe()));
        Ok(())
    }

    pub(super) fn refresh(&self, client: &Client, path: &str) -> Result<(), Error> {
        let moment = now();
        let session = client.status().borrow().generation;
        let mut table = self.table.lock();
        match table.get_mut(path) {
            Some(lease) if lease.ends > moment && lease.scope.generation() == session => {
                lease.ends = moment + lease.ttl;
                Ok(())
            }
            Some(_) | None => Err(Error::Server(ErrorCode::NoNode)),
        }
    }

    pub(super) async fn release(&self, client: &Client, path: &str) -> Result<(), Error> {
        let lease = self.table.lock().remove(path);
        match lease {
            Some(lease) if lease.scope.generation() == client.status().borrow().generation => {
                lease.scope.ensure_deleted(path).await
            }
            Some(_) | None => Ok(()),
        }
    }
}

async fn create(scope: &SessionScope, path: &str) -> Result<(), Error> {
    let client = scope.client();
    loop {
        match scope.retry(|| client.create(path, b"", CreateMode::Ephemeral)).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_no_node() => {
                client.create_all(parent(path).unwrap_or("/")).await?;
            }
            Err(error) if error.is_node_exists() => {
                // Perhaps by this session itself: then it is registered anew.
                let stat = scope.retry(|| client.exists(path)).await?;
                let session = client.status().borrow().session;
                match stat {
                    Some(stat) if stat.ephemeral_owner == session => return Ok(()),
                    Some(_) => return Err(error),
                    None => {}
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Ends a lease that was not refreshed.
async fn expire(table: Table, scope: SessionScope, path: String, mut alive: watch::Receiver<()>) {
    loop {
        let Some(ends) = table.lock().get(&path).map(|lease| lease.ends) else { return };
        tokio::select! {
            () = sleep_until(ends) => {}
            // Nothing is ever sent: the store is gone.
            _ = alive.changed() => break,
            () = scope.lost() => {
                table.lock().remove(&path);
                return;
            }
        }
        let mut table = table.lock();
        if table.get(&path).is_some_and(|lease| lease.ends <= now()) {
            table.remove(&path);
            break;
        }
    }
    // An error means that the session is over, and the lease with it.
    drop(scope.ensure_deleted(&path).await);
}
