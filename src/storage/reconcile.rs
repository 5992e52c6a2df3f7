//! Makes the log and the checkpoint of one server fit together.

use super::log::LogState;
use super::{LogPosition, RaftLog, StateDb, StorageError};

/// Sees to it that the log begins at the checkpoint or in front of it, and goes on behind it, before anybody
/// relies on either.
///
/// A loss of power may leave a log that ends before its checkpoint, or that has at its place an entry which
/// the ensemble has replaced meanwhile: a checkpoint that another server sent is stored before the log is
/// purged, and earlier versions stored one of their own before their log was flushed. What the checkpoint
/// holds is committed. So whatever the log has that does not lead up to it is not, and the log is made to
/// begin behind it, as after a purge. Votes stay.
///
/// # Errors
///
/// [`StorageError::Corrupt`] where no crash leads to what is found: entries between the two are missing, the
/// log is new, or it goes on where the ensemble cannot have gone on. [`StorageError::Io`].
pub fn reconcile(log: &RaftLog, state: &StateDb) -> Result<(), StorageError> {
    let checkpoint = state.mark().position;
    if checkpoint.is_some() && log.vote().is_none() {
        let what = "there is a checkpoint, but the log is new: the directory `log` was lost";
        return Err(StorageError::corrupt(&log.path(), 0, what));
    }
    let LogState { purged, last } = log.state();
    if let Some(purged) = purged
        && checkpoint.is_none_or(|at| purged.index > at.index || purged.term > at.term)
    {
        let what = format!(
            "the checkpoint stands at {}, but the log begins behind {purged}: entries in between are missing. \
             The two files are not of one moment",
            checkpoint.map_or_else(|| "the beginning".to_owned(), |at| at.to_string()),
        );
        return Err(StorageError::corrupt(state.path(), 0, what));
    }
    let Some(checkpoint) = checkpoint else { return Ok(()) };
    let entry = log.read(checkpoint.index..checkpoint.index + 1)?.pop().map(|entry| entry.position);
    match entry.or(purged.filter(|purged| purged.index == checkpoint.index)) {
        Some(found) if found == checkpoint => Ok(()),
        Some(found) if found.term > checkpoint.term => {
            let what = format!(
                "the checkpoint stands at {checkpoint}, but the log has {found} there. The two files are not of \
                 one server"
            );
            Err(StorageError::corrupt(state.path(), 0, what))
        }
        Some(_) | None => begin_behind(log, last, checkpoint),
    }
}

fn begin_behind(
    log: &RaftLog,
    last: Option<LogPosition>,
    checkpoint: LogPosition,
) -> Result<(), StorageError> {
    let last = last.map_or_else(|| "its beginning".to_owned(), |last| last.to_string());
    tracing::info!(
        "the log stands at {last} and does not lead up to the checkpoint, at {checkpoint}: it begins there"
    );
    log.truncate(checkpoint.index + 1);
    log.purge(checkpoint, Box::new(|_| ()));
    let flushed = log.flush().wait();
    flushed.map_err(StorageError::io("flush", &log.path()))
}
