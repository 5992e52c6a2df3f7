//! What a `reconfig` asks for.

use std::time::Duration;

use jute_proto::{ErrorCode, OpCode, Reader, ReconfigRequest, ReconfigResponse, Xid, Zxid};

use crate::eventually::within;
use crate::raw::{RawClient, Reply, Result};

/// How long an answer may take that has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Other members of an ensemble, as the fields of a `reconfig`.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Lines `server.N` of those who join or change their role.
    pub joining: Option<String>,
    /// Numbers of those who leave.
    pub leaving: Option<String>,
    /// All members, instead of changes.
    pub members: Option<String>,
    /// The version of the configuration that is to be changed; any, where it is not said.
    pub version: Option<i64>,
}

impl Wish {
    /// These lines `server.N` join, or say another role.
    #[must_use]
    pub fn add(lines: &[String]) -> Self {
        Self { joining: Some(lines.join(",")), ..Self::default() }
    }

    /// These servers, counted from 0, leave.
    #[must_use]
    pub fn remove(servers: &[usize]) -> Self {
        let ids: Vec<String> = servers.iter().map(|server| (server + 1).to_string()).collect();
        Self { leaving: Some(ids.join(",")), ..Self::default() }
    }

    /// The new configuration, or the code of the refusal.
    ///
    /// # Errors
    ///
    /// The code; that of a lost connection where the request cannot be sent, and that of a system
    /// error for a code that nobody knows.
    ///
    /// # Panics
    ///
    /// When there is no answer at all.
    pub fn ask(&self, client: &mut RawClient) -> std::result::Result<String, ErrorCode> {
        let xid = self.send(client).map_err(|_| ErrorCode::ConnectionLoss)?;
        let reply = within(PATIENCE, "an answer to a reconfig", || client.receive(xid).ok());
        match ErrorCode::try_from(reply.header.err) {
            Ok(ErrorCode::Ok) => {
                Self::configuration(&reply).map_err(|_| ErrorCode::MarshallingError)
            }
            Ok(code) => Err(code),
            Err(_) => Err(ErrorCode::SystemError),
        }
    }

    /// Sends the request.
    ///
    /// # Errors
    ///
    /// The connection is of no use.
    pub fn send(&self, client: &mut RawClient) -> Result<Xid> {
        let request = ReconfigRequest {
            joining_servers: self.joining.as_deref().map(Into::into),
            leaving_servers: self.leaving.as_deref().map(Into::into),
            new_members: self.members.as_deref().map(Into::into),
            current_config_id: Zxid(self.version.unwrap_or(-1)),
        };
        client.send(OpCode::Reconfig, &request)
    }

    /// The text of the new configuration in an answer.
    ///
    /// # Errors
    ///
    /// The answer is a refusal.
    pub fn configuration(reply: &Reply) -> Result<String> {
        reply.ok()?;
        let response: ReconfigResponse<'_> = Reader::new(&reply.body).record()?;
        Ok(String::from_utf8_lossy(response.data.unwrap_or_default()).into_owned())
    }
}
