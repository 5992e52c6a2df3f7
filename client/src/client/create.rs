//! Creating znodes.

use std::time::Duration;

use jute_proto::{
    Acl, Create2Response, CreateMode, CreateRequest, CreateTtlRequest, Encode, OpCode, Stat,
};

use crate::error::Error;
use crate::path::Chroot;
use crate::session::Reply;

use super::call::{Call, DecodeContext, record};
use super::handle::Client;

/// The kind of znode to create, and its access control list.
///
/// A [`CreateMode`] alone stands for a znode that is open to everyone.
///
/// ```
/// use std::time::Duration;
/// use grovekeeper_client::{Acl, CreateMode, CreateOptions};
///
/// let guarded = CreateOptions::new(CreateMode::Ephemeral).acl(Acl::creator_all());
/// let brief = CreateOptions::with_ttl(Duration::from_secs(60));
/// # let _ = (guarded, brief);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateOptions {
    mode: CreateMode,
    acl: Vec<Acl>,
    ttl: Option<Duration>,
}

impl CreateOptions {
    /// A znode of the kind `mode` that is open to everyone.
    #[must_use]
    pub fn new(mode: CreateMode) -> Self {
        Self { mode, acl: Acl::open(), ttl: None }
    }

    /// A persistent znode that the server deletes once it has had no children and no change of its
    /// data for so long. Servers offer this only where it is switched on
    /// (`extendedTypesEnabled`).
    #[must_use]
    pub fn with_ttl(ttl: Duration) -> Self {
        Self { ttl: Some(ttl), ..Self::new(CreateMode::PersistentWithTtl) }
    }

    /// Appends a number to the name, as [`with_ttl`](Self::with_ttl) otherwise.
    #[must_use]
    pub fn sequential_with_ttl(ttl: Duration) -> Self {
        Self { ttl: Some(ttl), ..Self::new(CreateMode::PersistentSequentialWithTtl) }
    }

    /// The access control list of the znode.
    #[must_use]
    pub fn acl(mut self, acl: Vec<Acl>) -> Self {
        self.acl = acl;
        self
    }

    /// The request: its operation and its record.
    pub(super) fn request<'a>(
        self,
        chroot: &Chroot,
        path: &'a str,
        data: &'a [u8],
    ) -> Result<CreateRecord<'a>, Error> {
        let Self { mode, acl, ttl } = self;
        if mode.is_ttl() != ttl.is_some() {
            return Err(Error::InvalidArgument("a TTL needs CreateOptions::with_ttl"));
        }
        let (path, data, acl) = (chroot.to_server(path)?, Some(data), Some(acl));
        Ok(match ttl {
            None => {
                CreateRecord::Plain(CreateRequest { path, data, acl, flags: mode.into() }, mode)
            }
            Some(ttl) => {
                let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
                CreateRecord::Ttl(CreateTtlRequest { path, data, acl, flags: mode.into(), ttl_ms })
            }
        })
    }
}

impl From<CreateMode> for CreateOptions {
    fn from(mode: CreateMode) -> Self {
        Self::new(mode)
    }
}

/// The record of a create, of which there are two kinds.
pub(super) enum CreateRecord<'a> {
    Plain(CreateRequest<'a>, CreateMode),
    Ttl(CreateTtlRequest<'a>),
}

impl CreateRecord<'_> {
    pub(super) fn op(&self) -> OpCode {
        match self {
            Self::Plain(_, CreateMode::Container) => OpCode::CreateContainer,
            Self::Plain(..) => OpCode::Create2,
            Self::Ttl(_) => OpCode::CreateTtl,
        }
    }
}

impl Encode for CreateRecord<'_> {
    fn encode(&self, out: &mut bytes::BytesMut) {
        match self {
            Self::Plain(create, _) => create.encode(out),
            Self::Ttl(create) => create.encode(out),
        }
    }
}

/// A znode that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Created {
    /// Its path, with the number of a sequential znode.
    pub path: String,
    /// Its metadata.
    pub stat: Stat,
}

impl Client {
    /// Creates the znode `path` with `data`.
    ///
    /// # Errors
    ///
    /// With the codes `NodeExists`; `NoNode` where the parent is missing; `NoAuth`; `InvalidAcl`;
    /// `NoChildrenForEphemerals`; `QuotaExceeded`; `Unimplemented` for a TTL where servers do not
    /// have it switched on.
    pub fn create(
        &self,
        path: &str,
        data: &[u8],
        options: impl Into<CreateOptions>,
    ) -> Call<Created> {
        let request = options.into().request(&self.chroot, path, data);
        match request {
            Ok(request) => Call::send(self, request.op(), Ok(request), created),
            Err(error) => Call::refused(self, error, created),
        }
    }

    /// Creates `path` and those of its parents that are missing, the client's root included: all
    /// persistent, open to everyone and without data. That some of them exist already is fine.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), except `NodeExists`.
    pub async fn create_all(&self, path: &str) -> Result<(), Error> {
        let path = self.chroot.to_server(path)?;
        let client = self.without_chroot();
        // All creates are on their way before the first is awaited.
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
        let calls: Vec<Call<Created>> = ends
            .filter_map(|end| path.get(..end).filter(|path| path.len() > 1))
            .map(|path| client.create(path, b"", CreateMode::Persistent))
            .collect();
        let mut outcome = Ok(());
        for call in calls {
            outcome = match call.await {
                Err(error) if error.is_node_exists() => Ok(()),
                other => other.map(drop),
            };
        }
        match outcome {
            // The server checks the right to create first, also where the znode exists already.
            Err(error) if error.is_no_auth() => client.exists(&path).await?.map(drop).ok_or(error),
            outcome => outcome,
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of a decoder")]
fn created(reply: Reply, context: &mut DecodeContext) -> Result<Created, Error> {
    let response: Create2Response<'_> = record(&reply)?;
    let path = context.chroot.to_caller(&response.path).to_owned();
    Ok(Created { path, stat: response.stat })
}
