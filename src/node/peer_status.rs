//! What a leader and its followers tell each other about sessions and digests.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use jute_proto::{SessionId, Zxid};
use kernel::ensemble::ServerId;
use kernel::replica::entry::push_command;
use kernel::replica::{Command, Op, VERSION_2};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::core::Core;
use crate::consensus;

/// The version of reports, and of notices before version 2 is in force; those of another version are not
/// read.
const FORMAT: u8 = 1;

/// The version of notices from version 2 on.
const FORMAT_2: u8 = 2;

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
struct NoticeV2 {
    /// The version that was in force at that zxid: digests of other versions cannot be compared.
    version: u16,
    digest: Option<(i64, u64)>,
}

/// This server's side of the talk.
#[derive(Debug)]
pub(super) struct PeerStatusReports {
    core: Arc<Core>,
    leader_digests: Mutex<LeaderDigests>,
}

/// A digest of the leader.
#[derive(Clone, Copy, Debug)]
struct LeaderDigest {
    zxid: Zxid,
    digest: u64,
    /// Whether it is that of all that replicas have in common, and not of the tree alone.
    is_whole: bool,
}

/// What is known of the leader's digests.
#[derive(Debug, Default)]
struct LeaderDigests {
    waiting: VecDeque<LeaderDigest>,
    /// The last zxid at which both trees were the same.
    agreed: Zxid,
}

impl PeerStatusReports {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, leader_digests: Mutex::default() }
    }

    fn compare(&self, theirs: LeaderDigest) {
        let mut leader_digests = self.leader_digests.lock();
        if leader_digests.waiting.back().is_none_or(|last| last.zxid < theirs.zxid) {
            leader_digests.waiting.push_back(theirs);
            if leader_digests.waiting.len() > DIGESTS_AHEAD_MAX {
                leader_digests.waiting.pop_front();
            }
        }
        let digests = self.core.digests.lock();
        while let Some(theirs) = leader_digests.waiting.front().copied() {
            let Some(ours) = digests.at(theirs.zxid) else {
                // Not reached yet, or too long ago to be remembered.
                if digests.newest().is_none_or(|newest| newest.zxid < theirs.zxid) {
                    return;
                }
                leader_digests.waiting.pop_front();
                continue;
            };
            leader_digests.waiting.pop_front();
            let ours = if theirs.is_whole { ours.whole } else { ours.digest };
            if ours == theirs.digest {
                leader_digests.agreed = theirs.zxid;
                continue;
            }
            self.core.stats.digest_mismatches.increment();
            return self.core.serving.fail(format!(
                "its state differs from that of the leader: the digest is {:#x} here and {:#x} there \
                 at zxid {}; it was the same at {}. Remove the data of this server so that it takes \
                 the state of the leader, and report this",
                ours, theirs.digest, theirs.zxid, leader_digests.agreed
            ));
        }
    }
}

impl consensus::PeerStatus for PeerStatusReports {
    fn follower_report(&self, since_us: u64) -> (u64, Bytes) {
        let now_us = self.core.clock.now_us();
        let since_us = since_us.saturating_sub(OVERLAP_US);
        let aged = |(session, heard_us): (SessionId, u64)| {
            let age_ms = now_us.saturating_sub(heard_us) / 1000;
            (session.0, u32::try_from(age_ms).unwrap_or(u32::MAX))
        };
        let heard = self.core.connections.heard_since(since_us).into_iter().map(aged).collect();
        (now_us, encode(FORMAT, &Report { heard }))
    }

    fn take_follower_report(&self, from: u64, report: &[u8]) {
        let Some(Report { heard }) = decode(FORMAT, report) else { return };
        let now_ms = self.core.clock.now_us() / 1000;
        self.core.leader_duties.reported(from, now_ms, &heard);
    }

    fn leader_notice(&self) -> Bytes {
        let newest = self.core.digests.lock().newest();
        let version = self.core.process.version();
        if version < VERSION_2 {
            let digest = newest.map(|record| (record.zxid.0, record.digest));
            return encode(FORMAT, &Notice { digest });
        }
        let digest = newest.map(|record| (record.zxid.0, record.whole));
        encode(FORMAT_2, &NoticeV2 { version, digest })
    }

    fn registration(&self, server: u64, process: u64) -> Bytes {
        let mut commands = BytesMut::new();
        push_command(
            &mut commands,
            &Command::of_server(Op::RegisterServer { server: ServerId(server), process }),
        );
        commands.freeze()
    }

    fn take_leader_notice(&self, notice: &[u8]) {
        let known = self.core.process.version();
        let whole = decode(FORMAT_2, notice).filter(|notice: &NoticeV2| notice.version == known);
        let tree = || decode(FORMAT, notice).and_then(|Notice { digest }| digest);
        let (digest, is_whole) = match whole {
            Some(NoticeV2 { digest, .. }) => (digest, true),
            None => (tree(), false),
        };
        if let Some((zxid, digest)) = digest {
            self.compare(LeaderDigest { zxid: Zxid(zxid), digest, is_whole });
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
        let notice = NoticeV2 { version: 2, digest };
        assert_written(BUILD_5DE72FB, "notice.2", &encode(FORMAT_2, &notice));
        let bytes = golden(BUILD_5DE72FB, "notice.2");
        let NoticeV2 { version, digest: read } = decode(FORMAT_2, &bytes).unwrap();
        assert_eq!((version, read), (2, digest));
    }
}
