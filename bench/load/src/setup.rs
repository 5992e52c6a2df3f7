//! The nodes of a run: made before, removed after.

use std::sync::Arc;

use super::drive::{Window, drive};
use super::error::BenchError;
use super::link::Link;
use super::options::BenchOptions;
use super::script::Script;
use super::scripts::{BulkCreate, BulkDelete, ChildNames, Names, Paths, Value};
use super::window::PREPARATION_MAX;
use super::workload::Workload;

/// Transactions or requests in flight while nodes are made and removed.
const DEPTH: usize = 8;

/// The number of the first sibling: workloads count from 0 and do not come that far.
const SIBLINGS_FIRST: u64 = 10_000_000_000;

/// Makes the nodes that `workload` needs; those that are there already are kept.
pub(super) async fn prepare(
    options: &BenchOptions,
    names: &Names,
    workload: Workload,
) -> Result<(), BenchError> {
    let mut link = Link::open(options.server(0)).await?;
    let value = || Value::new(options.value_bytes);
    match workload {
        Workload::Get | Workload::Set | Workload::Exists | Workload::Mixed | Workload::Multi => {
            make_family(&mut link, &names.keys(), options.keys, value()).await?;
        }
        Workload::List => {
            make_family(&mut link, &names.listed(), options.children, Value::new(0)).await?;
        }
        Workload::Create | Workload::Delete | Workload::Ephemeral | Workload::Fill => {
            let own = |connection| names.own(workload, connection);
            let parents: Vec<_> = (0..options.connections).map(own).collect();
            make(&mut link, parents.clone(), &[]).await?;
            if matches!(workload, Workload::Create | Workload::Delete) && options.siblings > 0 {
                for parent in parents {
                    let range = SIBLINGS_FIRST..SIBLINGS_FIRST + options.siblings;
                    let what = || format!("make siblings below {parent}");
                    let mut script = BulkCreate::new(&parent, range, value());
                    all_right(&mut link, &mut script, what).await?;
                }
            }
        }
        Workload::Watch => make(&mut link, vec![names.watched()], value().of(0)).await?,
        Workload::Connect => {}
    }
    link.close().await
}

/// Makes the node above all others of the run.
pub(super) async fn make_root(options: &BenchOptions, names: &Names) -> Result<(), BenchError> {
    let mut link = Link::open(options.server(0)).await?;
    make(&mut link, vec![names.root().to_owned()], &[]).await?;
    link.close().await
}

/// Removes every node of the run.
pub(super) async fn remove(options: &BenchOptions, names: &Names) -> Result<(), BenchError> {
    let mut link = Link::open(options.server(0)).await?;
    let root = names.root();
    let parents = children(&mut link, root).await?;
    let parents: Vec<_> = parents.into_iter().map(|name| format!("{root}/{name}")).collect();
    for parent in &parents {
        let leaves = children(&mut link, parent).await?;
        let what = || format!("remove the nodes below {parent}");
        all_right(&mut link, &mut BulkDelete::new(parent, leaves), what).await?;
    }
    let what = || format!("remove the nodes below {root}");
    all_right(&mut link, &mut Paths::delete(parents), what).await?;
    let what = || format!("remove {root}");
    all_right(&mut link, &mut Paths::delete(vec![root.to_owned()]), what).await?;
    link.close().await
}

/// Makes a node and its numbered children, unless the node is there.
async fn make_family(
    link: &mut Link,
    parent: &str,
    count: u64,
    value: Value,
) -> Result<(), BenchError> {
    if !children(link, parent).await.unwrap_or_default().is_empty() {
        return Ok(());
    }
    make(link, vec![parent.to_owned()], &[]).await?;
    let what = || format!("make the nodes below {parent}");
    all_right(link, &mut BulkCreate::new(parent, 0..count, value), what).await
}

async fn make(link: &mut Link, paths: Vec<String>, data: &[u8]) -> Result<(), BenchError> {
    let what = format!("make {}", paths.first().map_or("nodes", String::as_str));
    all_right(link, &mut Paths::create(paths, data), || what).await
}

async fn children(link: &mut Link, path: &str) -> Result<Vec<String>, BenchError> {
    let mut script = ChildNames::of(path);
    all_right(link, &mut script, || format!("list {path}")).await?;
    Ok(script.names)
}

/// Runs a script to its end; one wrong reply is a failure.
async fn all_right(
    link: &mut Link,
    script: &mut dyn Script,
    what: impl FnOnce() -> String,
) -> Result<(), BenchError> {
    let window = Window::open(PREPARATION_MAX, &Arc::default());
    let tally = drive(link, script, DEPTH, &window).await?;
    match tally.first_wrong() {
        None => Ok(()),
        Some(wrong) => Err(BenchError::Nodes { what: what(), problem: wrong.to_string() }),
    }
}
