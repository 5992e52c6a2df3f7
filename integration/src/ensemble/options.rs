//! What ensemble to start.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Ensemble;
use crate::{Kind, Namespaces};

/// A fault that a server brings about by itself when a test asks for it (`src/failpoints.rs` of the server).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failpoint {
    /// The wall clock is wrong by the milliseconds in the file.
    Clock,
    /// So many entries are kept for followers that are behind.
    EntriesKept,
    /// A flush of the log takes the milliseconds in the file longer.
    SlowDisk,
    /// The server takes its state for another as long as the file is there.
    WrongDigest,
    /// A new term begins at this counter of zxids.
    ZxidCounterMax,
}

impl Failpoint {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Clock, Self::EntriesKept, Self::SlowDisk, Self::WrongDigest, Self::ZxidCounterMax];

    /// The variable of the environment that switches it on.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Clock => "GROVEKEEPER_TEST_CLOCK",
            Self::EntriesKept => "GROVEKEEPER_TEST_ENTRIES_KEPT",
            Self::SlowDisk => "GROVEKEEPER_TEST_SLOW_DISK",
            Self::WrongDigest => "GROVEKEEPER_TEST_WRONG_DIGEST",
            Self::ZxidCounterMax => "GROVEKEEPER_TEST_ZXID_COUNTER_MAX",
        }
    }
}

/// The servers of an ensemble and their settings; every setting is a key of `zoo.cfg`.
#[derive(Debug, Clone)]
pub struct EnsembleOptions {
    pub(super) kind: Kind,
    pub(super) servers: usize,
    pub(super) numbers: Vec<u64>,
    pub(super) settings: Vec<(String, String)>,
    pub(super) proxied: bool,
    pub(super) folder: Option<PathBuf>,
    pub(super) failpoints: Vec<(Failpoint, OsString)>,
    pub(super) namespaces: Option<Arc<Namespaces>>,
}

impl EnsembleOptions {
    /// So many servers with a tick of 500 ms: sessions may last from 1 s to 10 s.
    #[must_use]
    pub fn new(kind: Kind, servers: usize) -> Self {
        let mut options = Self {
            kind,
            servers,
            numbers: (1..).take(servers).collect(),
            settings: Vec::new(),
            proxied: false,
            folder: None,
            failpoints: Vec::new(),
            namespaces: None,
        };
        let common = [
            ("tickTime", "500"),
            ("initLimit", "20"),
            ("syncLimit", "6"),
            ("admin.enableServer", "false"),
            ("4lw.commands.whitelist", "*"),
        ];
        for (key, value) in common {
            options = options.set(key, value);
        }
        if kind == Kind::ZooKeeper {
            options = options.set("standaloneEnabled", "false");
        }
        options
    }

    /// Gives the servers these numbers (`myid`, `server.N`), in their order.
    ///
    /// # Panics
    ///
    /// When they are more or fewer than the servers.
    #[must_use]
    pub fn numbered(mut self, numbers: &[u64]) -> Self {
        assert_eq!(numbers.len(), self.servers, "a number for each server");
        numbers.clone_into(&mut self.numbers);
        self
    }

    /// Sets a key of `zoo.cfg`, for all servers; the last value given counts.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Switches a failpoint of all servers on, which are then of the build that has them.
    #[must_use]
    pub fn failpoint(mut self, failpoint: Failpoint, value: impl Into<OsString>) -> Self {
        self.failpoints.push((failpoint, value.into()));
        self
    }

    /// Leads what the servers send each other through a network that can be broken.
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        // Else a server would find the way around the proxy.
        self.set("quorum.addressesFromFile", "true")
    }

    /// Puts each server into a network namespace of its own, where others know it as
    /// [`host`](Ensemble::host); `None`, with a line that says so, for who may not make any.
    ///
    /// # Panics
    ///
    /// As [`Namespaces::make`].
    #[must_use]
    pub fn in_namespaces(mut self) -> Option<Self> {
        self.namespaces = Some(Arc::new(Namespaces::make(self.servers)?));
        Some(self)
    }

    /// Keeps data, configurations and logs in `folder`, which stays when the ensemble goes.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Writes the configurations, but starts nothing yet.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    #[must_use]
    pub fn prepare(self) -> Ensemble {
        Ensemble::new(self)
    }

    /// Starts all servers and waits until each of them serves.
    ///
    /// # Panics
    ///
    /// When they do not; the message holds their logs.
    #[must_use]
    pub fn start(self) -> Ensemble {
        let mut ensemble = self.prepare();
        for server in ensemble.servers() {
            ensemble.start(server);
        }
        ensemble.wait_until_all_serve();
        ensemble
    }
}
