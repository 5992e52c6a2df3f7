//! A session that alone sets one znode, request after request: the n-th write makes version n.

use super::{Anomaly, Promise};

/// Follows the writes of the only writer of a znode; the data of each is its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnlyWriter {
    /// The version after the last write that is known to be done.
    version: i32,
    /// The number of that write.
    done: u64,
    /// The number of the last write whose fate is known: done, or left undone for good. The next
    /// one that is done has the number after it.
    settled: u64,
    /// The number of the last write sent.
    sent: u64,
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
        let known = self.clone();
        *self = Self { version, done: number, settled: number, sent: known.sent.max(number) };
        if version == known.version + 1 && number == known.settled + 1 {
            return Ok(());
        }
        Err(Anomaly::new(
            Promise::Fifo,
            format!("write {number} was done and made version {version} ({known:?})"),
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
        *self = Self { version, done: number, settled: known.sent, sent: known.sent };
        // Of the unanswered writes a beginning was done, in order.
        let more = u64::try_from(i64::from(version) - i64::from(known.version)).ok();
        let right = if more == Some(0) {
            number == known.done
        } else {
            more.is_some_and(|more| known.settled + more == number) && number <= known.sent
        };
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
        // The same again, from one reconnect to the next.
        let mut writer = writer(5, 2);
        writer.found(2, 2).expect("none of the others");
        let numbers = [writer.next_number(), writer.next_number(), writer.next_number()];
        assert_eq!(numbers, [6, 7, 8]);
        writer.found(7, 4).expect("two of three");
        writer.found(7, 4).expect("nothing since");
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
