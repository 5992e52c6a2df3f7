//! What operators look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::config::Config;
use crate::consensus::Consensus;
use crate::node::{Core, Ingress, Node};

/// ZooKeeper's default of what `gtmk` answers.
const TRACE_MASK_DEFAULT: i64 = 306;

/// The parts of a node that operators see, beside the configuration that it was started with. What they see of them is
/// read by the functions of [`reading`](super::reading) and [`ensemble`](super::ensemble).
#[derive(Debug)]
pub struct NodeView {
    pub(super) config: Config,
    pub(super) core: Arc<Core>,
    pub(super) ingress: Arc<Ingress>,
    pub(super) consensus: Consensus,
    /// The number that `gtmk` and `stmk` exchange. It selects nothing: what is logged is chosen with
    /// `--log`.
    trace_mask: AtomicI64,
}

impl NodeView {
    /// The view of this node, which was started with this configuration.
    pub fn new(config: Config, node: &Node) -> Self {
        Self {
            config,
            core: Arc::clone(node.core()),
            ingress: Arc::clone(node.ingress()),
            consensus: node.consensus().clone(),
            trace_mask: AtomicI64::new(TRACE_MASK_DEFAULT),
        }
    }

    /// The configuration as it was read, with the client addresses in use.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What serves clients.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// What `gtmk` answers.
    pub fn trace_mask(&self) -> i64 {
        self.trace_mask.load(Ordering::Relaxed)
    }

    /// Sets what `gtmk` answers (`stmk`).
    pub fn set_trace_mask(&self, mask: i64) {
        self.trace_mask.store(mask, Ordering::Relaxed);
    }
}
