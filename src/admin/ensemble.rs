//! The ensemble, as a server of it shows it to operators.

use std::collections::BTreeMap;

use kernel::ensemble::{Configuration, MemberId, ServerSpec};

use super::NodeView;
use crate::consensus::{Members, Role};
use crate::telemetry::{EnsembleGauges, LeaderGauges};

/// The configuration in force; that of the file while the ensemble has none, and nothing for a
/// server on its own.
pub fn configuration(view: &NodeView) -> Option<Configuration> {
    let ensemble = &view.config.ensemble;
    let current = view.core.membership.current().current.clone();
    let of_file = || Configuration::first(&ensemble.servers);
    ensemble.is_distributed().then(|| current.unwrap_or_else(of_file))
}

/// The servers that vote.
pub fn voters(view: &NodeView) -> BTreeMap<u64, ServerSpec> {
    let configuration = configuration(view).unwrap_or_default();
    configuration.servers.into_iter().filter(|(_, server)| server.votes()).collect()
}

/// The observers that are up to date, as their leader knows.
pub fn synced_observers(view: &NodeView) -> Vec<ServerSpec> {
    let configuration = configuration(view).unwrap_or_default();
    let Some(members) = leaders_members(view) else { return Vec::new() };
    let observers = configuration.servers.into_values().filter(|server| !server.votes());
    let is_synced = |member: MemberId| members.is_synced(member);
    observers.filter(|server| members.member_of(server.id).is_some_and(is_synced)).collect()
}

/// What a leader knows of the others.
fn leaders_members(view: &NodeView) -> Option<Members> {
    view.core.leader_duties.term()?;
    Some(view.consensus.members())
}

/// The figures of the ensemble.
pub(super) fn gauges(view: &NodeView) -> Option<EnsembleGauges> {
    let configuration = configuration(view)?;
    let voters = configuration.voters();
    let mut gauges = EnsembleGauges { quorum_size: voters.len(), ..EnsembleGauges::default() };
    let Some(members) = leaders_members(view) else { return Some(gauges) };
    let mut leader = LeaderGauges {
        uptime_ms: view.core.leader_duties.age_ms(view.core.clock.now_us()),
        ..LeaderGauges::default()
    };
    for server in members.progress.keys().filter(|server| members.answers(**server)) {
        leader.learners += 1;
        let count = match configuration.servers.get(&server.number) {
            _ if !members.is_synced(*server) => &mut leader.pending_syncs,
            Some(spec) if spec.votes() => &mut leader.synced_followers,
            Some(_) => &mut gauges.synced_observers,
            None => &mut leader.synced_non_voting_followers,
        };
        *count += 1;
    }
    gauges.leader = Some(leader);
    Some(gauges)
}

/// What a server of an ensemble is at, in ZooKeeper's words; nothing for a server on its own.
pub fn peer_state(view: &NodeView) -> Option<&'static str> {
    if !view.config.ensemble.is_distributed() {
        return None;
    }
    let status = view.consensus.status();
    Some(match status.role {
        Role::Leader => "leading - broadcast",
        Role::Follower | Role::Observer if status.leader.is_none() => "looking",
        Role::Follower => "following - broadcast",
        Role::Observer => "observing - broadcast",
        Role::Candidate | Role::Stopped => "looking",
    })
}

/// What `conf` says of the ensemble, behind the settings.
pub fn conf(view: &NodeView) -> String {
    let Some(configuration) = configuration(view) else {
        return String::new();
    };
    let ensemble = &view.config.ensemble;
    let own = configuration.servers.get(&view.core.process.server());
    let own =
        own.or_else(|| ensemble.servers.iter().find(|spec| spec.id == view.core.process.server()));
    let peer = own.and_then(|own| own.peers.first());
    let port = |port: Option<u16>| port.map_or(-1, i32::from);
    format!(
        "initLimit={}\nsyncLimit={}\nelectionAlg=3\nelectionPort={}\nquorumPort={}\npeerType={}\n\
         membership: \n{configuration}",
        ensemble.init_limit_ticks,
        ensemble.sync_limit_ticks,
        port(peer.map(|peer| peer.election_port)),
        port(peer.map(|peer| peer.quorum_port)),
        u8::from(own.is_some_and(|own| !own.votes())),
    )
}
