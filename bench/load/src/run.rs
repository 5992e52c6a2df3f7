//! A whole run: each workload with its preparation, its warm-up and its measurement.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::clock::{nonce, now};
use super::drive::Window;
use super::error::BenchError;
use super::idle::{IdleWatches, share};
use super::link::Link;
use super::options::BenchOptions;
use super::processor::Processor;
use super::progress::Progress;
use super::report::{Report, WorkloadReport};
use super::scripts::{
    BulkCreate, CreateNodes, DeleteNodes, EphemeralPairs, KeyMix, KeyScript, ListChildren, Names,
    Value,
};
use super::window::{AnyScript, Outcome, PREPARATION_MAX, close_links, open_links, run_window};
use super::workload::Workload;
use super::{fan_out, sessions, setup};

/// Nodes that are made for one round of deletes, on all connections together.
const DELETES_PER_ROUND: u64 = 20_000;
/// Transactions in flight on each connection while those are made.
const BULK_DEPTH: usize = 4;

/// Runs every workload of the options and removes the nodes that it made, also after a failure.
///
/// `show` receives the lines of the report as soon as they are known; setting `stop` ends the run
/// early.
///
/// # Errors
/// Where a server fails or breaks the protocol, or [`BenchError::WrongReplies`] after the last
/// workload. The report holds the workloads that ended.
pub async fn run(
    options: &BenchOptions,
    stop: &Arc<AtomicBool>,
    mut show: impl FnMut(&str),
) -> (Report, Result<(), BenchError>) {
    let mut report = Report::new(options);
    show(&report.heading());
    let run = Run { options, names: Names::new(nonce()), stop };
    let outcome = async {
        setup::make_root(options, &run.names).await?;
        let measured = run.beside_watches(&mut report, &mut show).await;
        let removed = match options.keep {
            true => Ok(()),
            false => setup::remove(options, &run.names).await,
        };
        measured.and(removed)
    };
    let outcome = outcome.await.and_then(|()| run.verdict(&report));
    (report, outcome)
}

/// What the parts of a run share.
struct Run<'a> {
    options: &'a BenchOptions,
    names: Names,
    stop: &'a Arc<AtomicBool>,
}

