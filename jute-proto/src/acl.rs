//! Access control lists: who may do what to a znode.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{BitAnd, BitOr};

use bytes::{BufMut, BytesMut};

use crate::codec::{Decode, Encode, Reader, put_str};
use crate::error::DecodeError;

/// A set of permissions. Bits that ZooKeeper gives no meaning to are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(transparent)]
pub struct Perms(pub i32);

impl Perms {
    /// Read the data and list the children.
    pub const READ: Self = Self(1);
    /// Set the data.
    pub const WRITE: Self = Self(2);
    /// Create children.
    pub const CREATE: Self = Self(4);
    /// Delete children.
    pub const DELETE: Self = Self(8);
    /// Set the ACL.
    pub const ADMIN: Self = Self(16);
    /// All five.
    pub const ALL: Self = Self(31);

    /// Whether the two sets have a permission in common; this is how ZooKeeper tests them.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Perms {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Perms {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// Letters as the command line tools print them, for example `cdrwa`.
impl fmt::Display for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [
            (Self::CREATE, "c"),
            (Self::DELETE, "d"),
            (Self::READ, "r"),
            (Self::WRITE, "w"),
            (Self::ADMIN, "a"),
        ];
        letters
            .iter()
            .filter(|(perm, _)| self.intersects(*perm))
            .try_for_each(|(_, l)| f.write_str(l))
    }
}

/// An identity: an authentication scheme and a name within it.
///
/// A null scheme is read as an empty one, which no server knows. A null name cannot be decoded, except in the scheme
/// `auth`, which ignores the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Id {
    /// The scheme, for example `digest`.
    pub scheme: String,
    /// The name, in a form that the scheme defines.
    pub id: String,
}

impl Id {
    /// Joins a scheme and a name.
    pub fn new(scheme: impl Into<String>, id: impl Into<String>) -> Self {
        Self { scheme: scheme.into(), id: id.into() }
    }

    /// Everyone: `world:anyone`.
    #[must_use]
    pub fn anyone() -> Self {
        Self::new("world", "anyone")
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.id)
    }
}

impl Decode<'_> for Id {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let scheme = r.opt_str()?.unwrap_or_default().into_owned();
        let id = if scheme == "auth" { r.opt_str()?.unwrap_or_default() } else { r.str()? };
        let id = id.into_owned();
        Ok(Self { scheme, id })
    }
}

impl Encode for Id {
    fn encode(&self, out: &mut BytesMut) {
        put_str(out, &self.scheme);
        put_str(out, &self.id);
    }
}

/// One entry of an access control list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Acl {
    /// What is allowed.
    pub perms: Perms,
    /// To whom.
    pub id: Id,
}

impl Acl {
    /// Allows `perms` to everyone.
    #[must_use]
    pub fn world(perms: Perms) -> Self {
        Self { perms, id: Id::anyone() }
    }

    /// The list that allows everything to everyone.
    #[must_use]
    pub fn open() -> Vec<Self> {
        vec![Self::world(Perms::ALL)]
    }

    /// The list that lets everyone read and no one change.
    #[must_use]
    pub fn read_only() -> Vec<Self> {
        vec![Self::world(Perms::READ)]
    }

    /// The list that allows everything to the identities of the creating connection.
    #[must_use]
    pub fn creator_all() -> Vec<Self> {
        vec![Self { perms: Perms::ALL, id: Id::new("auth", "") }]
    }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.id, self.perms)
    }
}

impl Decode<'_> for Acl {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { perms: Perms(r.i32()?), id: r.record()? })
    }
}

impl Encode for Acl {
    fn encode(&self, out: &mut BytesMut) {
        out.put_i32(self.perms.0);
        self.id.encode(out);
    }
}
