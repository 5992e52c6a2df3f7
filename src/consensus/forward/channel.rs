//! A connection as two bounded queues of messages, so that neither side's loop ever waits for a
//! socket.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::split;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::transport::PeerStream;
use super::super::transport::frame::Frames;
use super::super::transport::frame::Room;
use super::super::transport::frame::send;

/// Messages that may wait in either direction.
const WAITING_MAX: usize = 32;

/// A connection on which `Out` goes and `In` comes. Dropping it ends it.
#[derive(Debug)]
pub(super) struct ForwardChannel<Out, In> {
    pub(super) to_send: mpsc::Sender<Out>,
    received: mpsc::Receiver<In>,
    tasks: [JoinHandle<()>; 2],
}

impl<Out, In> ForwardChannel<Out, In>
where
    Out: Serialize + Send + Sync + 'static,
    In: DeserializeOwned + Send + 'static,
{
    /// `room` is where long messages come in.
    pub(super) fn new(stream: PeerStream, room: Room) -> Self {
        let (mut reader, mut writer) = split(stream);
        let (to_send, mut outgoing) = mpsc::channel::<Out>(WAITING_MAX);
        let (incoming, received) = mpsc::channel(WAITING_MAX);
        let reading = async move {
            let mut frames = Frames::new(room);
            while let Ok(message) = frames.next(&mut reader).await {
                if incoming.send(message).await.is_err() {
                    return;
                }
            }
        };
        let writing = async move {
            while let Some(message) = outgoing.recv().await {
                if let Err(error) = send(&mut writer, &message).await {
                    return tracing::debug!("a connection for forwarding broke: {error}");
                }
            }
        };
        Self { to_send, received, tasks: [tokio::spawn(reading), tokio::spawn(writing)] }
    }

    /// Queues a message; `None` where the connection is broken.
    pub(super) async fn send(&self, message: Out) -> Option<()> {
        self.to_send.send(message).await.ok()
    }

    /// The next message; `None` where the connection is broken. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Option<In> {
        self.received.recv().await
    }
}

impl<Out, In> Drop for ForwardChannel<Out, In> {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
