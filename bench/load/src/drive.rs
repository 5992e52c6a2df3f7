//! One connection under load.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::clock::now;
use super::error::BenchError;
use super::link::{Link, Packet};
use super::script::Script;
use super::tally::Tally;

/// How long replies may be late after the end of a window before the server counts as stuck.
const GRACE: Duration = Duration::from_secs(30);

/// What all connections of a window share.
#[derive(Debug)]
pub(super) struct Window {
    /// No request is sent and no reply counted after this.
    pub(super) deadline: Instant,
    /// Set when the user wants to stop.
    stop: Arc<AtomicBool>,
    /// Replies so far, for the progress bar.
    pub(super) progress: AtomicU64,
}

impl Window {
    /// A window that opens at once and closes after `length`, or when `stop` is set.
    pub(super) fn open(length: Duration, stop: &Arc<AtomicBool>) -> Arc<Self> {
        let (stop, progress) = (Arc::clone(stop), AtomicU64::new(0));
        Arc::new(Self { deadline: now() + length, stop, progress })
    }

    /// Whether a request may still be sent at `time`.
    pub(super) fn is_open(&self, time: Instant) -> bool {
        time < self.deadline && !self.stop.load(Ordering::Relaxed)
    }
}

/// Keeps up to `depth` requests of the script in flight until the window closes or the script ends,
/// then waits for the replies that are due.
///
/// # Errors
/// Where the connection fails or the server breaks the protocol. Wrong replies are counted instead.
pub(super) async fn drive(
    link: &mut Link,
    script: &mut dyn Script,
    depth: usize,
    window: &Window,
) -> Result<Tally, BenchError> {
    let addr = link.addr;
    let limit = tokio::time::Instant::from_std(window.deadline + GRACE);
    let driven = tokio::time::timeout_at(limit, exchange(link, script, depth, window)).await;
    driven.unwrap_or(Err(BenchError::Stuck { addr, seconds: GRACE.as_secs() }))
}

async fn exchange(
    link: &mut Link,
    script: &mut dyn Script,
    depth: usize,
    window: &Window,
) -> Result<Tally, BenchError> {
    let mut tally = Tally::default();
    let mut in_flight: VecDeque<Instant> = VecDeque::with_capacity(depth);
    loop {
        let time = now();
        while in_flight.len() < depth && window.is_open(time) {
            if !link.request(|xid, out| script.write(xid, out)) {
                break;
            }
            in_flight.push_back(time);
        }
        if in_flight.is_empty() {
            return Ok(tally);
        }
        link.pump().await?;
        let time = now();
        let before = in_flight.len();
        while receive(link, script, &mut in_flight, time, window, &mut tally)? {}
        let replies = before - in_flight.len();
        window.progress.fetch_add(replies as u64, Ordering::Relaxed);
    }
}

/// Takes the next packet, if one has come whole. Late replies are checked and not timed.
fn receive(
    link: &mut Link,
    script: &mut dyn Script,
    in_flight: &mut VecDeque<Instant>,
    time: Instant,
    window: &Window,
    tally: &mut Tally,
) -> Result<bool, BenchError> {
    let verdict = link.next_packet(|packet| match packet {
        Packet::Event(_) => None,
        Packet::Reply(header, body) => Some(script.check(header, body)),
    })?;
    let Some(verdict) = verdict else { return Ok(false) };
    let Some(verdict) = verdict else { return Ok(true) };
    match in_flight.pop_front() {
        Some(sent) if time < window.deadline => tally.record(time - sent, verdict),
        Some(_) | None => tally.judge(verdict),
    }
    Ok(true)
}
