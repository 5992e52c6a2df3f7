//! Reading a subtree from a server that answers for one znode at a time.

use bytes::Bytes;
use jute_proto::{ErrorCode, GetDataRequest, GetDataResponse, OpCode, Stat, Zxid};

use crate::error::Error;
use crate::path::child;

use super::call::{Call, record};
use super::handle::Client;
use super::subtree::{Chunk, SubtreeNode};

/// How many znodes are read at a time. Those that were read before it is their turn are kept: no
/// more than these for each level of the subtree.
const IN_FLIGHT_MAX: usize = 64;

/// The steps to come, the next at the end.
#[derive(Debug)]
pub(super) struct SubtreeWalk(Vec<Step>);

#[derive(Debug)]
enum Step {
    /// To be read.
    Read(String),
    /// Has been read, and what is below it lies above it.
    Tell(SubtreeNode),
}

/// The data and metadata of a znode, `None` if the client may not read it, and the state that
/// shows it.
type Found = (Option<(Bytes, Stat)>, Zxid);

impl SubtreeWalk {
    /// A walk that begins at the top, or behind a path below it.
    pub(super) async fn behind(
        client: &Client,
        top: &str,
        last: Option<&str>,
    ) -> Result<Self, Error> {
        let Some(last) = last else { return Ok(Self(vec![Step::Read(top.to_owned())])) };
        let mut steps = Vec::new();
        let mut at = top.to_owned();
        let rest = last.strip_prefix(top).unwrap_or_default();
        for name in rest.split('/').filter(|name| !name.is_empty()) {
            let names = names(client, &at).await?;
            let later = names.iter().rev().take_while(|other| other.as_str() > name);
            steps.extend(later.map(|name| Step::Read(child(&at, name))));
            at = child(&at, name);
        }
        let names = names(client, &at).await?;
        steps.extend(names.iter().rev().map(|name| Step::Read(child(&at, name))));
        Ok(Self(steps))
    }

    /// Reads on. What was to come is still to come where it fails.
    pub(super) async fn step(&mut self, client: &Client, top: &str) -> Result<Chunk, Error> {
        let run = self.0.iter().rev().take_while(|step| matches!(step, Step::Read(_)));
        let paths: Vec<String> =
            run.take(IN_FLIGHT_MAX).map(|step| step.path().to_owned()).collect();
        let found = read(client, &paths, top).await?;
        let mut lists = Vec::new();
        for (path, found) in paths.iter().zip(&found) {
            let has_children = matches!(found, Some((Some((_, stat)), _)) if stat.num_children > 0);
            lists.push(has_children.then(|| client.send_whole_list(path)));
        }
        let mut below = Vec::new();
        for list in lists {
            below.push(match list {
                Some(list) => tolerate(list.await)?.map(|(names, ..)| names).unwrap_or_default(),
                None => Vec::new(),
            });
        }
        self.0.truncate(self.0.len() - paths.len());
        for ((path, found), names) in paths.into_iter().zip(found).zip(below).rev() {
            let Some((content, zxid)) = found else { continue };
            self.0.extend(names.iter().rev().map(|name| Step::Read(child(&path, name))));
            self.0.push(Step::Tell(SubtreeNode { path, content, zxid }));
        }
        Ok(self.tell())
    }

    /// Takes what has been read and has its turn.
    fn tell(&mut self) -> Chunk {
        let mut nodes = Vec::new();
        while let Some(Step::Tell(node)) = self.0.pop_if(|step| matches!(step, Step::Tell(_))) {
            nodes.push(node);
        }
        (nodes, !self.0.is_empty())
    }
}

impl Step {
    fn path(&self) -> &str {
        match self {
            Self::Read(path) | Self::Tell(SubtreeNode { path, .. }) => path,
        }
    }
}

/// Reads the znodes; there is nothing of one that is gone.
async fn read(client: &Client, paths: &[String], top: &str) -> Result<Vec<Option<Found>>, Error> {
    let calls: Vec<_> = paths.iter().map(|path| client.get_at(path)).collect();
    let mut found = Vec::new();
    for (path, call) in paths.iter().zip(calls) {
        found.push(match call.await {
            Ok((None, _)) if path == top => return Err(Error::Server(ErrorCode::NoAuth)),
            Err(Error::Server(ErrorCode::NoNode)) if path != top => None,
            outcome => Some(outcome?),
        });
    }
    Ok(found)
}

/// The names of the children, none where the znode is gone or may not be read.
async fn names(client: &Client, path: &str) -> Result<Vec<String>, Error> {
    Ok(tolerate(client.send_whole_list(path).await)?.map(|(names, ..)| names).unwrap_or_default())
}

fn tolerate<T>(outcome: Result<T, Error>) -> Result<Option<T>, Error> {
    match outcome {
        Err(error) if matches!(error.code(), Some(ErrorCode::NoNode | ErrorCode::NoAuth)) => {
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}

impl Client {
    fn get_at(&self, path: &str) -> Call<Found> {
        let path = self.chroot.to_server(path);
        let request = path.map(|path| GetDataRequest { path, watch: false });
        Call::send(self, OpCode::GetData, request, |reply, _| {
            if reply.err == i32::from(ErrorCode::NoAuth) {
                return Ok((None, reply.zxid));
            }
            let read: GetDataResponse<'_> = record(&reply)?;
            let data = Bytes::copy_from_slice(read.data.unwrap_or_default());
            Ok((Some((data, read.stat)), reply.zxid))
        })
    }
}
