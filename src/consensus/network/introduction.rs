//! Behind the greeting, from version 2 on: which start of a server is talking.
//!
//! ```text
//! both   number of the start u64, process u64
//! both   length of a refusal u16, 0 for none, and its reason
//! ```
//!
//! A data directory that was brought back to an earlier moment has forgotten votes and entries. Where
//! another server has met a later start of the same member, it is refused.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::hello::{REASON_LEN_MAX, put_reason};
use super::stream::Wire;
use crate::ensemble::MemberId;
use crate::storage::{Met, Start};

/// The version from which on servers introduce themselves so.
pub(super) const SINCE: u16 = 2;

/// This server's start, and those of others that were met. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(in crate::consensus) struct Starts {
    own: Start,
    met: Option<Arc<Mutex<Met>>>,
}

impl Starts {
    /// Introduces this server as `own`; what is met goes to `met`.
    pub(in crate::consensus) fn new(own: Start, met: Met) -> Self {
        Self { own, met: Some(Arc::new(Mutex::new(met))) }
    }

    /// Introduces this server to another one and hears which start that is; either may refuse the other.
    /// `peer` is who the other one is, where that is known.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` with the reason, on both sides; those of the connection.
    pub(super) async fn exchange(
        &self,
        stream: &mut impl Wire,
        peer: Option<MemberId>,
    ) -> io::Result<()> {
        let mut own = [0; 16];
        own[..8].copy_from_slice(&self.own.number.to_be_bytes());
        own[8..].copy_from_slice(&self.own.process.to_be_bytes());
        stream.write_all(&own).await?;
        stream.flush().await?;
        let theirs = Start { number: stream.read_u64().await?, process: stream.read_u64().await? };
        let refusal = match peer {
            Some(peer) => self.meet(peer, theirs).await,
            None => None,
        };
        let mut verdict = Vec::new();
        put_reason(&mut verdict, refusal.as_deref().unwrap_or_default());
        stream.write_all(&verdict).await?;
        stream.flush().await?;
        if let Some(reason) = refusal {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        }
        let len = usize::from(stream.read_u16().await?);
        if len == 0 {
            return Ok(());
        }
        let mut reason = vec![0; len.min(REASON_LEN_MAX)];
        stream.read_exact(&mut reason).await?;
        let reason = String::from_utf8_lossy(&reason).into_owned();
        Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
    }

    /// Takes note of a start; says why a server is refused that shows it.
    async fn meet(&self, peer: MemberId, theirs: Start) -> Option<String> {
        let met = Arc::clone(self.met.as_ref()?);
        // Written to disk where it is new.
        let met = tokio::task::spawn_blocking(move || met.lock().meet(peer, theirs)).await;
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
    use super::*;
    use crate::storage::{DataDir, OpenOptions};

    const PEER: MemberId = MemberId { number: 1, life: 9 };

    #[tokio::test]
    async fn a_server_with_data_of_an_earlier_moment_is_refused() {
        // Both sides learn why; a start that is newer, or another connection of the newest, is welcome.
        let dir = tempfile::tempdir().unwrap();
        let dir = DataDir::open(dir.path(), &OpenOptions::new(2)).unwrap();
        let here = Starts::new(Start { number: 1, process: 7 }, dir.met().unwrap());
        for (number, process, welcome) in
            [(5, 1, true), (5, 1, true), (5, 2, false), (4, 3, false), (6, 4, true)]
        {
            let there = Starts { own: Start { number, process }, met: None };
            let (mut one, mut other) = tokio::io::duplex(1 << 12);
            let (ours, theirs) =
                tokio::join!(here.exchange(&mut one, Some(PEER)), there.exchange(&mut other, None));
            assert_eq!(ours.is_ok(), welcome, "{number} {process}: {ours:?}");
            let text = |result: io::Result<()>| result.map_err(|error| error.to_string());
            assert_eq!(text(ours), text(theirs));
        }
    }
}
