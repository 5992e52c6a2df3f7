//! The syntax of Java properties files: lines to keys and values.
//!
//! A logical line is `key=value`, `key: value` or `key value`; `#` and `!` begin comments; a
//! backslash at the end of a line continues it on the next one, whose leading blanks are dropped;
//! `\t \n \r \f` and `\uXXXX` are escapes, and a backslash before any other character is that
//! character. Java reads such files as Latin-1; UTF-8 is read as UTF-8 here, because that is what
//! editors write.

/// One setting of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Line on which it begins, counted from 1.
    pub(super) line: usize,
    /// The key, unescaped and trimmed.
    pub(super) key: String,
    /// The value, unescaped and trimmed; empty if there is none.
    pub(super) value: String,
}

/// A line that breaks the syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// Line, counted from 1.
    pub(super) line: usize,
    /// What is wrong.
    pub(super) problem: &'static str,
}

/// The text of a file: UTF-8 if it is valid, else Latin-1.
pub(super) fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// All settings of `text`, in file order; a key that occurs twice is listed twice.
///
/// # Errors
/// A malformed `\uXXXX` escape.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, SyntaxError> {
    logical_lines(text)
        .into_iter()
        .map(|(line, text)| {
            let (key, value) = split(&text);
            let unescape =
                |part: &str| unescape(part).map_err(|problem| SyntaxError { line, problem });
            Ok(Entry { line, key: trim(&unescape(key)?), value: trim(&unescape(value)?) })
        })
        .collect()
}

/// ZooKeeper trims keys and values after reading them, escapes included.
fn trim(text: &str) -> String {
    text.trim_matches(|c: char| c <= ' ').to_owned()
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Joins continued lines and drops blank and comment lines; each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = unified.split('\n').enumerate();
    let mut found = Vec::new();
    while let Some((index, first)) = lines.next() {
        let first = first.trim_start_matches(is_blank);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut whole = first.to_owned();
        while is_continued(&whole) {
            whole.pop();
            let Some((_, next)) = lines.next() else { break };
            whole.push_str(next.trim_start_matches(is_blank));
        }
        found.push((index + 1, whole));
    }
    found
}

/// Whether a line ends in an odd number of backslashes.
fn is_continued(line: &str) -> bool {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    backslashes % 2 == 1
}

/// Splits at the first separator that is not escaped: blanks, then at most one `=` or `:`, then
/// blanks.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find(|&(_, c)| {
        let separates = !escaped && (is_blank(c) || c == '=' || c == ':');
        escaped = !escaped && c == '\\';
        separates
    });
    let Some((end, _)) = end else { return (line, "") };
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let plain = match c {
            '\\' => match chars.next() {
                Some('u') => {
                    units.push(unicode_unit(&mut chars)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => continue,
            },
            other => other,
        };
        flush(&mut units, &mut out);
        out.push(plain);
    }
    flush(&mut units, &mut out);
    Ok(out)
}

/// Four hexadecimal digits after `\u`. A pair of them may spell one supplementary character.
fn unicode_unit(chars: &mut std::str::Chars<'_>) -> Result<u16, &'static str> {
    let digits = chars.as_str().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
    let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
    chars.nth(3);
    unit.ok_or("`\\u` must be followed by four hexadecimal digits")
}

fn flush(units: &mut Vec<u16>, out: &mut String) {
    out.extend(char::decode_utf16(units.drain(..)).map(|c| c.unwrap_or('\u{fffd}')));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(usize, String, String)> {
        parse(text).unwrap().into_iter().map(|e| (e.line, e.key, e.value)).collect()
    }

    #[test]
    fn separators_comments_and_escapes_read_as_java_reads_them() {
        // Every line form that java.util.Properties accepts gives the same key and value here.
        let table: &[(&str, &str, &str)] = &[
            ("a=1", "a", "1"),
            ("a:1", "a", "1"),
            ("a 1", "a", "1"),
            ("a\t=\t1 ", "a", "1"),
            ("  a  :  1", "a", "1"),
            ("a==1", "a", "=1"),
            ("a = : 1", "a", ": 1"),
            ("a", "a", ""),
            ("a=", "a", ""),
            (r"a\ b=1", "a b", "1"),
            (r"a\=b=1", "a=b", "1"),
            (r"dir=C:\\data", "dir", r"C:\data"),
            (r"a=\u0041\u00e9", "a", "A\u{e9}"),
            (r"a=\ud83d\ude00", "a", "\u{1f600}"),
            (r"a=x\qy", "a", "xqy"),
            (r"a=x\ty", "a", "x\ty"),
            ("a=one \\\n   two", "a", "one two"),
            ("a=one\\\\", "a", "one\\"),
            ("a=last\\", "a", "last"),
            ("a=b # no comment", "a", "b # no comment"),
            ("server.1=h:1:2;3", "server.1", "h:1:2;3"),
        ];
        for (text, key, value) in table {
            assert_eq!(pairs(text), [(1, (*key).to_owned(), (*value).to_owned())], "{text:?}");
        }
    }

    #[test]
    fn line_numbers_count_comments_and_continuations() {
        // A message can name the line on which a setting begins.
        let text = "# one\n\n a=1\\\n  2\n! five\r\nb=2\rc=3\n";
        let expected = [(3, "a", "12"), (6, "b", "2"), (7, "c", "3")];
        let found = pairs(text);
        let found: Vec<_> = found.iter().map(|(l, k, v)| (*l, k.as_str(), v.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn broken_unicode_escapes_are_refused_with_their_line() {
        // A half-written escape is an error and not a silent different value.
        for text in ["\na=\\u12", "\na=\\u12g4", "\na=\\u"] {
            assert_eq!(parse(text).unwrap_err().line, 2, "{text:?}");
        }
    }

    #[test]
    fn utf8_and_latin1_files_are_both_read() {
        // An accented directory name survives in either encoding.
        assert_eq!(decode("a=\u{e9}".as_bytes()), "a=\u{e9}");
        assert_eq!(decode(b"a=\xe9"), "a=\u{e9}");
        assert_eq!(decode(b"\xef\xbb\xbfa=1"), "a=1");
    }
}
