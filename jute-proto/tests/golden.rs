//! Bytes captured between a real client and a real server, decoded and encoded again.
//!
//! Each file of `tests/golden` holds the packets of one operation: bytes in hexadecimal, then what they mean.
//! `tests/golden/capture` is how they were captured. `UPDATE_GOLDEN=1` rewrites the meanings, never the bytes.

use std::fmt::{Debug, Write as _};
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use jute_proto::{
    ConnectRequest, ConnectResponse, Decode, Encode, OpCode, Reader, ReplyHeader, Request,
    RequestHeader, Response, WatcherEvent, begin_frame, end_frame, frame_len,
};

/// A packet of a golden file.
struct Packet {
    kind: String,
    bytes: Vec<u8>,
    meaning: String,
}

/// A packet decoded and encoded again.
struct Decoded {
    meaning: String,
    bytes: BytesMut,
}

#[test]
fn captured_packets_mean_what_they_are_said_to_mean() {
    // Real packets are decoded to the values written beside them, and these encode to the same bytes.
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for path in golden_files() {
        let text = std::fs::read_to_string(&path).expect("a readable golden file");
        let (comment, mut packets) = parse(&text);
        for packet in &mut packets {
            let decoded = decode(&name(&path), packet);
            assert_eq!(packet.bytes, decoded.bytes, "{}: {}", path.display(), decoded.meaning);
            if update {
                packet.meaning = decoded.meaning;
            } else {
                assert_eq!(packet.meaning, decoded.meaning, "{}", path.display());
            }
        }
        if update {
            std::fs::write(&path, format(&comment, &packets)).expect("a writable golden file");
        }
    }
}

#[test]
fn every_operation_has_a_golden_file() {
    // No operation is without captured bytes, except those that are never on the wire by themselves.
    let files: Vec<String> = golden_files().iter().map(|path| name(path)).collect();
    for op in OpCode::ALL {
        let expected = if *op == OpCode::CreateSession {
            "connect".to_owned()
        } else if *op == OpCode::Error {
            "multi".to_owned()
        } else {
            file_name(*op)
        };
        assert!(files.contains(&expected), "{op} has no golden file {expected}.txt");
    }
}

fn golden_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = std::fs::read_dir(folder).expect("the folder of the golden files");
    let paths = entries.map(|entry| entry.expect("an entry of the folder").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_stem().expect("a file name").to_string_lossy().into_owned()
}

/// The name of an operation in snake case.
fn file_name(op: OpCode) -> String {
    format!("{op:?}").chars().fold(String::new(), |mut name, letter| {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
        name
    })
}

fn parse(text: &str) -> (String, Vec<Packet>) {
    let mut blocks = text.split("\n\n");
    let comment = blocks.next().expect("a comment").trim_end().to_owned();
    let packets = blocks.map(|block| {
        let (kind, rest) = block.split_once('\n').expect("a kind and bytes");
        let is_hex = |line: &&str| line.chars().all(|c| c.is_ascii_hexdigit() || c == ' ');
        let hex: String = rest.lines().take_while(is_hex).collect();
        let meaning: Vec<&str> = rest.lines().skip_while(is_hex).collect();
        Packet { kind: kind.to_owned(), bytes: bytes_of(&hex), meaning: meaning.join("\n") }
    });
    let packets = packets.collect();
    (comment, packets)
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn format(comment: &str, packets: &[Packet]) -> String {
    let mut text = format!("{comment}\n");
    for Packet { kind, bytes, meaning } in packets {
        let _ = writeln!(text, "\n{kind}");
        for row in bytes.chunks(32) {
            let words = row.chunks(4).map(|word| {
                word.iter().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                })
            });
            let _ = writeln!(text, "{}", words.collect::<Vec<_>>().join(" "));
        }
        let _ = writeln!(text, "{meaning}");
    }
    text
}

fn decode(file: &str, packet: &Packet) -> Decoded {
    let len = frame_len(&packet.bytes, 1 << 20).expect("a valid length").expect("a whole frame");
    assert_eq!(len + 4, packet.bytes.len(), "{file}: one frame");
    let mut reader = Reader::new(&packet.bytes[4..]);
    let mut decoded = Decoded { meaning: String::new(), bytes: BytesMut::new() };
    let frame = begin_frame(&mut decoded.bytes);
    match (file, packet.kind.as_str()) {
        ("connect", "request") => drop(decoded.take::<ConnectRequest<'_>>(&mut reader)),
        ("connect", _) => drop(decoded.take::<ConnectResponse<'_>>(&mut reader)),
        ("notification", _) => {
            decoded.take::<ReplyHeader>(&mut reader);
            decoded.take::<WatcherEvent<'_>>(&mut reader);
        }
        (_, "request") => {
            let header = decoded.take::<RequestHeader>(&mut reader);
            let op = OpCode::try_from(header.op).expect("a known operation");
            assert_eq!(file_name(op), file);
            decoded.put(&Request::decode(op, &mut reader).expect("a request"));
        }
        (file, _) => {
            let header = decoded.take::<ReplyHeader>(&mut reader);
            if header.err == 0 {
                let op = OpCode::ALL.iter().find(|op| file_name(**op) == file);
                let op = *op.expect("the file is named after an operation");
                decoded.put(&Response::decode(op, &mut reader).expect("a response"));
            }
        }
    }
    end_frame(&mut decoded.bytes, frame);
    assert!(reader.is_empty(), "{file}: bytes left behind {}", decoded.meaning);
    decoded
}

impl Decoded {
    fn take<'a, T: Decode<'a> + Encode + Debug>(&mut self, reader: &mut Reader<'a>) -> T {
        let value = reader.record::<T>().expect("a record");
        self.put(&value);
        value
    }

    fn put(&mut self, value: &(impl Encode + Debug)) {
        value.encode(&mut self.bytes);
        if !self.meaning.is_empty() {
            self.meaning.push('\n');
        }
        let _ = write!(self.meaning, "{value:?}");
    }
}
