//! Connections that a leader opened to this follower, because this one cannot reach it
//! (see `forward::reverse_dial`).

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::consensus::transport::PeerStream;

/// The newest connection that a leader opened and that is not in use yet.
#[derive(Debug, Default)]
pub(crate) struct ReverseDials {
    newest: Mutex<Option<(u64, PeerStream)>>,
    came: Notify,
}

impl ReverseDials {
    /// Server `from` has opened a connection.
    pub(crate) fn offer(&self, from: u64, stream: PeerStream) {
        *self.newest.lock() = Some((from, stream));
        self.came.notify_one();
    }

    /// Waits for a connection that `leader` has opened. Cancel-safe.
    pub(crate) async fn take(&self, leader: u64) -> PeerStream {
        loop {
            if let Some((_, stream)) = self.newest.lock().take_if(|(from, _)| *from == leader) {
                return stream;
            }
            self.came.notified().await;
        }
    }
}
