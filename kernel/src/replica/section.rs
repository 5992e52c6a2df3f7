//! Entries of format 2: commands in sections, each of one sender.
//!
//! ```text
//! entry     format u8 | policy u16 | time_ms i64 | elapsed_ms u64 | sections
//! section   server u64 | incarnation u64 | number u64 | count u32 | length u32 | commands (postcard)
//! ```
//!
//! All numbers are little-endian. A *section* is a numbered batch of commands of one process of one server.
//!
//! A server is to the log what a client is to a session (Ongaro's dissertation, 6.3), and what an idempotent producer
//! is to a log of Kafka:
//!
//! | here | Kafka | |
//! |---|---|---|
//! | [`Sender::server`] | producer id | the number of the server |
//! | [`Sender::incarnation`] | producer epoch | the log index of the entry that registered the process |
//! | [`Sender::number`] | sequence number | counts the sections of the process, from 1 without gaps |
//!
//! A server sends a section again until it sees it applied: a leader that ends may or may not have appended it.
//! Applying takes the next number of the newest incarnation only ([`ProcessTable`](super::ProcessTable)). So a
//! section that comes again, out of order, or from a process that has ended does nothing.
//!
//! `Applier` (src/node/apply.rs) claims each section, in order, just before its commands, with
//! [`Replica::claim_section`](super::Replica::claim_section). It applies all commands of a section that is granted and
//! none of any other: a claim that is granted counts the section as applied.
//!
//! Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.

use bytes::{BufMut, Bytes, BytesMut};

use super::entry::{self, EntryError};
use crate::ensemble::ServerId;
use crate::time::{ElapsedTime, WallTime};
use crate::tree::Policy;

/// The version of this encoding.
pub const FORMAT: u8 = 2;

/// The bytes in front of the sections.
pub const ENTRY_HEADER_LEN: usize = 19;

/// The bytes in front of the commands of a section.
pub const SECTION_HEADER_LEN: usize = 32;

/// What a buffer for commands reserves: enough for the headers of each format.
pub const RESERVED_LEN: usize = ENTRY_HEADER_LEN + SECTION_HEADER_LEN;

const _: () = assert!(entry::HEADER_LEN <= RESERVED_LEN);

/// What the leader stamps on an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The leader's clock.
    pub wall_time: WallTime,
    /// What expires goes by this.
    pub elapsed: ElapsedTime,
    /// The leader's settings that decide outcomes.
    pub policy: Policy,
}

/// Which section it is: of which process, and its number there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sender {
    /// The number of the server.
    pub server: ServerId,
    /// The index of the entry that registered its process: a later process has a higher one. 0 for a section
    /// without a number, whose commands do no harm when they are applied twice
    /// ([`is_repeatable`](entry::is_repeatable)).
    pub incarnation: u64,
    /// Counts the sections of the process, from 1.
    pub number: u64,
}

/// A section of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Section<'a> {
    /// Whose it is.
    pub sender: Sender,
    /// How many commands it has.
    pub count: u32,
    /// The commands.
    pub commands: &'a [u8],
}

/// Makes an entry of the commands of this server, which follow [`RESERVED_LEN`] reserved bytes, and of
/// sections of others.
///
/// The headers are written over the reserved bytes, so the commands of this server are not copied. Without any,
/// the entry ends behind its own header before the others are appended.
pub fn seal<'a>(
    mut buffer: BytesMut,
    header: &Header,
    own: Option<(Sender, u32)>,
    others: impl Iterator<Item = Section<'a>>,
) -> Bytes {
    assert!(buffer.len() >= RESERVED_LEN, "the headers have room");
    let len = buffer.len() - RESERVED_LEN;
    let mut head = &mut buffer[..RESERVED_LEN];
    head.put_u8(FORMAT);
    head.put_u16_le(header.policy.to_bits().into());
    head.put_i64_le(header.wall_time.0);
    head.put_u64_le(header.elapsed.0);
    match own {
        Some((sender, count)) => put_section_header(&mut head, sender, count, len),
        None => buffer.truncate(ENTRY_HEADER_LEN),
    }
    for Section { sender, count, commands } in others {
        put_section_header(&mut buffer, sender, count, commands.len());
        buffer.put_slice(commands);
    }
    buffer.freeze()
}

fn put_section_header(out: &mut impl BufMut, sender: Sender, count: u32, len: usize) {
    out.put_u64_le(sender.server.0);
    out.put_u64_le(sender.incarnation);
    out.put_u64_le(sender.number);
    out.put_u32_le(count);
    // An entry is far shorter than 4 GiB.
    out.put_u32_le(u32::try_from(len).unwrap_or(u32::MAX));
}

