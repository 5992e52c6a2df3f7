//! Behind the hello, from version 2 on: which start of a server is talking, and whether it knows the secret.
//!
//! ```text
//! both   number of the start u64, process u64, a number drawn for this connection [u8; 32]
//! both   proof that the secret is known [u8; 32], zeros without one
//! both   length of a refusal u16, 0 for none, and its reason
//! ```
//!
//! Raft rests on disks that forget nothing. Two cases are told apart:
//!
//! * A server whose disk was lost has a new data directory with another *life*. It is another member, with another id,
//!   and the consensus takes it in as one.
//! * A data directory that was brought back to an earlier moment has the same life, and has forgotten votes and
//!   entries. Each process has a higher *start* number than the one before it on the same directory, and servers keep
//!   the newest start of each member that they met. A member that shows an older one, or the same with another process,
//!   is refused.
//!
//! Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.

use std::io;
use std::sync::Arc;

use kernel::ensemble::MemberId;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::stream::Wire;
use super::hello::{REASON_LEN_MAX, put_reason};
use super::secret::{HandshakeParties, NO_PROOF, NONCE_LEN, Nonces, Secret, nonce};
use crate::env::task;
use crate::storage::{KnownStarts, Start};

/// Why a server is refused that does not show that it knows the secret.
const NO_SECRET: &str = "it does not know the secret of this ensemble: check `quorum.secretFile`";

/// The version from which on servers introduce themselves so.
pub(crate) const SINCE: u16 = 2;

/// This server's start, and those of others that were met. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Starts {
    own: Start,
    met: Option<Arc<Mutex<KnownStarts>>>,
    secret: Secret,
}

impl Starts {
    /// Introduces this server as `own`; what is met goes to `met`.
    pub(crate) fn new(own: Start, met: KnownStarts, secret: Secret) -> Self {
        Self { own, met: Some(Arc::new(Mutex::new(met))), secret }
    }

    /// Why a server that talks this version is refused, if it is: earlier ones cannot show that they know a secret.
    pub(crate) fn check_version(&self, version: u16) -> Result<(), String> {
        if version < SINCE && self.secret.is_some() {
            return Err(format!(
                "version {version} knows no `quorum.secretFile`, which is set here"
            ));
        }
        Ok(())
    }

    /// Introduces this server to another one and hears which start that is; either may refuse the other.
    /// `peer` is who the other one is, where that is known.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` with the reason, on both sides; those of the connection.
    pub(crate) async fn exchange(
        &self,
        stream: &mut impl Wire,
        peer: Option<MemberId>,
        parties: &HandshakeParties,
    ) -> io::Result<()> {
        let own = nonce();
        let mut said = [0; 16 + NONCE_LEN];
        said[..8].copy_from_slice(&self.own.number.to_be_bytes());
        said[8..16].copy_from_slice(&self.own.process.to_be_bytes());
        said[16..].copy_from_slice(&own);
        stream.write_all(&said).await?;
        stream.flush().await?;
        let start = Start { number: stream.read_u64().await?, process: stream.read_u64().await? };
        let mut theirs = [0; NONCE_LEN];
        stream.read_exact(&mut theirs).await?;
        let nonces = Nonces { own, theirs };
        stream.write_all(&self.secret.prove(parties, &nonces)).await?;
        stream.flush().await?;
        let mut proof = NO_PROOF;
        stream.read_exact(&mut proof).await?;
        let refusal = match peer {
            _ if !self.secret.accepts(parties, &nonces, &proof) => Some(NO_SECRET.to_owned()),
            Some(peer) => self.meet(peer, start).await,
            None => None,
        };
        tell(stream, refusal).await?;
        heard(stream).await
    }

    /// Takes note of a start; says why a server is refused that shows it.
    async fn meet(&self, peer: MemberId, theirs: Start) -> Option<String> {
        let met = Arc::clone(self.met.as_ref()?);
        // Written to disk where it is new.
        let met = task::spawn_blocking(move || met.lock().observe(peer, theirs)).await;
        match met {
            Ok(Ok(newer)) => newer.map(|newer| refusal(peer, theirs, newer)),
            Ok(Err(error)) => {
                tracing::warn!("the start of server {peer} is not written down: {error}");
                None
            }
            // The server is stopping.
            Err(_) => None,
        }
    }
}

/// Tells the other side whether it is refused.
async fn tell(stream: &mut impl Wire, refusal: Option<String>) -> io::Result<()> {
    let mut verdict = Vec::new();
    put_reason(&mut verdict, refusal.as_deref().unwrap_or_default());
    stream.write_all(&verdict).await?;
    stream.flush().await?;
    let denied = |reason| Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    refusal.map_or(Ok(()), denied)
}

