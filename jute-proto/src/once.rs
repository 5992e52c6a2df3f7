//! Writes that happen once although they are sent again, on connections where
//! [`Extensions::EXACTLY_ONCE`](crate::Extensions::EXACTLY_ONCE) is granted.
//!
//! * The client numbers the writes of a session, over all its connections, with numbers that grow. Gaps mean
//!   nothing. [`OperationFacts::exactly_once`](crate::OperationFacts::exactly_once) says which operations are numbered.
//! * Between the [`RequestHeader`](crate::RequestHeader) and the record of such a write stands a
//!   [`WriteNumber`]: its number, and up to which number the client waits for no answer any more.
//! * The servers keep the answers of all numbers above that, as they were sent, replicated with the session. A
//!   number that was applied before is answered from there, with the zxid of that time, and changes nothing. One
//!   that is below a number applied before, but was never applied itself, never will be: it is answered
//!   `THROTTLEDOP`.
//! * The client has no more unanswered writes than the servers keep answers, see [`has_room`]. The connection of one
//!   that has more is closed.
//! * Behind the [`ConnectResponse`](crate::ConnectResponse), and behind the [`LeaderHint`](crate::LeaderHint) where
//!   that was asked for, stands the highest number that was applied, as a long; 0 where there is none. A number that
//!   the client never gave tells that somebody else had the session in between, whose numbers may be the
//!   client's own: then what it has sent is not to be sent again. Clients begin at a random number, so that
//!   two that have the session by turns notice each other.

use bytes::{BufMut, BytesMut};

use crate::codec::{Decode, Encode, Reader};
use crate::error::DecodeError;
use crate::operations::OpCode;

/// How many writes of a session may wait for their answers.
pub const WRITES_MAX: usize = 1024;

/// What the answers that a session waits for may weigh together, see [`weight`]. One write on its own may weigh
/// more.
pub const WEIGHT_MAX: usize = 4 << 20;

/// What an answer weighs beside what its request decides: header, stat and the digits of a sequential name.
const WEIGHT_MIN: usize = 128;

/// What stands between the header and the record of a numbered write.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteNumber {
    /// The number of the write among those of its session.
    pub number: u64,
    /// The client waits for no answer to this number and those below.
    pub answered: u64,
}

impl WriteNumber {
    /// The encoded length in bytes.
    pub const LEN: usize = 16;
}

impl Encode for WriteNumber {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u64(self.number);
        out.put_u64(self.answered);
    }
}

impl<'a> Decode<'a> for WriteNumber {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { number: r.i64()? as u64, answered: r.i64()? as u64 })
    }
}

/// At least as many bytes as the answer to a write takes whose record has this length.
pub const fn weight(op: OpCode, record_len: usize) -> usize {
    WEIGHT_MIN + op.facts().kept_reply_factor * record_len
}

/// Whether a write of this weight may follow so many unanswered ones that weigh so much together.
pub const fn has_room(writes: usize, weighing: usize, weight: usize) -> bool {
    writes == 0 || (writes < WRITES_MAX && weighing + weight <= WEIGHT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_as_it_went() {
        // All 64 bits of both numbers survive the wire.
        let number = WriteNumber { number: u64::MAX, answered: 7 << 40 };
        let mut bytes = BytesMut::new();
        number.encode(&mut bytes);
        assert_eq!(bytes.len(), WriteNumber::LEN);
        assert_eq!(Reader::new(&bytes).record(), Ok(number));
    }

    #[test]
    fn one_write_always_has_room() {
        // Limits are for several: a large one alone is never held back for ever.
        assert!(has_room(0, 0, WEIGHT_MAX + 1));
        assert!(!has_room(1, 1, WEIGHT_MAX));
        assert!(has_room(1, 1, WEIGHT_MAX - 1));
        assert!(!has_room(WRITES_MAX, 0, 0));
    }
}
