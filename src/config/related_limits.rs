//! Limits that depend on each other, and on what travels between servers.
//!
//! A file that was written for ZooKeeper may ask for more. The server starts all the same, and says which
//! limit holds.

use kernel::limits::REQUEST_LEN_MAX;

use super::draft::Draft;
use super::types::Notice;

const PACKETS: &str = "jute.maxbuffer";
const LARGE: &str = "largeRequestMaxBytes";

/// Makes the limits fit together; what a line asks for in vain is told.
pub(super) fn related_limits(draft: &mut Draft) {
    let limits = &mut draft.config.limits;
    let mut tell = |line, key: &str, reason| {
        draft.config.warnings.push(Notice { line, key: key.to_owned(), reason });
    };
    if limits.jute_max_buffer > REQUEST_LEN_MAX {
        let reason = format!(
            "requests of more than {REQUEST_LEN_MAX} bytes are refused all the same: servers send each \
             other no more"
        );
        tell(draft.packets_line, PACKETS, reason);
        limits.jute_max_buffer = REQUEST_LEN_MAX;
    }
    let (packet_max, large_max) = (limits.jute_max_buffer as u64, limits.large_request_max_bytes);
    let threshold = limits.large_request_threshold_bytes;
    if threshold.is_some_and(|threshold| threshold < packet_max) && large_max < packet_max {
        let reason = format!(
            "requests of more than {large_max} bytes are always refused, though {PACKETS} allows \
             {packet_max}"
        );
        tell(draft.large_line, LARGE, reason);
    }
}

#[cfg(test)]
mod tests {
    use kernel::limits::REQUEST_LEN_MAX;

    use crate::config::Config;

    fn load(lines: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("zoo.cfg");
        let data = dir.path().join("data");
        let text = format!("dataDir={}\nclientPort=2181\n{lines}", data.display());
        std::fs::write(&file, text).unwrap();
        Config::load(&file).unwrap()
    }

    #[test]
    fn no_request_is_taken_that_could_not_be_replicated() {
        // More than servers send each other is not allowed by a larger jute.maxbuffer, which is told with its
        // line; up to that the file decides.
        let config = load("jute.maxbuffer=104857600\n");
        assert_eq!(config.limits.jute_max_buffer, REQUEST_LEN_MAX);
        let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
        assert_eq!((warning.line, warning.key.as_str()), (3, "jute.maxbuffer"));
        assert!(warning.reason.contains(&REQUEST_LEN_MAX.to_string()), "{}", warning.reason);
        let config = load(&format!("jute.maxbuffer={REQUEST_LEN_MAX}\n"));
        assert_eq!((config.limits.jute_max_buffer, config.warnings), (REQUEST_LEN_MAX, vec![]));
    }

    #[test]
    fn a_limit_that_another_one_contradicts_is_told() {
        // What jute.maxbuffer allows and largeRequestMaxBytes can never admit is said at the start.
        let config = load("largeRequestThreshold=1000\nlargeRequestMaxBytes=5000\n");
        let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
        assert_eq!((warning.line, warning.key.as_str()), (4, "largeRequestMaxBytes"));
        assert!(warning.reason.contains("jute.maxbuffer"), "{}", warning.reason);
        for fine in ["largeRequestMaxBytes=5000\n", "largeRequestThreshold=1000\n"] {
            assert_eq!(load(fine).warnings, [], "{fine}");
        }
    }
}
