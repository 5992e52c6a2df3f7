//! The table of known keys: every key of ZooKeeper's server, and what becomes of it here.
//!
//! A key is honoured, or accepted with a notice that says why it changes nothing, or refused with
//! the reason. ZooKeeper turns a key that its parser does not know into the Java system property
//! `zookeeper.<key>`, so both spellings are found: with and without that prefix.

mod honoured;
mod ignored;
mod lookup;
mod refused;
mod tls;

#[cfg(test)]
pub(super) use lookup::all;
pub(super) use lookup::{find, nearest};

use super::draft::Draft;
use super::error::Problem;
use super::value::Value;

/// One line of a file, with its key found in the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    /// Line of the file, counted from 1.
    pub(super) line: usize,
    /// The key without the prefix `zookeeper.`.
    pub(super) key: &'a str,
    /// What stands for the `*` of a family of keys; empty for other keys.
    pub(super) suffix: &'a str,
    /// The value.
    pub(super) value: Value<'a>,
}

/// Puts one value into the draft.
pub(super) type Setter = fn(&mut Draft, &Setting<'_>) -> Result<(), Problem>;

/// A key that ZooKeeper knows.
#[derive(Debug)]
pub(super) struct Key {
    /// The name without the prefix `zookeeper.`; a final `*` stands for any text.
    pub(super) name: &'static str,
    /// What becomes of it.
    pub(super) effect: Effect,
    /// A value that ZooKeeper accepts, for documentation and tests.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the test of all keys"))]
    pub(super) sample: &'static str,
}

/// What becomes of a key.
#[derive(Debug)]
pub(super) enum Effect {
    /// Its value is used.
    Set(Setter),
    /// Any value is accepted and changes nothing; the text says why.
    Ignore(&'static str),
    /// No value is accepted; the text says why.
    Refuse(&'static str),
    /// This value is how the server works anyway; others are accepted and change nothing.
    IgnoreUnless(&'static str, &'static str),
    /// This value is how the server works anyway; others are refused.
    RefuseUnless(&'static str, &'static str),
}

const fn set(name: &'static str, sample: &'static str, setter: Setter) -> Key {
    Key { name, effect: Effect::Set(setter), sample }
}

const fn ignore(name: &'static str, sample: &'static str, reason: &'static str) -> Key {
    Key { name, effect: Effect::Ignore(reason), sample }
}

const fn refuse(name: &'static str, sample: &'static str, reason: &'static str) -> Key {
    Key { name, effect: Effect::Refuse(reason), sample }
}

const fn ignore_unless(name: &'static str, only: &'static str, reason: &'static str) -> Key {
    Key { name, effect: Effect::IgnoreUnless(only, reason), sample: only }
}

const fn refuse_unless(name: &'static str, only: &'static str, reason: &'static str) -> Key {
    Key { name, effect: Effect::RefuseUnless(only, reason), sample: only }
}
