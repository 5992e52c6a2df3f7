//! Messages on a connection: a length and the message in postcard.
//!
//! Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use kernel::limits::PEER_FRAME_LEN_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::env::time::{Instant, timeout_at};

/// A frame is longer than this only if something is wrong: requests are cut to less.
pub(crate) const FRAME_LEN_MAX: usize = PEER_FRAME_LEN_MAX;

/// The bytes of the length.
const PREFIX_LEN: usize = 4;

/// Room for this many bytes is made before the length of a message is known.
const READ_LEN_MIN: usize = 4 << 10;

/// A message that has begun to come is there after so long, or never.
const MESSAGE_WITHIN: Duration = Duration::from_secs(60);

/// Messages that are longer share their room with those of all other connections, ...
const SHARED_FROM: usize = 1 << 20;

/// ... of which there is so much.
const ROOM_MAX: usize = 4 * FRAME_LEN_MAX;

/// What room is counted in.
const ROOM_UNIT: usize = 1 << 10;

/// Room for long messages that have not come in whole: a peer that sends halves of them gets no more than this.
/// Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM_MAX / ROOM_UNIT)))
    }
}

impl Room {
    async fn take(&self, len: usize) -> io::Result<OwnedSemaphorePermit> {
        let units = u32::try_from(len.div_ceil(ROOM_UNIT)).map_err(io::Error::other)?;
        Arc::clone(&self.0).acquire_many_owned(units).await.map_err(io::Error::other)
    }
}

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
pub(crate) async fn send<T: Serialize>(
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
pub(crate) async fn receive<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<T> {
    receive_short(stream, FRAME_LEN_MAX).await
}

/// As [`receive`], for messages of at most `len_max` bytes.
pub(crate) async fn receive_short<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    len_max: usize,
) -> io::Result<T> {
    let len = checked(stream.read_u32().await?, len_max)?;
    let mut frame = Vec::new();
    let read = stream.take(len as u64).read_to_end(&mut frame).await?;
    if read < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    decode(&frame)
}

fn checked(len: u32, len_max: usize) -> io::Result<usize> {
    let len = len as usize;
    if len > len_max {
        let what = format!("a message of {len} bytes is longer than {len_max}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(len)
}

fn decode<T: DeserializeOwned>(frame: &[u8]) -> io::Result<T> {
    postcard::from_bytes(frame)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

/// Takes messages off a connection, without losing a part of one when the wait is given up.
#[derive(Debug)]
pub(crate) struct Frames {
    buffer: BytesMut,
    room: Room,
    taken: Option<OwnedSemaphorePermit>,
    /// When the message that has begun has to be there.
    due: Option<Instant>,
}

impl Frames {
    /// Takes messages, the long ones where there is room.
    pub(crate) fn new(room: Room) -> Self {
        Self { buffer: BytesMut::new(), room, taken: None, due: None }
    }

    /// Waits for the next message. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`receive`]; `TimedOut` for one that begins and does not end.
    pub(crate) async fn next<T: DeserializeOwned>(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<T> {
        loop {
            let missing = match self.buffer.first_chunk::<PREFIX_LEN>() {
                None => READ_LEN_MIN,
                Some(prefix) => {
                    let len = PREFIX_LEN + checked(u32::from_be_bytes(*prefix), FRAME_LEN_MAX)?;
                    if let Some(frame) = self.buffer.get(PREFIX_LEN..len) {
                        let message = decode(frame);
                        self.buffer.advance(len);
                        (self.taken, self.due) = (None, None);
                        return message;
                    }
                    len - self.buffer.len()
                }
            };
            if self.buffer.is_empty() {
                self.read(stream, missing).await?;
                continue;
            }
            let due = *self.due.get_or_insert_with(|| Instant::now() + MESSAGE_WITHIN);
            let late = || io::Error::new(io::ErrorKind::TimedOut, "half a message came");
            timeout_at(due, self.read(stream, missing)).await.unwrap_or_else(|_| Err(late()))?;
        }
    }

    async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        missing: usize,
    ) -> io::Result<()> {
        if missing > SHARED_FROM && self.taken.is_none() {
            self.taken = Some(self.room.take(missing).await?);
        }
        // What is announced may never come: room is made as it does.
        self.buffer.reserve(missing.min(1 << 20));
        match stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::golden::{BUILD_5DE72FB, BUILD_8AECE55, assert_written, golden};

    #[tokio::test]
    async fn frames_of_earlier_builds_are_read() {
        // The length in front of a message has four bytes, the highest first.
        let message = "x".repeat(300);
        for file in [BUILD_8AECE55, BUILD_5DE72FB] {
            assert_written(file, "peer.frame", &encode(&message).unwrap());
            let bytes = golden(file, "peer.frame");
            assert_eq!(receive::<String>(&mut &*bytes).await.unwrap(), message);
        }
    }

    #[tokio::test]
    async fn a_wait_given_up_loses_nothing() {
        // Messages come whole and in order, however they were cut and however often the wait for
        // them was given up.
        let (mut here, mut there) = duplex(1 << 20);
        let messages: Vec<String> = (0..20).map(|len| "x".repeat(len * len * 9)).collect();
        let bytes: Vec<u8> = messages.iter().flat_map(|m| encode(m).unwrap()).collect();
        let (mut frames, mut seen) = (Frames::new(Room::default()), Vec::<String>::new());
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
            let mut frames = Frames::new(Room::default());
            let error = frames.next::<String>(&mut bytes.as_slice()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(receive::<String>(&mut bytes.as_slice()).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn halves_of_messages_are_not_kept() {
        // What begins and does not end is given up, and however many begin, only so much room is theirs.
        let room = Room::default();
        let prefix = u32::try_from(FRAME_LEN_MAX).unwrap().to_be_bytes();
        let begin = || async {
            let (mut here, mut there) = duplex(1 << 10);
            there.write_all(&prefix).await.unwrap();
            let room = room.clone();
            let waiting = tokio::spawn(async move {
                let ended = Frames::new(room).next::<String>(&mut here).await;
                ended.unwrap_err().kind()
            });
            (there, waiting)
        };
        let mut begun = Vec::new();
        for _ in 0..20 {
            begun.push(begin().await);
        }
        while room.0.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        for (_there, waiting) in begun {
            assert_eq!(waiting.await.unwrap(), io::ErrorKind::TimedOut);
        }
        assert_eq!(room.0.available_permits(), ROOM_MAX / ROOM_UNIT);
    }
}
