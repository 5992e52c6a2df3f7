//! What clients get: whether they are served, and why not any more.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::core::Shared;

/// Ticks without contact after which clients are let go, where the configuration does not say.
const SYNC_LIMIT_TICKS_DEFAULT: u32 = 5;

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

pub(super) const NOT_SERVING: u8 = 0;
const READ_ONLY: u8 = 1;
const READ_WRITE: u8 = 2;

impl Shared {
    /// What clients get at the moment.
    pub fn serving_mode(&self) -> ServingMode {
        match self.service.load(Ordering::Acquire) {
            READ_WRITE => ServingMode::ReadWrite,
            READ_ONLY => ServingMode::ReadOnly,
            _ => ServingMode::NotServing,
        }
    }

    /// Whether clients are served at all.
    pub fn is_serving(&self) -> bool {
        self.may_answer(self.clock.now_us())
    }

    /// Changes what clients get; says whether it is another than before.
    pub(super) fn set_mode(&self, mode: ServingMode) -> bool {
        let number = match mode {
            ServingMode::NotServing => NOT_SERVING,
            ServingMode::ReadOnly => READ_ONLY,
            ServingMode::ReadWrite => READ_WRITE,
        };
        let is_another = self.service.swap(number, Ordering::AcqRel) != number;
        if mode == ServingMode::ReadWrite {
            self.serves.notify_one();
        }
        is_another
    }

    /// Waits until clients get everything. To be awaited in one place only.
    pub(super) async fn serves(&self) {
        while self.serving_mode() != ServingMode::ReadWrite {
            self.serves.notified().await;
        }
    }

    /// How long a server serves clients without contact to a majority (`syncLimit`).
    pub fn contact_max(&self) -> Duration {
        let ticks = match self.config.ensemble.sync_limit_ticks {
            0 => SYNC_LIMIT_TICKS_DEFAULT,
            ticks => ticks,
        };
        Duration::from_millis(u64::from(ticks) * u64::from(self.config.sessions.tick_time_ms))
    }

    /// Whether this server serves and had contact lately. Looks at the clock, as a process that was
    /// stopped for a while does not know before.
    pub fn may_answer(&self, now_us: u64) -> bool {
        match self.serving_mode() {
            ServingMode::NotServing => false,
            ServingMode::ReadOnly => true,
            ServingMode::ReadWrite => self.settings.is_alone || self.has_contact(now_us),
        }
    }

    fn has_contact(&self, now_us: u64) -> bool {
        let contact_us = self.contact_us.load(Ordering::Relaxed);
        Duration::from_micros(now_us.saturating_sub(contact_us)) <= self.contact_max()
    }

    /// The last contact to a majority was this long ago.
    pub(super) fn record_contact(&self, age: Duration) {
        let age_us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        self.contact_us.store(self.clock.now_us().saturating_sub(age_us), Ordering::Relaxed);
    }

    /// The server cannot go on: it serves nobody any more, and its process ends with this message.
    pub(super) fn fail(&self, why: String) {
        self.set_mode(ServingMode::NotServing);
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
