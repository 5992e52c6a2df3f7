//! How much processor time processes have used.

use std::ops::{AddAssign, Sub};

/// Processor time in seconds, user and system together; `None` where it cannot be known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Processor {
    /// Of the servers, all together.
    pub(super) servers: Option<f64>,
    /// Of the load generator.
    pub(super) loader: Option<f64>,
}

impl Processor {
    /// What the processes with these ids, and this one, have used so far.
    pub(super) fn read(pids: &[u32]) -> Self {
        let servers = pids.iter().map(|pid| used(&format!("/proc/{pid}/stat"))).sum();
        Self {
            servers: if pids.is_empty() { None } else { servers },
            loader: used("/proc/self/stat"),
        }
    }
}

impl Sub for Processor {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let less = |now: Option<f64>, before: Option<f64>| Some(now? - before?);
        Self {
            servers: less(self.servers, before.servers),
            loader: less(self.loader, before.loader),
        }
    }
}

impl AddAssign for Processor {
    fn add_assign(&mut self, other: Self) {
        let sum = |one: Option<f64>, other: Option<f64>| Some(one.unwrap_or_default() + other?);
        self.servers = sum(self.servers, other.servers);
        self.loader = sum(self.loader, other.loader);
    }
}

/// The times in a file as proc(5) describes it: fields 14 and 15, in clock ticks.
fn used(file: &str) -> Option<f64> {
    parse(&std::fs::read_to_string(file).ok()?)
}

fn parse(stat: &str) -> Option<f64> {
    // The name of the program stands in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    #[expect(clippy::cast_precision_loss, reason = "ticks are 100 or 1000 a second")]
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    Some((user + system) / ticks_per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_name() {
        // A program may have parentheses and spaces in its name.
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(parse(stat), Some(200.0 / ticks));
        assert_eq!(parse("7 (a) S 1"), None);
    }

    #[test]
    fn a_process_that_is_gone_makes_the_sum_unknown() {
        // A sum that leaves out a server would look better than it is.
        let own = std::process::id();
        let (one, gone) = (Processor::read(&[own]), Processor::read(&[own, u32::MAX]));
        assert_eq!((one.servers.is_some(), one.loader.is_some()), (true, true));
        assert_eq!((gone.servers, Processor::read(&[]).servers), (None, None));
        let mut total = Processor::default();
        total += one - one;
        assert_eq!(total.servers, Some(0.0));
    }
}
