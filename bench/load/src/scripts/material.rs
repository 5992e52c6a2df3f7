//! What scripts are made of: names, values, random numbers and frames.

use std::fmt::Write;

use bytes::BytesMut;
use jute_proto::{Encode, OpCode, RequestHeader, Xid, begin_frame, end_frame};

use crate::workload::Workload;

/// The nodes of one run.
#[derive(Clone, Debug)]
pub(in super::super) struct Names {
    root: String,
}

impl Names {
    /// Everything of a run lies below `/grovekeeper-bench-<run>`.
    pub(in super::super) fn new(run: u128) -> Self {
        Self { root: format!("/grovekeeper-bench-{run:x}") }
    }

    /// The node above all others of the run.
    pub(in super::super) fn root(&self) -> &str {
        &self.root
    }

    /// Parent of the nodes that reads and writes choose from.
    pub(in super::super) fn keys(&self) -> String {
        format!("{}/keys", self.root)
    }

    /// The node that is listed.
    pub(in super::super) fn listed(&self) -> String {
        format!("{}/listed", self.root)
    }

    /// The node that is watched.
    pub(in super::super) fn watched(&self) -> String {
        format!("{}/watched", self.root)
    }

    /// A parent that is not there, whose children are watched all the time.
    pub(in super::super) fn absent(&self) -> String {
        format!("{}/absent", self.root)
    }

    /// Parent of the nodes that one connection makes.
    pub(in super::super) fn own(&self, workload: Workload, connection: usize) -> String {
        format!("{}/{workload}-{connection}", self.root)
    }
}

/// Paths of the numbered children of one node, built in place.
#[derive(Clone, Debug)]
pub(in super::super) struct PathText {
    text: String,
    prefix_len: usize,
}

impl PathText {
    /// Children of `parent`.
    pub(in super::super) fn below(parent: &str) -> Self {
        let text = format!("{parent}/");
        Self { prefix_len: text.len(), text }
    }

    /// The child with this number.
    pub(in super::super) fn child(&mut self, number: u64) -> &str {
        self.text.truncate(self.prefix_len);
        let _ = write!(self.text, "{number:08}");
        &self.text
    }

    /// The child with this name.
    pub(in super::super) fn named(&mut self, name: &str) -> &str {
        self.text.truncate(self.prefix_len);
        self.text.push_str(name);
        &self.text
    }
}

/// The data of a node: its number, as far as there is room, then a fixed pattern.
#[derive(Clone, Debug)]
pub(in super::super) struct Value {
    bytes: Vec<u8>,
}

impl Value {
    /// Values of this length.
    pub(in super::super) fn new(len: usize) -> Self {
        Self { bytes: (b'a'..=b'z').cycle().take(len).collect() }
    }

    /// The value of the node with this number.
    pub(in super::super) fn of(&mut self, number: u64) -> &[u8] {
        let number = number.to_le_bytes();
        let len = number.len().min(self.bytes.len());
        self.bytes[..len].copy_from_slice(&number[..len]);
        &self.bytes
    }

    /// The length of every value, as a Stat shows it.
    pub(in super::super) fn stat_len(&self) -> i32 {
        i32::try_from(self.bytes.len()).unwrap_or(i32::MAX)
    }
}

/// A small, fast generator of numbers that only have to be spread evenly (splitmix64).
#[derive(Clone, Debug)]
pub(in super::super) struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub(in super::super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(in super::super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Appends a request with the body that `body` appends.
pub(in super::super) fn frame(
    out: &mut BytesMut,
    xid: Xid,
    op: OpCode,
    body: impl FnOnce(&mut BytesMut),
) {
    let mark = begin_frame(out);
    RequestHeader { xid, op: op.into() }.encode(out);
    body(out);
    end_frame(out, mark);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_carry_their_number_and_keep_their_length() {
        // A reply with another node's data is told from the right one, down to one byte.
        let mut value = Value::new(20);
        let (one, two) = (value.of(1).to_vec(), value.of(2).to_vec());
        assert_eq!((one.len(), &one[8..]), (20, &two[8..]));
        assert_ne!(one, two);
        assert_eq!(Value::new(1).of(0x0102), [2]);
        assert!(Value::new(0).of(7).is_empty());
    }

    #[test]
    fn paths_are_built_in_place() {
        // A path of another number leaves nothing of the previous one.
        let mut paths = PathText::below("/a");
        assert_eq!(paths.child(123_456_789), "/a/123456789");
        assert_eq!(paths.child(7), "/a/00000007");
        assert_eq!(paths.named("x"), "/a/x");
    }
}
