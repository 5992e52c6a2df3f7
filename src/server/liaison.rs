//! What a leader and its followers tell each other about sessions and digests.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use jute_proto::{SessionId, Zxid};
use kernel::replica::entry::push_command;
use kernel::replica::{Command, Op, VERSION_ONCE};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::shared::Shared;
use crate::consensus;

/// The version of reports, and of notices before version 2 is in force; those of another version are not
/// read.
const FORMAT: u8 = 1;

/// The version of notices from version 2 on.
const FORMAT_ONCE: u8 = 2;

/// Digests of the leader that this server has not reached yet.
const DIGESTS_AHEAD_MAX: usize = 64;

/// Reports overlap by so much: a task may look at the clock, and note what it saw after the report was made.
const OVERLAP_US: u64 = 50_000;

/// A follower's sessions that were heard of since its last report.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    /// Session, and how many milliseconds ago.
    heard: Vec<(i64, u32)>,
}

/// The newest digest of the leader's tree.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
struct Notice {
    digest: Option<(i64, u64)>,
}

/// The newest digest of all that the leader's replica has in common with others.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
struct NoticeOnce {
    /// The version that was in force at that zxid: digests of other versions cannot be compared.
    version: u16,
    digest: Option<(i64, u64)>,
}

/// This server's side of the talk.
#[derive(Debug)]
pub(super) struct Liaison {
    shared: Arc<Shared>,
    ahead: Mutex<Ahead>,
}

/// A digest of the leader.
#[derive(Clone, Copy, Debug)]
struct Theirs {
    zxid: Zxid,
    digest: u64,
    /// Whether it is that of all that replicas have in common, and not of the tree alone.
    is_whole: bool,
}

/// What is known of the leader's digests.
#[derive(Debug, Default)]
struct Ahead {
    waiting: VecDeque<Theirs>,
    /// The last zxid at which both trees were the same.
    agreed: Zxid,
}

impl Liaison {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, ahead: Mutex::default() }
    }

    fn compare(&self, theirs: Theirs) {
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
            let ours = if theirs.is_whole { ours.whole } else { ours.digest };
            if ours == theirs.digest {
                ahead.agreed = theirs.zxid;
                continue;
            }
            self.shared.stats.digest_mismatches.increment();
            return self.shared.fail(format!(
                "its state differs from that of the leader: the digest is {:#x} here and {:#x} there \
                 at zxid {}; it was the same at {}. Remove the data of this server so that it takes \
                 the state of the leader, and report this",
                ours, theirs.digest, theirs.zxid, ahead.agreed
            ));
        }
    }
}

impl consensus::Liaison for Liaison {
    fn report(&self, since_us: u64) -> (u64, Bytes) {
        let now_us = self.shared.clock.now_us();
        let since_us = since_us.saturating_sub(OVERLAP_US);
        let connected = self.shared.clients.all().into_iter().map(|client| {
            let heard_us = client.heard_us.load(Ordering::Relaxed);
            (client.session(), heard_us)
        });
        // After those that are connected: who leaves meanwhile is among the one or the other.
        let heard: Vec<_> = connected.filter(|(_, heard_us)| *heard_us >= since_us).collect();
        let departed = self.shared.departed.since(since_us);
        let aged = |(session, heard_us): (SessionId, u64)| {
            let age_ms = now_us.saturating_sub(heard_us) / 1000;
            (session.0, u32::try_from(age_ms).unwrap_or(u32::MAX))
        };
        let heard = heard.into_iter().chain(departed).map(aged).collect();
        (now_us, encode(FORMAT, &Report { heard }))
    }

    fn reported(&self, from: u64, report: &[u8]) {
        let Some(Report { heard }) = decode(FORMAT, report) else { return };
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
        let version = self.shared.version.load(Ordering::Acquire);
        if version < VERSION_ONCE {
            let digest = newest.map(|record| (record.zxid.0, record.digest));
            return encode(FORMAT, &Notice { digest });
        }
        let digest = newest.map(|record| (record.zxid.0, record.whole));
        encode(FORMAT_ONCE, &NoticeOnce { version, digest })
    }

    fn registration(&self, server: u64, process: u64) -> Bytes {
        let mut commands = BytesMut::new();
        push_command(&mut commands, &Command::of_server(Op::RegisterServer { server, process }));
        commands.freeze()
    }

    fn noticed(&self, notice: &[u8]) {
        let known = self.shared.version.load(Ordering::Acquire);
        let whole =
            decode(FORMAT_ONCE, notice).filter(|notice: &NoticeOnce| notice.version == known);
        let tree = || decode(FORMAT, notice).and_then(|Notice { digest }| digest);
        let (digest, is_whole) = match whole {
            Some(NoticeOnce { digest, .. }) => (digest, true),
            None => (tree(), false),
        };
        if let Some((zxid, digest)) = digest {
            self.compare(Theirs { zxid: Zxid(zxid), digest, is_whole });
        }
    }
}

fn encode<T: Serialize>(format: u8, value: &T) -> Bytes {
    // Writing numbers into memory cannot fail.
    postcard::to_extend(value, vec![format]).unwrap_or_default().into()
}

fn decode<'a, T: Deserialize<'a>>(format: u8, bytes: &'a [u8]) -> Option<T> {
    let (found, rest) = bytes.split_first()?;
    (*found == format).then(|| postcard::from_bytes(rest).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{BUILD_5DE72FB, BUILD_8AECE55, assert_written, golden};

    #[test]
    fn reports_and_notices_of_earlier_builds_are_read() {
        // A follower and its leader may be of different builds.
        let heard = || vec![(0x0300_0000_0000_0005, 300), (-1, 0)];
        let digest = Some((0x1_0000_0007, u64::MAX - 1));
        for file in [BUILD_8AECE55, BUILD_5DE72FB] {
            assert_written(file, "report", &encode(FORMAT, &Report { heard: heard() }));
            assert_written(file, "notice.1", &encode(FORMAT, &Notice { digest }));
            let bytes = golden(file, "report");
            let Report { heard: read } = decode(FORMAT, &bytes).unwrap();
            assert_eq!(read, heard());
            let bytes = golden(file, "notice.1");
            let Notice { digest: read } = decode(FORMAT, &bytes).unwrap();
            assert_eq!(read, digest);
        }
        let notice = NoticeOnce { version: 2, digest };
        assert_written(BUILD_5DE72FB, "notice.2", &encode(FORMAT_ONCE, &notice));
        let bytes = golden(BUILD_5DE72FB, "notice.2");
        let NoticeOnce { version, digest: read } = decode(FORMAT_ONCE, &bytes).unwrap();
        assert_eq!((version, read), (2, digest));
    }
}
