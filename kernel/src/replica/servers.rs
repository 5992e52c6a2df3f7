//! The processes of the servers as clients of the log: what each has had applied.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::section::Sender;
use crate::tree::digest::mix;

/// What is known of a server's process.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// The index of the entry that registered it: a later process of the server has a higher one.
    pub incarnation: u64,
    /// The random number of the process.
    pub process: u64,
    /// The how manieth registration of the ensemble it is, from 1.
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
pub struct ServerTable {
    servers: BTreeMap<u64, Registration>,
    /// How many registrations there were.
    registrations: u64,
}

/// [`ServerTable`] as a checkpoint keeps it.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct StoredServers {
    registrations: u64,
    servers: Vec<(u64, Registration)>,
}

impl ServerTable {
    /// Registers a process at the entry of this index. A process that is registered stays as it is: its server
    /// asked twice.
    pub(super) fn register(&mut self, server: u64, process: u64, index: u64) {
        let known = self.servers.get(&server);
        if known.is_some_and(|known| known.process == process || known.incarnation >= index) {
            return;
        }
        self.registrations += 1;
        let ordinal = self.registrations;
        let registration = Registration { incarnation: index, process, ordinal, applied: 0 };
        self.servers.insert(server, registration);
    }

    /// Judges a numbered section, and counts it where it is granted.
    pub(super) fn claim(&mut self, sender: Sender) -> SectionClaim {
        let known = self.servers.get_mut(&sender.server);
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
    pub(super) fn retain(&mut self, belongs: impl Fn(u64) -> bool) {
        self.servers.retain(|server, _| belongs(*server));
    }

    /// What is known of a server.
    pub fn get(&self, server: u64) -> Option<Registration> {
        self.servers.get(&server).copied()
    }

    /// A hash of all of it.
    pub(super) fn digest(&self) -> u64 {
        self.servers.iter().fold(self.registrations, |hash, (server, known)| {
            let Registration { incarnation, process, ordinal, applied } = *known;
            [*server, incarnation, process, ordinal, applied].into_iter().fold(hash, mix)
        })
    }

    pub(super) fn store(&self) -> StoredServers {
        let servers = self.servers.iter().map(|(server, known)| (*server, *known)).collect();
        StoredServers { registrations: self.registrations, servers }
    }

    pub(super) fn restore(stored: StoredServers) -> Self {
        let StoredServers { registrations, servers } = stored;
        Self { servers: servers.into_iter().collect(), registrations }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn sender(incarnation: u64, number: u64) -> Sender {
        Sender { server: 3, incarnation, number }
    }

    #[test]
    fn the_next_section_of_the_living_process_is_applied() {
        // A repeat, a gap, a section of an ended process and one of a server that left do nothing.
        let mut servers = ServerTable::default();
        assert_eq!(servers.claim(sender(5, 1)), SectionClaim::Ended);
        servers.register(3, 77, 5);
        assert_eq!(servers.claim(sender(5, 2)), SectionClaim::Gap);
        assert_eq!(servers.claim(sender(5, 1)), SectionClaim::Granted);
        assert_eq!(servers.claim(sender(5, 1)), SectionClaim::Repeated);
        assert_eq!(servers.claim(sender(5, 2)), SectionClaim::Granted);
        servers.register(3, 78, 9);
        assert_eq!(servers.claim(sender(5, 3)), SectionClaim::Ended);
        assert_eq!(servers.claim(sender(9, 1)), SectionClaim::Granted);
        servers.retain(|server| server != 3);
        assert_eq!(servers.claim(sender(9, 2)), SectionClaim::Ended);
    }

    #[test]
    fn a_process_registers_once() {
        // A registration that is sent again leaves the numbers as they are; ordinals are never given twice.
        let mut servers = ServerTable::default();
        servers.register(3, 77, 5);
        servers.claim(sender(5, 1));
        servers.register(3, 77, 8);
        let registration = servers.get(3).unwrap();
        assert_eq!((registration.incarnation, registration.applied), (5, 1));
        servers.register(4, 77, 9);
        servers.register(3, 79, 10);
        assert_eq!(servers.get(4).unwrap().ordinal, 2);
        assert_eq!(servers.get(3).unwrap().ordinal, 3);
    }

    proptest! {
        #[test]
        fn each_section_is_applied_once_and_in_order(
            arriving in proptest::collection::vec((0_u64..3, 1_u64..8), 0..60),
        ) {
            // Whatever arrives, in whichever order and however often: what is applied of a process are its
            // sections from the first on, without a gap, and only while it is the newest.
            let mut servers = ServerTable::default();
            let (mut applied, mut newest) = (BTreeMap::<u64, Vec<u64>>::new(), 0);
            for (at, (process, number)) in (10..).zip(arriving) {
                if process > newest {
                    newest = process;
                    servers.register(3, process, at);
                    applied.insert(at, Vec::new());
                }
                for (incarnation, numbers) in &mut applied {
                    let granted = servers.claim(sender(*incarnation, number)) == SectionClaim::Granted;
                    let is_newest = servers.get(3).map(|known| known.incarnation) == Some(*incarnation);
                    prop_assert_eq!(granted, is_newest && number == numbers.len() as u64 + 1);
                    if granted {
                        numbers.push(number);
                    }
                }
            }
        }

        #[test]
        fn a_table_comes_back_from_a_checkpoint(
            processes in proptest::collection::vec((0_u64..9, 1_u64..1000), 0..30),
        ) {
            // What a restarted server holds is what the others hold.
            let mut servers = ServerTable::default();
            for (index, (server, process)) in (1..).zip(processes) {
                servers.register(server, process, index);
            }
            let row = postcard::to_stdvec(&servers.store()).unwrap();
            let back = ServerTable::restore(postcard::from_bytes(&row).unwrap());
            prop_assert_eq!(back.digest(), servers.digest());
            prop_assert_eq!(back.servers, servers.servers);
        }
    }
}
