//! Listing and counting children.

use jute_proto::{
    GetAllChildrenNumberRequest, GetAllChildrenNumberResponse, GetChildren2Response,
    GetChildrenRequest, OpCode, Stat,
};

use crate::error::Error;
use crate::session::{Reply, WatchKind};

use super::call::{Call, DecodeContext, record};
use super::handle::Client;
use super::watch::{Watch, take_watch};

impl Client {
    /// The names of the children of a znode, in no particular order, and its metadata.
    ///
    /// # Errors
    ///
    /// With the codes `NoNode` and `NoAuth`.
    pub fn list(&self, path: &str) -> Call<(Vec<String>, Stat)> {
        Call::send(self, OpCode::GetChildren2, self.list_request(path, false), names)
    }

    /// As [`list`](Self::list), and the next time that a child is created or deleted, or the end of
    /// the znode.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list); there is no watch then.
    pub fn list_and_watch(&self, path: &str) -> Call<(Vec<String>, Stat, Watch)> {
        let request = self.list_request(path, true);
        let watched = (path, WatchKind::Child);
        Call::send_watching(self, OpCode::GetChildren2, request, watched, |reply, context| {
            let (children, stat) = names(reply, context)?;
            Ok((children, stat, Watch::new(take_watch(context)?, &context.chroot)))
        })
    }

    fn list_request<'a>(
        &self,
        path: &'a str,
        watch: bool,
    ) -> Result<GetChildrenRequest<'a>, Error> {
        Ok(GetChildrenRequest { path: self.chroot.to_server(path)?, watch })
    }

    /// How many znodes there are below one, at any depth.
    ///
    /// # Errors
    ///
    /// With the codes `NoNode` and `NoAuth`; `Unimplemented` before ZooKeeper 3.6.
    pub fn count_descendants(&self, path: &str) -> Call<u32> {
        let path = self.chroot.to_server(path);
        let request = path.map(|path| GetAllChildrenNumberRequest { path });
        Call::send(self, OpCode::GetAllChildrenNumber, request, |reply, _| {
            let response: GetAllChildrenNumberResponse = record(&reply)?;
            Ok(u32::try_from(response.total_number).unwrap_or_default())
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of a decoder")]
fn names(reply: Reply, _: &mut DecodeContext) -> Result<(Vec<String>, Stat), Error> {
    let response: GetChildren2Response<'_> = record(&reply)?;
    let children = response.children.into_iter().map(std::borrow::Cow::into_owned).collect();
    Ok((children, response.stat))
}
