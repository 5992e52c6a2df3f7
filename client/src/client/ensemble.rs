//! Calls that concern the server, the session and the ensemble rather than one znode.

use bytes::Bytes;
use jute_proto::{
    GetDataRequest, GetDataResponse, GetEphemeralsRequest, GetEphemeralsResponse, OpCode,
    ReconfigRequest, ReconfigResponse, Stat, SyncRequest, WhoAmIResponse, Zxid,
};

use crate::error::Error;

use super::call::{Call, check, record};
use super::handle::Client;

/// The znode in which servers keep the members of their ensemble.
const CONFIG: &str = "/zookeeper/config";

/// The identity that the server gives the connection, in one scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The authentication scheme.
    pub scheme: String,
    /// The user within it.
    pub user: String,
}

/// A request without a record.
struct Empty;

impl jute_proto::Encode for Empty {
    fn encode(&self, _: &mut bytes::BytesMut) {}
}

impl Client {
    /// Lets the server catch up with the leader: reads called after this see everything that was
    /// acknowledged to anyone before it. `path` may be any.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    pub fn sync(&self, path: &str) -> Call<()> {
        let request = self.chroot.to_server(path).map(|path| SyncRequest { path });
        Call::send(self, OpCode::Sync, request, |reply, _| check(&reply))
    }

    /// The ephemeral znodes of the session whose paths begin with `prefix`, as text: `/a` also
    /// finds `/ab`.
    ///
    /// # Errors
    ///
    /// With the code `Unimplemented` before ZooKeeper 3.6.
    pub fn ephemerals(&self, prefix: &str) -> Call<Vec<String>> {
        let prefix = self.chroot.to_server(prefix);
        let request = prefix.map(|prefix| GetEphemeralsRequest { prefix: Some(prefix) });
        Call::send(self, OpCode::GetEphemerals, request, |reply, context| {
            let response: GetEphemeralsResponse<'_> = record(&reply)?;
            let visible = |path: &str| context.chroot.to_caller(path).to_owned();
            Ok(response.ephemerals.iter().map(|path| visible(path)).collect())
        })
    }

    /// The identities that the server gives this connection.
    ///
    /// # Errors
    ///
    /// With the code `Unimplemented` before ZooKeeper 3.7.
    pub fn who_am_i(&self) -> Call<Vec<Identity>> {
        Call::send(self, OpCode::WhoAmI, Ok(Empty), |reply, _| {
            let response: WhoAmIResponse<'_> = record(&reply)?;
            Ok(response
                .clients
                .into_iter()
                .map(|info| Identity {
                    scheme: info.auth_scheme.into_owned(),
                    user: info.user.into_owned(),
                })
                .collect())
        })
    }

    /// The members of the ensemble: the text of `/zookeeper/config`, whatever the client's root.
    ///
    /// # Errors
    ///
    /// With the code `NoAuth`.
    pub fn config(&self) -> Call<(Bytes, Stat)> {
        let request = GetDataRequest { path: CONFIG.into(), watch: false };
        Call::send(self, OpCode::GetData, Ok(request), |reply, _| {
            let response: GetDataResponse<'_> = record(&reply)?;
            Ok((Bytes::copy_from_slice(response.data.unwrap_or_default()), response.stat))
        })
    }

    /// Changes the members of the ensemble: those in `joining` (`server.N=…`, separated by commas)
    /// are added or changed, those in `leaving` (ids, separated by commas) removed. With `version`
    /// only where the present configuration has that version. Returns the new configuration.
    ///
    /// # Errors
    ///
    /// With the codes `ReconfigDisabled`, `NoAuth`, `BadVersion`, `NewConfigNoQuorum`,
    /// `ReconfigInProgress` and `BadArguments`.
    pub fn reconfig(
        &self,
        joining: Option<&str>,
        leaving: Option<&str>,
        version: Option<Zxid>,
    ) -> Call<(Bytes, Stat)> {
        self.send_reconfig(ReconfigRequest {
            joining_servers: joining.map(Into::into),
            leaving_servers: leaving.map(Into::into),
            new_members: None,
            current_config_id: version.unwrap_or(Zxid(-1)),
        })
    }

    /// Replaces the members of the ensemble by `members`, one `server.N=…` a line or separated by
    /// commas; otherwise as [`reconfig`](Self::reconfig).
    ///
    /// # Errors
    ///
    /// As [`reconfig`](Self::reconfig).
    pub fn reconfig_members(&self, members: &str, version: Option<Zxid>) -> Call<(Bytes, Stat)> {
        self.send_reconfig(ReconfigRequest {
            joining_servers: None,
            leaving_servers: None,
            new_members: Some(members.into()),
            current_config_id: version.unwrap_or(Zxid(-1)),
        })
    }

    fn send_reconfig(&self, request: ReconfigRequest<'_>) -> Call<(Bytes, Stat)> {
        Call::send(self, OpCode::Reconfig, Ok::<_, Error>(request), |reply, _| {
            let response: ReconfigResponse<'_> = record(&reply)?;
            Ok((Bytes::copy_from_slice(response.data.unwrap_or_default()), response.stat))
        })
    }
}
