//! Messages on a connection: a length and the message in postcard.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A frame is longer than this only if something is wrong: requests are cut to less.
pub(in crate::consensus) const FRAME_LEN_MAX: usize = 64 << 20;

/// Sends one message.
///
/// # Errors
///
/// The connection's; a message longer than [`FRAME_LEN_MAX`].
pub(in crate::consensus) async fn send<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> io::Result<()> {
    let mut frame = postcard::to_extend(message, vec![0; 4]).map_err(io::Error::other)?;
    let len = frame.len() - 4;
    if len > FRAME_LEN_MAX {
        return Err(io::Error::other(format!("a message of {len} bytes is too long to send")));
    }
    let prefix = u32::try_from(len).map_err(io::Error::other)?.to_be_bytes();
    frame[..4].copy_from_slice(&prefix);
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// Waits for one message. Not cancel-safe: part of a message may have been taken.
///
/// # Errors
///
/// The connection's; `InvalidData` for what is no message.
pub(in crate::consensus) async fn receive<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<T> {
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