/// Hears whether the other side refuses this one.
async fn heard(stream: &mut impl Wire) -> io::Result<()> {
    let len = usize::from(stream.read_u16().await?);
    if len == 0 {
        return Ok(());
    }
    let mut reason = vec![0; len.min(REASON_LEN_MAX)];
    stream.read_exact(&mut reason).await?;
    let reason = String::from_utf8_lossy(&reason).into_owned();
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

fn refusal(peer: MemberId, theirs: Start, newer: Start) -> String {
    format!(
        "the data of server {peer} are of an earlier moment: it was started for the {}. time on them, \
         and start {} was met before. It has forgotten what it acknowledged since: empty its data \
         directory, so that it joins anew",
        theirs.number, newer.number
    )
}

#[cfg(test)]
mod tests {
    use super::super::hello::Purpose;
    use super::*;
    use crate::golden::{BUILD_5DE72FB, assert_written, golden};
    use crate::storage::{DataDir, OpenOptions};

    const PEER: MemberId = MemberId { number: 1, life: 9 };
    const DIALS: HandshakeParties =
        HandshakeParties { dialler: 1, acceptor: 2, purpose: Purpose::Raft, dials: true };
    const ACCEPTS: HandshakeParties = HandshakeParties { dials: false, ..DIALS };

    #[tokio::test]
    async fn a_server_with_data_of_an_earlier_moment_is_refused() {
        // Both sides learn why; a start that is newer, or another connection of the newest, is welcome.
        let dir = tempfile::tempdir().unwrap();
        let dir = DataDir::open(dir.path(), &OpenOptions::new(2)).unwrap();
        let own = Start { number: 1, process: 7 };
        let here = Starts::new(own, dir.known_starts().unwrap(), Secret::default());
        for (number, process, welcome) in
            [(5, 1, true), (5, 1, true), (5, 2, false), (4, 3, false), (6, 4, true)]
        {
            let there = Starts { own: Start { number, process }, ..Starts::default() };
            let (mut one, mut other) = tokio::io::duplex(1 << 12);
            let (ours, theirs) = tokio::join!(
                here.exchange(&mut one, Some(PEER), &ACCEPTS),
                there.exchange(&mut other, None, &DIALS)
            );
            assert_eq!(ours.is_ok(), welcome, "{number} {process}: {ours:?}");
            let text = |result: io::Result<()>| result.map_err(|error| error.to_string());
            assert_eq!(text(ours), text(theirs));
        }
    }

    #[tokio::test]
    async fn introductions_of_earlier_builds_are_understood() {
        // Start, number of the connection, proof and verdict stand where they stood; the number is drawn, here it is 0.
        let own = Start { number: 12, process: 0x9a3f << 40 };
        let here = Starts { own, ..Starts::default() };
        let meet = async |said: &[u8]| {
            let (mut one, mut other) = tokio::io::duplex(1 << 12);
            other.write_all(said).await.unwrap();
            here.exchange(&mut one, None, &DIALS).await.unwrap();
            drop(one);
            let mut answer = Vec::new();
            other.read_to_end(&mut answer).await.unwrap();
            answer[16..16 + NONCE_LEN].fill(0);
            answer
        };
        let nothing = [0; 16 + NONCE_LEN + NO_PROOF.len() + 2];
        assert_written(BUILD_5DE72FB, "introduction", &meet(&nothing).await);
        meet(&golden(BUILD_5DE72FB, "introduction")).await;
    }

    #[tokio::test]
    async fn a_server_without_the_secret_is_refused() {
        // Whichever side has another one, or none, both learn why.
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let secret = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Starts { secret: Secret::read(&file).unwrap(), ..Starts::default() }
        };
        let (ours, others) = (secret("a secret of ours"), secret("one of somebody else"));
        let none = Starts::default();
        for (here, there, welcome) in [
            (&ours, &ours, true),
            (&none, &none, true),
            (&ours, &others, false),
            (&ours, &none, false),
            (&none, &ours, false),
        ] {
            let (mut one, mut other) = tokio::io::duplex(1 << 12);
            let (here, there) = tokio::join!(
                here.exchange(&mut one, None, &DIALS),
                there.exchange(&mut other, None, &ACCEPTS)
            );
            assert_eq!((here.is_ok(), there.is_ok()), (welcome, welcome));
        }
        assert!(ours.check_version(1).is_err() && ours.check_version(SINCE).is_ok());
        assert!(none.check_version(1).is_ok());
    }
}
