//! kill -9 at random moments loses nothing that was acknowledged.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use integration::eventually::pause_for;
use integration::raw::{Result, create_request};
use integration::{RawClient, Server, eventually};
use jute_proto::{MultiOp, MultiRequest, OpCode};

use crate::chance::Chance;

const KILLS: u64 = 50;
const WRITERS: usize = 3;

/// Requests that a writer has under way at once, so that several wait for one flush.
const IN_FLIGHT: usize = 16;

/// What one writer was told, in one round.
struct Written {
    folder: String,
    sent: usize,
    acknowledged: usize,
}

#[test]
fn everything_acknowledged_survives_fifty_kills() {
    // Writers keep creating single nodes and pairs (by multi) while the server is killed with -9
    // fifty times: all that was acknowledged is there, no pair is half there, and what survives of
    // a writer's unacknowledged requests is a beginning of them without gaps.
    let mut chance = Chance::new();
    let mut server = Server::start();
    let mut history = Vec::new();
    for round in 0..KILLS {
        let written = round_of_writes(&mut server, round, &mut chance);
        server.start_again();
        let mut reader = RawClient::connect(server.addr());
        for each in &written {
            verify(&mut reader, each);
        }
        history.extend(written);
    }
    let mut reader = RawClient::connect(server.addr());
    for each in &history {
        verify(&mut reader, each);
    }
    let acknowledged: usize = history.iter().map(|each| each.acknowledged).sum();
    println!("{acknowledged} writes acknowledged over {KILLS} kills");
    assert!(acknowledged > 1_000, "only {acknowledged} writes were acknowledged");
}

fn round_of_writes(server: &mut Server, round: u64, chance: &mut Chance) -> Vec<Written> {
    let addr = server.addr();
    let (first_ack, acked) = mpsc::channel();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let folder = format!("/r{round}-w{writer}");
            let first_ack = first_ack.clone();
            std::thread::spawn(move || write_until_lost(addr, folder, &first_ack))
        })
        .collect();
    for _ in 0..WRITERS {
        acked.recv_timeout(Duration::from_secs(30)).expect("each writer is acknowledged");
    }
    pause_for(Duration::from_micros(chance.within(0..150_000)));
    server.kill();
    writers.into_iter().map(|writer| writer.join().expect("a writer")).collect()
}

fn write_until_lost(addr: SocketAddr, folder: String, first_ack: &mpsc::Sender<()>) -> Written {
    let mut written = Written { folder, sent: 0, acknowledged: 0 };
    // The loss of the connection is how every round ends.
    let _ = write(addr, &mut written, first_ack);
    written
}

fn write(addr: SocketAddr, written: &mut Written, first_ack: &mpsc::Sender<()>) -> Result<()> {
    let mut client = RawClient::connect(addr);
    client.create(&written.folder, b"", 0)?;
    let mut waiting = std::collections::VecDeque::new();
    loop {
        while waiting.len() < IN_FLIGHT {
            let names = names(&written.folder, written.sent);
            written.sent += 1;
            let xid = match names.as_slice() {
                [one] => client.send(OpCode::Create2, &create_request(one, b"x", 0))?,
                pair => {
                    let create = |name| MultiOp::Create(create_request(name, b"x", 0));
                    let ops = pair.iter().map(|name| create(name)).collect();
                    client.send(OpCode::Multi, &MultiRequest { ops })?
                }
            };
            waiting.push_back(xid);
        }
        let xid = waiting.pop_front().expect("requests are under way");
        client.receive(xid)?.ok()?;
        written.acknowledged += 1;
        if written.acknowledged == 1 {
            // Nobody listens once every writer has begun.
            let _ = first_ack.send(());
        }
    }
}

/// What the writer's request number `n` creates: one node, or every third time a pair.
fn names(folder: &str, n: usize) -> Vec<String> {
    if n % 3 == 2 {
        vec![format!("{folder}/{n:06}-a"), format!("{folder}/{n:06}-b")]
    } else {
        vec![format!("{folder}/{n:06}")]
    }
}

fn verify(reader: &mut RawClient, written: &Written) {
    let folder = &written.folder;
    let found: BTreeSet<String> =
        reader.children(folder, false).expect("the folder of a writer").into_iter().collect();
    let there = |n: usize| {
        let names = names("", n);
        let there = names.iter().filter(|name| found.contains(&name[1..])).count();
        assert!(there == 0 || there == names.len(), "half a multi: {names:?} of {folder}");
        there != 0
    };
    let survived = (0..written.sent).take_while(|n| there(*n)).count();
    let (acknowledged, sent) = (written.acknowledged, written.sent);
    assert!(
        survived >= acknowledged,
        "{folder}: {acknowledged} of {sent} writes acknowledged, the first {survived} are there"
    );
    let gap = (survived..written.sent).find(|n| there(*n));
    assert_eq!(gap, None, "{folder}: number {survived} is missing, a later one is there");
}

#[test]
fn values_and_versions_survive_kills_exactly() {
    // After a kill, a node holds the last acknowledged value or the one that was under way, with
    // the version that belongs to it.
    let mut server = Server::start();
    let mut client = RawClient::connect(server.addr());
    client.create("/counter", b"0", 0).expect("created");
    let mut acknowledged: i32 = 0;
    for _ in 0..5 {
        for _ in 0..50 {
            let next = acknowledged + 1;
            let stat = client.set("/counter", next.to_string().as_bytes(), -1).expect("set");
            acknowledged = stat.version;
            assert_eq!(acknowledged, next);
        }
        client
            .send(OpCode::SetData, &set_request(acknowledged + 1))
            .expect("a last write under way");
        server.kill();
        server.start_again();
        client = eventually("connected", || {
            RawClient::connect_for(server.addr(), Duration::from_secs(10)).ok()
        });
        let (value, stat) = client.get("/counter", false).expect("read");
        assert_eq!(value, stat.version.to_string().as_bytes());
        assert!((acknowledged..=acknowledged + 1).contains(&stat.version));
        acknowledged = stat.version;
    }
}

fn set_request(value: i32) -> jute_proto::SetDataRequest<'static> {
    // The request borrows its data; one leaked number a kill is little.
    let data: &'static [u8] = value.to_string().leak().as_bytes();
    jute_proto::SetDataRequest { path: "/counter".into(), data: Some(data), version: -1 }
}
