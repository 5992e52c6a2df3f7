//! A client that does little, and sees how long that takes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::RawClient;
use crate::eventually::{Stopwatch, pause_for};

/// How long it rests between two requests.
const REST: Duration = Duration::from_millis(5);

/// How long requests took, shortest first.
#[derive(Debug, Clone, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// That of the request which this share of all were faster than; nothing where there was none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let at = (self.0.len() as f64 * share) as usize;
        self.0.get(at.min(self.0.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// How many requests there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// A client that reads, or writes, the same znode again and again.
#[derive(Debug)]
pub struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Latencies>,
}

impl Bystander {
    /// Begins; the znode is made if it has to be.
    ///
    /// # Panics
    ///
    /// When the server does not serve it. Later, when a request of it fails.
    #[must_use]
    pub fn start(addr: SocketAddr, path: &'static str, writes: bool) -> Self {
        let mut client = RawClient::connect(addr);
        if client.exists(path, false).expect("looked for").is_none() {
            client.create(path, b"0", 0).expect("made");
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut took = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let clock = Stopwatch::start();
                if writes {
                    client.set(path, b"1", -1).expect("written");
                } else {
                    client.get(path, false).expect("read");
                }
                took.push(clock.elapsed());
                pause_for(REST);
            }
            took.sort_unstable();
            Latencies(took)
        });
        Self { stop, thread }
    }

    /// Ends, and says how long its requests took.
    ///
    /// # Panics
    ///
    /// When one of them failed.
    #[must_use]
    pub fn stop(self) -> Latencies {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a bystander is served")
    }
}
