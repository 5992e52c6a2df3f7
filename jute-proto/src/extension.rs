//! What Grovekeeper adds to the protocol, negotiated in the handshake.
//!
//! A client asks in [`ConnectRequest::protocol_version`](crate::ConnectRequest), which ZooKeeper's clients leave
//! 0 and its servers ignore: `0x474B` (`GK`) in the high half, wishes in the low half. A server that knows them
//! answers with those that it grants; every other server answers 0, and both sides talk plain ZooKeeper. Where
//! [`Extensions::TELL_LEADER`] is granted a [`LeaderHint`] stands behind the connect response.

use alloc::borrow::Cow;

use bytes::{BufMut, BytesMut};

use crate::codec::{Decode, Encode, Reader, put_str};
use crate::error::DecodeError;

/// What the high half of the protocol version says.
const MARK: u32 = 0x474B;

/// A set of extensions.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Extensions(u16);

impl Extensions {
    /// No extension, but the other side is known to have some.
    pub const NONE: Self = Self(0);
    /// Every read of the session shows all that was acknowledged before, whichever server is asked.
    pub const LINEARIZABLE_READS: Self = Self(1);
    /// The answer says where the leader is.
    pub const TELL_LEADER: Self = Self(1 << 1);
    /// Only the leader is to open the session; another server says where it is, and closes the connection.
    /// Goes with [`TELL_LEADER`](Self::TELL_LEADER).
    pub const LEADER_ONLY: Self = Self(1 << 2);
    /// A write that is sent again on another connection happens once, see [`once`](crate::once).
    pub const EXACTLY_ONCE: Self = Self(1 << 3);

    /// The operations [`ListPage`](crate::OpCode::ListPage) and [`GetSubtree`](crate::OpCode::GetSubtree) exist. Where
    /// it was not granted they are answered as any number that no operation has.
    pub const PAGES: Self = Self(1 << 4);

    /// The extensions named by a protocol version; `None` where the other side knows of none.
    pub fn of_protocol_version(version: i32) -> Option<Self> {
        let version = version as u32;
        (version >> 16 == MARK).then_some(Self(version as u16))
    }

    /// The protocol version that names these extensions.
    pub fn protocol_version(self) -> i32 {
        (MARK << 16 | u32::from(self.0)) as i32
    }

    /// Whether all of `other` are among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of these that are also in `other`.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// Where the leader is.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeaderHint<'a> {
    /// This server leads.
    Here,
    /// Clients reach the leader at this `host:port`.
    At(Cow<'a, str>),
    /// Nobody leads at the moment: an election is on.
    Election,
    /// Another server leads; where its clients connect is not known here.
    Elsewhere,
}

impl Encode for LeaderHint<'_> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Here => out.put_i32(0),
            Self::At(address) => {
                out.put_i32(1);
                put_str(out, address);
            }
            Self::Election => out.put_i32(2),
            Self::Elsewhere => out.put_i32(3),
        }
    }
}

impl<'a> Decode<'a> for LeaderHint<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match r.i32()? {
            0 => Self::Here,
            1 => Self::At(r.str()?),
            2 => Self::Election,
            _ => Self::Elsewhere,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_zookeeper_knows_no_extension() {
        // 0 and other numbers name none; what is asked for comes back as it went.
        assert_eq!(Extensions::of_protocol_version(0), None);
        assert_eq!(Extensions::of_protocol_version(-1), None);
        let wanted = Extensions::TELL_LEADER.with(Extensions::LINEARIZABLE_READS);
        assert_eq!(Extensions::of_protocol_version(wanted.protocol_version()), Some(wanted));
        assert!(wanted.contains(Extensions::TELL_LEADER));
        assert!(!wanted.contains(Extensions::LEADER_ONLY));
        assert_eq!(
            Extensions::of_protocol_version(Extensions::NONE.protocol_version()),
            Some(Extensions::NONE)
        );
    }

    #[test]
    fn a_hint_comes_back_as_it_went() {
        // All answers survive the wire.
        let at = LeaderHint::At("h:2181".into());
        for hint in [LeaderHint::Here, at, LeaderHint::Election, LeaderHint::Elsewhere] {
            let mut bytes = BytesMut::new();
            hint.encode(&mut bytes);
            assert_eq!(Reader::new(&bytes).record::<LeaderHint<'_>>(), Ok(hint));
        }
    }
}
