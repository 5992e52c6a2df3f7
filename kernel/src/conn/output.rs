//! Bytes on their way to the socket.

use bytes::{Buf, BytesMut};

use super::conn::Conn;

/// A larger output buffer goes with its bytes, so that a quiet connection keeps little memory.
const OUTPUT_KEPT_MAX: usize = 128 << 10;

impl Conn {
    /// Takes the bytes that are ready for the socket.
    pub fn take_output(&mut self) -> BytesMut {
        if self.out.capacity() > OUTPUT_KEPT_MAX {
            return core::mem::take(&mut self.out);
        }
        self.out.split()
    }

    /// The bytes that are ready for the socket and were not taken.
    pub fn output(&self) -> &[u8] {
        &self.out
    }

    /// The first bytes of [`output`](Self::output) are with the socket.
    pub fn output_sent(&mut self, len: usize) {
        self.out.advance(len);
    }
}
