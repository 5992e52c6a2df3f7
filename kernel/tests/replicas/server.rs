//! A replica with its disk.

use kernel::replica::entry::{next_command, open_entry};
use kernel::replica::section::{self, next_section};
use kernel::replica::{
    Command, EntryHeader, Event, EventSink, Outcome, Replica, SectionClaim, Stamp,
};

use crate::log::{Entry, index};
use testkit::checkpoint::{self, Rows, restore};

/// Takes events that nobody waits for.
pub(crate) struct Nobody;

impl EventSink for Nobody {
    fn event(&mut self, _: Event<'_>) {}
}

/// A replica with its disk.
#[derive(Default)]
pub(crate) struct Server {
    pub(crate) replica: Replica,
    pub(crate) rows: Rows,
    /// The first entry that the rows do not hold.
    pub(crate) next: usize,
}

impl Server {
    /// Applies the entry at this place; `each` is told what became of each command.
    pub(crate) fn apply(
        &mut self,
        at: usize,
        entry: &Entry,
        mut each: impl FnMut(&Command<'_>, Outcome),
    ) {
        let stamp = Stamp { term: entry.term, index: index(at), ..Stamp::default() };
        if entry.payload[0] == section::FORMAT {
            let (header, mut rest) = section::open(&entry.payload).expect("its own encoding");
            let section::Header { wall_time, elapsed, policy } = header;
            let stamp = Stamp { wall_time, elapsed, policy, ..stamp };
            self.replica.begin_entry(&stamp);
            while let Some(section) = next_section(&mut rest).expect("its own encoding") {
                if self.replica.claim_section(section.sender) == SectionClaim::Granted {
                    self.apply_commands(&stamp, section.count, section.commands, &mut each);
                }
            }
        } else {
            let (header, commands) = open_entry(&entry.payload).expect("its own encoding");
            let EntryHeader { wall_time, policy, count } = header;
            let stamp = Stamp { wall_time, policy, ..stamp };
            self.replica.begin_entry(&stamp);
            self.apply_commands(&stamp, count, commands, &mut each);
        }
    }

    fn apply_commands(
        &mut self,
        stamp: &Stamp,
        count: u32,
        mut commands: &[u8],
        each: &mut impl FnMut(&Command<'_>, Outcome),
    ) {
        for number in 0..count {
            let command = next_command(&mut commands, number).expect("its own encoding");
            let applied = self.replica.apply(stamp, &command, &mut Nobody).expect("it decodes");
            each(&command, applied.outcome);
        }
    }

    /// As [`Self::apply`]: what became of all commands.
    pub(crate) fn outcomes(&mut self, at: usize, entry: &Entry) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        self.apply(at, entry, |_, outcome| outcomes.push(outcome));
        outcomes
    }

    pub(crate) fn checkpoint(&mut self, next: usize) {
        checkpoint::store(&mut self.replica, &mut self.rows, 3);
        self.next = next;
    }

    /// Loses what is in memory, loads the rows, and applies the log behind them again.
    pub(crate) fn restart(&mut self, log: &[Entry]) {
        self.replica = restore(&self.rows).expect("its own rows");
        for (at, entry) in log.iter().enumerate().skip(self.next) {
            self.outcomes(at, entry);
        }
    }
}

pub(crate) fn assert_same(one: &Replica, other: &Replica) {
    assert_eq!(one.last_zxid(), other.last_zxid());
    assert_eq!(one.last_wall_time(), other.last_wall_time());
    assert_eq!(one.tree().digest(), other.tree().digest());
    assert_eq!((one.version(), one.digest()), (other.version(), other.digest()));
    assert_eq!(one.elapsed(), other.elapsed());
    assert_eq!(one.tree().digest(), one.tree().recomputed_digest());
    let sessions = |replica: &Replica| -> Vec<_> {
        replica.sessions().iter().map(|(id, record)| (id, record.clone())).collect()
    };
    assert_eq!(sessions(one), sessions(other));
}
