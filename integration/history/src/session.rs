//! What one session is shown, in the order in which it comes.

use std::collections::BTreeMap;

use jute_proto::Zxid;

use super::{Anomaly, Promise};

/// Follows the answers and events of one session, over all its connections.
#[derive(Debug, Clone, Default)]
pub struct SessionOrder {
    last_zxid: Zxid,
    /// For each znode the newest change of its data that the session has made or seen.
    newest: BTreeMap<String, Zxid>,
    /// The data watches that are set, with the change that the arming read showed.
    armed: BTreeMap<String, Zxid>,
}

impl SessionOrder {
    /// The highest zxid that an answer named: what a client tells the next server.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// The znodes with a watch.
    #[must_use]
    pub fn armed(&self) -> Vec<String> {
        self.armed.keys().cloned().collect()
    }

    /// Forgets the watches: the session goes on without them.
    pub fn disarm(&mut self) {
        self.armed.clear();
    }

    /// An answer came whose header names `zxid`.
    ///
    /// # Errors
    ///
    /// When an earlier one named a later zxid.
    pub fn answered(&mut self, zxid: Zxid) -> Result<(), Anomaly> {
        if zxid.0 <= 0 {
            return Ok(());
        }
        if zxid < self.last_zxid {
            let last = self.last_zxid;
            return Err(Anomaly::new(
                Promise::ReadOrder,
                format!("an answer of zxid {zxid} came after one of {last}"),
            ));
        }
        self.last_zxid = zxid;
        Ok(())
    }

    /// The session's own write of `path` was done as `mzxid`.
    pub fn wrote(&mut self, path: &str, mzxid: Zxid) {
        let newest = self.newest.entry(path.to_owned()).or_default();
        *newest = mzxid.max(*newest);
    }

    /// A read showed `path` as `mzxid` made it, and set a watch if `watch`.
    ///
    /// # Errors
    ///
    /// When the session knew a newer state, or when the change should have been announced first.
    pub fn read(&mut self, path: &str, mzxid: Zxid, watch: bool) -> Result<(), Anomaly> {
        let newest = self.newest.entry(path.to_owned()).or_default();
        let known = *newest;
        *newest = mzxid.max(known);
        let armed = self.armed.get(path).copied();
        if watch {
            self.armed.entry(path.to_owned()).or_insert(mzxid);
        }
        if mzxid < known {
            return Err(Anomaly::new(
                Promise::ReadOrder,
                format!("{path} was read as of {mzxid}, after {known}"),
            ));
        }
        if let Some(armed) = armed.filter(|armed| *armed < mzxid) {
            return Err(Anomaly::new(
                Promise::WatchOrder,
                format!("{path} was read as of {mzxid}; its watch of {armed} has not fired"),
            ));
        }
        Ok(())
    }

    /// The event of a data watch came.
    ///
    /// # Errors
    ///
    /// When no watch was set.
    pub fn event(&mut self, path: &str) -> Result<(), Anomaly> {
        match self.armed.remove(path) {
            Some(_) => Ok(()),
            None => Err(Anomaly::new(
                Promise::WatchOrder,
                format!("an event of {path}, where no watch was set"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use jute_proto::Zxid;

    use super::SessionOrder;
    use crate::Promise;

    #[test]
    fn zxids_that_go_back_are_found() {
        // Also over connections; answers without a zxid say nothing.
        let mut order = SessionOrder::default();
        order.answered(Zxid(5)).expect("the first");
        order.answered(Zxid(5)).expect("the same");
        order.answered(Zxid(0)).expect("none");
        assert_eq!(order.answered(Zxid(4)).expect_err("back").promise, Promise::ReadOrder);
        assert_eq!(order.last_zxid(), Zxid(5));
    }

    #[test]
    fn a_read_of_an_older_state_is_found() {
        // Older than an own write, or than an earlier read.
        let mut order = SessionOrder::default();
        order.wrote("/a", Zxid(7));
        assert_eq!(order.read("/a", Zxid(6), false).expect_err("old").promise, Promise::ReadOrder);
        order.read("/a", Zxid(9), false).expect("newer");
        assert_eq!(order.read("/a", Zxid(8), false).expect_err("old").promise, Promise::ReadOrder);
        order.read("/b", Zxid(1), false).expect("another znode");
    }

    #[test]
    fn a_change_without_its_event_is_found() {
        // The event comes before the read that shows the change, once for each watch.
        let mut order = SessionOrder::default();
        order.read("/a", Zxid(1), true).expect("armed");
        order.read("/a", Zxid(1), true).expect("unchanged");
        order.event("/a").expect("armed once");
        order.read("/a", Zxid(2), true).expect("announced");
        let late = order.read("/a", Zxid(3), false).expect_err("not announced");
        assert_eq!(late.promise, Promise::WatchOrder);
        order.event("/a").expect("late, but armed");
        assert_eq!(order.event("/a").expect_err("not armed").promise, Promise::WatchOrder);
    }
}
