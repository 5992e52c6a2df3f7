//! Strings as Java peers write them.

use alloc::borrow::Cow;
use alloc::string::String;

/// Reads UTF-8, borrowing it. Where the bytes are not UTF-8, pairs of surrogates (CESU-8) are joined and anything
/// else becomes U+FFFD.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match core::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(decode_lossy(bytes)),
    }
}

fn decode_lossy(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    while !bytes.is_empty() {
        if let Some(character) = surrogate_pair(bytes) {
            text.push(character);
            bytes = &bytes[6..];
            continue;
        }
        // One chunk at a time, because its invalid part may be the first half of a surrogate pair.
        let Some(chunk) = bytes.utf8_chunks().next() else { break };
        let valid = chunk.valid().len();
        text.push_str(chunk.valid());
        bytes = &bytes[valid..];
        if !chunk.invalid().is_empty() && surrogate_pair(bytes).is_none() {
            text.push(char::REPLACEMENT_CHARACTER);
            bytes = &bytes[chunk.invalid().len()..];
        }
    }
    text
}

/// The character whose two surrogates, three bytes each, stand at the front.
fn surrogate_pair(bytes: &[u8]) -> Option<char> {
    let [
        0xed,
        high @ 0xa0..=0xaf,
        high_low @ 0x80..=0xbf,
        0xed,
        low @ 0xb0..=0xbf,
        low_low @ 0x80..=0xbf,
        ..,
    ] = *bytes
    else {
        return None;
    };
    let unit = |middle: u8, last: u8| u32::from(middle & 0x0f) << 6 | u32::from(last & 0x3f);
    char::from_u32(0x1_0000 + (unit(high, high_low) << 10 | unit(low, low_low) & 0x3ff))
}
