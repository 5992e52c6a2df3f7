//! The workload `watch`: one writer, many watchers.
//!
//! All meet at a barrier when every watch is set; then the writer changes the node, and each
//! watcher notes when its event comes, sets its watch again and returns to the barrier.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use jute_proto::{
    Encode, EventType, GetDataRequest, OpCode, Reader, ReplyHeader, SetDataRequest, WatcherEvent,
};
use parking_lot::Mutex;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::clock::now;
use super::drive::Window;
use super::error::BenchError;
use super::link::{Link, Packet};
use super::script::{WrongReply, expect, expect_ok};
use super::scripts::frame;
use super::tally::Tally;
use super::window::Outcome;

/// What the writer and the watchers share.
#[derive(Debug)]
struct Round {
    path: String,
    data: Vec<u8>,
    barrier: Barrier,
    /// Set by the writer before the last meeting.
    finished: AtomicBool,
    /// When the writer sent the change.
    sent: Mutex<Instant>,
    window: Arc<Window>,
}

/// Runs until the window closes. The first connection writes, the others watch.
pub(super) async fn run(
    links: &mut Vec<Link>,
    path: String,
    data: Vec<u8>,
    window: &Arc<Window>,
) -> Result<Outcome, BenchError> {
    let started = now();
    let round = Arc::new(Round {
        path,
        data,
        barrier: Barrier::new(links.len()),
        finished: AtomicBool::new(false),
        sent: Mutex::new(started),
        window: Arc::clone(window),
    });
    let mut running = JoinSet::new();
    for (index, link) in links.drain(..).enumerate() {
        let round = Arc::clone(&round);
        running.spawn(async move {
            let done = match index {
                0 => write(link, &round).await?,
                _ => watch(link, &round).await?,
            };
            Ok::<_, BenchError>((index, done))
        });
    }
    let mut tally = Tally::default();
    let mut crew = Vec::with_capacity(running.len());
    while let Some(done) = running.join_next().await {
        let (index, (link, counted)) = done??;
        tally.merge(&counted);
        crew.push((index, link));
    }
    // The writer stays the writer: the watches of the last round are still set.
    crew.sort_by_key(|(index, _)| *index);
    links.extend(crew.into_iter().map(|(_, link)| link));
    let active = now().min(window.deadline) - started;
    Ok(Outcome { tally, active, ..Outcome::default() })
}

async fn write(mut link: Link, round: &Round) -> Result<(Link, Tally), BenchError> {
    let mut tally = Tally::default();
    loop {
        let last = !round.window.is_open(now());
        round.finished.store(last, Ordering::SeqCst);
        round.barrier.wait().await;
        if last {
            return Ok((link, tally));
        }
        link.request(|xid, out| {
            frame(out, xid, OpCode::SetData, |out| {
                let path = Cow::Borrowed(round.path.as_str());
                SetDataRequest { path, data: Some(&round.data), version: -1 }.encode(out);
            });
            true
        });
        *round.sent.lock() = now();
        let verdict = next(&mut link, |packet| match packet {
            Packet::Reply(header, _) => expect_ok(header),
            Packet::Event(_) => Err(WrongReply::Body("packet: an event for a watch never set")),
        });
        tally.judge(verdict.await?);
    }
}

async fn watch(mut link: Link, round: &Round) -> Result<(Link, Tally), BenchError> {
    let mut tally = Tally::default();
    loop {
        tally.judge(arm(&mut link, round).await?);
        round.barrier.wait().await;
        if round.finished.load(Ordering::SeqCst) {
            return Ok((link, tally));
        }
        let verdict = next(&mut link, |packet| match packet {
            Packet::Event(body) => check_event(body, &round.path),
            Packet::Reply(..) => Err(WrongReply::Body("packet: a reply where an event was due")),
        });
        let verdict = verdict.await?;
        let time = now();
        if time < round.window.deadline {
            tally.record(time - *round.sent.lock(), verdict);
            round.window.progress.fetch_add(1, Ordering::Relaxed);
        } else {
            tally.judge(verdict);
        }
    }
}

/// Reads the node and sets the watch.
async fn arm(link: &mut Link, round: &Round) -> Result<Result<(), WrongReply>, BenchError> {
    link.request(|xid, out| {
        frame(out, xid, OpCode::GetData, |out| {
            let path = Cow::Borrowed(round.path.as_str());
            GetDataRequest { path, watch: true }.encode(out);
        });
        true
    });
    let check = |header: ReplyHeader, body: &[u8]| {
        expect_ok(header)?;
        expect(Reader::new(body).buffer()? == Some(&round.data), "data")
    };
    next(link, |packet| match packet {
        Packet::Reply(header, body) => check(header, body),
        Packet::Event(_) => Err(WrongReply::Body("packet: an event where a reply was due")),
    })
    .await
}

/// Waits for the next packet and looks at it.
async fn next<T>(link: &mut Link, look: impl Fn(Packet<'_>) -> T) -> Result<T, BenchError> {
    loop {
        if let Some(looked) = link.next_packet(&look)? {
            return Ok(looked);
        }
        link.pump().await?;
    }
}

fn check_event(body: &[u8], path: &str) -> Result<(), WrongReply> {
    let event: WatcherEvent<'_> = Reader::new(body).record()?;
    expect(event.event_type == i32::from(EventType::NodeDataChanged), "type of an event")?;
    expect(event.path == path, "path of an event")
}
