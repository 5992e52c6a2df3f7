//! Reading, writing, deleting and looking.

use bytes::Bytes;
use jute_proto::{
    DeleteRequest, ErrorCode, ExistsRequest, ExistsResponse, GetDataRequest, GetDataResponse,
    OpCode, SetDataRequest, SetDataResponse, Stat,
};

use crate::error::Error;
use crate::session::{Reply, WatchKind};

use super::call::{Call, DecodeContext, record, without_record};
use super::handle::Client;
use super::watch::{Watch, take_watch};

/// The version that a znode must have for a change to be made.
///
/// A plain number, as found in a [`Stat`], converts into it, and so does `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Whichever it has.
    #[default]
    Any,
    /// This one.
    Is(i32),
}

impl Version {
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Any => -1,
            Self::Is(version) => version,
        }
    }
}

impl From<i32> for Version {
    fn from(version: i32) -> Self {
        Self::Is(version)
    }
}

impl From<Option<i32>> for Version {
    fn from(version: Option<i32>) -> Self {
        version.map_or(Self::Any, Self::Is)
    }
}

impl Client {
    /// Reads the data and metadata of a znode. Data that is null reads as empty.
    ///
    /// # Errors
    ///
    /// With the codes `NoNode` and `NoAuth`.
    pub fn get(&self, path: &str) -> Call<(Bytes, Stat)> {
        Call::send(self, OpCode::GetData, self.get_request(path, false), data)
    }

    /// Reads the data and metadata of a znode and waits for the next change of its data, or its
    /// end.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); there is no watch then.
    pub fn get_and_watch(&self, path: &str) -> Call<(Bytes, Stat, Watch)> {
        let request = self.get_request(path, true);
        Call::send_watching(
            self,
            OpCode::GetData,
            request,
            (path, WatchKind::Data),
            |reply, context| {
                let (bytes, stat) = data(reply, context)?;
                Ok((bytes, stat, Watch::new(take_watch(context)?, &context.chroot)))
            },
        )
    }

    fn get_request<'a>(&self, path: &'a str, watch: bool) -> Result<GetDataRequest<'a>, Error> {
        Ok(GetDataRequest { path: self.chroot.to_server(path)?, watch })
    }

    /// Replaces the data of a znode that has the given version.
    ///
    /// # Errors
    ///
    /// With the codes `NoNode`, `NoAuth`, `BadVersion` and `QuotaExceeded`.
    pub fn set(&self, path: &str, data: &[u8], version: impl Into<Version>) -> Call<Stat> {
        let version = version.into().number();
        let path = self.chroot.to_server(path);
        let request = path.map(|path| SetDataRequest { path, data: Some(data), version });
        Call::send(self, OpCode::SetData, request, |reply, _| {
            record::<SetDataResponse>(&reply).map(|response| response.stat)
        })
    }

    /// Deletes a znode that has the given version and no children.
    ///
    /// # Errors
    ///
    /// With the codes `NoNode`, `NoAuth`, `BadVersion` and `NotEmpty`.
    pub fn delete(&self, path: &str, version: impl Into<Version>) -> Call<()> {
        let version = version.into().number();
        let path = self.chroot.to_server(path);
        Call::send(
            self,
            OpCode::Delete,
            path.map(|path| DeleteRequest { path, version }),
            without_record,
        )
    }

    /// The metadata of a znode, or `None` where there is no such znode.
    ///
    /// # Errors
    ///
    /// With the code `NoAuth`.
    pub fn exists(&self, path: &str) -> Call<Option<Stat>> {
        Call::send(self, OpCode::Exists, self.exists_request(path, false), found)
    }

    /// The metadata of a znode, or `None`, and the next change: its creation where there is none,
    /// else a change of its data, or its end.
    ///
    /// # Errors
    ///
    /// As [`exists`](Self::exists); there is no watch then.
    pub fn exists_and_watch(&self, path: &str) -> Call<(Option<Stat>, Watch)> {
        let request = self.exists_request(path, true);
        Call::send_watching(
            self,
            OpCode::Exists,
            request,
            (path, WatchKind::Exist),
            |reply, context| {
                let stat = found(reply, context)?;
                Ok((stat, Watch::new(take_watch(context)?, &context.chroot)))
            },
        )
    }

    fn exists_request<'a>(&self, path: &'a str, watch: bool) -> Result<ExistsRequest<'a>, Error> {
        Ok(ExistsRequest { path: self.chroot.to_server(path)?, watch })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of a decoder")]
fn data(reply: Reply, _: &mut DecodeContext) -> Result<(Bytes, Stat), Error> {
    let response: GetDataResponse<'_> = record(&reply)?;
    // A copy, so that a small value that is kept does not keep a large buffer.
    Ok((Bytes::copy_from_slice(response.data.unwrap_or_default()), response.stat))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of a decoder")]
fn found(reply: Reply, _: &mut DecodeContext) -> Result<Option<Stat>, Error> {
    if reply.err == i32::from(ErrorCode::NoNode) {
        return Ok(None);
    }
    record::<ExistsResponse>(&reply).map(|response| Some(response.stat))
}
