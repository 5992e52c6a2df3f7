//! The hello: who is there, for what, and in which version both can talk.

use std::io;

use std::sync::Arc;

use kernel::ensemble::MemberId;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::stream::Wire;
use super::start_proof::Starts;
use super::versions::{KnownVersions, Versions};
use crate::storage::ClusterId;

/// What every connection begins with.
const MAGIC: [u8; 4] = *b"GKPR";

/// The longest reason for a refusal.
pub(crate) const REASON_LEN_MAX: usize = 1 << 10;

/// Who a server is among its peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PeerIdentity {
    /// The ensemble; all zeros while a server does not know it.
    pub(crate) cluster: ClusterId,
    /// The member that the server is, as the consensus knows it.
    pub(crate) server: u64,
}

impl PeerIdentity {
    fn member(&self) -> MemberId {
        MemberId::from_raft_id(self.server)
    }
}

/// The name of the ensemble that a server belongs to, which it may learn only while it runs. Cheap to
/// clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct EnsembleName(Arc<Mutex<Name>>);

#[derive(Debug, Default)]
struct Name {
    name: Option<ClusterId>,
    /// It is part of the replicated state.
    is_known: bool,
    /// There are no data here: until it is decided whose they will be, nothing is taken from anybody.
    is_empty: bool,
}

impl EnsembleName {
    /// The name, once it is known or decided on.
    pub fn get(&self) -> Option<ClusterId> {
        self.0.lock().name
    }

    /// Sets the name that the replicated state has.
    pub fn set(&self, name: ClusterId) {
        let mut known = self.0.lock();
        (known.name, known.is_known) = (Some(name), true);
    }

    /// Whether the name is part of the replicated state.
    pub fn is_known(&self) -> bool {
        self.0.lock().is_known
    }

    /// There are no data: nothing is taken from anybody before [`decide`](Self::decide).
    pub(crate) fn begin_empty(&self) {
        self.0.lock().is_empty = true;
    }

    /// This server is to belong to that ensemble.
    pub(crate) fn decide(&self, name: u128) {
        let mut known = self.0.lock();
        if !known.is_known {
            known.name = Some(ClusterId(name));
        }
    }

    /// This server is to belong to none, for now.
    pub(crate) fn undecide(&self) {
        let mut known = self.0.lock();
        if !known.is_known {
            known.name = None;
        }
    }

    /// Whether entries and votes may be taken from others.
    pub(crate) fn is_decided(&self) -> bool {
        let known = self.0.lock();
        known.name.is_some() || !known.is_empty
    }
}

/// This server as its handshakes show it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LocalIdentity {
    pub(crate) member: MemberId,
    pub(crate) starts: Starts,
    pub(crate) ensemble: EnsembleName,
    pub(crate) versions: KnownVersions,
}

impl LocalIdentity {
    pub(crate) fn identity(&self) -> PeerIdentity {
        let cluster = self.ensemble.get().unwrap_or(NO_ENSEMBLE);
        PeerIdentity { cluster, server: self.member.raft_id() }
    }
}

/// Stands for the name of an ensemble that a server does not know yet.
const NO_ENSEMBLE: ClusterId = ClusterId(0);

#[cfg(test)]
impl From<PeerIdentity> for LocalIdentity {
    fn from(identity: PeerIdentity) -> Self {
        let (ensemble, member) = (EnsembleName::default(), identity.member());
        ensemble.set(identity.cluster);
        let (starts, versions) = (Starts::default(), KnownVersions::default());
        Self { member, starts, ensemble, versions }
    }
}

/// What a connection is for. Each has its own, so that none waits behind another.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// Requests of Raft.
    Raft,
    /// Requests of clients on their way to the leader.
    Forward,
    /// Questions of a server that looks for its ensemble. The server of the number answers, whatever its life
    /// and its ensemble: that is what is asked.
    Bootstrap,
    /// As [`Purpose::Forward`], opened by the leader towards a follower that does not reach it.
    Lead,
}

impl Purpose {
    pub(crate) fn encode(self) -> u8 {
        match self {
            Self::Raft => 0,
            Self::Forward => 1,
            Self::Bootstrap => 2,
            Self::Lead => 3,
        }
    }

