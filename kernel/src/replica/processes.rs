//! The processes of the servers as clients of the log: which sections of each were applied.
//!
//! See [`section`](super::section) for what they send. Of each server only the newest process counts. The
//! table is replicated state: it is in checkpoints and in the digest.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::section::Sender;
use crate::ensemble::ServerId;
use crate::tree::digest::mix;

/// What is known of a server's newest process.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// The index of the entry that registered it: a later process of the server has a higher one.
    pub incarnation: u64,
    /// The random number of the process, [`ConnId::boot`](crate::session::ConnId::boot) of its connections.
    pub process: u64,
    /// Counts the registrations of the ensemble, from 1. Session ids are made of it.
    pub ordinal: u64,
    /// The number of its last section that was applied.
    pub applied: u64,
}

/// What becomes of a section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SectionClaim {
    /// It is applied.
    Granted,
    /// It was applied before.
    Repeated,
    /// Sections in front of it are missing; they, and then this one, come again.
    Gap,
    /// Its process has ended, or its server does not belong to the ensemble.
    Ended,
}

/// The registrations of all servers, by number.
#[derive(Clone, Debug, Default)]
pub struct ProcessTable {
    by_server: BTreeMap<ServerId, Registration>,
    /// How many registrations there were.
    registrations: u64,
}

/// [`ProcessTable`] as a checkpoint keeps it.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct StoredProcesses {
    registrations: u64,
    by_server: Vec<(ServerId, Registration)>,
}

impl ProcessTable {
    /// Registers a process at the entry of this index. A process that is registered stays as it is: its server
    /// asked twice.
    pub(super) fn register(&mut self, server: ServerId, process: u64, index: u64) {
        let known = self.by_server.get(&server);
        if known.is_some_and(|known| known.process == process || known.incarnation >= index) {
            return;
        }
        self.registrations += 1;
        let ordinal = self.registrations;
        let registration = Registration { incarnation: index, process, ordinal, applied: 0 };
        self.by_server.insert(server, registration);
    }

    /// Judges a numbered section, and counts it where it is granted.
    pub(super) fn claim(&mut self, sender: Sender) -> SectionClaim {
        let known = self.by_server.get_mut(&sender.server);
        let Some(known) = known.filter(|known| known.incarnation == sender.incarnation) else {
            return SectionClaim::Ended;
        };
        match sender.number.checked_sub(known.applied) {
            None | Some(0) => SectionClaim::Repeated,
            Some(1) => {
                known.applied = sender.number;
                SectionClaim::Granted
            }
            Some(_) => SectionClaim::Gap,
        }
    }

    /// Forgets servers that do not belong to the ensemble any more: what they sent does nothing.
    pub(super) fn retain(&mut self, belongs: impl Fn(ServerId) -> bool) {
        self.by_server.retain(|server, _| belongs(*server));
    }

    /// What is known of a server.
    pub fn get(&self, server: ServerId) -> Option<Registration> {
        self.by_server.get(&server).copied()
    }

    /// A hash of all of it.
    pub(super) fn digest(&self) -> u64 {
        self.by_server.iter().fold(self.registrations, |hash, (server, known)| {
            let Registration { incarnation, process, ordinal, applied } = *known;
            [server.0, incarnation, process, ordinal, applied].into_iter().fold(hash, mix)
        })
    }

    pub(super) fn store(&self) -> StoredProcesses {
        let by_server = self.by_server.iter().map(|(server, known)| (*server, *known)).collect();
        StoredProcesses { registrations: self.registrations, by_server }
    }

    pub(super) fn restore(stored: StoredProcesses) -> Self {
        let StoredProcesses { registrations, by_server } = stored;
        Self { by_server: by_server.into_iter().collect(), registrations }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const SERVER: ServerId = ServerId(3);

    fn sender(incarnation: u64, number: u64) -> Sender {
        Sender { server: SERVER, incarnation, number }
    }

    #[test]
    fn the_next_section_of_the_living_process_is_applied() {
        // A repeat, a gap, a section of an ended process and one of a server that left do nothing.
        let mut processes = ProcessTable::default();
        assert_eq!(processes.claim(sender(5, 1)), SectionClaim::Ended);
        processes.register(SERVER, 77, 5);
        assert_eq!(processes.claim(sender(5, 2)), SectionClaim::Gap);
        assert_eq!(processes.claim(sender(5, 1)), SectionClaim::Granted);
        assert_eq!(processes.claim(sender(5, 1)), SectionClaim::Repeated);
        assert_eq!(processes.claim(sender(5, 2)), SectionClaim::Granted);
        processes.register(SERVER, 78, 9);
        assert_eq!(processes.claim(sender(5, 3)), SectionClaim::Ended);
        assert_eq!(processes.claim(sender(9, 1)), SectionClaim::Granted);
        processes.retain(|server| server != SERVER);
        assert_eq!(processes.claim(sender(9, 2)), SectionClaim::Ended);
    }

    #[test]
    fn a_process_registers_once() {
        // A registration that is sent again leaves the numbers as they are; ordinals are never given twice.
        let mut processes = ProcessTable::default();
        processes.register(SERVER, 77, 5);
        processes.claim(sender(5, 1));
        processes.register(SERVER, 77, 8);
        let registration = processes.get(SERVER).unwrap();
        assert_eq!((registration.incarnation, registration.applied), (5, 1));
        processes.register(ServerId(4), 77, 9);
        processes.register(SERVER, 79, 10);
        assert_eq!(processes.get(ServerId(4)).unwrap().ordinal, 2);
        assert_eq!(processes.get(SERVER).unwrap().ordinal, 3);
    }

    proptest! {
        #[test]
        fn each_section_is_applied_once_and_in_order(
            arriving in proptest::collection::vec((0_u64..3, 1_u64..8), 0..60),
        ) {
            // Whatever arrives, in whichever order and however often: what is applied of a process are its
            // sections from the first on, without a gap, and only while it is the newest.
            let mut processes = ProcessTable::default();
            let (mut applied, mut newest) = (BTreeMap::<u64, Vec<u64>>::new(), 0);
            for (at, (process, number)) in (10..).zip(arriving) {
                if process > newest {
                    newest = process;
                    processes.register(SERVER, process, at);
                    applied.insert(at, Vec::new());
                }
                for (incarnation, numbers) in &mut applied {
                    let granted = processes.claim(sender(*incarnation, number)) == SectionClaim::Granted;
                    let is_newest = processes.get(SERVER).map(|known| known.incarnation) == Some(*incarnation);
                    prop_assert_eq!(granted, is_newest && number == numbers.len() as u64 + 1);
                    if granted {
                        numbers.push(number);
                    }
                }
            }
        }

        #[test]
        fn a_table_comes_back_from_a_checkpoint(
            started in proptest::collection::vec((0_u64..9, 1_u64..1000), 0..30),
        ) {
            // What a restarted server holds is what the others hold.
            let mut processes = ProcessTable::default();
            for (index, (server, process)) in (1..).zip(started) {
                processes.register(ServerId(server), process, index);
            }
            let row = postcard::to_stdvec(&processes.store()).unwrap();
            let back = ProcessTable::restore(postcard::from_bytes(&row).unwrap());
            prop_assert_eq!(back.digest(), processes.digest());
            prop_assert_eq!(back.by_server, processes.by_server);
        }
    }
}
