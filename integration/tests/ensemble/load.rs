//! Clients that write all the time, and count what was acknowledged.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use integration::RawClient;
use integration::eventually::pause_for;

/// Writers at work.
const WRITERS: usize = 3;

/// How long a writer waits when no server takes it.
const PAUSE: Duration = Duration::from_millis(50);

/// Writers that create znodes below `/load` on whichever server takes them.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    servers: Arc<Mutex<Vec<SocketAddr>>>,
    writers: Vec<JoinHandle<BTreeSet<String>>>,
}

impl Load {
    /// Starts the writers; `servers` take clients.
    pub(crate) fn start(servers: Vec<SocketAddr>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let servers = Arc::new(Mutex::new(servers));
        let writers = (0..WRITERS).map(|writer| {
            let (stop, servers) = (Arc::clone(&stop), Arc::clone(&servers));
            std::thread::spawn(move || write(writer, &stop, &servers))
        });
        let writers = writers.collect();
        Self { stop, servers, writers }
    }

    /// Other servers take clients from here on.
    pub(crate) fn move_to(&self, servers: Vec<SocketAddr>) {
        *self.servers.lock().unwrap_or_else(PoisonError::into_inner) = servers;
    }

    /// Stops, and returns the names of the znodes whose creation was acknowledged.
    pub(crate) fn stop(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.writers
            .into_iter()
            .flat_map(|writer| writer.join().expect("a writer ends in order"))
            .collect()
    }
}

fn write(writer: usize, stop: &AtomicBool, servers: &Mutex<Vec<SocketAddr>>) -> BTreeSet<String> {
    let (mut done, mut number, mut turn) = (BTreeSet::new(), 0_u64, writer);
    while !stop.load(Ordering::Relaxed) {
        let known = servers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        turn += 1;
        let connected = RawClient::connect_for(known[turn % known.len()], Duration::from_secs(5));
        let Ok(mut client) = connected else {
            pause_for(PAUSE);
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let name = format!("{writer}-{number}");
            if client.create(&format!("/load/{name}"), b"x", 0).is_err() {
                break;
            }
            done.insert(name);
        }
    }
    done
}
