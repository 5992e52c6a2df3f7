//! What stays of a round: its faults, anomalies and the histories that are wrong, beside the
//! servers' logs and data.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::round::Played;
use super::verify::Checked;

/// Writes `round-N.txt` into `folder`.
///
/// # Errors
///
/// When the file cannot be written.
pub(super) fn save(
    folder: &Path,
    (round, began): (u64, SystemTime),
    played: &Played,
    checked: &Checked,
) -> std::io::Result<()> {
    let mut text = String::from("# anomalies\n");
    for anomaly in &checked.anomalies {
        let _ = writeln!(text, "{anomaly}");
    }
    let began = began.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let (seconds, millis) = (began / 1_000, began % 1_000);
    let (hours, minutes) = (seconds / 3_600 % 24, seconds / 60 % 60);
    let _ = write!(text, "\n# faults, in seconds of the run, which began at ");
    let _ = writeln!(text, "{hours:02}:{minutes:02}:{:02}.{millis:03} UTC", seconds % 60);
    text.push_str(&played.faults());
    let _ = write!(text, "\n# a majority is\n{}", played.majorities());
    for history in &checked.histories {
        let _ = write!(text, "\n# a register's history\n{history}");
    }
    std::fs::write(folder.join(format!("round-{round}.txt")), text)
}
