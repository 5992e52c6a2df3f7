//! What a sync promises, whatever answers are late.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use integration::eventually::attempt;
use integration::{Ensemble, EnsembleOptions, Kind, Mode, RawClient, within};
use jute_proto::{
    GetDataRequest, GetDataResponse, OpCode, Reader, SetDataRequest, SyncRequest, Xid,
};
use proxy::{On, PathState};

use crate::patience::{PATIENCE, client};

/// How often the situation is tried to be reached: a busy machine may miss the moment.
const TRIES: usize = 10;

/// How long the moments of the situation are waited for.
const SOON: Duration = Duration::from_secs(3);

/// How long an answer that may come is waited for.
const AT_ONCE: Duration = Duration::from_millis(300);

/// So many times are enough.
const REACHED_ENOUGH: usize = 3;

/// The bytes of a file in which a test's entries are.
const BEGINNING: u64 = 256 << 10;

/// What the newer leader writes.
const NEWEST: &str = "/newest";

/// Three servers whose leader speaks for longer than the others need to elect, when it hears nothing any more.
fn three() -> Ensemble {
    EnsembleOptions::new(Kind::Grovekeeper, 3)
        .set("syncLimit", "60")
        .set("raft.heartbeatMs", "300")
        .set("raft.electionTimeoutMinMs", "310")
        .set("raft.electionTimeoutMaxMs", "420")
        .proxied()
        .start()
}

/// Whether a file below `folder` has this text near its beginning.
fn is_on_disk(folder: &Path, text: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return is_on_disk(&path, text);
        }
        let mut beginning = Vec::new();
        let file = File::open(&path).map(|file| file.take(BEGINNING));
        let read = file.and_then(|mut file| file.read_to_end(&mut beginning));
        read.is_ok() && String::from_utf8_lossy(&beginning).contains(text)
    })
}

/// A leader and the others, with clients that stay where they are.
struct Situation<'a> {
    ensemble: &'a Ensemble,
    leader: usize,
    followers: [usize; 2],
    /// Writes at the leader.
    writer: RawClient,
    /// Reads at the leader.
    reader: RawClient,
}

impl<'a> Situation<'a> {
    fn new(ensemble: &'a Ensemble) -> Self {
        let leader = ensemble.wait_for_leader();
        let others: Vec<usize> = ensemble.servers().filter(|server| *server != leader).collect();
        let [writer, reader] = [(); 2].map(|()| client(ensemble.addr(leader)));
        let followers = [others[0], others[1]];
        Self { ensemble, leader, followers, writer, reader }
    }

    /// Has a write wait at the leader for answers that are on their way, and another server acknowledge a later one.
    /// `None` where the moment was missed.
    fn two_leaders(&mut self, written: &str, newer: &str) -> Option<Xid> {
        let (ensemble, network) = (self.ensemble, self.ensemble.network());
        let mut elsewhere = self.followers.map(|server| client(ensemble.addr(server)));
        for follower in self.followers {
            network.set(follower, self.leader, PathState::cut());
        }
        let request =
            SetDataRequest { path: "/late".into(), data: Some(written.as_bytes()), version: -1 };
        let waiting = self.writer.send(OpCode::SetData, &request).ok()?;
        let has = |server: &usize| is_on_disk(ensemble.folder(*server), written);
        attempt(SOON, || self.followers.iter().all(has).then_some(()))?;
        for follower in self.followers {
            network.set(self.leader, follower, PathState::cut());
        }
        let next = attempt(SOON, || {
            let mut others = self.followers.into_iter().enumerate();
            let is_leader = |server| ensemble.mode(server) == Some(Mode::Leader);
            others.find(|(_, server)| is_leader(*server))
        })?;
        elsewhere[next.0].set(NEWEST, newer.as_bytes(), -1).ok()?;
        Some(waiting)
    }

    /// Lets the late answers come, one after the other. Whether the leader takes its write for acknowledged.
    fn late_answers(&mut self, waiting: Xid) -> bool {
        let network = self.ensemble.network();
        network.set_on(On::Theirs, self.followers[0], self.leader, PathState::default());
        let acknowledged = has_answer(&mut self.writer)
            && self.writer.receive(waiting).is_ok_and(|reply| reply.ok().is_ok());
        network.set_on(On::Theirs, self.followers[1], self.leader, PathState::default());
        acknowledged
    }

    /// What a read behind a sync shows at the old leader; `None` where the situation was not reached.
    fn read_at_the_old_leader(&mut self, written: &str, newer: &str) -> Option<Vec<u8>> {
        let waiting = self.two_leaders(written, newer)?;
        let sync = SyncRequest { path: NEWEST.into() };
        let sync = self.reader.send(OpCode::Sync, &sync).ok()?;
        let get = GetDataRequest { path: NEWEST.into(), watch: false };
        let get = self.reader.send(OpCode::GetData, &get).ok()?;
        if !self.late_answers(waiting) {
            return None;
        }
        // What these answers confirm is answered at once; the rest when the old leader has heard of the new one.
        if !has_answer(&mut self.reader) {
            self.ensemble.network().heal();
        }
        self.reader.receive(sync).ok()?.ok().ok()?;
        let reply = self.reader.receive(get).ok()?;
        let response: GetDataResponse<'_> = Reader::new(&reply.body).record().ok()?;
        Some(response.data.unwrap_or_default().to_owned())
    }
}

/// Whether an answer comes soon.
fn has_answer(client: &mut RawClient) -> bool {
    attempt(AT_ONCE, || {
        let socket = client.socket();
        socket.set_nonblocking(true).ok()?;
        let count = socket.peek(&mut [0]);
        socket.set_nonblocking(false).ok()?;
        count.is_ok_and(|count| count > 0).then_some(())
    })
    .is_some()
}

#[test]
fn late_answers_to_a_deposed_leader_confirm_no_sync() {
    // A leader waits for answers to an entry. Meanwhile the others elect another one, which acknowledges a write.
    // Then the answers arrive at the old one, which was asked for a sync in between: it must not be answered before
    // that write is there.
    let ensemble = three();
    let mut setup = client(ensemble.addr(0));
    for path in ["/late", NEWEST] {
        setup.create(path, b"first", 0).expect("created");
    }
    let mut reached = 0;
    for number in 0..TRIES {
        let (written, newer) = (format!("late {number}"), format!("newer {number}"));
        let mut situation = Situation::new(&ensemble);
        let read = situation.read_at_the_old_leader(&written, &newer);
        ensemble.network().heal();
        within(PATIENCE, "all serve", || ensemble.all_serve().then_some(()));
        let Some(read) = read else { continue };
        assert_eq!(
            String::from_utf8_lossy(&read),
            newer,
            "acknowledged before the sync, try {number}"
        );
        reached += 1;
        if reached == REACHED_ENOUGH {
            return;
        }
    }
    assert!(reached > 0, "the situation was never reached");
}
