//! This process of the server, as the replicated state knows it.

use std::sync::atomic::{AtomicU16, Ordering};

use jute_proto::SessionId;
use kernel::ensemble::ServerId;
use kernel::replica::{Registration, Replica, VERSION_2};
use kernel::session::{ConnId, SessionIds};
use kernel::time::WallTime;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::consensus::{KnownVersions, ProcessState, Progress, SectionNumber};

/// This process: the numbers that tell it from others, and its registration.
///
/// A process registers in the log before it numbers what it wants written, so that each section of it is applied once.
/// Only applying changes what is known of the registration ([`LocalProcess::learn`]), under the exclusive lock of the
/// replica. All others read it without a lock, and may see it a moment late.
#[derive(Debug)]
pub struct LocalProcess {
    server: u64,
    boot: u64,
    /// The version in force, as applied here.
    version: AtomicU16,
    /// What the proposer looks at.
    progress: Progress,
    /// What peers are greeted with.
    versions: KnownVersions,
    session_ids: Mutex<SessionIds>,
    /// The version in force, or whether this process is registered, is another one.
    changed: Notify,
}

impl LocalProcess {
    /// A process of this server, which has drawn the number `boot`.
    pub(super) fn new(server: u64, boot: u64, version: u16, wall_ms: i64) -> Self {
        Self {
            server,
            boot,
            version: AtomicU16::new(version),
            progress: Progress::default(),
            versions: KnownVersions::default(),
            session_ids: Mutex::new(SessionIds::new(ServerId(server), WallTime(wall_ms))),
            changed: Notify::new(),
        }
    }

    /// The number of this server (`myid`).
    pub fn server(&self) -> u64 {
        self.server
    }

    /// The id of the connection of this number, which no connection of another process has.
    pub(super) fn conn_id(&self, number: u64) -> ConnId {
        ConnId { server: ServerId(self.server), boot: self.boot, number }
    }

    /// Whether the connection is, or was, one of this process.
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        conn.server.0 == self.server && conn.boot == self.boot && !conn.is_none()
    }

    /// The version in force, as applied here.
    pub(super) fn version(&self) -> u16 {
        self.version.load(Ordering::Acquire)
    }

    /// The handle by which the proposer follows what is applied of this process.
    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The handle by which connections to peers know the versions.
    pub(super) fn versions(&self) -> KnownVersions {
        self.versions.clone()
    }

    /// Takes what the replicated state knows of this process, and of versions.
    pub(super) fn learn(&self, replica: &Replica) {
        let version = replica.version();
        self.version.store(version, Ordering::Release);
        self.versions.raise(version);
        let registered = replica.processes().get(ServerId(self.server));
        let registered = registered.filter(|known| known.process == self.boot);
        if let Some(known) = registered {
            self.session_ids.lock().begin(known.ordinal);
        }
        let last_section = |known: Registration| SectionNumber {
            incarnation: known.incarnation,
            number: known.applied,
        };
        let (before, registered) = (self.progress.get(), registered.map(last_section));
        self.progress.publish(ProcessState { version, registered });
        if (before.version, before.registered.is_some()) != (version, registered.is_some()) {
            self.changed.notify_one();
        }
    }

    /// Whether what clients want can be written: this process is registered, where the version in force asks for that.
    pub(super) fn may_write(&self) -> bool {
        let process = self.progress.get();
        process.version < VERSION_2 || process.registered.is_some()
    }

    /// Waits until the version or the registration has changed since the last wait. To be awaited in one place only.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// An id that no session of the ensemble has.
    pub(super) fn next_session_id(&self) -> SessionId {
        self.session_ids.lock().next_id()
    }
}