/// Reads the header of an entry; what follows it are the sections.
///
/// # Errors
/// [`EntryError`] where the bytes are too few or of another format.
pub fn open(entry: &[u8]) -> Result<(Header, &[u8]), EntryError> {
    let truncated = || EntryError::Truncated(entry.len());
    let (head, sections) = entry.split_first_chunk::<ENTRY_HEADER_LEN>().ok_or_else(truncated)?;
    if head[0] != FORMAT {
        return Err(EntryError::Format { found: head[0] });
    }
    // The upper of the policy's two bytes is for settings to come.
    let (policy, mut rest) = (Policy::from_bits(head[1]), &head[3..]);
    let wall_time = WallTime(take_u64(&mut rest).ok_or_else(truncated)?.cast_signed());
    let elapsed = ElapsedTime(take_u64(&mut rest).ok_or_else(truncated)?);
    Ok((Header { wall_time, elapsed, policy }, sections))
}

/// Takes the next section off the front of `rest`; `None` at the end.
///
/// # Errors
/// [`EntryError::Section`] where it is cut.
pub fn next_section<'a>(rest: &mut &'a [u8]) -> Result<Option<Section<'a>>, EntryError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let cut = EntryError::Section(rest.len());
    take_section(rest).map(Some).ok_or(cut)
}

fn take_section<'a>(rest: &mut &'a [u8]) -> Option<Section<'a>> {
    let server = ServerId(take_u64(rest)?);
    let sender = Sender { server, incarnation: take_u64(rest)?, number: take_u64(rest)? };
    let (count, len) = (take_u32(rest)?, take_u32(rest)?);
    let (commands, left) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = left;
    Some(Section { sender, count, commands })
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(u64::from_le_bytes(*bytes))
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(u32::from_le_bytes(*bytes))
}

/// Whether the commands that a server forwards can be applied, are those of clients, and are as many as it
/// says: this is checked before they are proposed.
///
/// # Errors
/// What is wrong with them.
pub fn check_commands(count: u32, commands: &[u8]) -> Result<(), EntryError> {
    let mut rest = commands;
    for number in 0..count {
        let command = entry::next_command(&mut rest, number)?;
        entry::check_forwarded(number, &command)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(EntryError::Section(rest.len())) }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;

    fn header() -> Header {
        let policy = Policy { skip_acl: true, ..Policy::default() };
        Header { wall_time: WallTime(-3), elapsed: ElapsedTime(1 << 40), policy }
    }

    fn sender(number: u64) -> Sender {
        Sender { server: ServerId(300), incarnation: 7, number }
    }

    fn sealed(own: &[u8], others: &[&[u8]]) -> Bytes {
        let mut buffer = BytesMut::zeroed(RESERVED_LEN);
        buffer.put_slice(own);
        let sections = (1..).zip(others).map(|(number, commands)| Section {
            sender: sender(number),
            count: 1,
            commands,
        });
        let own = (!own.is_empty()).then_some((sender(99), 2));
        seal(buffer, &header(), own, sections)
    }

    #[test]
    fn sections_come_back_as_they_went() {
        // With commands of this server, of others, of both, and of nobody.
        for (own, others) in
            [(&b"own"[..], &[][..]), (b"", &[&b"a"[..], b""]), (b"own", &[b"bb"]), (b"", &[])]
        {
            let entry = sealed(own, others);
            let (header, mut rest) = open(&entry).unwrap();
            assert_eq!(header, self::header());
            let mut expected: Vec<(u64, &[u8])> = Vec::new();
            expected.extend((!own.is_empty()).then_some((99, own)));
            expected.extend((1..).zip(others.iter().copied()));
            for (number, commands) in expected {
                let section = next_section(&mut rest).unwrap().unwrap();
                assert_eq!((section.sender, section.commands), (sender(number), commands));
            }
            assert_eq!(next_section(&mut rest), Ok(None));
        }
    }

    #[test]
    fn a_cut_entry_is_an_error() {
        // No length is believed: an entry that ends early is said to, wherever it was cut.
        let entry = sealed(b"own", &[b"others"]);
        for len in 0..entry.len() {
            let Ok((_, mut rest)) = open(&entry[..len]) else { continue };
            let whole = core::iter::from_fn(|| next_section(&mut rest).transpose());
            let read: Result<Vec<_>, _> = whole.take(3).collect();
            let at_end = [ENTRY_HEADER_LEN, ENTRY_HEADER_LEN + SECTION_HEADER_LEN + 3];
            assert_eq!(read.is_ok(), at_end.contains(&len), "{len}: {read:?}");
        }
        assert_eq!(open(&[1; 30]), Err(EntryError::Format { found: 1 }));
    }

    #[test]
    fn the_bytes_of_an_entry_stay_as_they_are() {
        // What this build writes must be readable for ever.
        let expected = "020400fdffffffffffffff00000000000100002c0100000000000007000000000000006300\
                        00000000000002000000030000006f776e";
        let hex: String = sealed(b"own", &[]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }
}
