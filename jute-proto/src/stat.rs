//! The metadata of a znode as clients see it.

use bytes::{BufMut, BytesMut};

use crate::codec::{Decode, Encode, Reader};
use crate::error::DecodeError;
use crate::ids::{SessionId, Zxid};

/// The metadata of a znode, 68 bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stat {
    /// The transaction that created the node.
    pub czxid: Zxid,
    /// The transaction that last set the node's data.
    pub mzxid: Zxid,
    /// When the node was created, in milliseconds since 1970.
    pub ctime: i64,
    /// When the node's data was last set, in milliseconds since 1970.
    pub mtime: i64,
    /// How often the data was set.
    pub version: i32,
    /// How often the set of children changed.
    pub cversion: i32,
    /// How often the ACL was set.
    pub aversion: i32,
    /// The session that an ephemeral node belongs to; zero for all others.
    pub ephemeral_owner: SessionId,
    /// The length of the data in bytes; zero also for null data.
    pub data_length: i32,
    /// How many children the node has.
    pub num_children: i32,
    /// The transaction that last changed the set of children.
    pub pzxid: Zxid,
}

impl Stat {
    /// The encoded length in bytes.
    pub const LEN: usize = 68;
}

impl Decode<'_> for Stat {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            czxid: r.record()?,
            mzxid: r.record()?,
            ctime: r.i64()?,
            mtime: r.i64()?,
            version: r.i32()?,
            cversion: r.i32()?,
            aversion: r.i32()?,
            ephemeral_owner: r.record()?,
            data_length: r.i32()?,
            num_children: r.i32()?,
            pzxid: r.record()?,
        })
    }
}

impl Encode for Stat {
    fn encode(&self, out: &mut BytesMut) {
        out.reserve(Self::LEN);
        self.czxid.encode(out);
        self.mzxid.encode(out);
        out.put_i64(self.ctime);
        out.put_i64(self.mtime);
        out.put_i32(self.version);
        out.put_i32(self.cversion);
        out.put_i32(self.aversion);
        self.ephemeral_owner.encode(out);
        out.put_i32(self.data_length);
        out.put_i32(self.num_children);
        self.pzxid.encode(out);
    }
}
