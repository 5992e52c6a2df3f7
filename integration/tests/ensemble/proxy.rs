//! The proxy between servers does to a connection what it is told to.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use integration::eventually::Stopwatch;
use integration::proxy::{Network, PathState};
use integration::within;

/// How long a test makes sure that nothing comes.
const SILENCE: Duration = Duration::from_millis(150);

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Server 0 connected to server 1, through the network.
struct Connected {
    network: Network,
    near: TcpStream,
    far: TcpStream,
    listener: TcpListener,
    port: u16,
}

impl Connected {
    fn new() -> Self {
        let network = Network::new(2);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let target = listener.local_addr().expect("its address").port();
        let port = network.open(0, 1, target);
        let near = connect(port);
        let (far, _) = listener.accept().expect("the connection arrives");
        Self { network, near, far, listener, port }
    }
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).expect("connected")
}

/// Whether exactly `expected` comes before `patience` ends.
fn comes(stream: &mut TcpStream, expected: &[u8], patience: Duration) -> bool {
    stream.set_read_timeout(Some(patience)).expect("a timeout");
    let mut found = vec![0; expected.len()];
    stream.read_exact(&mut found).is_ok() && found == expected
}

#[test]
fn a_cut_holds_back_one_direction() {
    // What is sent through a one-way cut arrives when it is healed; the other direction goes on.
    let mut connected = Connected::new();
    connected.network.set(0, 1, PathState::cut());
    connected.near.write_all(b"held").expect("sent");
    connected.far.write_all(b"free").expect("sent");
    assert!(comes(&mut connected.near, b"free", PATIENCE));
    assert!(!comes(&mut connected.far, b"held", SILENCE));
    connected.network.heal();
    assert!(comes(&mut connected.far, b"held", PATIENCE));
}

#[test]
fn a_connection_through_a_cut_waits() {
    // A connection that is opened during a partition reaches the other side when it is healed.
    let connected = Connected::new();
    connected.network.partition(&[0]);
    let mut second = connect(connected.port);
    second.write_all(b"hello").expect("sent");
    connected.listener.set_nonblocking(true).expect("asked without waiting");
    integration::eventually::throughout(SILENCE, "nothing arrives", || {
        connected.listener.accept().is_err()
    });
    connected.network.heal();
    let (far, _) = within(PATIENCE, "it arrives", || connected.listener.accept().ok());
    far.set_nonblocking(false).expect("waited for");
    let mut far = far;
    assert!(comes(&mut far, b"hello", PATIENCE));
}

#[test]
fn a_reset_breaks_both_ends() {
    // After a reset both sides see the end of the connection, and a new one can be made.
    let mut connected = Connected::new();
    connected.network.reset(1, 0);
    for end in [&mut connected.near, &mut connected.far] {
        end.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let ended = match end.read(&mut [0; 8]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(ended);
    }
    let mut near = connect(connected.port);
    near.write_all(b"again").expect("sent");
    let (mut far, _) = connected.listener.accept().expect("arrives");
    assert!(comes(&mut far, b"again", PATIENCE));
}

#[test]
fn delay_and_throttle_take_their_time() {
    // Delayed bytes arrive no sooner than their delay, throttled ones no faster than their rate.
    let delay = Duration::from_millis(200);
    let mut connected = Connected::new();
    for state in [PathState::delayed(delay), PathState::throttled(50_000)] {
        connected.network.set_both(0, 1, state);
        let clock = Stopwatch::start();
        let bytes = [7; 20_000];
        connected.near.write_all(&bytes).expect("sent");
        assert!(comes(&mut connected.far, &bytes, PATIENCE));
        // The last chunk of throttled bytes is not waited for.
        let least = if state.bytes_per_second.is_some() { delay / 4 } else { delay };
        assert!(clock.elapsed() >= least, "{:?} at {state:?}", clock.elapsed());
        connected.network.heal();
    }
}
