//! The authentication schemes: what an id of each may look like and whom it stands for.

use core::net::Ipv6Addr;

use jute_proto::Id;

use super::policy::Policy;

/// Whether an id stands for everybody.
pub(super) fn is_anyone(id: &Id) -> bool {
    id.scheme == "world" && id.id == "anyone"
}

/// Whether a list may name this id, `world` and `auth` aside.
pub(super) fn is_valid(id: &Id, policy: Policy) -> bool {
    match id.scheme.as_str() {
        "ip" => Network::parse(&id.id).is_some(),
        "digest" => !policy.no_digest_scheme && is_valid_digest(&id.id),
        "x509" => policy.x509_scheme && is_valid_distinguished_name(&id.id),
        "sasl" => policy.sasl_scheme && is_valid_principal(&id.id),
        _ => false,
    }
}

/// Whether an id of a list stands for an identity of a connection.
pub(super) fn matches(listed: &Id, identity: &Id, policy: Policy) -> bool {
    if listed.scheme != identity.scheme {
        return false;
    }
    match listed.scheme.as_str() {
        "ip" => Network::parse(&listed.id).is_some_and(|network| network.contains(&identity.id)),
        "digest" => !policy.no_digest_scheme && listed.id == identity.id,
        "x509" => policy.x509_scheme && listed.id == identity.id,
        "sasl" => policy.sasl_scheme && (identity.id == "super" || listed.id == identity.id),
        _ => false,
    }
}

/// Whether an identity of this scheme was proved by the client and not only observed; `auth` in a
/// list stands for these.
pub(super) fn is_proof(scheme: &str, policy: Policy) -> bool {
    match scheme {
        "digest" => !policy.no_digest_scheme,
        "x509" => policy.x509_scheme,
        "sasl" => policy.sasl_scheme,
        _ => false,
    }
}

/// `user:hash`. Java's `split` drops empty parts at the end, so `user:` is one part.
fn is_valid_digest(id: &str) -> bool {
    id.trim_end_matches(':').split(':').count() == 2
}

/// A name of Kerberos' form, `service/host@REALM`, or any name without `@`.
fn is_valid_principal(id: &str) -> bool {
    let Some((name, realm)) = id.split_once('@') else { return true };
    name.matches('/').count() <= 1 && !realm.contains(['/', '@'])
}

/// Each part of a distinguished name assigns a value: `CN=a,OU=b+L=c`.
fn is_valid_distinguished_name(id: &str) -> bool {
    let mut escaped = false;
    let mut quoted = false;
    let is_separator = |c: char| {
        let separates = !escaped && !quoted && matches!(c, ',' | ';' | '+');
        quoted ^= !escaped && c == '"';
        escaped = !escaped && c == '\\';
        separates
    };
    id.is_empty()
        || id.split(is_separator).all(|part| {
            part.split_once('=').is_some_and(|(attribute, _)| !attribute.trim().is_empty())
        })
}

/// An address, or all that share its first bits.
pub(super) struct Network {
    address: Address,
    bits: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Address {
    V4(u32),
    V6(u128),
}

/// How many bits of an address count, of a family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mask {
    is_v6: bool,
    bits: u32,
}

/// A network without the bits that do not count: equal for equal networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NetworkKey {
    first: Address,
    bits: u32,
}

impl NetworkKey {
    pub(super) fn mask(self) -> Mask {
        Mask { is_v6: matches!(self.first, Address::V6(_)), bits: self.bits }
    }
}

impl Mask {
    /// The network of this kind that an address belongs to; `None` where it is of the other family.
    pub(super) fn network_of(self, address: Address) -> Option<NetworkKey> {
        let is_v6 = matches!(address, Address::V6(_));
        (is_v6 == self.is_v6).then(|| Network { address, bits: self.bits }.key())
    }
}

impl Network {
    /// Reads `address` or `address/bits`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address = Address::parse(address)?;
        let bits_max = match address {
            Address::V4(_) => u32::BITS,
            Address::V6(_) => u128::BITS,
        };
        let bits = bits.unwrap_or(bits_max);
        (bits <= bits_max).then_some(Self { address, bits })
    }

    pub(super) fn key(&self) -> NetworkKey {
        let first = match self.address {
            Address::V4(address) => {
                let unused = u32::BITS - self.bits;
                Address::V4(u32::MAX.checked_shl(unused).unwrap_or(0) & address)
            }
            Address::V6(address) => {
                let unused = u128::BITS - self.bits;
                Address::V6(u128::MAX.checked_shl(unused).unwrap_or(0) & address)
            }
        };
        NetworkKey { first, bits: self.bits }
    }

    fn contains(&self, address: &str) -> bool {
        match (self.address, Address::parse(address)) {
            (Address::V4(network), Some(Address::V4(address))) => {
                (network ^ address).checked_shr(u32::BITS - self.bits).unwrap_or(0) == 0
            }
            (Address::V6(network), Some(Address::V6(address))) => {
                (network ^ address).checked_shr(u128::BITS - self.bits).unwrap_or(0) == 0
            }
            (Address::V4(_) | Address::V6(_), _) => false,
        }
    }
}

impl Address {
    /// The forms that ZooKeeper reads: four decimals with leading zeros allowed, or eight groups of
    /// hexadecimals with `::`, without embedded IPv4 and without zone.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.contains(':') {
            if text.contains('.') {
                return None;
            }
            return text.parse::<Ipv6Addr>().ok().map(|address| Self::V6(address.to_bits()));
        }
        let mut parts = text.split('.');
        let mut bits = 0;
        for _ in 0..4 {
            let part = parts.next()?;
            bits = bits << 8 | u32::from(part.parse::<u8>().ok()?);
        }
        parts.next().is_none().then_some(Self::V4(bits))
    }
}

#[cfg(test)]
#[path = "scheme_test.rs"]
mod tests;
