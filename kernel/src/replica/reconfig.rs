//! Who belongs to the ensemble, and how that changes.
//!
//! A change takes two commands. The client's request is judged when it is applied, and what it asks
//! for is kept as pending; the leader then sees to it that the consensus gets those members, and says
//! so with a command of its own, which puts the new configuration in force and brings the outcome of
//! the request. In between any server can become the leader and go on.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::string::ToString;

use jute_proto::{Id, Perms, ReconfigRequest, SessionId, Zxid};
use serde::{Deserialize, Serialize};

use super::entry::{EntryError, Origin};
use super::outcome::{EventSink, Outcome};
use super::replica::{Applied, Replica, Stamp};
use crate::ensemble::{
    Configuration, MembershipChange, MembershipChangeError, ServerId, ServerSpec,
    UnreadableConfiguration,
};
use crate::tree::{OpError, Policy, TxnResult, WriteOp, path};

/// Who belongs to the ensemble.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The configuration in force. `None` for a server on its own, and while an ensemble is formed.
    pub current: Option<Configuration>,
    /// The one that is to follow it.
    pub pending: Option<Pending>,
}

/// A change that a client asked for and that is not in force yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The servers that are asked for.
    pub servers: BTreeMap<u64, ServerSpec>,
    /// The zxid of the request.
    pub zxid: Zxid,
    /// Who waits for the outcome.
    pub origin: Origin,
}

/// [`Members`] as a checkpoint keeps them.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct StoredMembers {
    current: Option<String>,
    pending: Option<(String, Origin)>,
}

impl Members {
    /// Whether a server belongs to the ensemble, as far as is known.
    pub(super) fn has(&self, server: ServerId) -> bool {
        let current = self.current.as_ref();
        current.is_none_or(|current| current.servers.contains_key(&server.0))
    }

    pub(super) fn store(&self) -> StoredMembers {
        let pending = self.pending.as_ref().map(|pending| {
            let servers = pending.servers.clone();
            let text = Configuration { servers, version: pending.zxid.0 }.to_string();
            (text, pending.origin)
        });
        StoredMembers { current: self.current.as_ref().map(ToString::to_string), pending }
    }

    pub(super) fn restore(stored: &StoredMembers) -> Result<Self, UnreadableConfiguration> {
        let current = stored.current.as_deref().map(Configuration::parse).transpose()?;
        let pending = match &stored.pending {
            Some((text, origin)) => {
                let Configuration { servers, version } = Configuration::parse(text)?;
                Some(Pending { servers, zxid: Zxid(version), origin: *origin })
            }
            None => None,
        };
        Ok(Self { current, pending })
    }
}

impl Replica {
    /// Takes the first configuration of an ensemble that has none.
    pub(super) fn set_members(
        &mut self,
        stamp: &Stamp,
        text: &str,
        events: &mut impl EventSink,
    ) -> Result<(), EntryError> {
        if self.members.current.is_some() {
            return Ok(());
        }
        let configuration = Configuration::parse(text)
            .map_err(|error| EntryError::Configuration(error.to_string()))?;
        // The first one uses no zxid, as in ZooKeeper.
        let _ = self.show_configuration(stamp, Zxid(configuration.version), &configuration, events);
        self.put_in_force(configuration);
        Ok(())
    }

    /// Judges a client's request, in ZooKeeper's order. One check comes after all others here: that
    /// a majority of the new voters is in reach, which the leader alone knows and nobody without
    /// permission may have it find out.
    pub(super) fn begin_reconfig(
        &mut self,
        policy: Policy,
        (zxid, origin): (Zxid, Origin),
        identities: &[Id],
        request: &ReconfigRequest<'_>,
    ) -> Outcome {
        match self.judge_reconfig(policy, identities, request) {
            Ok(servers) => {
                self.members.pending = Some(Pending { servers, zxid, origin });
                Outcome::Deferred
            }
            Err(error) => Outcome::Request(Err(error)),
        }
    }

    fn judge_reconfig(
        &self,
        policy: Policy,
        identities: &[Id],
        request: &ReconfigRequest<'_>,
    ) -> Result<BTreeMap<u64, ServerSpec>, OpError> {
        if !policy.reconfig {
            return Err(OpError::ReconfigDisabled);
        }
        let current = self.members.current.as_ref().ok_or(OpError::Unimplemented)?;
        if self.members.pending.is_some() {
            return Err(OpError::ReconfigInProgress);
        }
        let expected = request.current_config_id.0;
        if expected != -1 && expected != current.version {
            return Err(OpError::BadVersion);
        }
        let change = MembershipChange {
            joining: request.joining_servers.as_deref(),
            leaving: request.leaving_servers.as_deref(),
            members: request.new_members.as_deref(),
        };
        let servers =
            change.apply(current, policy.ensemble_of_one).map_err(|error| match error {
                MembershipChangeError::BadArguments => OpError::BadArguments,
                MembershipChangeError::Malformed => OpError::Marshalling,
            })?;
        let node = self.tree().get(path::CONFIG).ok_or(OpError::NoNode)?;
        self.tree().check_acl(node, identities, Perms::WRITE, policy)?;
        Ok(servers)
    }

    /// Puts the pending configuration in force, or gives it up.
    pub(super) fn finish_reconfig(
        &mut self,
        stamp: &Stamp,
        request: Zxid,
        done: bool,
        events: &mut impl EventSink,
    ) -> Applied {
        let Some(pending) = self.members.pending.take_if(|pending| pending.zxid == request) else {
            return Outcome::Repeated.into();
        };
        let zxid = self.advance(stamp);
        let result = if done {
            let configuration = Configuration { servers: pending.servers, version: zxid.0 };
            let shown = self.show_configuration(stamp, zxid, &configuration, events);
            self.put_in_force(configuration);
            shown
        } else {
            Err(OpError::NewConfigNoQuorum)
        };
        let finished = Some((pending.origin, Outcome::Request(result)));
        Applied { finished, ..Outcome::Repeated.into() }
    }

    /// What servers that left have sent, and is still on its way, does nothing from here on.
    fn put_in_force(&mut self, configuration: Configuration) {
        self.processes.retain(|server| configuration.servers.contains_key(&server.0));
        self.members.current = Some(configuration);
    }

    fn show_configuration(
        &mut self,
        stamp: &Stamp,
        zxid: Zxid,
        configuration: &Configuration,
        events: &mut impl EventSink,
    ) -> Result<TxnResult, OpError> {
        let text = configuration.to_string();
        let op = WriteOp::SetConfig { data: text.as_bytes() };
        let result = self.write(stamp, zxid, SessionId(0), &[], &op, events)?;
        Ok(if let TxnResult::DataSet(stat) = result {
            TxnResult::Reconfigured { data: text.as_bytes().into(), stat }
        } else {
            result
        })
    }
}
