//! What stays of a round that went wrong: its faults, anomalies and histories, beside the servers'
//! logs and data.

use std::fmt::Write as _;
use std::path::Path;

use super::round::Played;
use super::verify::Checked;

/// Writes `round-N.txt` into `folder`.
///
/// # Errors
///
/// When the file cannot be written.
pub(super) fn save(
    folder: &Path,
    round: u64,
    played: &Played,
    checked: &Checked,
) -> std::io::Result<()> {
    let mut text = String::from("# anomalies\n");
    for anomaly in &checked.anomalies {
        let _ = writeln!(text, "{anomaly}");
    }
    let _ = write!(text, "\n# faults, in seconds of the run\n{}", played.faults());
    for history in &checked.histories {
        let _ = write!(text, "\n# a register's history\n{history}");
    }
    std::fs::write(folder.join(format!("round-{round}.txt")), text)
}
