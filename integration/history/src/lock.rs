//! Locks: who held one, and for how long it is certain.

use std::time::Duration;

use super::{Anomaly, Promise};

/// A time for which a client certainly held a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The lock.
    pub path: String,
    /// Who held it.
    pub session: i64,
    /// The answer to the create had come.
    pub from: Duration,
    /// The request to delete was not yet sent, and the session could not have expired: its timeout
    /// had not passed since the last answered request was sent.
    pub until: Duration,
}

/// Finds locks that two sessions held at once.
#[must_use]
pub fn check(holds: &[Hold]) -> Vec<Anomaly> {
    let mut sorted: Vec<&Hold> = holds.iter().filter(|hold| hold.from < hold.until).collect();
    sorted.sort_by(|one, other| (&one.path, one.from).cmp(&(&other.path, other.from)));
    let mut anomalies = Vec::new();
    let mut longest: Option<&Hold> = None;
    for hold in sorted {
        if let Some(known) = longest.filter(|known| known.path == hold.path) {
            if hold.from < known.until && hold.session != known.session {
                anomalies
                    .push(Anomaly::new(Promise::OneHolder, format!("{known:x?} and {hold:x?}")));
            }
            if known.until > hold.until {
                continue;
            }
        }
        longest = Some(hold);
    }
    anomalies
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Hold, check};

    fn hold(path: &str, session: i64, from: u64, until: u64) -> Hold {
        let (from, until) = (Duration::from_millis(from), Duration::from_millis(until));
        Hold { path: path.into(), session, from, until }
    }

    #[test]
    fn two_holders_are_found() {
        // Overlapping times of two sessions, also when a short one lies between.
        assert_eq!(check(&[hold("/a", 1, 0, 9), hold("/a", 2, 5, 12)]).len(), 1);
        let nested = [hold("/a", 1, 0, 100), hold("/a", 1, 5, 6), hold("/a", 2, 50, 60)];
        assert_eq!(check(&nested).len(), 1);
    }

    #[test]
    fn one_after_the_other_passes() {
        // Neighbouring times, other locks, and times that are not certain at all.
        let fine = [
            hold("/a", 1, 0, 9),
            hold("/a", 2, 9, 12),
            hold("/b", 3, 3, 8),
            hold("/a", 4, 11, 10),
            hold("/a", 5, 13, 14),
        ];
        assert_eq!(check(&fine), []);
    }
}
