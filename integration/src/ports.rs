//! Free TCP ports on the loopback interface.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which the kernel takes the ports of outgoing connections, so that no client
/// is given a port between the moment it was found free and the moment the server listens on it.
const FIRST: u16 = 15_000;
const COUNT: u16 = 17_000;

/// Where the next search begins; the start depends on the process, so that test binaries which run
/// side by side look in different places.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that nothing listens on and that this process has not handed out before.
///
/// # Panics
///
/// When every port of the range is in use.
pub fn free_port() -> u16 {
    let offset = u16::try_from(std::process::id() * 131 % u32::from(COUNT)).unwrap_or(0);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (offset + step) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
