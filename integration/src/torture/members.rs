//! Changing who belongs to the ensemble, beside everything else that happens.
//!
//! A `reconfig` may take as long as a majority is away, so it is asked for by a thread of its own,
//! again and again until the servers say that it is so. Each request names the version of the
//! configuration that it is to change: one that was given up and is carried out later is refused.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::eventually::pause_for;
use crate::raw::RawClient;
use crate::{Ensemble, Wish};

/// How long an answer is waited for before somebody else is asked.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How often to look whether something is to be changed.
const GLANCE: Duration = Duration::from_millis(20);

/// What a server is in the ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Votes,
    Observes,
    Left,
}

/// Sees to it that the members are who they are wanted to be; ends with the last handle.
#[derive(Debug)]
pub(super) struct Members {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stop: AtomicBool,
    /// Where the servers take clients, in their order.
    addrs: Vec<SocketAddr>,
    /// Their lines `server.N` as voters and as observers.
    lines: Vec<[String; 2]>,
}

#[derive(Debug)]
struct State {
    wanted: Vec<Part>,
    known: Vec<Part>,
    /// What was asked for since it was last told what is so: any of it may be carried out, or be on
    /// the way, also where the request was given up.
    asked: Vec<Vec<Part>>,
}

impl State {
    fn new(servers: usize) -> Self {
        let all = vec![Part::Votes; servers];
        Self { wanted: all.clone(), known: all, asked: Vec::new() }
    }

    fn ask(&mut self, parts: &[Part]) {
        if !self.asked.iter().any(|asked| asked == parts) {
            self.asked.push(parts.to_vec());
        }
    }

    fn tell(&mut self, known: Vec<Part>) {
        self.known = known;
        self.asked.clear();
    }

    /// The groups of voters of which a majority is needed each.
    fn voters(&self) -> Vec<Vec<usize>> {
        let votes = |parts: &Vec<Part>| {
            (0..parts.len()).filter(|server| parts[*server] == Part::Votes).collect()
        };
        [&self.wanted, &self.known].into_iter().chain(&self.asked).map(votes).collect()
    }
}

impl Members {
    /// Of an ensemble whose servers all vote.
    pub(super) fn of(ensemble: &Ensemble) -> Self {
        let servers = ensemble.servers();
        let line = |server: usize| [false, true].map(|observer| ensemble.line(server, observer));
        let state = State::new(servers.len());
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            stop: AtomicBool::new(false),
            addrs: ensemble.addrs(),
            lines: servers.map(line).collect(),
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.run()
        });
        Self { shared, thread: Some(thread) }
    }

    /// A server is to play this part from now on.
    pub(super) fn want(&self, server: usize, part: Part) {
        self.shared.state().wanted[server] = part;
    }

    /// Whether all servers are wanted to vote, and do.
    pub(super) fn all_vote(&self) -> bool {
        let state = self.shared.state();
        let all = |parts: &[Part]| parts.iter().all(|part| *part == Part::Votes);
        all(&state.wanted) && all(&state.known) && state.asked.is_empty()
    }

    /// The groups of voters of which a majority is needed each: more than one, while the members
    /// change.
    pub(super) fn voters(&self) -> Vec<Vec<usize>> {
        self.shared.state().voters()
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut turn = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let (wanted, to_do) = {
                let state = self.state();
                (state.wanted.clone(), !state.asked.is_empty() || state.wanted != state.known)
            };
            if !to_do {
                pause_for(GLANCE);
                continue;
            }
            turn += 1;
            if self.try_once(self.addrs[turn % self.addrs.len()], &wanted).is_none() {
                pause_for(GLANCE);
            }
        }
    }

    /// Asks one server for all that is wanted; `None` where nothing came of it.
    fn try_once(&self, addr: SocketAddr, wanted: &[Part]) -> Option<()> {
        let mut client = RawClient::connect_for(addr, Duration::from_secs(5)).ok()?;
        client.socket().set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
        client.sync("/zookeeper/config").ok()?;
        let (text, _) = client.get("/zookeeper/config", false).ok()?;
        let version = version(&String::from_utf8_lossy(&text))?;
        let members = (0..wanted.len()).filter_map(|server| self.line(server, wanted[server]));
        let members = Some(members.collect::<Vec<_>>().join(","));
        let wish = Wish { members, version: Some(version), ..Wish::default() };
        // Until it is answered it may be carried out at any time.
        self.state().ask(wanted);
        let xid = wish.send(&mut client).ok()?;
        let reply = client.receive(xid).ok()?;
        let done = Wish::configuration(&reply).ok();
        if let Some(text) = &done {
            let mut state = self.state();
            state.tell(self.parts(text));
        }
        let _ = client.close();
        done.map(drop)
    }

    fn line(&self, server: usize, part: Part) -> Option<String> {
        let [votes, observes] = &self.lines[server];
        match part {
            Part::Votes => Some(votes.clone()),
            Part::Observes => Some(observes.clone()),
            Part::Left => None,
        }
    }

    /// What the servers are in a configuration.
    fn parts(&self, text: &str) -> Vec<Part> {
        let ids = |role: &str| -> BTreeSet<usize> {
            let lines = text.lines().filter(|line| line.contains(role));
            lines
                .filter_map(|line| line.strip_prefix("server.")?.split('=').next()?.parse().ok())
                .collect()
        };
        let (voters, observers) = (ids(":participant"), ids(":observer"));
        let part = |server: usize| match server + 1 {
            id if voters.contains(&id) => Part::Votes,
            id if observers.contains(&id) => Part::Observes,
            _ => Part::Left,
        };
        (0..self.lines.len()).map(part).collect()
    }
}

fn version(text: &str) -> Option<i64> {
    let version = text.lines().find_map(|line| line.strip_prefix("version="))?;
    i64::from_str_radix(version, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::{Part, State};

    #[test]
    fn what_was_asked_for_counts_until_it_is_told_what_is_so() {
        // A request that was given up may still be carried out: until the servers answer one, no
        // majority is there without one of the voters that it named.
        let mut state = State::new(3);
        let two = [Part::Left, Part::Votes, Part::Votes];
        state.wanted = two.to_vec();
        state.ask(&two);
        state.wanted = vec![Part::Votes; 3];
        state.ask(&two);
        assert_eq!(state.voters(), [vec![0, 1, 2], vec![0, 1, 2], vec![1, 2]]);
        state.tell(two.to_vec());
        assert_eq!(state.voters(), [vec![0, 1, 2], vec![1, 2]]);
    }
}
