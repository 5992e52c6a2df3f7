//! All that the clients of a round recorded.

use std::collections::BTreeMap;

use history::counter::Increment;
use history::lock::Hold;
use history::register::Action;
use history::sequence::Create;
use history::{Anomaly, Span};

/// Registers in a round.
const REGISTERS: usize = 4;

/// The znodes of the registers below `root`.
pub(in crate::torture) fn register_paths(root: &str) -> Vec<String> {
    (0..REGISTERS).map(|number| format!("{root}/register-{number}")).collect()
}

/// The histories of a round, those of all clients together.
#[derive(Debug, Default)]
pub(in crate::torture) struct RoundHistory {
    /// By znode.
    pub(in crate::torture) registers: BTreeMap<String, Vec<(Span, Action)>>,
    /// By parent.
    pub(in crate::torture) creates: BTreeMap<String, Vec<Create>>,
    /// By counter, in their order.
    pub(in crate::torture) counters: BTreeMap<String, Vec<Increment>>,
    /// What multiReads of all accounts showed.
    pub(in crate::torture) audits: Vec<Vec<i64>>,
    /// Who held which lock.
    pub(in crate::torture) holds: Vec<Hold>,
    /// What the clients found wrong themselves.
    pub(in crate::torture) anomalies: Vec<Anomaly>,
}

impl RoundHistory {
    /// Adds what another client recorded.
    pub(in crate::torture) fn merge(&mut self, other: Self) {
        for (path, actions) in other.registers {
            self.registers.entry(path).or_default().extend(actions);
        }
        for (parent, creates) in other.creates {
            self.creates.entry(parent).or_default().extend(creates);
        }
        self.counters.extend(other.counters);
        self.audits.extend(other.audits);
        self.holds.extend(other.holds);
        self.anomalies.extend(other.anomalies);
    }
}
