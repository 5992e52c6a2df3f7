//! What the rounds are to bring about, and how often they did.

use std::collections::BTreeMap;
use std::fmt;

/// What is the matter when a server comes back without its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Situation {
    /// It reaches a leader that was cut off and deposed, and nobody who knows better.
    OutOfDateLeader,
    /// The leader dies while the server is being brought up to date.
    LeaderDies,
    /// Another server is down, so that no majority of the disks is there.
    AnotherDown,
    /// The log that it is given begins with an ensemble of it alone.
    GrownFromOne,
    /// It dies while it is being brought up to date, and comes back with what it had then, or empty again.
    CrashWhileJoining,
    /// Nothing in particular: any servers, at any moment, the leader among them.
    AnyMoment,
}

impl Situation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::GrownFromOne,
        Self::OutOfDateLeader,
        Self::LeaderDies,
        Self::AnotherDown,
        Self::CrashWhileJoining,
        Self::AnyMoment,
    ];
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OutOfDateLeader => "only an out-of-date leader in reach",
            Self::LeaderDies => "the leader dies while the new life catches up",
            Self::AnotherDown => "a second server down",
            Self::GrownFromOne => "a log that grew from {1}",
            Self::CrashWhileJoining => "a crash while joining",
            Self::AnyMoment => "any moment",
        })
    }
}

/// In how many rounds each situation was tried and reached.
#[derive(Debug, Clone, Default)]
pub struct Situations(BTreeMap<Situation, (u64, u64)>);

impl Situations {
    /// A round tried to bring it about.
    pub(super) fn count(&mut self, situation: Situation, reached: bool) {
        let (tried, counted) = self.0.entry(situation).or_default();
        *tried += 1;
        *counted += u64::from(reached);
    }

    /// In how many rounds it was reached.
    #[must_use]
    pub fn reached(&self, situation: Situation) -> u64 {
        self.0.get(&situation).map_or(0, |(_, reached)| *reached)
    }

    /// Those that were reached in fewer rounds than these.
    #[must_use]
    pub fn below(&self, minimum: u64) -> Vec<Situation> {
        Situation::ALL.into_iter().filter(|situation| self.reached(*situation) < minimum).collect()
    }
}

impl fmt::Display for Situations {
    /// A table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<48} rounds  reached", "situation")?;
        for situation in Situation::ALL {
            let (tried, reached) = self.0.get(&situation).copied().unwrap_or_default();
            write!(f, "\n  {situation:<46} {tried:>6}  {reached:>7}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_situation_that_was_not_reached_is_below() {
        // What was only tried does not count.
        let mut situations = Situations::default();
        for situation in Situation::ALL {
            situations.count(situation, situation != Situation::LeaderDies);
        }
        assert_eq!(situations.below(1), [Situation::LeaderDies]);
        situations.count(Situation::LeaderDies, true);
        assert!(situations.below(1).is_empty());
        assert_eq!(situations.below(2).len(), Situation::ALL.len());
    }
}
