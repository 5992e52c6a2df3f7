//! Numbers that name transactions, sessions and requests.

use core::fmt;

use bytes::BytesMut;

use crate::codec::{Decode, Encode, Reader};
use crate::error::DecodeError;

/// The id of a transaction: the epoch of its leader in the high half, a counter within the epoch in the low half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(transparent)]
pub struct Zxid(pub i64);

impl Zxid {
    /// Joins an epoch and a counter.
    #[must_use]
    pub const fn new(epoch: u32, counter: u32) -> Self {
        Self(((epoch as i64) << 32) | counter as i64)
    }

    /// The epoch, the high 32 bits.
    #[must_use]
    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The counter within the epoch, the low 32 bits.
    #[must_use]
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }
}

/// The id of a session; zero asks for a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(transparent)]
pub struct SessionId(pub i64);

/// The number a client gives a request, repeated in the reply; negative ones have fixed meanings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Xid(pub i32);

impl Xid {
    /// A watch event, which answers no request.
    pub const NOTIFICATION: Self = Self(-1);
    /// A ping.
    pub const PING: Self = Self(-2);
    /// An authentication packet, answered outside the order of the other requests.
    pub const AUTH: Self = Self(-4);
    /// Re-arming watches after a reconnect.
    pub const SET_WATCHES: Self = Self(-8);
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Encodes a newtype as the number inside it.
macro_rules! encode_as_number {
    ($($name:ident),*) => { $(
        impl Decode<'_> for $name {
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                r.record().map(Self)
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut BytesMut) {
                self.0.encode(out);
            }
        }
    )* };
}

encode_as_number!(Zxid, SessionId, Xid);

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_zxid_is_an_epoch_and_a_counter() {
        // The halves survive joining, whatever their top bits.
        for (epoch, counter) in [(0, 0), (1, 2), (0x7fff_ffff, u32::MAX), (3, 0x8000_0000)] {
            let zxid = Zxid::new(epoch, counter);
            assert_eq!((zxid.epoch(), zxid.counter()), (epoch, counter));
        }
        assert_eq!(Zxid::new(1, 2).to_string(), "0x100000002");
        assert_eq!(SessionId(i64::MIN).to_string(), "0x8000000000000000");
    }
}
