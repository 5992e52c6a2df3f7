//! What a step can send.
//!
//! | step | sends |
//! |---|---|
//! | `a connect [timeout=] [session=] [password=] [lastzxid=] [ro=yes/no/none]` | the handshake; else it is sent with defaults |
//! | `a OPERATION …` | a request, see [`mod@super::request`] |
//! | `a & OPERATION …` | the same, but together with the next step of the connection |
//! | `a ? OPERATION …` | the same, but its answers are not looked at, because they depend on who is faster |
//! | `a raw OP FIELD…` | a request with any body: fields `s:string b:bool i:int l:long x:hex null` |
//! | `a frame FIELD…`, `a bytes FIELD…` | a frame without a header, bytes without a length |
//! | `a await` | nothing, waits for one packet |
//! | `a drop` | nothing, breaks the connection but not the session |
//! | `a mark NAME` | nothing, remembers the last zxid |
//! | `a 4lw WORD [keys] [has=…]` | a four-letter word on a connection of its own |

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};
use jute_proto::{put_buffer, put_str};

use super::request;

/// The words before `=` that name an argument; others are part of a value.
const KEYS: &[&str] = &[
    "acl",
    "auth",
    "child",
    "data",
    "exist",
    "has",
    "id",
    "joining",
    "lastzxid",
    "leaving",
    "mode",
    "new",
    "password",
    "persistent",
    "prefix",
    "recursive",
    "ro",
    "session",
    "timeout",
    "ttl",
    "type",
    "v",
    "version",
    "xid",
    "zxid",
];

/// What a script has named so far.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// The znode of the case, written `~`.
    pub root: String,
    /// Words that stand for others, written `$NAME`.
    pub words: BTreeMap<String, String>,
    /// Remembered zxids.
    pub zxids: BTreeMap<String, i64>,
}

impl Names {
    /// A path as it is on the wire: `~` at its front or `{~}` within it is the znode of the case.
    #[must_use]
    pub fn path(&self, word: &str) -> String {
        match word.strip_prefix('~') {
            Some(rest) => format!("{}{}", self.root, unescape(rest)),
            None => unescape(word).replace("{~}", &self.root),
        }
    }

    /// A zxid: a number, or one that was remembered.
    #[must_use]
    pub fn zxid(&self, word: &str) -> i64 {
        self.zxids.get(word).copied().unwrap_or_else(|| number(word))
    }
}

/// A step, taken apart.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which connection.
    pub connection: String,
    /// Whether the bytes wait for those of the next step.
    pub pipelined: bool,
    /// Whether the answers are left out of the transcript.
    pub ignored: bool,
    /// What to do.
    pub command: Command,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Command {
    /// The handshake.
    Connect(Arguments),
    /// A request: header and body follow.
    Request {
        /// The number to give it, the next of the connection if none.
        xid: Option<i32>,
        /// The operation's number.
        op: i32,
        /// The body.
        body: BytesMut,
    },
    /// A frame with this body.
    Frame(BytesMut),
    /// These bytes.
    Bytes(BytesMut),
    /// Wait for one packet.
    Await,
    /// Break the connection.
    Drop,
    /// Remember the last zxid under this name.
    Mark(String),
    /// A four-letter word.
    FourLetterWord(Arguments),
}

/// The words behind a command.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Those without a name.
    pub positional: Vec<String>,
    /// Those with one.
    pub named: BTreeMap<String, String>,
}

impl Arguments {
    fn new<'a>(words: impl Iterator<Item = &'a str>, names: &Names) -> Self {
        let mut arguments = Self::default();
        for word in words {
            let word = expand(word, names);
            match word.split_once('=') {
                Some((key, value)) if KEYS.contains(&key) => {
                    arguments.named.insert(key.to_owned(), value.to_owned());
                }
                _ => arguments.positional.push(word),
            }
        }
        arguments
    }

    /// The named argument.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.named.get(key).map(String::as_str)
    }

    /// The named argument as a number.
    #[must_use]
    pub fn number<T: TryFrom<i64>>(&self, key: &str, default: T) -> T {
        self.get(key).map_or(default, |word| {
            T::try_from(number(word)).unwrap_or_else(|_| panic!("{key}={word} is out of range"))
        })
    }

    /// The positional argument, which must be there.
    ///
    /// # Panics
    /// Where it is missing.
    #[must_use]
    pub fn at(&self, index: usize) -> &str {
        self.positional.get(index).unwrap_or_else(|| panic!("argument {} is missing", index + 1))
    }

    /// Whether a word is among the positional arguments.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.positional.iter().any(|other| other == word)
    }
}

