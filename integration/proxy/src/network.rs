//! The network between the servers of an ensemble, and what is done to it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::path::{Held, PathState};
use super::pump::{self, Connection};

/// A direction: from the one server to the other, counted from 0.
type Direction = (usize, usize);

/// Which connections are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// All.
    All,
    /// Those that the sending server opened: it asks the other one.
    Own,
    /// Those that the receiving server opened: what is sent on them are answers.
    Theirs,
}

/// The conditions of a direction, by who opened the connections.
#[derive(Debug, Default)]
struct Path {
    own: watch::Sender<PathState>,
    theirs: watch::Sender<PathState>,
}

impl Path {
    fn on(&self, on: On) -> impl Iterator<Item = &watch::Sender<PathState>> {
        let (own, theirs) = match on {
            On::All => (true, true),
            On::Own => (true, false),
            On::Theirs => (false, true),
        };
        own.then_some(&self.own).into_iter().chain(theirs.then_some(&self.theirs))
    }
}

/// Sets a condition; connections that were not reset go on.
fn set(path: &watch::Sender<PathState>, state: PathState) {
    path.send_modify(|known| *known = state.with_connections_of(*known));
}

/// The proxies between all pairs of servers.
#[derive(Debug)]
pub struct Network {
    servers: usize,
    paths: BTreeMap<Direction, Path>,
    /// How many connections were opened.
    connections: Arc<AtomicU64>,
    runtime: Option<Runtime>,
}

impl Network {
    /// A network without faults between so many servers; it has no ports yet.
    ///
    /// # Panics
    ///
    /// When the threads cannot be started.
    #[must_use]
    pub fn new(servers: usize) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()
            .expect("the runtime of the proxy");
        let pairs = (0..servers).flat_map(|from| (0..servers).map(move |to| (from, to)));
        let paths = pairs
            .filter(|(from, to)| from != to)
            .map(|direction| (direction, Path::default()))
            .collect();
        Self { servers, paths, connections: Arc::default(), runtime: Some(runtime) }
    }

    /// Opens a port on which server `from` reaches the port `target` of server `to`.
    ///
    /// # Panics
    ///
    /// When it cannot be opened.
    pub fn open(&self, from: usize, to: usize, target: u16) -> u16 {
        let there = self.paths[&(from, to)].own.subscribe();
        let back = self.paths[&(to, from)].theirs.subscribe();
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, target));
        let runtime = self.runtime.as_ref().expect("the proxy runs");
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .expect("a free port to listen on");
        let port = listener.local_addr().expect("the address of a listener").port();
        let connections = Arc::clone(&self.connections);
        runtime.spawn(async move {
            loop {
                // An error is that of one connection, not of the listener.
                if let Ok((near, _)) = listener.accept().await {
                    let number = connections.fetch_add(1, Ordering::Relaxed);
                    let (there, back) = (there.clone(), back.clone());
                    tokio::spawn(pump::carry(near, target, Connection { number, there, back }));
                }
            }
        });
        port
    }

    /// Sets the condition of the direction from one server to another.
    pub fn set(&self, from: usize, to: usize, state: PathState) {
        self.set_on(On::All, from, to, state);
    }

    /// As [`set`](Self::set), for some of the connections.
    pub fn set_on(&self, on: On, from: usize, to: usize, state: PathState) {
        let paths = self.paths.get(&(from, to));
        paths.into_iter().flat_map(|path| path.on(on)).for_each(|path| set(path, state));
    }

    /// Sets the condition between two servers, in both directions.
    pub fn set_both(&self, one: usize, other: usize, state: PathState) {
        self.set(one, other, state);
        self.set(other, one, state);
    }

    /// Cuts `group` off from all other servers, in both directions.
    pub fn partition(&self, group: &[usize]) {
        for (from, to) in self.paths.keys().copied() {
            if group.contains(&from) != group.contains(&to) {
                self.set(from, to, PathState::cut());
            }
        }
    }

    /// Sets the condition of everything that `server` sends to the others.
    pub fn set_from(&self, server: usize, state: PathState) {
        for to in 0..self.servers {
            self.set(server, to, state);
        }
    }

    /// Sets the condition of everything that `server` receives from the others.
    pub fn set_to(&self, server: usize, state: PathState) {
        for from in 0..self.servers {
            self.set(from, server, state);
        }
    }

    /// Breaks off all connections between two servers; new ones may be made.
    pub fn reset(&self, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            self.change(On::All, from, to, |state| state.resets += 1);
        }
    }

    /// Holds back what one server sends to another on the connections that there are; what is sent on
    /// later ones overtakes it. Of each, one chunk passes every `trickle`, so that the receiver does
    /// not take the connection for dead; without it nothing passes. What is held arrives also when its
    /// sender has ended, or has closed the connection, meanwhile: of that the receiver learns behind
    /// the last byte.
    pub fn hold(&self, on: On, from: usize, to: usize, trickle: Option<Duration>) {
        let before = self.connections.load(Ordering::Relaxed);
        self.change(on, from, to, |state| state.held = Some(Held { before, trickle }));
    }

    /// Lets arrive what is held back from one server to another.
    pub fn release(&self, from: usize, to: usize) {
        self.change(On::All, from, to, |state| state.held = None);
    }

    /// Ends the connections between two servers at the one of them, which makes new ones. The other
    /// one is not told before what is held back of the old ones has arrived.
    pub fn part(&self, from: usize, to: usize) {
        self.change(On::All, from, to, |state| state.partings += 1);
    }

    fn change(&self, on: On, from: usize, to: usize, change: impl Fn(&mut PathState)) {
        let paths = self.paths.get(&(from, to));
        paths.into_iter().flat_map(|path| path.on(on)).for_each(|path| path.send_modify(&change));
    }

    /// Whether nothing is wrong between two servers, in either direction.
    #[must_use]
    pub fn well(&self, one: usize, other: usize) -> bool {
        let directions = [(one, other), (other, one)];
        let paths = directions.iter().filter_map(|direction| self.paths.get(direction));
        paths.flat_map(|path| path.on(On::All)).all(|path| {
            let known = *path.borrow();
            known.held.is_none() && known == PathState::default().with_connections_of(known)
        })
    }

    /// Takes all faults away; connections that survived go on.
    pub fn heal(&self) {
        for (from, to) in self.paths.keys().copied() {
            self.set(from, to, PathState::default());
            self.release(from, to);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
