//! The text of limits and stats nodes: `count=N,bytes=M=;byteHardLimit=X;countHardLimit=Y`, where all from
//! the second `=` on is there only if there are such keys. (Parsers that know only the first two keys split
//! at `,` and `=` and ignore the rest.)
//!
//! A client may write anything there. What is no number counts as unlimited, as does what is missing. Other
//! keys than these stay in the text of a stats node, as far as they are not many.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt::{self, Write};

use super::directory::SizeDelta;
use super::quota::UNLIMITED;

const COUNT: &str = "count";
const COUNT_HARD_LIMIT: &str = "countHardLimit";
const BYTES: &str = "bytes";
const BYTE_HARD_LIMIT: &str = "byteHardLimit";

/// The most bytes that other keys take in a text which the tree writes: it does so at each write that
/// changes the usage.
const REST_LEN_MAX: usize = 1 << 10;

/// The limits of one unit; [`UNLIMITED`] for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) soft: i64,
    pub(super) hard: i64,
}

/// What a limits node says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) nodes: Limit,
    pub(super) bytes: Limit,
}

/// What a stats node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stats {
    pub(super) nodes: i64,
    pub(super) bytes: i64,
    /// The other keys, as text.
    rest: Box<str>,
}

impl Limits {
    pub(super) fn parse(data: Option<&[u8]>) -> Self {
        let text = String::from_utf8_lossy(data.unwrap_or_default());
        let pairs = pairs(&text);
        let value = |key| pairs.get(key).copied().unwrap_or(UNLIMITED);
        Self {
            nodes: Limit { soft: value(COUNT), hard: value(COUNT_HARD_LIMIT) },
            bytes: Limit { soft: value(BYTES), hard: value(BYTE_HARD_LIMIT) },
        }
    }
}

impl Stats {
    pub(super) fn new(nodes: i64, bytes: i64) -> Self {
        Self { nodes, bytes, rest: Box::default() }
    }

    pub(super) fn parse(data: Option<&[u8]>) -> Self {
        let text = String::from_utf8_lossy(data.unwrap_or_default());
        let mut pairs = pairs(&text);
        let mut take = |key| pairs.remove(key).unwrap_or(UNLIMITED);
        Self { nodes: take(COUNT), bytes: take(BYTES), rest: rest(&pairs).into() }
    }

    pub(super) fn plus(&self, delta: SizeDelta) -> Self {
        Self {
            nodes: self.nodes.saturating_add(delta.nodes),
            bytes: self.bytes.saturating_add(delta.bytes),
            rest: self.rest.clone(),
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{COUNT}={},{BYTES}={}{}", self.nodes, self.bytes, self.rest)
    }
}

fn pairs(text: &str) -> BTreeMap<&str, i64> {
    let pairs = text.split([',', ';']).filter_map(|pair| {
        let mut parts = pair.split('=');
        let key = parts.next().filter(|key| !key.is_empty())?;
        Some((key, parts.next()?.parse().unwrap_or(UNLIMITED)))
    });
    pairs.collect()
}

/// The text of other keys, without those that do not fit any more.
fn rest(pairs: &BTreeMap<&str, i64>) -> String {
    let mut rest = String::new();
    for (key, value) in pairs {
        let len = rest.len();
        let _ = write!(rest, "{}{key}={value}", if len == 0 { "=;" } else { ";" });
        if rest.len() > REST_LEN_MAX {
            rest.truncate(len);
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::string::ToString;

    use super::*;

    fn stats(text: &str) -> Stats {
        Stats::parse(Some(text.as_bytes()))
    }

    #[test]
    fn the_text_of_a_quota_reads_back() {
        // Old and new forms are understood, and written as ZooKeeper writes them.
        for text in [
            "count=5,bytes=-1",
            "count=1,bytes=2=;byteHardLimit=3;countHardLimit=4",
            "count=-1,bytes=-1=;countHardLimit=7",
        ] {
            assert_eq!(stats(text).to_string(), text);
            assert_eq!(stats(&stats(text).to_string()), stats(text));
        }
        assert_eq!(stats("count=5").to_string(), "count=5,bytes=-1");
        let limits = Limits::parse(Some(b"count=1;bytes=2;byteHardLimit=;countHardLimit=9"));
        let expected = [Limit { soft: 1, hard: 9 }, Limit { soft: 2, hard: UNLIMITED }];
        assert_eq!([limits.nodes, limits.bytes], expected);
    }

    #[test]
    fn nonsense_in_a_quota_limits_nothing() {
        // A client may write anything there; it must not stop the server.
        let nonsense =
            ["", "=", ",;,", "count", "count=x,bytes=99999999999999999999", "\u{fffd}=1"];
        for text in nonsense {
            let (stats, limits) = (stats(text), Limits::parse(Some(text.as_bytes())));
            assert_eq!((stats.nodes, stats.bytes), (UNLIMITED, UNLIMITED), "{text}");
            assert_eq!(limits.nodes, Limit { soft: UNLIMITED, hard: UNLIMITED }, "{text}");
        }
        assert_eq!(Stats::parse(None).nodes, UNLIMITED);
        assert_eq!(Stats::parse(Some(b"\xff=1,count=2")).nodes, 2);
    }

    #[test]
    fn what_a_client_adds_to_the_text_of_the_tree_is_bounded() {
        // Keys of its own stay, as in ZooKeeper, unless they are so long that each write would pay for them.
        assert_eq!(stats("mine=3,count=1").to_string(), "count=1,bytes=-1=;mine=3");
        let long = format!("count=1,bytes=2=;{}=3;z=4", "k".repeat(900_000));
        assert_eq!(stats(&long).to_string(), "count=1,bytes=2=;z=4");
        let many: String = (0..100_000).map(|at| format!(";key{at}=1")).collect();
        assert!(stats(&many).to_string().len() < 2 * REST_LEN_MAX);
    }
}
