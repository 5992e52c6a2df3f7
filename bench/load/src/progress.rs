//! The bar that shows how far a workload is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use super::clock::now;
use super::drive::Window;
use super::workload::Workload;

/// Time between two drawings.
const REFRESH: Duration = Duration::from_millis(200);

/// A bar on standard error, as long as the value lives; nothing where that is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    drawing: JoinHandle<()>,
}

impl Progress {
    /// Shows how much of the window has passed and how many replies came.
    pub(super) fn show(workload: Workload, stage: &'static str, window: &Arc<Window>) -> Self {
        let started = now();
        let length = window.deadline.saturating_duration_since(started);
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(millis(length)), target);
        let style = ProgressStyle::with_template("{prefix:<10}[{bar:30}] {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(workload.name());
        let drawing = tokio::spawn(draw(bar.clone(), stage, Arc::clone(window)));
        Self { bar, drawing }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.drawing.abort();
        self.bar.finish_and_clear();
    }
}

async fn draw(bar: ProgressBar, stage: &'static str, window: Arc<Window>) {
    let started = now();
    let mut ticks = tokio::time::interval(REFRESH);
    loop {
        ticks.tick().await;
        let passed = started.elapsed();
        let replies = window.progress.load(Ordering::Relaxed);
        bar.set_position(millis(passed));
        let rate = u128::from(replies) * 1000 / passed.as_millis().max(1);
        bar.set_message(format!("{stage} {rate} ops/s"));
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