/// Takes a step apart.
///
/// # Panics
/// Where it is not understood; the message names what.
#[must_use]
pub fn parse(input: &str, names: &Names) -> Line {
    let mut words = input.split_whitespace();
    let connection = words.next().unwrap_or_else(|| panic!("an empty step")).to_owned();
    let mut verb = words.next().unwrap_or_else(|| panic!("a step without a command"));
    let (pipelined, ignored) = (verb == "&", verb == "?");
    if pipelined || ignored {
        verb = words.next().unwrap_or_else(|| panic!("a step without a command"));
    }
    let command = match verb {
        "connect" => Command::Connect(Arguments::new(words, names)),
        "await" => Command::Await,
        "drop" => Command::Drop,
        "mark" => Command::Mark(words.next().unwrap_or_default().to_owned()),
        "4lw" => Command::FourLetterWord(Arguments::new(words, names)),
        "frame" => Command::Frame(fields(words, names)),
        "bytes" => Command::Bytes(fields(words, names)),
        "raw" => raw(&Arguments::new(words, names), names),
        verb => request(verb, words, names),
    };
    Line { connection, pipelined, ignored, command }
}

fn request<'a>(verb: &str, words: impl Iterator<Item = &'a str>, names: &Names) -> Command {
    let mut body = BytesMut::new();
    let words: Vec<&str> = words.collect();
    if verb == "multi" || verb == "multiRead" {
        let operations = words.split(|word| *word == ";");
        let operations = operations.filter(|words| !words.is_empty()).map(|words| {
            let (verb, words) = words.split_first().unwrap_or_else(|| panic!("an empty operation"));
            (*verb, Arguments::new(words.iter().copied(), names))
        });
        let op = request::multi(verb, operations, names, &mut body);
        return Command::Request { xid: None, op, body };
    }
    let arguments = Arguments::new(words.into_iter(), names);
    let (op, fixed_xid) = request::encode(verb, &arguments, names, &mut body);
    let xid = arguments.get("xid").map(|_| arguments.number("xid", 0)).or(fixed_xid);
    Command::Request { xid, op, body }
}

fn raw(arguments: &Arguments, names: &Names) -> Command {
    let op = i32::try_from(number(arguments.at(0))).unwrap_or_else(|_| panic!("no operation"));
    let body = fields(arguments.positional.iter().skip(1).map(String::as_str), names);
    let xid = arguments.get("xid").map(|_| arguments.number("xid", 0));
    Command::Request { xid, op, body }
}

fn fields<'a>(words: impl Iterator<Item = &'a str>, names: &Names) -> BytesMut {
    let mut out = BytesMut::new();
    for word in words {
        let word = expand(word, names);
        match word.split_once(':') {
            Some(("s", text)) => put_str(&mut out, &names.path(text)),
            Some(("b", value)) => out.put_u8(u8::from(value != "0")),
            Some(("i", value)) => {
                let value = i32::try_from(number(value)).unwrap_or_else(|_| panic!("{word}"));
                out.put_i32(value);
            }
            Some(("l", value)) => out.put_i64(names.zxid(value)),
            Some(("x", hex)) => out.put_slice(&bytes_of_hex(hex)),
            _ if word == "null" => put_buffer(&mut out, None),
            _ => panic!("{word} is no field"),
        }
    }
    out
}

fn expand(word: &str, names: &Names) -> String {
    if !word.contains('$') {
        return word.to_owned();
    }
    let words = names.words.iter().rev();
    words.fold(word.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
}

/// A number, decimal or hexadecimal.
///
/// # Panics
/// Where it is none.
#[must_use]
pub fn number(word: &str) -> i64 {
    let parsed = match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(u64::cast_signed),
        None => word.parse().ok(),
    };
    parsed.unwrap_or_else(|| panic!("{word} is no number"))
}

/// Bytes written in hexadecimal.
///
/// # Panics
/// Where they are not.
#[must_use]
pub fn bytes_of_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|digit| digit.to_digit(16).unwrap_or_else(|| panic!("{hex} is not hexadecimal")) as u8)
        .collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
}

/// Reads `\s` (space), `\e` (nothing), `\n`, `\\`, and `\u{…}`.
///
/// # Panics
/// Where an escape is not understood.
#[must_use]
pub fn unescape(word: &str) -> String {
    let mut text = String::new();
    let mut rest = word;
    while let Some((before, behind)) = rest.split_once('\\') {
        text.push_str(before);
        let mut behind_chars = behind.chars();
        match behind_chars.next() {
            Some('s') => text.push(' '),
            Some('e') => {}
            Some('n') => text.push('\n'),
            Some('\\') => text.push('\\'),
            Some('u') => {
                let (code, end) = behind
                    .strip_prefix("u{")
                    .and_then(|code| code.split_once('}'))
                    .unwrap_or_else(|| panic!("{word}: an unfinished escape"));
                let code = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
                text.push(code.unwrap_or_else(|| panic!("{word}: no character")));
                rest = end;
                continue;
            }
            _ => panic!("{word}: an unknown escape"),
        }
        rest = behind_chars.as_str();
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_characters() {
        // A path with odd characters can be written in a script.
        assert_eq!(unescape(r"/a\sb\u{0}\\\e"), "/a b\0\\");
        assert_eq!(bytes_of_hex("00ff1a"), [0, 255, 26]);
        assert_eq!(number("0xffffffffffffffff"), -1);
    }
}
