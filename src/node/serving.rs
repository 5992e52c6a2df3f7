//! Whether clients are served, and why not any more.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::settings::contact_limits;
use crate::config::Config;

/// What clients get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServingMode {
    /// Nothing: the server is not up to date, or has no contact to a majority.
    NotServing,
    /// Reads of what the server has, for those who want that (`readonlymode.enabled`).
    ReadOnly,
    /// Everything.
    ReadWrite,
}

const NOT_SERVING: u8 = 0;
const READ_ONLY: u8 = 1;
const READ_WRITE: u8 = 2;

/// Whether clients are served.
///
/// ```text
///          ServingTask: has applied all that was acknowledged, and has contact to a quorum
///       ┌──────────────────────────────────────────────────────────────────────────────────┐
///       │                                                                                  ▼
///  NotServing ── no contact for tickTime, at least 2 s; readonlymode.enabled ─► ReadOnly  ReadWrite
///       ▲ ▲                                                                        │       │
///       │ └─────── contact is back, removed from the ensemble, new version, failed ┘       │
///       └───────── no contact for syncLimit, full disk of a follower, removed, new version, failed
/// ```
///
/// A change of mode does not close connections. The caller that takes service away closes them
/// afterwards: a connection that came
/// in between finds the new mode and is refused, so none stays that was promised more than there is. `ReadWrite` is
/// reached through `NotServing` only, with all connections closed: sessions that were made in read-only mode are
/// known to nobody else.
///
/// Apart from the server's own mode, [`ServingState::may_answer`] looks at the clock: a process that was stopped for a
/// while must not answer from its state before it knows that it lost contact.
#[derive(Debug)]
pub struct ServingState {
    mode: AtomicU8,
    /// Clients get everything from now on.
    read_write: Notify,
    /// When there was contact to a majority last, in microseconds of the server's clock.
    contact_us: AtomicU64,
    contact_max: Duration,
    /// A server on its own is always in contact with its majority.
    is_alone: bool,
    failure: watch::Sender<Option<String>>,
}

impl ServingState {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            mode: AtomicU8::new(NOT_SERVING),
            read_write: Notify::new(),
            contact_us: AtomicU64::new(0),
            contact_max: contact_limits(config).contact_max,
            is_alone: !config.ensemble.is_distributed(),
            failure: watch::Sender::new(None),
        }
    }

    /// What clients get at the moment.
    pub fn mode(&self) -> ServingMode {
        match self.mode.load(Ordering::Acquire) {
            READ_WRITE => ServingMode::ReadWrite,
            READ_ONLY => ServingMode::ReadOnly,
            _ => ServingMode::NotServing,
        }
    }

    /// How long a server serves clients without contact to a majority (`syncLimit`).
    pub(super) fn contact_max(&self) -> Duration {
        self.contact_max
    }

    /// Whether this server serves and had contact lately, at this moment of the server's clock in microseconds.
    pub fn may_answer(&self, now_us: u64) -> bool {
        match self.mode() {
            ServingMode::NotServing => false,
            ServingMode::ReadOnly => true,
            ServingMode::ReadWrite => self.is_alone || self.has_contact(now_us),
        }
    }

    fn has_contact(&self, now_us: u64) -> bool {
        let contact_us = self.contact_us.load(Ordering::Relaxed);
        Duration::from_micros(now_us.saturating_sub(contact_us)) <= self.contact_max
    }

    /// The last contact to a majority was this long before `now_us`.
    pub(super) fn record_contact(&self, now_us: u64, age: Duration) {
        let age_us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        self.contact_us.store(now_us.saturating_sub(age_us), Ordering::Relaxed);
    }

    /// Clients get nothing any more. Their connections are still to be closed.
    pub(super) fn stop(&self) {
        self.mode.store(NOT_SERVING, Ordering::Release);
    }

    /// Clients that ask for read-only mode get reads.
    pub(super) fn begin_read_only(&self) {
        self.mode.store(READ_ONLY, Ordering::Release);
    }

    /// Clients get everything.
    pub(super) fn begin_read_write(&self) {
        self.mode.store(READ_WRITE, Ordering::Release);
        self.read_write.notify_one();
    }

    /// Waits until clients get everything. To be awaited in one place only.
    pub(super) async fn read_write(&self) {
        while self.mode() != ServingMode::ReadWrite {
            self.read_write.notified().await;
        }
    }

    /// The server cannot go on: it serves nobody any more, and its process ends with this message.
    pub(super) fn fail(&self, why: String) {
        self.stop();
        self.failure.send_if_modified(|failure| {
            failure.is_none() && {
                tracing::error!("{why}");
                *failure = Some(why);
                true
            }
        });
    }

    /// Waits until the server cannot go on; returns why.
    pub(super) async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await;
        failed.ok().and_then(|failure| failure.clone()).unwrap_or_default()
    }
}
