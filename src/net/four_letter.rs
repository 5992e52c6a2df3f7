//! Four-letter words: text in, text out, socket closed.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::server::Shared;

/// A word that is known, whether or not it is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word([u8; 4]);

const KNOWN: [&[u8; 4]; 4] = [b"ruok", b"srvr", b"stat", b"isro"];

impl Word {
    /// The word that these four bytes are, if they are one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let known = KNOWN.into_iter().find(|known| bytes == *known)?;
        Some(Self(*known))
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Answers a word and closes the connection.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    word: Word,
    stream: &mut TcpStream,
    _input: &mut BytesMut,
) {
    let text = match word.as_str() {
        "ruok" => "imok".to_owned(),
        "isro" => "rw".to_owned(),
        _ => server_text(shared),
    };
    // The client may be gone; there is nobody to tell.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn server_text(shared: &Shared) -> String {
    let latency = shared.stats.latency_us.read();
    let replica = shared.replica.read();
    format!(
        "Zookeeper version: 3.9.3-grovekeeper-{}\nLatency min/avg/max: {}/{:.4}/{}\nReceived: {}\nSent: {}\n\
         Connections: {}\nOutstanding: {}\nZxid: 0x{:x}\nMode: standalone\nNode count: {}\n",
        env!("CARGO_PKG_VERSION"),
        latency.min / 1000,
        latency.mean() / 1000.0,
        latency.max / 1000,
        shared.stats.packets_received.get(),
        shared.stats.packets_sent.get(),
        shared.clients.len(),
        shared.stats.outstanding(),
        replica.last_zxid().0,
        replica.tree().node_count(),
    )
}