impl Run<'_> {
    /// Runs the workloads while the watches of the options wait.
    async fn beside_watches(
        &self,
        report: &mut Report,
        show: &mut impl FnMut(&str),
    ) -> Result<(), BenchError> {
        let watches = IdleWatches::set(self.options, &self.names).await?;
        let measured = self.workloads(report, show).await;
        measured.and(watches.end().await)
    }

    async fn workloads(
        &self,
        report: &mut Report,
        show: &mut impl FnMut(&str),
    ) -> Result<(), BenchError> {
        for &workload in &self.options.workloads {
            if self.stopped() {
                break;
            }
            setup::prepare(self.options, &self.names, workload).await?;
            let found = WorkloadReport::new(workload, &self.workload(workload).await?);
            show(&found.row());
            report.workloads.push(found);
        }
        Ok(())
    }

    fn verdict(&self, report: &Report) -> Result<(), BenchError> {
        if self.stopped() {
            return Err(BenchError::Interrupted);
        }
        let count = report.workloads.iter().map(|workload| workload.errors).sum();
        let first = report.workloads.iter().find_map(|workload| {
            Some(format!("{} in `{}`", workload.first_error.as_ref()?, workload.workload))
        });
        first.map_or(Ok(()), |first| Err(BenchError::WrongReplies { count, first }))
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    async fn workload(&self, workload: Workload) -> Result<Outcome, BenchError> {
        match workload {
            Workload::Connect => self.connect().await,
            Workload::Watch => self.watch().await,
            Workload::Delete => self.delete().await,
            Workload::Fill => self.fill().await,
            Workload::Create
            | Workload::Set
            | Workload::Get
            | Workload::List
            | Workload::Exists
            | Workload::Mixed
            | Workload::Ephemeral
            | Workload::Multi => self.endless(workload).await,
        }
    }

    /// Adds to what `work` finds how much processor time it took.
    async fn metered(
        &self,
        work: impl Future<Output = Result<Outcome, BenchError>>,
    ) -> Result<Outcome, BenchError> {
        let before = Processor::read(&self.options.pids);
        let mut outcome = work.await?;
        outcome.processor = Processor::read(&self.options.pids) - before;
        Ok(outcome)
    }

    /// Opens a window with its bar.
    fn window(&self, workload: Workload, measured: bool) -> (Arc<Window>, Progress) {
        let (stage, length) = match measured {
            true => ("measuring", self.options.measure),
            false => ("warming up", self.options.warmup),
        };
        let window = Window::open(length, self.stop);
        let progress = Progress::show(workload, stage, &window);
        (window, progress)
    }

    /// A workload whose scripts never end.
    async fn endless(&self, workload: Workload) -> Result<Outcome, BenchError> {
        let mut links = open_links(self.options, self.options.connections).await?;
        let mut scripts: Vec<_> =
            (0..links.len()).map(|connection| self.script(workload, connection)).collect();
        let mut outcome = Outcome::default();
        for measured in [false, true] {
            let (window, _progress) = self.window(workload, measured);
            let depth = self.options.depth;
            let found = self.metered(run_window(&mut links, &mut scripts, depth, &window)).await?;
            outcome = outcome.followed_by(found);
        }
        close_links(links).await?;
        Ok(outcome)
    }

    fn script(&self, workload: Workload, connection: usize) -> AnyScript {
        let value = Value::new(self.options.value_bytes);
        let keys = |mix| {
            let (parent, keys) = (self.names.keys(), self.options.keys);
            Box::new(KeyScript::new(mix, &parent, keys, value.clone(), connection as u64))
        };
        let own = self.names.own(workload, connection);
        match workload {
            Workload::Get => keys(KeyMix::Get),
            Workload::Set => keys(KeyMix::Set),
            Workload::Exists => keys(KeyMix::Exists),
            Workload::Mixed => keys(KeyMix::Mixed),
            Workload::Multi => keys(KeyMix::Multi(self.options.multi_ops)),
            Workload::List => {
                Box::new(ListChildren::new(self.names.listed(), self.options.children))
            }
            Workload::Ephemeral => Box::new(EphemeralPairs::new(&own, value)),
            Workload::Fill => {
                let (connections, connection) = (self.options.connections, connection as u64);
                Box::new(CreateNodes::new(
                    &own,
                    share(self.options.fill, connections, connection),
                    value,
                ))
            }
            Workload::Create | Workload::Delete | Workload::Connect | Workload::Watch => {
                Box::new(CreateNodes::new(&own, u64::MAX, value))
            }
        }
    }

    /// One window that lasts until all nodes are there.
    async fn fill(&self) -> Result<Outcome, BenchError> {
        let mut links = open_links(self.options, self.options.connections).await?;
        let mut scripts: Vec<_> =
            (0..links.len()).map(|connection| self.script(Workload::Fill, connection)).collect();
        let window = Window::open(PREPARATION_MAX, self.stop);
        let _progress = Progress::show(Workload::Fill, "filling", &window);
        let depth = self.options.depth;
        let outcome = self.metered(run_window(&mut links, &mut scripts, depth, &window)).await?;
        close_links(links).await?;
        let made = outcome.tally.ops();
        if made < self.options.fill && !self.stopped() {
            let what = format!("make {} nodes", self.options.fill);
            let problem = format!("{made} are there after {} s", PREPARATION_MAX.as_secs());
            return Err(BenchError::Nodes { what, problem });
        }
        Ok(outcome)
    }

    /// Rounds of creates, not measured, and deletes, measured.
    async fn delete(&self) -> Result<Outcome, BenchError> {
        let mut links = open_links(self.options, self.options.connections).await?;
        let per_link = (DELETES_PER_ROUND / links.len() as u64).max(100);
        let mut first = 0;
        let mut measured = Outcome::default();
        let (_window, _progress) = self.window(Workload::Delete, true);
        for warm in [false, true] {
            let length = if warm { self.options.measure } else { self.options.warmup };
            let mut total = Outcome::default();
            while !self.stopped() {
                let range = first..first + per_link;
                let left = length.saturating_sub(total.active);
                let (round, in_time) = self.delete_round(&mut links, range, left).await?;
                first += per_link;
                total.active += round.active;
                total.tally.merge(&round.tally);
                total.processor += round.processor;
                if !in_time {
                    break;
                }
            }
            measured = measured.followed_by(total);
        }
        close_links(links).await?;
        Ok(measured)
    }

    /// One round of deletes, and whether all were done within `length`.
    async fn delete_round(
        &self,
        links: &mut Vec<Link>,
        range: Range<u64>,
        length: Duration,
    ) -> Result<(Outcome, bool), BenchError> {
        let own = |connection| self.names.own(Workload::Delete, connection);
        let value = Value::new(self.options.value_bytes);
        let create = |connection| -> AnyScript {
            Box::new(BulkCreate::new(&own(connection), range.clone(), value.clone()))
        };
        let delete = |connection| -> AnyScript {
            Box::new(DeleteNodes::new(&own(connection), range.start, range.end))
        };
        let mut scripts: Vec<_> = (0..links.len()).map(create).collect();
        let window = Window::open(PREPARATION_MAX, self.stop);
        let made = run_window(links, &mut scripts, BULK_DEPTH, &window).await?;
        if let Some(wrong) = made.tally.first_wrong() {
            let what = "make the nodes to be deleted".to_owned();
            return Err(BenchError::Nodes { what, problem: wrong.to_string() });
        }
        let mut scripts: Vec<_> = (0..links.len()).map(delete).collect();
        let window = Window::open(length, self.stop);
        let depth = self.options.depth;
        let outcome = self.metered(run_window(links, &mut scripts, depth, &window)).await?;
        Ok((outcome, window.is_open(now())))
    }

    async fn connect(&self) -> Result<Outcome, BenchError> {
        let (window, progress) = self.window(Workload::Connect, false);
        sessions::run(self.options, &window).await?;
        drop(progress);
        let (window, _progress) = self.window(Workload::Connect, true);
        self.metered(sessions::run(self.options, &window)).await
    }

    async fn watch(&self) -> Result<Outcome, BenchError> {
        let mut links = open_links(self.options, self.options.connections + 1).await?;
        let data = Value::new(self.options.value_bytes).of(0).to_vec();
        let mut outcome = Outcome::default();
        for measured in [false, true] {
            let (window, _progress) = self.window(Workload::Watch, measured);
            let path = self.names.watched();
            let round = fan_out::run(&mut links, path, data.clone(), &window);
            let found = self.metered(round).await?;
            outcome = outcome.followed_by(found);
        }
        close_links(links).await?;
        Ok(outcome)
    }
}
