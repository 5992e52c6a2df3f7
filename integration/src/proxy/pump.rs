//! Carrying the bytes of one connection, under the conditions of its two directions.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::PathState;

/// Chunks that may be under way in one direction of a connection.
const CHUNKS_MAX: usize = 256;

/// The most bytes of a chunk.
const CHUNK: usize = 16 << 10;

/// What was read at once, and when it arrives.
struct Chunk {
    due: Instant,
    bytes: Bytes,
}

/// Serves one connection until it ends on a side or is reset. `there` is the condition of the
/// direction in which it was opened.
pub(super) async fn carry(
    near: TcpStream,
    target: SocketAddr,
    mut there: watch::Receiver<PathState>,
    mut back: watch::Receiver<PathState>,
) {
    let resets = (there.borrow().resets, back.borrow().resets);
    let reset = {
        let (mut there, mut back) = (there.clone(), back.clone());
        async move {
            tokio::select! {
                _ = there.wait_for(|state| state.resets != resets.0) => {}
                _ = back.wait_for(|state| state.resets != resets.1) => {}
            }
        }
    };
    // An error is how most connections end here; both sides are closed either way.
    let exchange = async {
        passable(&mut there).await;
        let far = TcpStream::connect(target).await?;
        far.set_nodelay(true)?;
        near.set_nodelay(true)?;
        abort_when_dropped(&far)?;
        abort_when_dropped(&near)?;
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        tokio::select! {
            _ = pump(near_read, far_write, there.clone()) => {}
            _ = pump(far_read, near_write, back.clone()) => {}
        }
        // The end of a connection does not pass a cut either.
        passable(&mut there).await;
        passable(&mut back).await;
        io::Result::Ok(())
    };
    tokio::select! {
        _ = exchange => {}
        () = reset => {}
    }
}

/// Makes the end of the connection a reset: neither side waits for more.
fn abort_when_dropped(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

async fn passable(path: &mut watch::Receiver<PathState>) {
    // The sender goes only with the whole proxy.
    let _ = path.wait_for(|state| !state.cut).await;
}

async fn pump(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    path: watch::Receiver<PathState>,
) -> io::Result<()> {
    let (chunks, arriving) = mpsc::channel(CHUNKS_MAX);
    let (read, written) =
        tokio::join!(read_chunks(from, chunks, path.clone()), write_chunks(to, arriving, path));
    read.and(written)
}

async fn read_chunks(
    mut from: OwnedReadHalf,
    chunks: mpsc::Sender<Chunk>,
    path: watch::Receiver<PathState>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = tokio::select! {
            count = from.read(&mut buffer) => count?,
            () = chunks.closed() => return Ok(()),
        };
        let due = Instant::now() + path.borrow().delay;
        let chunk = Chunk { due, bytes: Bytes::copy_from_slice(&buffer[..count]) };
        if chunks.send(chunk).await.is_err() || count == 0 {
            return Ok(());
        }
    }
}

async fn write_chunks(
    mut to: OwnedWriteHalf,
    mut arriving: mpsc::Receiver<Chunk>,
    mut path: watch::Receiver<PathState>,
) -> io::Result<()> {
    while let Some(chunk) = arriving.recv().await {
        sleep_until(chunk.due).await;
        passable(&mut path).await;
        if chunk.bytes.is_empty() {
            return Ok(());
        }
        let busy = path.borrow_and_update().time_of(chunk.bytes.len());
        to.write_all(&chunk.bytes).await?;
        if !busy.is_zero() {
            // What a slow path owes ends with its slowness.
            tokio::select! {
                () = sleep_until(Instant::now() + busy) => {}
                _ = path.changed() => {}
            }
        }
    }
    Ok(())
}
