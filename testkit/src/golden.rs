//! Golden files: bytes that an earlier build wrote, see `docs/reference/formats.md`.
//!
//! The first line names the commit. Each further line is `NAME HEX`.

use std::fmt::Write as _;

/// The bytes of that name in a golden file.
///
/// # Panics
///
/// When the file has no such line.
#[must_use]
pub fn bytes(file: &str, name: &str) -> Vec<u8> {
    let line = file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    from_hex(line.unwrap_or_else(|| panic!("no line {name}")))
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that [`hex`] shows.
///
/// # Panics
///
/// When it is something else.
#[must_use]
pub fn from_hex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("text"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}
