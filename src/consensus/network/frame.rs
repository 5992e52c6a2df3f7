//! Messages on a connection: a length and the message in postcard.

use std::io;

use bytes::{Buf, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::limits::PEER_FRAME_LEN_MAX;

/// A frame is longer than this only if something is wrong: requests are cut to less.
pub(in crate::consensus) const FRAME_LEN_MAX: usize = PEER_FRAME_LEN_MAX;

/// The bytes of the length.
const PREFIX_LEN: usize = 4;

/// Room for this many bytes is made before the length of a message is known.
const READ_LEN_MIN: usize = 4 << 10;

/// A message with its length.
///
/// # Errors
///
/// A message longer than [`FRAME_LEN_MAX`].
pub(super) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut frame = postcard::to_extend(message, vec![0; PREFIX_LEN]).map_err(io::Error::other)?;
    let len = frame.len() - PREFIX_LEN;
    if len > FRAME_LEN_MAX {
        return Err(io::Error::other(format!("a message of {len} bytes is too long to send")));
    }
    let prefix = u32::try_from(len).map_err(io::Error::other)?.to_be_bytes();
    frame[..PREFIX_LEN].copy_from_slice(&prefix);
    Ok(frame)
}

/// Sends one message.
///
/// # Errors
///
/// The connection's; a message longer than [`FRAME_LEN_MAX`].
pub(in crate::consensus) async fn send<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> io::Result<()> {
    stream.write_all(&encode(message)?).await?;
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
    let len = checked(stream.read_u32().await?)?;
    let mut frame = Vec::new();
    let read = stream.take(len as u64).read_to_end(&mut frame).await?;
    if read < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    decode(&frame)
}

fn checked(len: u32) -> io::Result<usize> {
    let len = len as usize;
    if len > FRAME_LEN_MAX {
        let what = format!("a message of {len} bytes is longer than {FRAME_LEN_MAX}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(len)
}

fn decode<T: DeserializeOwned>(frame: &[u8]) -> io::Result<T> {
    postcard::from_bytes(frame)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

/// Takes messages off a connection, without losing a part of one when the wait is given up.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: BytesMut,
}

impl Frames {
    /// Waits for the next message. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`receive`].
    pub(super) async fn next<T: DeserializeOwned>(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<T> {
        loop {
            let missing = match self.buffer.first_chunk::<PREFIX_LEN>() {
                None => READ_LEN_MIN,
                Some(prefix) => {
                    let len = PREFIX_LEN + checked(u32::from_be_bytes(*prefix))?;
                    if let Some(frame) = self.buffer.get(PREFIX_LEN..len) {
                        let message = decode(frame);
                        self.buffer.advance(len);
                        return message;
                    }
                    len - self.buffer.len()
                }
            };
            // What is announced may never come: room is made as it does.
            self.buffer.reserve(missing.min(1 << 20));
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn a_wait_given_up_loses_nothing() {
        // Messages come whole and in order, however they were cut and however often the wait for
        // them was given up.
        let (mut here, mut there) = duplex(1 << 20);
        let messages: Vec<String> = (0..20).map(|len| "x".repeat(len * len * 9)).collect();
        let bytes: Vec<u8> = messages.iter().flat_map(|m| encode(m).unwrap()).collect();
        let (mut frames, mut seen) = (Frames::default(), Vec::<String>::new());
        for piece in bytes.chunks(7) {
            there.write_all(piece).await.unwrap();
            loop {
                tokio::select! {
                    biased;
                    message = frames.next(&mut here) => seen.push(message.unwrap()),
                    () = std::future::ready(()) => break,
                }
            }
        }
        assert_eq!(seen, messages);
        drop(there);
        let end = frames.next::<String>(&mut here).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn nonsense_is_refused() {
        // A length beyond all sense, and bytes that are no message, are errors.
        for bytes in [vec![255; 8], vec![0, 0, 0, 1, 200]] {
            let mut frames = Frames::default();
            let error = frames.next::<String>(&mut bytes.as_slice()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(receive::<String>(&mut bytes.as_slice()).await.is_err());
        }
    }
}
