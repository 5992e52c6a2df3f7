//! Packets on a byte stream: an `i32` length, which does not count itself, and that many bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::FrameError;

/// The bytes of the length prefix.
const PREFIX_LEN: usize = 4;

/// The length of the frame that `input` begins with, its prefix not counted, if all of it is there: it is then
/// `input[4..4 + len]`. `None` means that more bytes are needed.
///
/// # Errors
/// Where the prefix is negative or over `max`, even while the frame is incomplete.
pub fn frame_len(input: &[u8], max: usize) -> Result<Option<usize>, FrameError> {
    let Some(prefix) = input.first_chunk::<PREFIX_LEN>() else { return Ok(None) };
    let len = i32::from_be_bytes(*prefix);
    let Ok(len) = usize::try_from(len) else { return Err(FrameError::Negative { len }) };
    if len > max {
        return Err(FrameError::TooLong { len, max });
    }
    Ok((input.len() - PREFIX_LEN >= len).then_some(len))
}

/// Takes the next frame off the front of `input` without copying it; `None` means that more bytes are needed.
///
/// # Errors
/// As [`frame_len`].
pub fn next_frame(input: &mut BytesMut, max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(len) = frame_len(input, max)? else { return Ok(None) };
    input.advance(PREFIX_LEN);
    Ok(Some(input.split_to(len).freeze()))
}

/// The place of a frame's length, to be filled in by [`end_frame`].
#[derive(Debug)]
#[must_use = "the length is written by end_frame"]
pub struct FrameMark(usize);

impl FrameMark {
    /// How many bytes of the frame have been written so far, the prefix not counted.
    #[must_use]
    pub fn len(&self, out: &BytesMut) -> usize {
        out.len() - self.0 - PREFIX_LEN
    }

    /// Takes the unfinished frame back, as if it had never been begun.
    pub fn abandon(self, out: &mut BytesMut) {
        out.truncate(self.0);
    }
}

/// Begins a frame; what is appended until [`end_frame`] is its body.
pub fn begin_frame(out: &mut BytesMut) -> FrameMark {
    let mark = FrameMark(out.len());
    out.put_i32(0);
    mark
}

/// Writes the length of the frame begun at `mark`, and returns it (the prefix not counted).
///
/// # Panics
/// Where `out` is not the buffer that the frame was begun in, or the frame is over 2 GiB.
#[expect(clippy::needless_pass_by_value, reason = "a mark is used once")]
pub fn end_frame(out: &mut BytesMut, mark: FrameMark) -> usize {
    let len = mark.len(out);
    let prefix = i32::try_from(len).expect("no frame holds 2 GiB").to_be_bytes();
    out[mark.0..mark.0 + PREFIX_LEN].copy_from_slice(&prefix);
    len
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_whatever_the_burst() {
        // A stream cut anywhere gives the same frames.
        let mut stream = BytesMut::new();
        for body in [&b"one"[..], b"", b"three"] {
            let mark = begin_frame(&mut stream);
            stream.put_slice(body);
            assert_eq!(end_frame(&mut stream, mark), body.len());
        }
        let (mut input, mut frames) = (BytesMut::new(), Vec::new());
        for byte in stream {
            input.put_u8(byte);
            while let Some(frame) = next_frame(&mut input, 5).expect("frames are within the limit")
            {
                frames.push(frame);
            }
        }
        assert_eq!(frames, [&b"one"[..], b"", b"three"]);
    }

    #[test]
    fn a_bad_length_is_refused_before_the_body_arrives() {
        // The limit itself is allowed, one more is not.
        assert_eq!(frame_len(&5_i32.to_be_bytes(), 5), Ok(None));
        assert_eq!(frame_len(&6_i32.to_be_bytes(), 5), Err(FrameError::TooLong { len: 6, max: 5 }));
        assert_eq!(frame_len(&[0xff; 4], 5), Err(FrameError::Negative { len: -1 }));
        assert_eq!(frame_len(&[0, 0, 0], 5), Ok(None));
    }

    #[test]
    fn an_abandoned_frame_leaves_no_trace() {
        // A reply that turns out too large can be taken back.
        let mut out = BytesMut::from(&b"before"[..]);
        let mark = begin_frame(&mut out);
        out.put_slice(b"body");
        assert_eq!(mark.len(&out), 4);
        mark.abandon(&mut out);
        assert_eq!(out, b"before"[..]);
    }
}
