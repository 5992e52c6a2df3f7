//! No request, and no size, stops a server.

use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZero;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use integration::costly::{Costly, Noticed, Run, Size};
use integration::{EnsembleOptions, Failpoint, Kind, RawClient, eventually, raw};
use jute_proto::{Encode, MultiOp, MultiRequest, OpCode, RequestHeader, SetDataRequest, Xid};

/// How long each request is sent; `bin/costly` does it for a minute.
const TIME: Duration = Duration::from_millis(1000);

/// How long a bystander's request may take, with servers that were built for tests on a machine that has much
/// else to do: less than what ends a lead, by far.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What a server may take.
const MEMORY_KIB: u64 = 512 << 10;

#[test]
fn the_costliest_requests_hold_nobody_up() {
    // Each operation's costliest request, sent again and again, the end of a session with ten thousand
    // ephemeral znodes, and all of them together: no server ends, nobody is elected, bystanders are served,
    // and memory stays within bounds.
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3)
        .set("maxClientCnxns", "0")
        .set("reconfigEnabled", "true");
    let mut ensemble = ensemble.start();
    let mut run = Run::new(&mut ensemble, Size::TENTH);
    let served = |what: &str, noticed: &Noticed| {
        let (reads, writes) = (noticed.reads.quantile(0.99), noticed.writes.quantile(0.99));
        assert!(noticed.reads.count() > 0 && noticed.writes.count() > 0, "{what}");
        assert!(reads < PATIENCE, "{what}: a read took {reads:?}");
        let limit = PATIENCE + noticed.longest();
        assert!(writes < limit, "{what}: a write took {writes:?}");
    };
    for costly in Costly::ALL {
        let noticed = run.alone(costly, TIME);
        served(&format!("{costly:?}"), &noticed);
    }
    served("the end of a session", &run.closes(3));
    let all: Vec<Costly> = Costly::ALL.into_iter().cycle().take(34).collect();
    served("all of them", &run.together(&all, 2 * TIME));
    assert!(run.peak_kib() < MEMORY_KIB, "{} KiB", run.peak_kib());
    assert_eq!(run.complaints(), Vec::<String>::new());
}

#[test]
fn a_request_that_could_not_be_replicated_is_refused() {
    // jute.maxbuffer allows more than servers send each other: the start says so, a request of that length
    // ends its connection, and everybody else is served, at that server too.
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).set("jute.maxbuffer", "104857600");
    let mut ensemble = ensemble.start();
    let leader = ensemble.wait_for_leader();
    let follower = ensemble.servers().find(|server| *server != leader).expect("there are three");
    for server in [leader, follower] {
        assert!(ensemble.log(server).contains("jute.maxbuffer"), "{}", ensemble.log(server));
        let mut large = RawClient::connect(ensemble.addr(server));
        let sent = large.create("/large", &vec![b'z'; 70 << 20], 0);
        assert!(matches!(sent, Err(raw::Error::Lost(_))), "{sent:?}");
        let mut client = RawClient::connect(ensemble.addr(server));
        client.create(&format!("/small-{server}"), b"", 0).expect("written");
        assert_eq!(client.exists("/large", false).expect("asked"), None);
    }
    assert_eq!(ensemble.ended(), Vec::new());
}

#[test]
fn long_multis_wait_for_each_other() {
    // There is room for one `multi` of a megabyte for each two processors, from when it is read until it has its
    // outcome. Who waits for the room keeps the session by its pings, and all are done in the end.
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3)
        .set("tickTime", "1000")
        .failpoint(Failpoint::SlowDisk, "slow-disk")
        .start();
    let leader = ensemble.wait_for_leader();
    let addr = ensemble.addr(leader);
    RawClient::connect(addr).create("/n", b"", 0).expect("created");
    let slow: Vec<_> = ensemble
        .servers()
        .filter(|server| *server != leader)
        .map(|server| ensemble.folder(server).join("slow-disk"))
        .collect();
    slow.iter().for_each(|file| std::fs::write(file, "500").expect("it is slow"));
    let room = (thread::available_parallelism().map_or(1, NonZero::get) / 2).max(1);
    let senders: Vec<_> = (0..room + 4).map(|_| send_long_multi(addr)).collect();
    let mut most = 0;
    eventually("all are answered", || {
        let outstanding = ensemble.metric(leader, "zk_outstanding_requests\t")?;
        most = most.max(outstanding.parse().expect("a number"));
        senders.iter().all(JoinHandle::is_finished).then_some(())
    });
    for sender in senders {
        sender.join().expect("answered");
    }
    assert!((1..=room).contains(&most), "{most} at once, with room for {room}");
}

/// Sends a `multi` of a megabyte, and pings until it is answered; the session is short.
fn send_long_multi(addr: SocketAddr) -> JoinHandle<()> {
    let mut client = RawClient::connect_for(addr, Duration::from_secs(2)).expect("a session");
    let mut pings = client.socket().try_clone().expect("a second handle");
    thread::spawn(move || {
        let data = vec![b'z'; 1_000_000];
        let set = SetDataRequest { path: "/n".into(), data: Some(&data), version: -1 };
        let multi = MultiRequest { ops: vec![MultiOp::SetData(set)] };
        let xid = client.send(OpCode::Multi, &multi).expect("sent");
        let answer = thread::spawn(move || {
            client.receive(xid).expect("an answer").ok().expect("done");
            client
        });
        eventually("it is answered", || {
            let ping = raw::frame(|out| {
                RequestHeader { xid: Xid::PING, op: OpCode::Ping.into() }.encode(out)
            });
            pings.write_all(&ping).expect("sent");
            answer.is_finished().then_some(())
        });
        answer.join().expect("answered");
    })
}
