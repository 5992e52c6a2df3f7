//! Transactions: several writes that succeed or fail together.

use jute_proto::{
    CheckRequest, DeleteRequest, ErrorCode, MultiOp, MultiRequest, MultiResponse, OpCode, OpResult,
    SetDataRequest, Stat,
};

use crate::error::Error;
use crate::session::Reply;

use super::call::{Call, DecodeContext, record};
use super::create::{CreateOptions, CreateRecord};
use super::data::Version;
use super::handle::Client;

/// A transaction in the making, see [`Client::multi`].
#[derive(Debug)]
#[must_use = "a transaction does nothing until it is committed"]
pub struct Multi<'a> {
    client: &'a Client,
    ops: Result<Vec<MultiOp<'a>>, Error>,
}

/// The outcome of one operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultiResult {
    /// Of [`Multi::create`].
    Created {
        /// The path, with the number of a sequential znode.
        path: String,
        /// The metadata; some older servers leave it out.
        stat: Option<Stat>,
    },
    /// Of [`Multi::set`]: the metadata afterwards.
    Set(Stat),
    /// Of [`Multi::delete`].
    Deleted,
    /// Of [`Multi::check`].
    Checked,
}

impl Client {
    /// Begins a transaction: its operations are done in order, all of them or none.
    ///
    /// ```no_run
    /// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
    /// use grovekeeper_client::CreateMode;
    ///
    /// client
    ///     .multi()
    ///     .check("/leader", 3)
    ///     .create("/tasks/7", b"todo", CreateMode::Persistent)
    ///     .delete("/inbox/7", None)
    ///     .commit()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn multi(&self) -> Multi<'_> {
        Multi { client: self, ops: Ok(Vec::new()) }
    }
}

impl<'a> Multi<'a> {
    /// Creates a znode.
    pub fn create(self, path: &'a str, data: &'a [u8], options: impl Into<CreateOptions>) -> Self {
        let record = options.into().request(&self.client.chroot, path, data);
        self.add(record.map(|record| match (record.op(), record) {
            (OpCode::CreateContainer, CreateRecord::Plain(create, _)) => {
                MultiOp::CreateContainer(create)
            }
            (_, CreateRecord::Plain(create, _)) => MultiOp::Create2(create),
            (_, CreateRecord::Ttl(create)) => MultiOp::CreateTtl(create),
        }))
    }

    /// Replaces the data of a znode that has the given version.
    pub fn set(self, path: &'a str, data: &'a [u8], version: impl Into<Version>) -> Self {
        let version = version.into().number();
        let path = self.client.chroot.to_server(path);
        self.add(
            path.map(|path| MultiOp::SetData(SetDataRequest { path, data: Some(data), version })),
        )
    }

    /// Deletes a znode that has the given version.
    pub fn delete(self, path: &'a str, version: impl Into<Version>) -> Self {
        let version = version.into().number();
        let path = self.client.chroot.to_server(path);
        self.add(path.map(|path| MultiOp::Delete(DeleteRequest { path, version })))
    }

    /// Fails the transaction unless the znode exists with the given version.
    pub fn check(self, path: &'a str, version: impl Into<Version>) -> Self {
        let version = version.into().number();
        let path = self.client.chroot.to_server(path);
        self.add(path.map(|path| MultiOp::Check(CheckRequest { path, version })))
    }

    fn add(mut self, op: Result<MultiOp<'a>, Error>) -> Self {
        match (&mut self.ops, op) {
            (Ok(ops), Ok(op)) => ops.push(op),
            (Ok(_), Err(error)) => self.ops = Err(error),
            (Err(_), _) => {}
        }
        self
    }

    /// Sends the transaction. Its outcome has one result for each operation, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Multi`] names the operation because of which nothing was done.
    pub fn commit(self) -> Call<Vec<MultiResult>> {
        let request = self.ops.map(|ops| MultiRequest { ops });
        Call::send(self.client, OpCode::Multi, request, results)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of a decoder")]
fn results(reply: Reply, context: &mut DecodeContext) -> Result<Vec<MultiResult>, Error> {
    let response: MultiResponse<'_> = record(&reply)?;
    // Operations before the one that failed have the code 0, those behind it another one.
    let failed = response.results.iter().enumerate().find_map(|(index, result)| {
        if let OpResult::Error(code) = result { Some((index, *code)) } else { None }
            .filter(|(_, code)| *code != 0)
    });
    if let Some((index, code)) = failed {
        return Err(match ErrorCode::try_from(code) {
            Ok(code) => Error::Multi { index, code },
            Err(_) => Error::UnknownCode(code),
        });
    }
    Ok(response.results.into_iter().filter_map(|result| result_of(result, context)).collect())
}

fn result_of(result: OpResult<'_>, context: &DecodeContext) -> Option<MultiResult> {
    let visible = |path: &str| context.chroot.to_caller(path).to_owned();
    Some(match result {
        OpResult::Create(created) => {
            MultiResult::Created { path: visible(&created.path), stat: None }
        }
        OpResult::Create2(created) => {
            MultiResult::Created { path: visible(&created.path), stat: Some(created.stat) }
        }
        OpResult::SetData(stat) => MultiResult::Set(stat),
        OpResult::Delete => MultiResult::Deleted,
        OpResult::Check => MultiResult::Checked,
        OpResult::GetChildren(_) | OpResult::GetData(_) | OpResult::Error(_) => return None,
    })
}
