use super::*;

#[test]
fn the_validator_rejects_what_java_rejects() {
    // Private use, specials, controls, surrogate pairs and relative or empty names are refused.
    let bad = [
        "",
        "a",
        "a/b",
        "//",
        "/a/",
        "/a//b",
        "/.",
        "/..",
        "/a/./b",
        "/a/../b",
        "/a/.",
        "/a/..",
        "/\0",
        "/a\u{1}",
        "/a\u{1f}",
        "/\u{7f}",
        "/\u{9f}",
        "/\u{e000}",
        "/\u{f8ff}",
        "/\u{fff0}",
        "/\u{ffff}",
        "/\u{fffd}",
        "/\u{10000}",
        "/😀",
    ];
    for path in bad {
        assert_eq!(validate(path), Err(OpError::BadArguments), "{path:?}");
    }
}

#[test]
fn the_validator_allows_spaces_and_dots_within_names() {
    // What looks odd but is legal in ZooKeeper is legal here.
    let good = [
        "/",
        "/a",
        "/a/b",
        "/ ",
        "/a b",
        "/a.b",
        "/a..b",
        "/...",
        "/.a",
        "/a.",
        "/~",
        "/\u{a0}",
        "/\u{d7ff}",
        "/\u{f900}",
        "/\u{ffef}",
        "/été/日本",
    ];
    for path in good {
        assert_eq!(validate(path), Ok(()), "{path:?}");
    }
}

#[test]
fn a_path_has_a_parent_and_a_name() {
    // The root is the parent of top nodes and of itself.
    for (path, above, last) in [
        ("/a", "/", "a"),
        ("/a/b", "/a", "b"),
        ("/", "/", ""),
        ("/a/", "/a", ""),
        ("a/b", "a", "b"),
    ] {
        assert_eq!((parent(path), name(path)), (Some(above), last), "{path}");
    }
    assert_eq!(parent("a"), None);
}

#[test]
fn the_number_of_a_sequential_node_has_ten_digits() {
    // Zero-padded up to the largest count; a count that wrapped shows its sign.
    let shown = [0, 7, 1_234_567_890, i32::MAX, i32::MIN, -1].map(|count| sequential("/q-", count));
    let expected =
        ["/q-0000000000", "/q-0000000007", "/q-1234567890", "/q-2147483647", "/q--2147483648"];
    assert_eq!(shown[..5], expected);
    // Java pads a negative number to ten places with its sign in front.
    assert_eq!(shown[5], "/q--000000001");
}
