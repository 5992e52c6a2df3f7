//! Where servers are reached, and who is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

/// Members that are noted without proof: more than an ensemble ever had.
const TOLD_MAX: usize = 1024;

/// Where servers are reached. Cheap to clone; all clones are one book.
///
/// Three sources may differ: this server's own file, what the members agreed on by `reconfig`, and
/// what the consensus notes of each server. The newest cannot be told from the texts, so their order
/// only says which is tried first: what was agreed on, if anything was, then the file, then the
/// note. An address that fails makes way for the next one. A wrong one does no harm, as the server that is
/// found there is asked who it is.
#[derive(Clone, Debug, Default)]
pub struct AddressBook {
    pages: Arc<RwLock<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    agreed: BTreeMap<u64, String>,
    own: BTreeMap<u64, String>,
    /// The members that the consensus has.
    members: BTreeMap<u64, String>,
    /// Those that members told of, while this server does not know better.
    told: BTreeMap<u64, String>,
    /// How many addresses of a server failed so far, one after the other.
    failures: BTreeMap<u64, usize>,
    /// No other address is tried where the file has one.
    own_only: bool,
}

impl AddressBook {
    /// A file that names these servers.
    #[cfg(test)]
    pub(super) fn naming(servers: impl IntoIterator<Item = u64>) -> Self {
        let book = Self::default();
        servers.into_iter().for_each(|server| book.set(server, format!("h{server}:1")));
        book
    }

    /// Host and port of a server, as far as this server or the members know.
    pub fn get(&self, server: u64) -> Option<String> {
        let pages = self.pages.read();
        pages.agreed.get(&server).or_else(|| pages.own.get(&server)).cloned()
    }

    /// Sets host and port of a server as this server's own file has them, for all connections made
    /// from now on.
    pub fn set(&self, server: u64, address: String) {
        self.pages.write().own.insert(server, address);
    }

    /// Tries no other address of a server than the one in this server's own file.
    pub fn own_only(&self) {
        self.pages.write().own_only = true;
    }

    /// Sets who belongs to the ensemble, as the consensus has it.
    pub(crate) fn set_members(&self, members: BTreeMap<u64, String>) {
        if self.pages.read().members != members {
            self.pages.write().members = members;
        }
    }

    /// Takes note of members that another one told of, until [`forget_told`](Self::forget_told).
    pub(crate) fn tell(&self, members: BTreeMap<u64, String>) {
        let mut pages = self.pages.write();
        pages.told.extend(members);
        while pages.told.len() > TOLD_MAX {
            pages.told.pop_last();
        }
    }

    /// This server knows by itself who belongs to the ensemble.
    pub(crate) fn forget_told(&self) {
        if !self.pages.read().told.is_empty() {
            self.pages.write().told.clear();
        }
    }

    /// All addresses under which a server is known; none for one that neither belongs to the ensemble nor is
    /// named by this server's own file.
    pub(super) fn all(&self, server: u64) -> Vec<String> {
        let Pages { agreed, own, members, told, .. } = &*self.pages.read();
        let pages = [agreed, own, members, told];
        pages.iter().filter_map(|page| page.get(&server)).cloned().collect()
    }

    /// Members that this server's own file does not name.
    pub(crate) fn others(&self) -> BTreeMap<u64, String> {
        let Pages { agreed, own, members, told, .. } = &*self.pages.read();
        let all = told.iter().chain(members).chain(agreed);
        let others = all.filter(|(server, _)| !own.contains_key(server));
        others.map(|(server, address)| (*server, address.clone())).collect()
    }

    /// Whether the members agreed on addresses: then a `reconfig` made their configuration.
    pub(crate) fn is_agreed(&self) -> bool {
        !self.pages.read().agreed.is_empty()
    }

    /// Sets what the members agreed on, for all connections made from now on.
    pub fn agree(&self, addresses: BTreeMap<u64, String>) {
        self.pages.write().agreed = addresses;
    }

    /// The address to try next; `noted` is the one in the replicated configuration.
    pub(super) fn choose(&self, server: u64, noted: &str) -> Attempt {
        let pages = self.pages.read();
        let (agreed, own) = (pages.agreed.get(&server), pages.own.get(&server));
        let (agreed, noted) = match own {
            Some(own) if pages.own_only => (None, own.as_str()),
            Some(_) | None => (agreed, noted),
        };
        let known = agreed.into_iter().chain(own).map(String::as_str).chain([noted]);
        let mut choices: Vec<&str> = Vec::new();
        for address in known.filter(|address| !address.is_empty()) {
            if !choices.contains(&address) {
                choices.push(address);
            }
        }
        let failures = pages.failures.get(&server).copied().unwrap_or(0);
        let chosen = choices.get(failures % choices.len().max(1));
        let address = chosen.copied().unwrap_or_default().to_owned();
        Attempt { book: self.clone(), server, address, failures, worked: false }
    }
}

/// An address that is being tried. Dropped without success, be it for want of patience, it makes way
/// for the next one.
pub(crate) struct Attempt {
    book: AddressBook,
    server: u64,
    pub(super) address: String,
    failures: usize,
    pub(super) worked: bool,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.worked {
            return;
        }
        let mut pages = self.book.pages.write();
        let failures = pages.failures.entry(self.server).or_default();
        // Another attempt may have found the same before.
        if *failures == self.failures {
            *failures += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_fails_makes_way_for_the_next() {
        // What the members agreed on goes first, this server's file second, the note last; and what
        // worked is stayed with.
        let book = AddressBook::default();
        let try_one = |works: bool| {
            let mut attempt = book.choose(3, "noted:1");
            attempt.worked = works;
            attempt.address.clone()
        };
        assert_eq!([try_one(true), try_one(false)], ["noted:1", "noted:1"]);
        book.set(3, "own:1".to_owned());
        book.agree(BTreeMap::from([(3, "agreed:1".to_owned())]));
        assert_eq!(book.get(3).as_deref(), Some("agreed:1"));
        let seen = [false, true, true, false, false].map(try_one);
        assert_eq!(seen, ["own:1", "noted:1", "noted:1", "noted:1", "agreed:1"]);
        let (one, two) = (book.choose(3, ""), book.choose(3, ""));
        assert_eq!(one.address, two.address);
        let failed = one.address.clone();
        drop((one, two));
        assert_ne!(try_one(true), failed, "two that fail at once count as one");
    }
}
