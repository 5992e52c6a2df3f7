//! Several reads in one request.

use bytes::Bytes;
use jute_proto::{
    GetChildrenRequest, GetDataRequest, MultiReadOp, MultiReadRequest, MultiResponse, OpCode,
    OpResult, Stat,
};

use crate::error::Error;
use crate::session::Reply;

use super::call::{Call, DecodeContext, record};
use super::handle::Client;

/// Several reads in the making, see [`Client::multi_read`].
#[derive(Debug)]
#[must_use = "reads do nothing until they are committed"]
pub struct MultiRead<'a> {
    client: &'a Client,
    ops: Result<Vec<MultiReadOp<'a>>, Error>,
}

/// The outcome of one read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadResult {
    /// Of [`MultiRead::get`].
    Data(Bytes, Stat),
    /// Of [`MultiRead::list`]: the names of the children.
    Children(Vec<String>),
    /// This read failed; the others did not.
    Failed(Error),
}

impl Client {
    /// Begins a request of several reads, all answered from the same state of the tree.
    pub fn multi_read(&self) -> MultiRead<'_> {
        MultiRead { client: self, ops: Ok(Vec::new()) }
    }
}

impl<'a> MultiRead<'a> {
    /// Reads the data and metadata of a znode.
    pub fn get(self, path: &'a str) -> Self {
        let path = self.client.chroot.to_server(path);
        self.add(path.map(|path| MultiReadOp::GetData(GetDataRequest { path, watch: false })))
    }

    /// Lists the children of a znode.
    pub fn list(self, path: &'a str) -> Self {
        let path = self.client.chroot.to_server(path);
        self.add(
            path.map(|path| MultiReadOp::GetChildren(GetChildrenRequest { path, watch: false })),
        )
    }

    fn add(mut self, op: Result<MultiReadOp<'a>, Error>) -> Self {
        match (&mut self.ops, op) {
            (Ok(ops), Ok(op)) => ops.push(op),
            (Ok(_), Err(error)) => self.ops = Err(error),
            (Err(_), _) => {}
        }
        self
    }

    /// Sends the reads. The outcome has one result for each, in order.
    ///
    /// # Errors
    ///
    /// With the code `Unimplemented` before ZooKeeper 3.6. A read that fails is one of the results.
    pub fn commit(self) -> Call<Vec<ReadResult>> {
        let request = self.ops.map(|ops| MultiReadRequest { ops });
        Call::send(self.client, OpCode::MultiRead, request, results)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of a decoder")]
fn results(reply: Reply, _: &mut DecodeContext) -> Result<Vec<ReadResult>, Error> {
    let response: MultiResponse<'_> = record(&reply)?;
    Ok(response.results.into_iter().filter_map(result_of).collect())
}

fn result_of(result: OpResult<'_>) -> Option<ReadResult> {
    Some(match result {
        OpResult::GetData(read) => {
            ReadResult::Data(Bytes::copy_from_slice(read.data.unwrap_or_default()), read.stat)
        }
        OpResult::GetChildren(list) => ReadResult::Children(
            list.children.into_iter().map(std::borrow::Cow::into_owned).collect(),
        ),
        OpResult::Error(code) => ReadResult::Failed(Error::from_code(code)),
        OpResult::Create(_)
        | OpResult::Create2(_)
        | OpResult::Delete
        | OpResult::SetData(_)
        | OpResult::Check => return None,
    })
}
