//! The task that writes the log where it is idle.

use openraft::async_runtime::WatchReceiver as _;
use tokio::sync::mpsc;

use super::node::{Raft, role};
use crate::consensus::status::Role;
use crate::env::task;
use crate::env::task::{Handle, RuntimeFlavor};
use crate::storage::RaftLog;
use crate::storage::log::InPlaceHooks;

/// Has small appends to an idle log written by a task, on the thread that proposed them and will apply
/// them: no thread has to wake up for the flush, and none after it. Needs a runtime with other
/// threads for everything else meanwhile. Not on a leader with peers: they are sent the entry while it is
/// written here, if it is by another thread.
pub(super) fn start(log: &RaftLog, raft: &Raft, has_peers: bool) {
    let runtime = Handle::current();
    if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
        return;
    }
    // One call that waits is as good as several.
    let (call, mut called) = mpsc::channel(1);
    let server = raft.server_metrics();
    let leads = move || role(server.borrow_watched().state) == Role::Leader;
    let in_place = log.write_in_place(InPlaceHooks {
        wanted: Box::new(move || !(has_peers && leads())),
        to_write: Box::new(move || {
            let _ = call.try_send(());
        }),
        // The thread that waits for the disk may be the one that looked for input, and the others
        // asleep: a task from outside wakes one of them.
        stuck: Box::new(move || drop(runtime.spawn(async {}))),
    });
    task::spawn(async move {
        while called.recv().await.is_some() {
            // Tasks that are ready, and input that is there, go first. Nothing is left behind on this
            // thread then that another one could not take over.
            task::yield_now().await;
            in_place.write();
        }
    });
}
