use alloc::vec;

use super::*;

fn bytes(write: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut out = BytesMut::new();
    write(&mut out);
    out
}

#[test]
fn null_and_empty_are_told_apart() {
    // A null string, buffer or vector differs from an empty one.
    let input = bytes(|out| {
        out.put_i32(-1);
        out.put_i32(0);
        out.put_i32(-1);
        out.put_i32(0);
        out.put_i32(-1);
        out.put_i32(0);
    });
    let mut r = Reader::new(&input);
    assert_eq!(r.opt_str(), Ok(None));
    assert_eq!(r.opt_str(), Ok(Some("".into())));
    assert_eq!(r.buffer(), Ok(None));
    assert_eq!(r.buffer(), Ok(Some(&[][..])));
    assert_eq!(r.vec(Reader::i32), Ok(None));
    assert_eq!(r.vec(Reader::i32), Ok(Some(vec![])));
    assert!(r.is_empty());
}

#[test]
fn a_null_string_where_one_is_needed_is_an_error() {
    // A path cannot be null.
    assert_eq!(Reader::new(&[0xff; 4]).str(), Err(DecodeError::NullString { offset: 0 }));
}

#[test]
fn a_huge_count_reserves_nothing() {
    // A count that the bytes left cannot hold is refused at once.
    let input = bytes(|out| {
        out.put_i32(i32::MAX);
        out.put_i64(0);
    });
    let result = Reader::new(&input).vec(Reader::str);
    assert!(matches!(result, Err(DecodeError::Truncated { offset: 0, left: 8, .. })), "{result:?}");
}

#[test]
fn negative_lengths_are_errors_and_negative_counts_empty() {
    // Only -1 means null; another negative count is an empty vector, as Apache ZooKeeper reads it.
    let input = (-2_i32).to_be_bytes();
    let negative = DecodeError::NegativeLength { offset: 0, length: -2 };
    assert_eq!(Reader::new(&input).buffer(), Err(negative));
    assert_eq!(Reader::new(&input).vec(Reader::i32), Ok(Some(vec![])));
}

#[test]
fn strings_of_java_clients_are_understood() {
    // UTF-8 is borrowed, CESU-8 pairs become one character, and anything else is replaced.
    assert!(matches!(text::decode("größe".as_bytes()), Cow::Borrowed("größe")));
    assert_eq!(text::decode(b"a\xed\xa0\xbd\xed\xb8\x80b"), "a\u{1f600}b");
    assert_eq!(text::decode(b"a\xffb"), "a\u{fffd}b");
    assert_eq!(text::decode(b"\xed\xa0\xbd"), "\u{fffd}\u{fffd}\u{fffd}");
    assert_eq!(text::decode(b"\xc3"), "\u{fffd}");
}

#[test]
fn a_vector_can_be_written_before_its_count_is_known() {
    // begin_vec and end_vec write what encoding the collected elements would.
    let streamed = bytes(|out| {
        let mark = begin_vec(out);
        put_str(out, "a");
        put_str(out, "b");
        end_vec(out, mark, 2);
    });
    let collected = bytes(|out| vec![Cow::Borrowed("a"), Cow::Borrowed("b")].encode(out));
    assert_eq!(streamed, collected);
}