    fn decode(byte: u8) -> Option<Self> {
        [Self::Raft, Self::Forward, Self::Bootstrap, Self::Lead]
            .into_iter()
            .find(|purpose| purpose.encode() == byte)
    }
}

/// The first bytes of a connection. Their layout is the same in all versions.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hello {
    pub(crate) versions: Versions,
    /// A [`Purpose`], perhaps of a later version.
    purpose: u8,
    pub(crate) from: PeerIdentity,
    /// The server that the connecting one means to reach.
    pub(crate) to: u64,
}

const HELLO_LEN: usize = 4 + 2 + 2 + 1 + 16 + 8 + 8;

impl Hello {
    pub(crate) fn new(versions: Versions, purpose: Purpose, from: PeerIdentity, to: u64) -> Self {
        Self { versions, purpose: purpose.encode(), from, to }
    }

    fn encode(&self) -> [u8; HELLO_LEN] {
        let mut bytes = [0; HELLO_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.versions.min.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.versions.max.to_be_bytes());
        bytes[8] = self.purpose;
        bytes[9..25].copy_from_slice(&self.from.cluster.0.to_be_bytes());
        bytes[25..33].copy_from_slice(&self.from.server.to_be_bytes());
        bytes[33..41].copy_from_slice(&self.to.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HELLO_LEN]) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
        };
        let small = |range| u64::try_from(number(range)).unwrap_or(0);
        let version = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        (bytes[..4] == MAGIC).then(|| Self {
            versions: Versions { min: version(4), max: version(6) },
            purpose: bytes[8],
            from: PeerIdentity { cluster: ClusterId(number(9..25)), server: small(25..33) },
            to: small(33..41),
        })
    }

    /// What a server that is `own` agrees to, or why it refuses this hello.
    fn check(
        &self,
        own: &PeerIdentity,
        versions: Versions,
        check: impl FnOnce(&AcceptedHello) -> Result<(), String>,
    ) -> Result<AcceptedHello, String> {
        let (from, to, here) = (self.from.member(), MemberId::from_raft_id(self.to), own.member());
        let purpose = Purpose::decode(self.purpose);
        if purpose != Some(Purpose::Bootstrap) {
            check_ensembles(&self.from, own)?;
            if to != here {
                return Err(format!("this is server {here}, not {to}"));
            }
        }
        if to.number != here.number {
            return Err(format!("this is server {here}, not {to}"));
        }
        if from.number == here.number {
            return Err(format!("both call themselves server {}: check `myid`", from.number));
        }
        let version = versions.common(self.versions).ok_or_else(|| {
            let (theirs, ours) = (self.versions, versions);
            format!("server {from} talks version {theirs}, server {here} talks {ours}")
        })?;
        let purpose = purpose
            .ok_or_else(|| format!("connections for purpose {} are not known", self.purpose))?;
        let from = from.raft_id();
        let accepted = AcceptedHello { from, purpose, version, newest: self.versions.max };
        check(&accepted).map(|()| accepted)
    }
}

/// Servers of different ensembles have nothing to say to each other.
fn check_ensembles(from: &PeerIdentity, own: &PeerIdentity) -> Result<(), String> {
    let both_known = ![from.cluster, own.cluster].contains(&NO_ENSEMBLE);
    if both_known && from.cluster != own.cluster {
        let (server, there, here) = (from.member(), from.cluster, own.cluster);
        return Err(format!("server {server} is of ensemble {there}, not {here}"));
    }
    Ok(())
}

/// A hello that was accepted: who connects, and for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AcceptedHello {
    pub(crate) from: u64,
    pub(crate) purpose: Purpose,
    /// The version agreed on.
    pub(crate) version: u16,
    /// The newest version that the other one can talk.
    pub(crate) newest: u16,
}

/// What was agreed on, as the connecting server learns it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Negotiated {
    /// The version of all that follows.
    pub(crate) version: u16,
    /// The newest version that the other one can talk.
    pub(crate) newest: u16,
}

