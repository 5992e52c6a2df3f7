//! Bytes of what Grovekeeper adds to the handshake and to writes, as an earlier build sent them:
//! docs/reference/formats.md.

use bytes::BytesMut;
use jute_proto::{Decode, Encode, Extensions, LeaderHint, Reader, WriteNumber};

/// What commit 8aece55 sent, one value a line: its name and its bytes in hexadecimal.
const BUILD_8AECE55: &str = include_str!("extensions/8aece55.txt");

fn golden(name: &str) -> Vec<u8> {
    let find = |line: &'static str| line.strip_prefix(name)?.strip_prefix(' ');
    let line = BUILD_8AECE55.lines().find_map(find).unwrap_or_else(|| panic!("no line {name}"));
    let digits = line.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("text"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

fn assert_frozen<'a, T>(name: &str, bytes: &'a [u8], value: &T)
where
    T: Encode + Decode<'a> + PartialEq + std::fmt::Debug,
{
    let mut written = BytesMut::new();
    value.encode(&mut written);
    assert_eq!(written, bytes, "{name}");
    assert_eq!(Reader::new(bytes).record::<T>().as_ref(), Ok(value), "{name}");
}

/// The hint's name in the golden file.
fn name(hint: &LeaderHint<'_>) -> &'static str {
    match hint {
        LeaderHint::Here => "hint.Here",
        LeaderHint::At(_) => "hint.At",
        LeaderHint::Election => "hint.Election",
        LeaderHint::Elsewhere => "hint.Elsewhere",
    }
}

#[test]
fn extensions_of_earlier_builds_are_read() {
    // A client and a server of different builds mean the same extension, the same leader and the same write.
    let extensions = [
        ("extension.NONE", Extensions::NONE),
        ("extension.LINEARIZABLE_READS", Extensions::LINEARIZABLE_READS),
        ("extension.TELL_LEADER", Extensions::TELL_LEADER),
        ("extension.LEADER_ONLY", Extensions::LEADER_ONLY),
        ("extension.EXACTLY_ONCE", Extensions::EXACTLY_ONCE),
        ("extension.PAGES", Extensions::PAGES),
    ];
    for (name, extension) in extensions {
        let bytes = golden(name);
        assert_eq!(extension.protocol_version().to_be_bytes(), *bytes, "{name}");
        let version = Reader::new(&bytes).i32().expect("a number");
        assert_eq!(Extensions::of_protocol_version(version), Some(extension), "{name}");
    }
    let at = LeaderHint::At("host:2181".into());
    for hint in [LeaderHint::Here, at, LeaderHint::Election, LeaderHint::Elsewhere] {
        assert_frozen(name(&hint), &golden(name(&hint)), &hint);
    }
    let number = WriteNumber { number: 1 << 40, answered: 7 };
    assert_frozen("number", &golden("number"), &number);
}
