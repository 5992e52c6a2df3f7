//! The workload `connect`: sessions opened and closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;

use super::clock::now;
use super::drive::Window;
use super::error::BenchError;
use super::link::Link;
use super::options::BenchOptions;
use super::tally::Tally;
use super::window::Outcome;

/// Opens and closes sessions, on as many connections at a time as the options say.
pub(super) async fn run(
    options: &BenchOptions,
    window: &Arc<Window>,
) -> Result<Outcome, BenchError> {
    let started = now();
    let mut running = JoinSet::new();
    for connection in 0..options.connections {
        running.spawn(open_and_close(options.server(connection), Arc::clone(window)));
    }
    let mut tally = Tally::default();
    while let Some(done) = running.join_next().await {
        tally.merge(&done??);
    }
    let active = now().min(window.deadline) - started;
    Ok(Outcome { tally, active, ..Outcome::default() })
}

async fn open_and_close(addr: SocketAddr, window: Arc<Window>) -> Result<Tally, BenchError> {
    let mut tally = Tally::default();
    loop {
        let started = now();
        if !window.is_open(started) {
            return Ok(tally);
        }
        Link::open(addr).await?.close().await?;
        let ended = now();
        if ended < window.deadline {
            tally.record(ended - started, Ok(()));
            window.progress.fetch_add(1, Ordering::Relaxed);
        }
    }
}
