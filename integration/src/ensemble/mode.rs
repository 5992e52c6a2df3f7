//! What a server is in its ensemble.

use std::net::SocketAddr;
use std::time::Duration;

use crate::four_letter;

/// How long a server that may be stopped is waited for.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// The `Mode:` line of a server's `srvr` answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Decides.
    Leader,
    /// Votes and follows.
    Follower,
    /// Follows without a vote.
    Observer,
    /// Is an ensemble of one.
    Standalone,
    /// Serves reads only, cut off from a quorum.
    ReadOnly,
}

impl Mode {
    /// Asks the server that listens at `addr`; `None` when it does not answer or does not serve.
    #[must_use]
    pub fn ask(addr: SocketAddr) -> Option<Self> {
        Self::of(&four_letter::ask_within(addr, "srvr", PATIENCE)?)
    }

    fn of(answer: &str) -> Option<Self> {
        let word = answer.lines().find_map(|line| line.strip_prefix("Mode: "))?;
        match word.trim() {
            "leader" => Some(Self::Leader),
            "follower" => Some(Self::Follower),
            "observer" => Some(Self::Observer),
            "standalone" => Some(Self::Standalone),
            "read-only" => Some(Self::ReadOnly),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mode;

    #[test]
    fn the_mode_is_read_from_what_a_server_says() {
        // The line of `srvr` counts, whatever stands around it.
        assert_eq!(Mode::of("Zxid: 0x1\nMode: leader\nNode count: 5\n"), Some(Mode::Leader));
        assert_eq!(Mode::of("This ZooKeeper instance is not currently serving requests\n"), None);
    }
}
