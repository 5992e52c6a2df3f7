//! All connections at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::clock::now;
use super::drive::{Window, drive};
use super::error::BenchError;
use super::link::Link;
use super::options::BenchOptions;
use super::processor::Processor;
use super::script::Script;
use super::scripts::SyncOnce;
use super::tally::Tally;

/// Longest time that preparations may take.
pub(super) const PREPARATION_MAX: Duration = Duration::from_secs(600);

/// A script of any kind.
pub(super) type AnyScript = Box<dyn Script>;

/// What came of a window.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What was counted on all connections.
    pub(super) tally: Tally,
    /// How long the load lasted.
    pub(super) active: Duration,
    /// Processor time that it took, where it was measured.
    pub(super) processor: Processor,
}

impl Outcome {
    /// The measurement after this warm-up, whose wrong replies count and whose latencies do not.
    pub(super) fn followed_by(self, mut measured: Self) -> Self {
        measured.tally.merge_wrong(&self.tally);
        measured
    }
}

/// Opens `count` connections.
pub(super) async fn open_links(
    options: &BenchOptions,
    count: usize,
) -> Result<Vec<Link>, BenchError> {
    let mut opening = JoinSet::new();
    for connection in 0..count {
        let addr = options.server(connection);
        let syncs = options.servers.len() > 1;
        opening.spawn(async move {
            let mut link = Link::open(addr).await?;
            if syncs {
                let window = Window::open(PREPARATION_MAX, &Arc::default());
                drive(&mut link, &mut SyncOnce::default(), 1, &window).await?;
            }
            Ok::<_, BenchError>(link)
        });
    }
    let mut links = Vec::with_capacity(count);
    while let Some(link) = opening.join_next().await {
        links.push(link??);
    }
    Ok(links)
}

/// Closes all sessions, so that nothing of a workload disturbs the next one.
pub(super) async fn close_links(links: Vec<Link>) -> Result<(), BenchError> {
    let mut closing: JoinSet<_> = links.into_iter().map(Link::close).collect();
    while let Some(closed) = closing.join_next().await {
        closed??;
    }
    Ok(())
}

/// Runs one script on each connection until the window closes or the script ends.
///
/// Connections and scripts are as they were, the scripts advanced; the first failure ends all.
pub(super) async fn run_window(
    links: &mut Vec<Link>,
    scripts: &mut Vec<AnyScript>,
    depth: usize,
    window: &Arc<Window>,
) -> Result<Outcome, BenchError> {
    let started = now();
    let mut running = JoinSet::new();
    for (index, (mut link, mut script)) in links.drain(..).zip(scripts.drain(..)).enumerate() {
        let window = Arc::clone(window);
        running.spawn(async move {
            let tally = drive(&mut link, script.as_mut(), depth, &window).await?;
            Ok::<_, BenchError>((index, link, script, tally, now()))
        });
    }
    let mut tally = Tally::default();
    let mut ended = started;
    let mut crew = Vec::with_capacity(running.len());
    while let Some(done) = running.join_next().await {
        let (index, link, script, counted, time): (_, _, _, _, Instant) = done??;
        tally.merge(&counted);
        ended = ended.max(time);
        crew.push((index, link, script));
    }
    crew.sort_by_key(|(index, ..)| *index);
    for (_, link, script) in crew {
        links.push(link);
        scripts.push(script);
    }
    let active = ended.min(window.deadline) - started;
    Ok(Outcome { tally, active, processor: Processor::default() })
}
