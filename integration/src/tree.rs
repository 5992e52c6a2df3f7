//! What a server holds below a znode.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use jute_proto::{
    ErrorCode, GetChildrenRequest, GetChildrenResponse, GetDataRequest, GetDataResponse, OpCode,
    Reader, Stat,
};

use crate::RawClient;
use crate::raw::{Error, Result};

/// Requests that are under way at once.
const IN_FLIGHT: usize = 256;

/// Data and Stat of znodes, by path.
pub type Tree = BTreeMap<String, (Vec<u8>, Stat)>;

/// Reads everything from `root` down from the server at `addr`, after a sync; `left_out` and what
/// lies below it stay out.
///
/// # Errors
///
/// When the server cannot be reached or breaks off.
pub fn read(addr: SocketAddr, root: &str, left_out: &str) -> Result<Tree> {
    let mut client = RawClient::connect_for(addr, Duration::from_secs(10))?;
    client.sync(root)?;
    let mut tree = Tree::new();
    let mut level = vec![root.to_owned()];
    while !level.is_empty() {
        let mut next = Vec::new();
        for chunk in level.chunks(IN_FLIGHT) {
            next.extend(read_some(&mut client, chunk, &mut tree)?);
        }
        next.retain(|path| path != left_out);
        level = next;
    }
    client.close()?;
    Ok(tree)
}

/// Reads `paths` into `tree`; the paths of their children.
fn read_some(client: &mut RawClient, paths: &[String], tree: &mut Tree) -> Result<Vec<String>> {
    let mut sent = Vec::new();
    for path in paths {
        let get = GetDataRequest { path: path.into(), watch: false };
        let list = GetChildrenRequest { path: path.into(), watch: false };
        sent.push((client.send(OpCode::GetData, &get)?, client.send(OpCode::GetChildren, &list)?));
    }
    let mut children = Vec::new();
    for (path, (get, list)) in paths.iter().zip(sent) {
        let (data, names) = (client.receive(get)?, client.receive(list)?);
        match data.ok().and(names.ok()) {
            // It went between two reads.
            Err(Error::Code(ErrorCode::NoNode)) => continue,
            other => other?,
        }
        let data: GetDataResponse<'_> = Reader::new(&data.body).record()?;
        let names: GetChildrenResponse<'_> = Reader::new(&names.body).record()?;
        tree.insert(path.clone(), (data.data.unwrap_or_default().to_owned(), data.stat));
        let parent = path.trim_end_matches('/');
        children.extend(names.children.iter().map(|name| format!("{parent}/{name}")));
    }
    Ok(children)
}

/// The first differences between two trees, one a line.
#[must_use]
pub fn differences(one: &Tree, other: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, (data, stat)) in one {
        match other.get(path) {
            None => found.push(format!("{path} is on the first only")),
            Some((others, other_stat)) if data != others || stat != other_stat => {
                found.push(format!("{path}: {stat:?} and {other_stat:?}"));
            }
            Some(_) => {}
        }
    }
    let missing = other.keys().filter(|path| !one.contains_key(*path));
    found.extend(missing.map(|path| format!("{path} is on the second only")));
    found.truncate(5);
    found
}
