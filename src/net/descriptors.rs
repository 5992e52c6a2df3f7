//! File descriptors: each connection is one, and so is each file.
//!
//! A server without descriptors could open no segment of its log. So it asks the system for as many as it may
//! have, and connections of clients leave some for what the others depend on.

use std::os::fd::AsRawFd;

use rustix::process::{Resource, getrlimit, setrlimit};

/// What clients leave: for the log, the checkpoint, the other servers and operators.
const RESERVED_MIN: u64 = 64;
const RESERVED_MAX: u64 = 512;

/// How many descriptors clients may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// Those with a number from here on are not for clients; `None` where there is no limit.
    end: Option<u64>,
}

impl Descriptors {
    /// Raises the limit of this process to what the system lets it have.
    pub fn raise_limit() -> Self {
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current != limit.maximum {
            limit.current = limit.maximum;
            if let Err(error) = setrlimit(Resource::Nofile, limit) {
                tracing::warn!("cannot raise the limit of open files: {error}");
            }
        }
        Self::of_limit(getrlimit(Resource::Nofile).current)
    }

    fn of_limit(limit: Option<u64>) -> Self {
        let reserved = |limit: u64| (limit / 4).clamp(RESERVED_MIN, RESERVED_MAX);
        Self { end: limit.map(|limit| limit.saturating_sub(reserved(limit)).max(limit / 2)) }
    }

    /// Whether the descriptor of a client leaves enough of them. The system gives the least number that is
    /// free, so that one with a high number tells how many are in use.
    pub fn leave_enough(self, client: &impl AsRawFd) -> bool {
        let number = u64::try_from(client.as_raw_fd()).unwrap_or(0);
        self.end.is_none_or(|end| number < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbered(i32);

    impl AsRawFd for Numbered {
        fn as_raw_fd(&self) -> i32 {
            self.0
        }
    }

    #[test]
    fn clients_leave_some_for_the_rest() {
        // A quarter, but never more than is enough, and never all that clients could have.
        let table = [(1024, 768), (100, 50), (256, 192), (1 << 20, (1 << 20) - 512)];
        for (limit, end) in table {
            let descriptors = Descriptors::of_limit(Some(limit));
            assert_eq!(descriptors.end, Some(end), "{limit}");
            let end = i32::try_from(end).unwrap();
            assert!(descriptors.leave_enough(&Numbered(end - 1)));
            assert!(!descriptors.leave_enough(&Numbered(end)));
        }
        assert!(Descriptors::of_limit(None).leave_enough(&Numbered(i32::MAX)));
    }

    #[test]
    fn the_limit_is_the_highest_there_may_be() {
        // What the system allows is asked for, once; asking again changes nothing.
        let raised = Descriptors::raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(Descriptors::raise_limit(), raised);
    }
}
