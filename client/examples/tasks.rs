//! A small cluster that leans on a consistent core: servers register under `/servers`, one of them
//! leads and hands out the `/tasks`.
//!
//! Run it several times beside each other:
//!
//! ```text
//! cargo run --example tasks -- 127.0.0.1:2181 server-1
//! cargo run --example tasks -- 127.0.0.1:2181 server-2
//! ```
//!
//! Add a task with any client, for example `create /tasks/7 todo` in zkCli.sh. When a server is
//! killed its tasks go to others, and so does the leadership.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::collections::BTreeMap;

use grovekeeper_client::recipes::Election;
use grovekeeper_client::store::{Store, StoreEvent};
use grovekeeper_client::{Bytes, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let hosts = arguments.next().unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let name = arguments.next().unwrap_or_else(|| format!("server-{}", std::process::id()));

    let store = Store::connect(&hosts).await?;
    let me = store.keep_lease(&format!("/servers/{name}"), name.clone());
    me.ready().await?;
    println!("{name} is registered");

    let mine = work(store.clone(), name.clone());
    let leading = lead(store, name);
    tokio::select! {
        outcome = mine => outcome,
        outcome = leading => outcome,
    }
}

/// Does what is assigned to this server.
async fn work(store: Store, name: String) -> Result<(), Error> {
    let mut assigned = store.watch("/assigned");
    while let Some(event) = assigned.next().await {
        if let StoreEvent::Put { key, value } = event
            && value == name.as_bytes()
        {
            println!("{name} works on {key}");
        }
    }
    Ok(())
}

/// Campaigns, and hands out tasks for as long as it leads.
async fn lead(store: Store, name: String) -> Result<(), Error> {
    let election = Election::new(store.client(), "/leader").id(name.clone());
    loop {
        let outcome = election
            .lead(|term| {
                println!("{name} leads, with the number {term}");
                hand_out(store.clone())
            })
            .await;
        match outcome {
            Ok(outcome) => return outcome,
            // Another leads; campaign again with the next session.
            Err(Error::SessionLost { .. }) => println!("{name} leads no longer"),
            Err(error) => return Err(error),
        }
    }
}

/// Gives each task to the server with the fewest, and again when its server is gone.
async fn hand_out(store: Store) -> Result<(), Error> {
    let mut servers = store.watch("/servers");
    let mut tasks = store.watch("/tasks");
    loop {
        tokio::select! {
            event = servers.next() => if event.is_none() { return Ok(()) },
            event = tasks.next() => if event.is_none() { return Ok(()) },
        }
        assign(&store).await?;
    }
}

async fn assign(store: &Store) -> Result<(), Error> {
    let mut load: BTreeMap<Bytes, usize> =
        store.get("/servers").await?.into_iter().map(|server| (server, 0)).collect();
    let mut open = Vec::new();
    for (task, _) in store.entries("/tasks").await? {
        let key = task.replacen("/tasks", "/assigned", 1);
        let holder = store.value(&key).await?;
        match holder.as_ref().and_then(|holder| load.get_mut(holder)) {
            Some(count) => *count += 1,
            None => open.push((key, holder)),
        }
    }
    for (key, holder) in open {
        let Some((server, count)) = load.iter_mut().min_by_key(|(_, count)| **count) else { break };
        // Only if nobody has assigned it in the meantime: an old leader that has not noticed.
        if store.compare_and_put(&key, holder.as_deref(), server).await? {
            *count += 1;
        }
    }
    Ok(())
}
