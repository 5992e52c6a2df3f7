//! Four-letter words: text in, text out, socket closed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Sends `word` on a connection of its own and returns the whole answer, or `None` when the server
/// cannot be reached or breaks off.
pub fn ask(addr: SocketAddr, word: &str) -> Option<String> {
    ask_within(addr, word, Duration::from_secs(10))
}

/// As [`ask`], for servers that may be stopped: gives up when nothing comes for `patience`.
pub fn ask_within(addr: SocketAddr, word: &str, patience: Duration) -> Option<String> {
    let mut stream =
        TcpStream::connect_timeout(&addr, patience.min(Duration::from_secs(2))).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.write_all(word.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}
