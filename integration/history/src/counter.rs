//! A counter of one client that asks for one increment after the other and is to have each once.

use super::{Anomaly, Promise};

/// What became of an increment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Increment {
    /// Done, and the counter stood here then.
    Done(i64),
    /// Certainly not done.
    Refused,
    /// No answer came.
    Unknown,
}

/// Checks increments of a counter that began at 0, in the order in which they were asked for, and what it
/// held at the end: each that was answered was done once, in that order; one without an answer at most once.
#[must_use]
pub fn check(path: &str, increments: &[Increment], held: i64) -> Vec<Anomaly> {
    let mut anomalies = Vec::new();
    // What the counter may hold: more where increments had no answer.
    let (mut least, mut most) = (0, 0);
    for (at, increment) in increments.iter().enumerate() {
        match *increment {
            Increment::Done(value) => {
                if !(least + 1..=most + 1).contains(&value) {
                    let detail =
                        format!("{path}: increment {at} made {value}, of {least}..={most}");
                    anomalies.push(Anomaly::new(Promise::Once, detail));
                }
                (least, most) = (value, value);
            }
            Increment::Refused => {}
            Increment::Unknown => most += 1,
        }
    }
    if !(least..=most).contains(&held) {
        let detail = format!("{path} holds {held} in the end, not {least}..={most}");
        anomalies.push(Anomaly::new(Promise::Once, detail));
    }
    anomalies
}

#[cfg(test)]
mod tests {
    use super::Increment::{Done, Refused, Unknown};
    use super::check;

    #[test]
    fn a_counter_that_counts_each_increment_once_passes() {
        // One without an answer was done or not, and one that was refused was not.
        let increments = [Done(1), Refused, Done(2), Unknown, Unknown, Done(4), Unknown];
        for held in [4, 5] {
            assert_eq!(check("/n", &increments, held), []);
        }
        assert_eq!(check("/n", &[], 0), []);
    }

    #[test]
    fn a_doubled_or_lost_increment_is_found() {
        // In an answer that skips or repeats a value, and in what the counter holds at the end.
        for (increments, held) in [
            (&[Done(1), Done(3)][..], 3),
            (&[Done(1), Done(1)], 1),
            (&[Done(1), Done(2)], 3),
            (&[Done(1), Done(2)], 1),
            (&[Done(1), Unknown], 3),
            (&[Done(1), Unknown, Done(4)], 4),
            (&[Refused], 1),
        ] {
            assert_eq!(check("/n", increments, held).len(), 1, "{increments:?} {held}");
        }
    }
}
