//! The names of the commands.

/// A command of the administration server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Command {
    Configuration,
    ConnectionStatReset,
    Connections,
    Dirs,
    Dump,
    Environment,
    GetTraceMask,
    Hash,
    InitialConfiguration,
    IsReadOnly,
    LastSnapshot,
    Leader,
    Monitor,
    ObserverConnectionStatReset,
    Observers,
    Restore,
    Ruok,
    ServerStats,
    SetTraceMask,
    ShedConnections,
    Snapshot,
    StatReset,
    Stats,
    VotingView,
    WatchSummary,
    Watches,
    WatchesByPath,
    ZabState,
}

impl Command {
    /// All of them, by their first name.
    pub(super) const ALL: [Self; 28] = [
        Self::Configuration,
        Self::ConnectionStatReset,
        Self::Connections,
        Self::Dirs,
        Self::Dump,
        Self::Environment,
        Self::GetTraceMask,
        Self::Hash,
        Self::InitialConfiguration,
        Self::IsReadOnly,
        Self::LastSnapshot,
        Self::Leader,
        Self::Monitor,
        Self::ObserverConnectionStatReset,
        Self::Observers,
        Self::Restore,
        Self::Ruok,
        Self::ServerStats,
        Self::SetTraceMask,
        Self::ShedConnections,
        Self::Snapshot,
        Self::StatReset,
        Self::Stats,
        Self::VotingView,
        Self::WatchSummary,
        Self::Watches,
        Self::WatchesByPath,
        Self::ZabState,
    ];

    /// The command of this name.
    pub(super) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.names().contains(&name))
    }

    /// Its names, the first one first.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Configuration => &["configuration", "conf", "config"],
            Self::ConnectionStatReset => &["connection_stat_reset", "crst"],
            Self::Connections => &["connections", "cons"],
            Self::Dirs => &["dirs"],
            Self::Dump => &["dump"],
            Self::Environment => &["environment", "env", "envi"],
            Self::GetTraceMask => &["get_trace_mask", "gtmk"],
            Self::Hash => &["hash"],
            Self::InitialConfiguration => &["initial_configuration", "icfg"],
            Self::IsReadOnly => &["is_read_only", "isro"],
            Self::LastSnapshot => &["last_snapshot", "lsnp"],
            Self::Leader => &["leader", "lead"],
            Self::Monitor => &["monitor", "mntr"],
            Self::ObserverConnectionStatReset => &["observer_connection_stat_reset", "orst"],
            Self::Observers => &["observers", "obsr"],
            Self::Restore => &["restore", "rest"],
            Self::Ruok => &["ruok"],
            Self::ServerStats => &["server_stats", "srvr"],
            Self::SetTraceMask => &["set_trace_mask", "stmk"],
            Self::ShedConnections => &["shed_connections", "shed"],
            Self::Snapshot => &["snapshot", "snap"],
            Self::StatReset => &["stat_reset", "srst"],
            Self::Stats => &["stats", "stat"],
            Self::VotingView => &["voting_view"],
            Self::WatchSummary => &["watch_summary", "wchs"],
            Self::Watches => &["watches", "wchc"],
            Self::WatchesByPath => &["watches_by_path", "wchp"],
            Self::ZabState => &["zabstate"],
        }
    }

    /// Its first name, which answers carry.
    pub(super) fn name(self) -> &'static str {
        self.names()[0]
    }

    /// Whether it changes something by `POST`; all others are asked with `GET`.
    pub(super) fn is_post(self) -> bool {
        matches!(self, Self::Restore | Self::ShedConnections)
    }

    /// Whether it needs all permissions on `/`.
    pub(super) fn is_privileged(self) -> bool {
        matches!(self, Self::Restore | Self::ShedConnections | Self::Snapshot)
    }

    /// Whether it is answered by a server that does not serve its clients.
    pub(super) fn needs_no_service(self) -> bool {
        matches!(self, Self::Environment | Self::GetTraceMask | Self::SetTraceMask | Self::Monitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_its_command() {
        // No name belongs to two commands, and the list is sorted by first name.
        for command in Command::ALL {
            for name in command.names() {
                assert_eq!(Command::find(name), Some(command), "{name}");
            }
        }
        assert!(Command::ALL.is_sorted_by_key(|command| command.name()));
        assert_eq!(Command::find("nosuch"), None);
    }
}
