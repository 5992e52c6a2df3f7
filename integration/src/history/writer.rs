//! A session that alone sets one znode, request after request: the n-th write makes version n.

use super::{Anomaly, Promise};

/// Follows the writes of the only writer of a znode; the data of each is its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnlyWriter {
    /// The version after the last write that is known to be done, and so the writes done.
    version: i32,
    /// The number of the last write sent.
    sent: u64,
    /// The number of the last write that is known to be done, by its answer or by a read.
    done: u64,
}

impl OnlyWriter {
    /// The number to write next.
    #[must_use]
    pub fn next_number(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// The write `number` was done and made `version`.
    ///
    /// # Errors
    ///
    /// When a write before it is missing, or one took effect twice or late.
    pub fn acknowledged(&mut self, number: u64, version: i32) -> Result<(), Anomaly> {
        let expected = self.version + 1;
        let known = std::mem::replace(self, Self { version, done: number, ..self.clone() });
        if version == expected && number > known.done {
            return Ok(());
        }
        Err(Anomaly::new(
            Promise::Fifo,
            format!("write {number} made version {version} where {expected} was next ({known:?})"),
        ))
    }

    /// After the loss of a connection, and a sync: the znode holds `number` in `version`. What was
    /// sent before and does not show is refused for good.
    ///
    /// # Errors
    ///
    /// When acknowledged writes are missing, or more took effect than were sent.
    pub fn found(&mut self, number: u64, version: i32) -> Result<(), Anomaly> {
        let known = self.clone();
        // Of the unanswered writes a beginning was done, in order.
        let more = i64::from(version) - i64::from(known.version);
        let right = more >= 0
            && number.checked_sub(known.done) == u64::try_from(more).ok()
            && number <= known.sent;
        self.version = version;
        self.done = number;
        self.sent = number.max(known.sent);
        if right {
            return Ok(());
        }
        Err(Anomaly::new(
            Promise::Fifo,
            format!("after a reconnect write {number} shows in version {version} ({known:?})"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::OnlyWriter;

    fn writer(sent: u64, acknowledged: i32) -> OnlyWriter {
        let mut writer = OnlyWriter::default();
        for _ in 0..sent {
            let _ = writer.next_number();
        }
        for number in 1..=acknowledged {
            writer.acknowledged(number as u64, number).expect("in order");
        }
        writer
    }

    #[test]
    fn a_beginning_of_the_unanswered_writes_may_be_done() {
        // Of five sent and two answered, two to five may show after a reconnect; the next write is
        // the version after that.
        for shown in 2..=5 {
            let mut writer = writer(5, 2);
            writer.found(shown, shown as i32).expect("a beginning");
            let next = writer.next_number();
            assert_eq!(next, 6);
            writer.acknowledged(next, shown as i32 + 1).expect("the next");
        }
    }

    #[test]
    fn lost_doubled_and_late_writes_are_found() {
        // Answered writes that are gone, gaps, repetitions, and writes of the old connection that
        // take effect after the new one has read.
        writer(5, 2).found(1, 1).expect_err("the second is gone");
        writer(5, 2).found(4, 3).expect_err("the third is left out");
        writer(5, 2).found(3, 4).expect_err("one was done twice");
        writer(5, 2).found(6, 6).expect_err("more than were sent");
        writer(5, 2).acknowledged(3, 4).expect_err("one was done twice");
        let mut late = writer(5, 2);
        late.found(2, 2).expect("none of the others");
        let next = late.next_number();
        late.acknowledged(next, 4).expect_err("a late one came between");
    }
}