/// Sends a hello, and waits for the answer.
pub(crate) async fn send_hello(stream: &mut impl Wire, hello: &Hello) -> io::Result<Negotiated> {
    stream.write_all(&hello.encode()).await?;
    stream.flush().await?;
    let version = stream.read_u16().await?;
    let newest = stream.read_u16().await?;
    if version != 0 {
        return Ok(Negotiated { version, newest });
    }
    let reason_len = usize::from(stream.read_u16().await?);
    let mut reason = vec![0; reason_len.min(REASON_LEN_MAX)];
    stream.read_exact(&mut reason).await?;
    let reason = String::from_utf8_lossy(&reason).into_owned();
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

/// Receives a hello and answers it: with the version agreed on, or with the reason of a refusal. `check` may refuse a
/// hello that is right in itself.
pub(crate) async fn receive_hello(
    stream: &mut impl Wire,
    own: &PeerIdentity,
    versions: Versions,
    check: impl FnOnce(&AcceptedHello) -> Result<(), String>,
) -> io::Result<AcceptedHello> {
    let mut bytes = [0; HELLO_LEN];
    stream.read_exact(&mut bytes).await?;
    let Some(hello) = Hello::decode(&bytes) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no server of an ensemble"));
    };
    let checked = hello.check(own, versions, check);
    let mut answer = Vec::new();
    let version = checked.as_ref().map_or(0, |accepted| accepted.version);
    answer.extend_from_slice(&version.to_be_bytes());
    answer.extend_from_slice(&versions.max.to_be_bytes());
    if let Err(reason) = &checked {
        put_reason(&mut answer, reason);
    }
    stream.write_all(&answer).await?;
    stream.flush().await?;
    checked.map_err(|reason| io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

/// Writes the reason for a refusal, cut to what is read of it.
pub(crate) fn put_reason(out: &mut Vec<u8>, reason: &str) {
    let len = u16::try_from(reason.len().min(REASON_LEN_MAX)).unwrap_or(0);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&reason.as_bytes()[..usize::from(len)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{BUILD_5DE72FB, BUILD_8AECE55, assert_written, golden};

    const OWN: PeerIdentity = PeerIdentity { cluster: ClusterId(7), server: 2 };
    const HERE: Versions = Versions { min: 3, max: 5 };

    fn hello() -> Hello {
        Hello::new(HERE, Purpose::Raft, PeerIdentity { cluster: ClusterId(7), server: 1 }, 2)
    }

    #[test]
    fn a_hello_comes_back_as_it_went() {
        // Both sides read the same greeting; other bytes are none.
        let big = PeerIdentity { cluster: ClusterId(u128::MAX - 5), server: u64::MAX - 1 };
        let hello = Hello { from: big, purpose: 200, ..hello() };
        assert_eq!(Hello::decode(&hello.encode()), Some(hello));
        assert_eq!(Hello::decode(&[0; HELLO_LEN]), None);
    }

    #[test]
    fn greetings_of_earlier_builds_are_read() {
        // Builds of all versions read it. A server's number is in the low half of its id, its life in the high one.
        let first = PeerIdentity { cluster: ClusterId(0x6f1c), server: 3 };
        let member = MemberId { number: 300, life: 0x5f2a_c01d };
        let second = PeerIdentity { cluster: ClusterId(0x6f1c), server: member.raft_id() };
        let purposes = [
            ("hello.Raft", Purpose::Raft),
            ("hello.Forward", Purpose::Forward),
            ("hello.Formation", Purpose::Bootstrap),
            ("hello.Lead", Purpose::Lead),
        ];
        for (file, max, from) in [(BUILD_8AECE55, 1, first), (BUILD_5DE72FB, 2, second)] {
            for (name, purpose) in purposes {
                let hello = Hello::new(Versions { min: 1, max }, purpose, from, 2);
                assert_written(file, name, &hello.encode());
                let bytes = golden(file, name).try_into().unwrap();
                assert_eq!(Hello::decode(&bytes), Some(hello));
                assert_eq!(Purpose::decode(hello.purpose), Some(purpose));
            }
        }
    }

    #[tokio::test]
    async fn answers_of_earlier_builds_are_read() {
        // Who greets learns the version agreed on and the newest one, or why it is refused.
        let welcoming = PeerIdentity { cluster: ClusterId(7), server: 2 };
        let other = PeerIdentity { cluster: ClusterId(8), server: 2 };
        for (name, own) in [("hello.welcome", welcoming), ("hello.refusal", other)] {
            let (mut here, mut there) = tokio::io::duplex(1 << 12);
            here.write_all(&hello().encode()).await.unwrap();
            let welcomed = receive_hello(&mut there, &own, HERE, |_| Ok(())).await;
            drop(there);
            let mut answer = Vec::new();
            here.read_to_end(&mut answer).await.unwrap();
            for file in [BUILD_8AECE55, BUILD_5DE72FB] {
                assert_written(file, name, &answer);
                let (mut here, mut there) = tokio::io::duplex(1 << 12);
                there.write_all(&golden(file, name)).await.unwrap();
                let agreed = send_hello(&mut here, &hello()).await;
                let is_welcome = agreed.is_ok_and(|agreed| agreed.version == 5);
                assert_eq!(is_welcome, welcomed.is_ok());
            }
        }
    }

    #[test]
    fn strangers_are_refused() {
        // Another ensemble, the wrong server, a double and an unknown purpose are told apart.
        let accepted = AcceptedHello { from: 1, purpose: Purpose::Raft, version: 5, newest: 5 };
        assert_eq!(hello().check(&OWN, HERE, |_| Ok(())), Ok(accepted));
        let other = |change: fn(&mut Hello)| {
            let mut hello = hello();
            change(&mut hello);
            hello.check(&OWN, HERE, |_| Ok(())).expect_err("refused")
        };
        assert!(other(|hello| hello.from.cluster = ClusterId(8)).contains("ensemble"));
        assert!(other(|hello| hello.to = 3).contains("not 3"));
        assert!(other(|hello| hello.from.server = 2).contains("myid"));
        assert!(other(|hello| hello.purpose = 9).contains("purpose 9"));
    }

    #[test]
    fn another_life_of_a_server_is_another_server() {
        // What is meant for a data directory that was lost is refused by the one that replaced it; only
        // who asks for its ensemble need not know whom it meets.
        let life = |number, life| MemberId { number, life }.raft_id();
        let own = PeerIdentity { server: life(2, 7), ..OWN };
        let to = |to, purpose| {
            let hello = Hello { to, ..Hello::new(HERE, purpose, hello().from, 2) };
            hello.check(&own, HERE, |_| Ok(())).map(|accepted| accepted.from)
        };
        assert_eq!(to(life(2, 7), Purpose::Raft), Ok(1));
        for other in [life(2, 0), life(2, 8), life(3, 7)] {
            for purpose in [Purpose::Raft, Purpose::Forward, Purpose::Lead] {
                assert!(to(other, purpose).is_err_and(|why| why.contains("2 (life 00000007)")));
            }
        }
        assert_eq!(to(life(2, 0), Purpose::Bootstrap), Ok(1));
        assert!(to(life(3, 7), Purpose::Bootstrap).is_err());
    }

    #[test]
    fn the_newest_common_version_is_talked() {
        // Servers of neighbouring versions agree; those that have none in common say so.
        let talk = |min, max| {
            let hello = Hello { versions: Versions { min, max }, ..hello() };
            hello.check(&OWN, HERE, |_| Ok(())).map(|accepted| accepted.version)
        };
        assert_eq!(talk(3, 5), Ok(5));
        assert_eq!(talk(4, 6), Ok(5));
        assert_eq!(talk(1, 4), Ok(4));
        assert_eq!(talk(5, 9), Ok(5));
        assert!(
            talk(6, 7).is_err_and(|why| why.contains("version 6 to 7") && why.contains("3 to 5"))
        );
        assert!(talk(1, 2).is_err());
    }

    #[tokio::test]
    async fn both_sides_learn_what_was_agreed() {
        // The connecting server learns the version, or the reason why it is not welcome.
        let (mut here, mut there) = tokio::io::duplex(64);
        let newer = Hello { versions: Versions { min: 4, max: 7 }, ..hello() };
        let (agreed, accepted) = tokio::join!(
            send_hello(&mut here, &newer),
            receive_hello(&mut there, &OWN, HERE, |_| Ok(()))
        );
        assert_eq!(agreed.unwrap(), Negotiated { version: 5, newest: 5 });
        assert_eq!(accepted.unwrap().newest, 7);
        let (agreed, accepted) = tokio::join!(
            send_hello(&mut here, &newer),
            receive_hello(&mut there, &OWN, HERE, |_| Err("no".to_owned()))
        );
        let (agreed, accepted) = (agreed.unwrap_err(), accepted.unwrap_err());
        assert_eq!(agreed.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(agreed.to_string(), accepted.to_string());
    }
}
