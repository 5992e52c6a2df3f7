//! The proxy between servers does to a connection what it is told to.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use integration::eventually::Stopwatch;
use integration::within;
use proxy::{Network, On, PathState};

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

/// Whether the other side has ended the connection.
fn ends(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    match stream.read(&mut [0; 8]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
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
        assert!(ends(end));
    }
    let mut near = connect(connected.port);
    near.write_all(b"again").expect("sent");
    let (mut far, _) = connected.listener.accept().expect("arrives");
    assert!(comes(&mut far, b"again", PATIENCE));
}

#[test]
fn a_later_connection_overtakes_what_is_held_back() {
    // What is held back arrives when it is released, although its sender has gone meanwhile.
    let mut connected = Connected::new();
    connected.network.hold(On::All, 0, 1, None);
    connected.near.write_all(b"old").expect("sent");
    let mut later = connect(connected.port);
    later.write_all(b"new").expect("sent");
    let (mut far, _) = connected.listener.accept().expect("arrives");
    assert!(comes(&mut far, b"new", PATIENCE));
    connected.near.shutdown(Shutdown::Both).expect("ended");
    assert!(!comes(&mut connected.far, b"old", SILENCE));
    connected.network.release(0, 1);
    assert!(comes(&mut connected.far, b"old", PATIENCE));
    assert!(ends(&mut connected.far));
}

#[test]
fn a_parted_connection_ends_at_its_sender() {
    // The receiver learns of the end behind the last byte, which may be held back.
    let mut connected = Connected::new();
    connected.network.hold(On::All, 0, 1, None);
    connected.near.write_all(b"old").expect("sent");
    // While this comes the proxy reads what was sent before.
    connected.far.write_all(b"go").expect("sent");
    assert!(comes(&mut connected.near, b"go", PATIENCE));
    connected.network.part(0, 1);
    assert!(ends(&mut connected.near));
    assert!(!comes(&mut connected.far, b"old", SILENCE));
    connected.network.release(0, 1);
    assert!(comes(&mut connected.far, b"old", PATIENCE));
    assert!(ends(&mut connected.far));
}

#[test]
fn only_answers_are_held_back() {
    // What the side that opened the connection sends passes; answers do when they are released.
    let mut connected = Connected::new();
    connected.network.hold(On::Theirs, 1, 0, None);
    connected.network.hold(On::Theirs, 0, 1, None);
    connected.near.write_all(b"question").expect("sent");
    assert!(comes(&mut connected.far, b"question", PATIENCE));
    connected.far.write_all(b"answer").expect("sent");
    assert!(!comes(&mut connected.near, b"answer", SILENCE));
    connected.network.heal();
    assert!(comes(&mut connected.near, b"answer", PATIENCE));
}

#[test]
fn held_connections_trickle() {
    // One chunk passes now and then, so that the receiver does not take the connection for dead.
    let mut connected = Connected::new();
    connected.network.hold(On::All, 0, 1, Some(SILENCE));
    let clock = Stopwatch::start();
    connected.near.write_all(b"old").expect("sent");
    assert!(comes(&mut connected.far, b"old", PATIENCE));
    assert!(clock.elapsed() >= SILENCE);
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
