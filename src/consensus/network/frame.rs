//! Lengths and greetings.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::storage::ClusterId;

/// What every connection begins with.
const MAGIC: [u8; 4] = *b"GKPR";

/// The version of all that travels between servers.
pub(super) const VERSION: u16 = 1;

/// A frame is longer than this only if something is wrong: requests are cut to less.
pub(super) const FRAME_LEN_MAX: usize = 64 << 20;

/// The longest reason for a refusal.
const REASON_LEN_MAX: usize = 1 << 10;

/// Who a server is among its peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::consensus) struct Membership {
    /// The ensemble.
    pub(in crate::consensus) cluster: ClusterId,
    /// The server's number in it.
    pub(in crate::consensus) server: u64,
}

/// The first bytes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hello {
    pub(super) version: u16,
    pub(super) from: Membership,
    /// The server that the connecting one means to reach.
    pub(super) to: u64,
}

const HELLO_LEN: usize = 4 + 2 + 16 + 8 + 8;

impl Hello {
    fn encode(&self) -> [u8; HELLO_LEN] {
        let mut bytes = [0; HELLO_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.version.to_be_bytes());
        bytes[6..22].copy_from_slice(&self.from.cluster.0.to_be_bytes());
        bytes[22..30].copy_from_slice(&self.from.server.to_be_bytes());
        bytes[30..38].copy_from_slice(&self.to.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HELLO_LEN]) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
        };
        let small = |range| u64::try_from(number(range)).unwrap_or(0);
        (bytes[..4] == MAGIC).then(|| Self {
            version: u16::from_be_bytes([bytes[4], bytes[5]]),
            from: Membership { cluster: ClusterId(number(6..22)), server: small(22..30) },
            to: small(30..38),
        })
    }

    /// Why a server that is `own` does not talk to whoever says this; `None` where it does.
    pub(super) fn refusal(&self, own: &Membership) -> Option<String> {
        if self.version != VERSION {
            let found = self.version;
            return Some(format!("version {found} is spoken there, {VERSION} here"));
        }
        if self.from.cluster != own.cluster {
            let (there, here) = (self.from.cluster, own.cluster);
            return Some(format!("server {} is of ensemble {there}, not {here}", self.from.server));
        }
        if self.to != own.server {
            return Some(format!("this is server {}, not {}", own.server, self.to));
        }
        if self.from.server == own.server {
            return Some(format!("both call themselves server {}: check `myid`", own.server));
        }
        None
    }
}

/// Greets, and waits to be welcome.
pub(super) async fn greet(stream: &mut TcpStream, hello: &Hello) -> io::Result<()> {
    stream.write_all(&hello.encode()).await?;
    let reason_len = usize::from(stream.read_u16().await?);
    if reason_len == 0 {
        return Ok(());
    }
    let mut reason = vec![0; reason_len.min(REASON_LEN_MAX)];
    stream.read_exact(&mut reason).await?;
    let reason = String::from_utf8_lossy(&reason).into_owned();
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

/// Takes a greeting; whoever is not welcome is told why. Returns the other server's number.
pub(super) async fn welcome(stream: &mut TcpStream, own: &Membership) -> io::Result<u64> {
    let mut bytes = [0; HELLO_LEN];
    stream.read_exact(&mut bytes).await?;
    let Some(hello) = Hello::decode(&bytes) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no server of an ensemble"));
    };
    let reason = hello.refusal(own).unwrap_or_default();
    let reason_len = u16::try_from(reason.len().min(REASON_LEN_MAX)).unwrap_or(0);
    stream.write_u16(reason_len).await?;
    stream.write_all(&reason.as_bytes()[..usize::from(reason_len)]).await?;
    if reason.is_empty() {
        Ok(hello.from.server)
    } else {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
    }
}

/// Sends one message.
pub(super) async fn send<T: Serialize>(stream: &mut TcpStream, message: &T) -> io::Result<()> {
    let mut frame = postcard::to_extend(message, vec![0; 4]).map_err(io::Error::other)?;
    let len = frame.len() - 4;
    if len > FRAME_LEN_MAX {
        return Err(io::Error::other(format!("a message of {len} bytes is too long to send")));
    }
    let prefix = u32::try_from(len).map_err(io::Error::other)?.to_be_bytes();
    frame[..4].copy_from_slice(&prefix);
    stream.write_all(&frame).await
}

/// Waits for one message.
pub(super) async fn receive<T: DeserializeOwned>(stream: &mut TcpStream) -> io::Result<T> {
    let len = stream.read_u32().await? as usize;
    if len > FRAME_LEN_MAX {
        let what = format!("a message of {len} bytes is longer than {FRAME_LEN_MAX}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut frame = Vec::new();
    let read = stream.take(len as u64).read_to_end(&mut frame).await?;
    if read < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    postcard::from_bytes(&frame)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Membership = Membership { cluster: ClusterId(7), server: 2 };

    fn hello() -> Hello {
        Hello { version: VERSION, from: Membership { cluster: ClusterId(7), server: 1 }, to: 2 }
    }

    #[test]
    fn a_hello_comes_back_as_it_went() {
        // Both sides read the same greeting; other bytes are none.
        let big = Membership { cluster: ClusterId(u128::MAX - 5), server: u64::MAX - 1 };
        let hello = Hello { from: big, ..hello() };
        assert_eq!(Hello::decode(&hello.encode()), Some(hello));
        assert_eq!(Hello::decode(&[0; HELLO_LEN]), None);
    }

    #[test]
    fn strangers_are_refused() {
        // Another version, another ensemble, the wrong server and a double are told apart.
        assert_eq!(hello().refusal(&OWN), None);
        let other = |change: fn(&mut Hello)| {
            let mut hello = hello();
            change(&mut hello);
            hello.refusal(&OWN).expect("refused")
        };
        assert!(other(|hello| hello.version = 9).contains("version 9"));
        assert!(other(|hello| hello.from.cluster = ClusterId(8)).contains("ensemble"));
        assert!(other(|hello| hello.to = 3).contains("not 3"));
        assert!(other(|hello| hello.from.server = 2).contains("myid"));
    }
}
