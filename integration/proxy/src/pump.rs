//! Carrying the bytes of one connection, under the conditions of its two directions.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
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

/// One connection and the conditions under which it is.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    /// Counts the connections of the network.
    pub(super) number: u64,
    /// The direction in which it was opened.
    pub(super) there: watch::Receiver<PathState>,
    pub(super) back: watch::Receiver<PathState>,
}

/// Serves one connection until it ends on a side or is reset.
pub(super) async fn carry(near: TcpStream, target: SocketAddr, connection: Connection) {
    let (mut there, mut back) = (connection.there.clone(), connection.back.clone());
    let resets = (there.borrow().resets, back.borrow().resets);
    let reset = async move {
        tokio::select! {
            _ = there.wait_for(|state| state.resets != resets.0) => {}
            _ = back.wait_for(|state| state.resets != resets.1) => {}
        }
    };
    tokio::select! {
        // An error is how most connections end here; both sides are closed either way.
        _ = exchange(near, target, connection) => {}
        () = reset => {}
    }
}

async fn exchange(near: TcpStream, target: SocketAddr, connection: Connection) -> io::Result<()> {
    let Connection { number, mut there, mut back } = connection;
    passable(&mut there).await;
    let far = TcpStream::connect(target).await?;
    far.set_nodelay(true)?;
    near.set_nodelay(true)?;
    abort_when_dropped(&far)?;
    abort_when_dropped(&near)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let goes = pump(near_read, far_write, there.clone(), number);
    let comes = pump(far_read, near_write, back.clone(), number);
    tokio::pin!(goes, comes);
    // What is held back when a side ends is still on its way to the other one.
    tokio::select! {
        _ = &mut goes => {
            if is_held(&back, number) {
                let _ = comes.await;
            }
        }
        _ = &mut comes => {
            if is_held(&there, number) {
                let _ = goes.await;
            }
        }
    }
    // The end of a connection does not pass a cut either.
    passable(&mut there).await;
    passable(&mut back).await;
    Ok(())
}

fn is_held(path: &watch::Receiver<PathState>, connection: u64) -> bool {
    path.borrow().holds(connection).is_some()
}

/// Makes the end of the connection a reset: neither side waits for more.
fn abort_when_dropped(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

async fn passable(path: &mut watch::Receiver<PathState>) {
    // The sender goes only with the whole proxy.
    let _ = path.wait_for(|state| !state.cut).await;
}

/// Waits until it is the turn of the next chunk.
async fn turn(path: &mut watch::Receiver<PathState>, connection: u64) {
    loop {
        let Some(held) = path.borrow_and_update().holds(connection) else { return };
        let trickle = async {
            match held.trickle {
                Some(trickle) => sleep_until(Instant::now() + trickle).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = path.changed() => if changed.is_err() { return },
            () = trickle => return,
        }
    }
}

async fn pump(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    path: watch::Receiver<PathState>,
    connection: u64,
) -> io::Result<()> {
    let (chunks, arriving) = mpsc::channel(CHUNKS_MAX);
    let reading = read_chunks(from, chunks, path.clone());
    let (read, written) = tokio::join!(reading, write_chunks(to, arriving, path, connection));
    read.and(written)
}

async fn read_chunks(
    mut from: OwnedReadHalf,
    chunks: mpsc::Sender<Chunk>,
    mut path: watch::Receiver<PathState>,
) -> io::Result<()> {
    let partings = path.borrow().partings;
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = tokio::select! {
            // What was sent before the connection ends is still taken.
            biased;
            count = from.read(&mut buffer) => count?,
            () = chunks.closed() => return Ok(()),
            _ = path.wait_for(|state| state.partings != partings) => {
                return SockRef::from(from.as_ref()).shutdown(Shutdown::Both);
            }
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
    connection: u64,
) -> io::Result<()> {
    while let Some(chunk) = arriving.recv().await {
        sleep_until(chunk.due).await;
        passable(&mut path).await;
        turn(&mut path, connection).await;
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
