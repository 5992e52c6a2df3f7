//! What the system says of this process.

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::env::fs;
use crate::telemetry::ProcessGauges;

/// Reads it; what the system does not say is absent.
pub fn gauges() -> ProcessGauges {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    ProcessGauges {
        open_fds: open_fds(),
        max_fds: getrlimit(Resource::Nofile).current,
        resident_bytes: resident_bytes(),
        cpu_seconds: Some(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9),
    }
}

fn open_fds() -> Option<u64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // Listing the folder is an open file too.
    Some(count.saturating_sub(1))
}

fn resident_bytes() -> Option<u64> {
    kib_of(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS").map(|kib| kib * 1024)
}

/// The number of a line `Key:   123 kB`, as the files under `/proc` have them.
pub(super) fn kib_of(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_files_and_memory() {
        // On Linux all of it is known, and plausible.
        let gauges = gauges();
        assert!(gauges.open_fds.is_some_and(|count| count >= 3), "{gauges:?}");
        assert!(gauges.max_fds >= gauges.open_fds);
        assert!(gauges.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{gauges:?}");
        assert!(gauges.cpu_seconds.is_some_and(|seconds| seconds > 0.0));
    }

    #[test]
    fn lines_of_proc_are_numbers_of_kilobytes() {
        // Keys are matched whole; what is no number is absent.
        let text = "VmRSSx:\t7 kB\nVmRSS:\t  123 kB\nName:\tx\n";
        assert_eq!(kib_of(text, "VmRSS"), Some(123));
        assert_eq!(kib_of(text, "Name"), None);
        assert_eq!(kib_of(text, "Vm"), None);
    }
}
