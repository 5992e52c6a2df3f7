//! What a leader and its followers tell each other about sessions and digests.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use jute_proto::{SessionId, Zxid};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::history::DigestRecord;
use super::shared::Shared;
use crate::consensus;

/// The version of reports and notices; those of another version are not read.
const FORMAT: u8 = 1;

/// Digests of the leader that this server has not reached yet.
const DIGESTS_AHEAD_MAX: usize = 64;

/// A follower's sessions that were heard of since its last report.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    /// Session, and how many milliseconds ago.
    heard: Vec<(i64, u32)>,
}

/// The newest digest of the leader's tree.
#[derive(Debug, Serialize, Deserialize)]
struct Notice {
    digest: Option<(i64, u64)>,
}

/// This server's side of the talk.
#[derive(Debug)]
pub(super) struct Liaison {
    shared: Arc<Shared>,
    /// Up to when connections were looked at, in microseconds of the server's clock.
    reported_us: Mutex<u64>,
    ahead: Mutex<Ahead>,
}

/// What is known of the leader's digests.
#[derive(Debug, Default)]
struct Ahead {
    waiting: VecDeque<DigestRecord>,
    /// The last zxid at which both trees were the same.
    agreed: Zxid,
}

impl Liaison {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, reported_us: Mutex::new(0), ahead: Mutex::default() }
    }

    fn compare(&self, theirs: DigestRecord) {
        let mut ahead = self.ahead.lock();
        if ahead.waiting.back().is_none_or(|last| last.zxid < theirs.zxid) {
            ahead.waiting.push_back(theirs);
            if ahead.waiting.len() > DIGESTS_AHEAD_MAX {
                ahead.waiting.pop_front();
            }
        }
        let digests = self.shared.digests.lock();
        while let Some(theirs) = ahead.waiting.front().copied() {
            let Some(ours) = digests.at(theirs.zxid) else {
                // Not reached yet, or too long ago to be remembered.
                if digests.newest().is_none_or(|newest| newest.zxid < theirs.zxid) {
                    return;
                }
                ahead.waiting.pop_front();
                continue;
            };
            ahead.waiting.pop_front();
            if ours.digest == theirs.digest {
                ahead.agreed = theirs.zxid;
                continue;
            }
            self.shared.stats.digest_mismatches.increment();
            return self.shared.fail(format!(
                "its state differs from that of the leader: the digest is {:#x} here and {:#x} there \
                 at zxid {}; it was the same at {}. Remove the data of this server so that it takes \
                 the state of the leader, and report this",
                ours.digest, theirs.digest, theirs.zxid, ahead.agreed
            ));
        }
    }
}

impl consensus::Liaison for Liaison {
    fn report(&self) -> Bytes {
        let now_us = self.shared.clock.now_us();
        let since_us = std::mem::replace(&mut *self.reported_us.lock(), now_us);
        let mut heard = Vec::new();
        for client in self.shared.clients.all() {
            let heard_us = client.heard_us.load(Ordering::Relaxed);
            if heard_us < since_us {
                continue;
            }
            let session = client.session();
            let age_ms = u32::try_from(now_us.saturating_sub(heard_us) / 1000).unwrap_or(u32::MAX);
            heard.push((session.0, age_ms));
        }
        encode(&Report { heard })
    }

    fn reported(&self, from: u64, report: &[u8]) {
        let Some(Report { heard }) = decode(report) else { return };
        let now_ms = self.shared.clock.now_us() / 1000;
        let mut expiry = self.shared.expiry.lock();
        for (session, age_ms) in heard {
            expiry.touch(now_ms.saturating_sub(u64::from(age_ms)), SessionId(session));
        }
        drop(expiry);
        self.shared.reports.lock().insert(from, now_ms);
    }

    fn notice(&self) -> Bytes {
        let newest = self.shared.digests.lock().newest();
        encode(&Notice { digest: newest.map(|record| (record.zxid.0, record.digest)) })
    }

    fn noticed(&self, notice: &[u8]) {
        let Some(Notice { digest }) = decode(notice) else { return };
        if let Some((zxid, digest)) = digest {
            self.compare(DigestRecord { zxid: Zxid(zxid), digest });
        }
    }
}

fn encode<T: Serialize>(value: &T) -> Bytes {
    // Writing numbers into memory cannot fail.
    postcard::to_extend(value, vec![FORMAT]).unwrap_or_default().into()
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let (format, rest) = bytes.split_first()?;
    (*format == FORMAT).then(|| postcard::from_bytes(rest).ok()).flatten()
}
