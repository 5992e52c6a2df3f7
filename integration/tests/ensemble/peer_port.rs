//! What strangers can do at the port for the other servers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use integration::{Ensemble, EnsembleOptions, Kind, RawClient, eventually};

use crate::patience::{client, create};

/// What connections are for, as greetings number it.
const RAFT: u8 = 0;
const FORWARD: u8 = 1;

const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that greets as a server does.
struct Peer(TcpStream);

impl Peer {
    /// Greets server `to` in the name of `from`, both as members; returns why it is refused, if it is.
    fn greet(addr: SocketAddr, purpose: u8, from: u64, to: u64) -> Result<Self, String> {
        let mut peer = Self::connect(addr);
        let mut hello = b"GKPR\0\x02\0\x02".to_vec();
        hello.push(purpose);
        hello.extend_from_slice(&[0; 16]);
        hello.extend_from_slice(&from.to_be_bytes());
        hello.extend_from_slice(&to.to_be_bytes());
        peer.write(&hello);
        let version = u16::from_be_bytes(peer.read());
        let _newest: [u8; 2] = peer.read();
        if version == 0 {
            return Err(peer.reason());
        }
        // Start, process and nonce; then a proof of a secret that there is not.
        peer.write(&[7; 48]);
        let _theirs: [u8; 48] = peer.read();
        peer.write(&[0; 32]);
        let _proof: [u8; 32] = peer.read();
        peer.write(&[0, 0]);
        match peer.reason() {
            reason if reason.is_empty() => Ok(peer),
            reason => Err(reason),
        }
    }

    fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self(stream)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("it is read");
    }

    fn read<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).expect("an answer");
        bytes
    }

    fn reason(&mut self) -> String {
        let len = usize::from(u16::from_be_bytes(self.read()));
        let mut reason = vec![0; len];
        self.0.read_exact(&mut reason).expect("a reason");
        String::from_utf8(reason).expect("text")
    }

    fn send(&mut self, message: &[u8]) {
        let len = u32::try_from(message.len()).expect("a short message");
        let _ = self.0.write_all(&[&len.to_be_bytes(), message].concat());
    }

    /// Whether the other side has ended the connection, whatever it said before.
    fn is_ended(&mut self) -> bool {
        let mut rest = Vec::new();
        !matches!(self.0.read_to_end(&mut rest), Err(error) if is_timeout(&error))
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    [TimedOut, WouldBlock].contains(&error.kind())
}

/// A number as postcard writes it.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).expect("seven bits"));
    bytes
}

/// The member that a server is: what it says to whoever means another life of it.
fn member(ensemble: &Ensemble, server: usize) -> u64 {
    let number = server as u64 + 1;
    let other = (server as u64 + 1) % 3 + 1;
    let addr = ensemble.peer_addr(server);
    let Err(reason) = Peer::greet(addr, RAFT, other, number) else { panic!("a server has a life") };
    let life = reason.split("life ").nth(1).and_then(|rest| rest.get(..8)).expect("its life");
    u64::from(u32::from_str_radix(life, 16).expect("a number")) << 32 | number
}

/// Somebody with the number of a server, and a data directory of its own.
fn another_life_of(server: usize) -> u64 {
    0xdead_beef << 32 | (server as u64 + 1)
}

fn term(ensemble: &Ensemble, server: usize) -> u64 {
    let mut client: RawClient = client(ensemble.addr(server));
    let path = client.create("/term-", b"", 2).expect("created");
    let stat = client.exists(&path, false).expect("asked").expect("there");
    u64::try_from(stat.czxid.0 >> 32).expect("a term")
}

#[test]
fn strangers_are_not_heard_and_noise_ends_only_its_connection() {
    // Without TLS: whoever has no number of the ensemble is refused. Whoever takes one cannot end elections
    // by a high term, nor servers by commands that are none.
    let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).start();
    let leader = ensemble.wait_for_leader();
    create(ensemble.addr(leader), "/before");
    let (follower, third) = ((leader + 1) % 3, (leader + 2) % 3);
    let (addr, to) = (ensemble.peer_addr(leader), member(&ensemble, leader));
    let from = another_life_of(follower);
    let refused = Peer::greet(addr, RAFT, 77, to).map(drop).expect_err("a stranger");
    assert!(refused.contains("server 77 is no member"), "{refused}");

    let term_before = term(&ensemble, leader);
    for server in ensemble.servers() {
        let asker = another_life_of(if server == third { follower } else { third });
        let (addr, to) = (ensemble.peer_addr(server), member(&ensemble, server));
        for kind in [1, 2] {
            let mut peer = Peer::greet(addr, RAFT, asker, to).expect("heard");
            let vote = [varint(u64::MAX), vec![1], varint(asker), vec![0]].concat();
            let last = [vec![1], varint(u64::MAX), varint(1 << 40), vec![1]].concat();
            peer.send(&[varint(kind), vote, last].concat());
            assert!(peer.is_ended(), "server {} goes on after such a vote", server + 1);
        }
    }
    let mut peer = Peer::greet(addr, FORWARD, from, to).expect("heard");
    peer.send(&[varint(0), varint(term_before)].concat());
    // Numbered, and as earlier builds did.
    let noise = [varint(40), vec![0xff; 40]].concat();
    peer.send(&[varint(4), varint(1), varint(1), varint(1), noise.clone()].concat());
    assert!(peer.is_ended());
    let mut peer = Peer::greet(addr, FORWARD, from, to).expect("heard");
    peer.send(&[varint(0), varint(term_before)].concat());
    peer.send(&[varint(1), varint(1), varint(1), noise].concat());
    assert!(peer.is_ended());

    create(ensemble.addr(follower), "/after");
    assert_eq!(ensemble.ended(), []);
    assert_eq!(term(&ensemble, leader), term_before, "nobody was elected");
    ensemble.stop(leader);
    ensemble.start(leader);
    ensemble.wait_until_all_serve();
    assert!(client(ensemble.addr(leader)).exists("/after", false).expect("asked").is_some());
}

#[test]
fn halves_of_messages_fill_no_memory() {
    // Twenty connections that each begin a message of 64 MiB and send half of it cost a bounded amount of memory, and
    // nobody else notices.
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).start();
    let leader = ensemble.wait_for_leader();
    let (addr, to) = (ensemble.peer_addr(leader), member(&ensemble, leader));
    let from = another_life_of((leader + 1) % 3);
    let peers: Vec<Peer> = (0..20)
        .map(|_| {
            let mut peer = Peer::greet(addr, RAFT, from, to).expect("heard");
            peer.0.set_write_timeout(Some(Duration::from_millis(300))).expect("a socket");
            peer.0.write_all(&(64_u32 << 20).to_be_bytes()).expect("begun");
            // Some are not read any further.
            let _ = peer.0.write_all(&vec![0; 32 << 20]);
            peer
        })
        .collect();
    create(ensemble.addr(leader), "/meanwhile");
    let mib = ensemble.memory_mib(leader);
    assert!(mib < 400, "{mib} MiB");
    drop(peers);
    eventually("memory is given back", || (ensemble.memory_mib(leader) < 250).then_some(()));
}
