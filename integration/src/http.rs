//! HTTP requests, as a script with a socket makes them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The lines above the body, the status among them.
    pub head: String,
    /// The body.
    pub body: String,
}

/// Asks with `GET`. `None` when the server cannot be reached or breaks off.
pub fn get(addr: SocketAddr, path: &str) -> Option<HttpAnswer> {
    request(addr, &format!("GET {path} HTTP/1.1"), &[], "")
}

/// Asks with a request line, headers and a body. `None` when the server cannot be reached or
/// breaks off.
pub fn request(
    addr: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<HttpAnswer> {
    let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let length = body.len();
    let headers: String =
        headers.iter().map(|(key, value)| format!("{key}: {value}\r\n")).collect();
    let request = format!(
        "{line}\r\nHost: {addr}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(HttpAnswer { status, head: head.to_owned(), body: body.to_owned() })
}
