//! Reading everything below a znode.

use std::collections::BTreeMap;

use bytes::Bytes;
use jute_proto::Stat;

use crate::client::Call;
use crate::error::Error;
use crate::path::child;

use super::session_scope::SessionScope;

/// How many requests are under way at a time.
const IN_FLIGHT_MAX: usize = 256;

/// Znodes by path: what they hold, and their metadata.
pub(crate) type Nodes = BTreeMap<String, (Bytes, Stat)>;

/// Reads the znode `root` and all below it, level by level. What is gone by the time it is read, or
/// may not be read, is left out.
pub(crate) async fn read_subtree(scope: &SessionScope, root: &str) -> Result<Nodes, Error> {
    let client = scope.client();
    let mut nodes = Nodes::new();
    let mut level = vec![root.to_owned()];
    while !level.is_empty() {
        let read = ask_all(scope, &level, |path| client.get(path)).await?;
        let mut parents = Vec::new();
        for (path, found) in level.into_iter().zip(read) {
            if let Some((data, stat)) = found {
                if stat.num_children > 0 {
                    parents.push(path.clone());
                }
                nodes.insert(path, (data, stat));
            }
        }
        let lists = ask_all(scope, &parents, |path| client.list(path)).await?;
        level = Vec::new();
        for (parent, found) in parents.iter().zip(lists) {
            let names = found.map(|(names, _)| names).unwrap_or_default();
            level.extend(names.iter().map(|name| child(parent, name)));
        }
    }
    Ok(nodes)
}

/// Asks the same of many znodes, some at a time.
pub(super) async fn ask_all<T>(
    scope: &SessionScope,
    paths: &[String],
    ask: impl Fn(&str) -> Call<T>,
) -> Result<Vec<Option<T>>, Error> {
    let mut answers = Vec::with_capacity(paths.len());
    for batch in paths.chunks(IN_FLIGHT_MAX) {
        let calls: Vec<Call<T>> = batch.iter().map(|path| ask(path)).collect();
        for (path, call) in batch.iter().zip(calls) {
            let outcome = match call.await {
                Err(error) if error.is_interruption() => scope.retry(|| ask(path)).await,
                outcome => outcome,
            };
            answers.push(match outcome {
                Ok(answer) => Some(answer),
                Err(error) if error.is_no_node() || error.is_no_auth() => None,
                Err(error) => return Err(error),
            });
        }
    }
    Ok(answers)
}
