//! Connections that do nothing but hold watches.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::drive::{Window, drive};
use super::error::BenchError;
use super::options::BenchOptions;
use super::script::Script;
use super::scripts::{Names, SyncOnce, WatchAbsent};
use super::window::{PREPARATION_MAX, close_links, open_links};

/// Requests in flight on each connection while the watches are set.
const DEPTH: usize = 64;
/// Time between two signs of life, well below the session timeout.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Watches that wait until [`IdleWatches::end`].
#[derive(Debug)]
pub(super) struct IdleWatches {
    done: CancellationToken,
    holding: JoinHandle<Result<(), BenchError>>,
}

impl IdleWatches {
    /// Sets as many watches as the options say, each of a node of its own that is not there, spread
    /// over as many connections as the measured load has.
    pub(super) async fn set(options: &BenchOptions, names: &Names) -> Result<Self, BenchError> {
        let count = if options.watches == 0 { 0 } else { options.connections };
        let mut links = open_links(options, count).await?;
        let mut first = 0;
        for (index, link) in links.iter_mut().enumerate() {
            let end = first + share(options.watches, count, index as u64);
            let mut script = WatchAbsent::new(&names.absent(), first..end);
            first = end;
            check(link, &mut script, DEPTH).await?;
        }
        let done = CancellationToken::new();
        let ended = done.clone();
        let holding = tokio::spawn(async move {
            while tokio::time::timeout(SIGN_OF_LIFE, ended.cancelled()).await.is_err() {
                for link in &mut links {
                    check(link, &mut SyncOnce::default(), 1).await?;
                }
            }
            close_links(links).await
        });
        Ok(Self { done, holding })
    }

    /// Closes the connections.
    ///
    /// # Errors
    /// What went wrong with them since they were opened.
    pub(super) async fn end(self) -> Result<(), BenchError> {
        self.done.cancel();
        self.holding.await?
    }
}

async fn check(
    link: &mut super::link::Link,
    script: &mut dyn Script,
    depth: usize,
) -> Result<(), BenchError> {
    let window = Window::open(PREPARATION_MAX, &std::sync::Arc::default());
    let tally = drive(link, script, depth, &window).await?;
    match tally.first_wrong() {
        None => Ok(()),
        Some(wrong) => {
            let (what, problem) = ("hold watches".to_owned(), wrong.to_string());
            Err(BenchError::Nodes { what, problem })
        }
    }
}

/// The part of `total` that falls to the one with this index, of `count`.
pub(super) fn share(total: u64, count: usize, index: u64) -> u64 {
    let count = (count as u64).max(1);
    total / count + u64::from(index < total % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_whole() {
        // No node and no watch is left out or made twice.
        for (total, count) in [(10, 3), (2, 5), (0, 4), (7, 7)] {
            let shares: Vec<_> = (0..count as u64).map(|i| share(total, count, i)).collect();
            assert_eq!(shares.iter().sum::<u64>(), total);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }
}
