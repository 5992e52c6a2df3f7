//! Sends a checkpoint to a server that is too far behind for the log.
//!
//! The rows are read on a thread of their own, as fast as the other server takes them. Several
//! blocks are on their way at once. When the connection breaks, the transfer goes on over the next
//! one from the first block that did not arrive, out of the same read transaction.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::sync::mpsc;

use super::dialer::Dialer;
use super::frame::FRAME_LEN_MAX;
use super::frame::receive;
use super::frame::send;
use super::handshake::hello::Purpose;
use super::message::{Request, Response, SnapshotMeta, SnapshotResponse, WireBlock};
use super::stream::{PeerStream, Wire};
use crate::env::task;
use crate::env::time::{Instant, sleep, timeout};
use crate::storage::{Row, RowBlock, RowsSoFar, StorageError, Vote};

/// The rows of a checkpoint on their way to, or from, another server.
pub(crate) struct SnapshotRows(
    pub(crate) Box<dyn Iterator<Item = Result<Row, StorageError>> + Send>,
);

/// Rows are sent in blocks of about this many bytes.
const BLOCK_BYTES_SOFT_MAX: usize = 256 << 10;

/// So many blocks may be on their way, or wait for the answer that they came.
const BLOCKS_ON_THE_WAY_MAX: usize = 8;

/// So many blocks are read ahead.
const BLOCKS_AHEAD_MAX: usize = 2;

/// How long the other server may be silent, and a transfer be without progress.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long a broken transfer waits before the first try to go on; it doubles with each.
const RETRY_FIRST: Duration = Duration::from_millis(20);

/// The longest that it waits.
const RETRY_LAST: Duration = Duration::from_secs(1);

const _: () = assert!(BLOCK_BYTES_SOFT_MAX < FRAME_LEN_MAX / 2);

/// Why a transfer ended.
#[derive(Debug)]
pub(crate) enum TransferError {
    /// The connection broke: it can go on over another one.
    Broken(io::Error),
    /// The rows cannot be read, or are not those that the other server has: the next transfer has
    /// to begin anew.
    Anew(String),
    /// This transfer cannot go on; the next one can continue.
    Ended(String),
}

impl std::fmt::Display for TransferError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(error) => error.fmt(f),
            Self::Anew(what) | Self::Ended(what) => f.write_str(what),
        }
    }
}

impl From<io::Error> for TransferError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// What the thread that reads rows has to say.
enum Piece {
    Block(WireBlock),
    /// All rows were read.
    End(RowsSoFar),
    /// A row cannot be read, or the first rows are not those that the other server has.
    Failed(String),
}

/// One checkpoint on its way out.
pub(crate) struct Transfer {
    vote: Vote,
    meta: SnapshotMeta,
    anew: bool,
    /// The rows, until it is known how many of them the other server has.
    rows: Option<SnapshotRows>,
    pieces: mpsc::Receiver<Piece>,
    /// Blocks that are not known to have arrived, in order.
    open: VecDeque<WireBlock>,
    /// The row behind the last block that is known to have arrived.
    arrived: u64,
    total: Option<RowsSoFar>,
}

impl Transfer {
    /// Will send `rows`. Where it is `anew`, what the other server has of them is sent again.
    pub(super) fn new(vote: Vote, meta: SnapshotMeta, rows: SnapshotRows, anew: bool) -> Self {
        // Replaced when the thread is started.
        let (_, pieces) = mpsc::channel(1);
        let (rows, open) = (Some(rows), VecDeque::new());
        Self { vote, meta, anew, rows, pieces, open, arrived: 0, total: None }
    }

    /// Sends everything, over as many connections as it takes.
    pub(super) async fn run(
        mut self,
        dialer: &Dialer,
        target: u64,
        address: &str,
    ) -> Result<SnapshotResponse, TransferError> {
        let (mut progress, mut pause) = ((0, Instant::now()), RETRY_FIRST);
        loop {
            let error = match self.attempt(dialer, target, address).await {
                Err(TransferError::Broken(error)) => error,
                ended => return ended,
            };
            if self.arrived > progress.0 {
                (progress, pause) = ((self.arrived, Instant::now()), RETRY_FIRST);
            }
            if progress.1.elapsed() > SILENCE_MAX {
                return Err(TransferError::Ended(error.to_string()));
            }
            tracing::info!("the checkpoint on its way to server {target} was stopped: {error}");
            sleep(pause).await;
            pause = RETRY_LAST.min(pause * 2);
        }
    }

    async fn attempt(
        &mut self,
        dialer: &Dialer,
        target: u64,
        address: &str,
    ) -> Result<SnapshotResponse, TransferError> {
        let mut stream: PeerStream = dialer.dial(target, address, Purpose::Raft).await?;
        self.over(&mut stream).await
    }

    /// Sends what is left over one connection.
    async fn over(&mut self, stream: &mut impl Wire) -> Result<SnapshotResponse, TransferError> {
        let (vote, meta) = (self.vote, self.meta.clone());
        send_request(stream, &Request::BeginSnapshot { vote, meta, anew: self.anew }).await?;
        let response = receive_response(stream).await?;
        if let Response::Snapshot(response) = response {
            return Ok(response);
        }
        let Response::Continue(there) = response else { return Err(unexpected_answer()) };
        self.go_on(there)?;
        let mut sent = 0;
        loop {
            if let Some(block) = self.open.get(sent) {
                send_request(stream, &Request::Rows(block.clone())).await?;
                sent += 1;
            } else if self.total.is_none() && self.open.len() < BLOCKS_ON_THE_WAY_MAX {
                self.read().await?;
            } else if sent > 0 {
                let Response::Taken = receive_response(stream).await? else {
                    return Err(unexpected_answer());
                };
                sent -= 1;
                self.arrived = self.open.pop_front().map_or(self.arrived, |block| block.end());
            } else {
                break;
            }
        }
        let Some(total) = self.total else { return Err(unexpected_answer()) };
        send_request(stream, &Request::EndSnapshot(total)).await?;
        let Response::Snapshot(response) = receive_response(stream).await? else {
            return Err(unexpected_answer());
        };
        Ok(response)
    }

    /// Finds the place where the transfer goes on, when the other server has `there` already.
    fn go_on(&mut self, there: RowsSoFar) -> Result<(), TransferError> {
        // Only the first connection may find rows that are to be dropped.
        self.anew = false;
        if let Some(rows) = self.rows.take() {
            self.pieces = read_on_thread(rows, there);
            self.arrived = there.rows;
            return Ok(());
        }
        while let Some(end) = self.open.front().map(WireBlock::end).filter(|e| *e <= there.rows) {
            self.open.pop_front();
            self.arrived = end;
        }
        if self.arrived == there.rows {
            return Ok(());
        }
        let (here, there) = (self.arrived, there.rows);
        Err(TransferError::Ended(format!("it has {there} rows, though {here} were taken")))
    }

    /// Waits for the next block, or the end.
    async fn read(&mut self) -> Result<(), TransferError> {
        match self.pieces.recv().await {
            Some(Piece::Block(block)) => self.open.push_back(block),
            Some(Piece::End(total)) => self.total = Some(total),
            Some(Piece::Failed(what)) => return Err(TransferError::Anew(what)),
            None => {
                let what = "the thread that reads its rows has ended".to_owned();
                return Err(TransferError::Anew(what));
            }
        }
        Ok(())
    }
}

async fn send_request(stream: &mut impl Wire, request: &Request) -> io::Result<()> {
    let sent = timeout(SILENCE_MAX, send(stream, request)).await;
    sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn receive_response(stream: &mut impl Wire) -> Result<Response, TransferError> {
    loop {
        let received = timeout(SILENCE_MAX, receive(stream)).await;
        let response: Response =
            received.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        if let Response::Failed(what) = response {
            return Err(TransferError::Broken(io::Error::other(what)));
        }
        if !matches!(response, Response::Working) {
            return Ok(response);
        }
    }
}

fn unexpected_answer() -> TransferError {
    let what = "it answers something else than it was asked";
    TransferError::Ended(what.to_owned())
}

/// Encodes rows on a thread of their own, from the one on that the other server lacks.
fn read_on_thread(rows: SnapshotRows, there: RowsSoFar) -> mpsc::Receiver<Piece> {
    let (sender, pieces) = mpsc::channel(BLOCKS_AHEAD_MAX);
    task::spawn_blocking(move || {
        let piece = read(rows, there, &sender).unwrap_or_else(Piece::Failed);
        // Nobody listens any more when the transfer was given up.
        let _ = sender.blocking_send(piece);
    });
    pieces
}

fn read(
    rows: SnapshotRows,
    there: RowsSoFar,
    sender: &mpsc::Sender<Piece>,
) -> Result<Piece, String> {
    let (mut block, mut so_far) = (RowBlock::default(), RowsSoFar::default());
    let mut rows = rows.0;
    loop {
        let row = rows.next();
        if let Some(row) = &row {
            let pushed = row.as_ref().map_err(ToString::to_string)?;
            block.push(pushed).map_err(|error| error.to_string())?;
        }
        let count = so_far.rows + u64::from(block.rows());
        let is_there = count <= there.rows;
        let is_full = block.bytes().len() >= BLOCK_BYTES_SOFT_MAX;
        if is_full || row.is_none() || count == there.rows {
            let first = so_far.rows;
            so_far = so_far.and(&block);
            if count == there.rows && so_far != there {
                return Err("the rows it has are not those of this checkpoint".to_owned());
            }
            let full = std::mem::take(&mut block);
            if !is_there && full.rows() > 0 {
                let piece = Piece::Block(WireBlock::new(first, full));
                if sender.blocking_send(piece).is_err() {
                    return Err("nobody wants the rest".to_owned());
                }
            }
        }
        if row.is_none() {
            break;
        }
    }
    if so_far.rows < there.rows {
        return Err("it has more rows than this checkpoint".to_owned());
    }
    Ok(Piece::End(so_far))
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;
    use crate::storage::Table;

    const ROWS: u64 = 60;
    const VOTE: Vote = Vote { term: 1, server: 1, committed: false };

    fn row(number: u64) -> Row {
        let key = number.to_be_bytes().to_vec().into();
        // Some rows fill a block alone.
        let len = if number.is_multiple_of(3) { BLOCK_BYTES_SOFT_MAX } else { 9000 };
        Row { table: Table::Nodes, key, value: Some(vec![1; len].into()) }
    }

    fn transfer(rows: u64) -> Transfer {
        let rows = SnapshotRows(Box::new((0..rows).map(|number| Ok(row(number)))));
        Transfer::new(VOTE, SnapshotMeta::default(), rows, false)
    }

    fn sum(rows: u64) -> RowsSoFar {
        let mut block = RowBlock::default();
        (0..rows).for_each(|number| block.push(&row(number)).unwrap());
        RowsSoFar::default().and(&block)
    }

    /// The other server: has some rows, takes `blocks` more, and goes away, or answers to the end.
    async fn other_server(stream: &mut DuplexStream, has: &mut RowsSoFar, mut blocks: usize) {
        while let Ok(request) = receive::<Request>(stream).await {
            let response = match request {
                Request::BeginSnapshot { .. } => Response::Continue(*has),
                Request::Rows(_) if blocks == 0 => return,
                Request::Rows(block) => {
                    assert_eq!(block.first, has.rows);
                    *has = has.and(&block.into());
                    blocks -= 1;
                    if send(stream, &Response::Working).await.is_err() {
                        return;
                    }
                    Response::Taken
                }
                Request::EndSnapshot(total) => {
                    assert_eq!(total, *has);
                    Response::Snapshot(SnapshotResponse { vote: VOTE })
                }
                Request::Append(_)
                | Request::Vote(_)
                | Request::PreVote(_)
                | Request::TransferLeader(_) => panic!("this is no transfer"),
            };
            if send(stream, &response).await.is_err() {
                return;
            }
        }
    }

    async fn meet(
        transfer: &mut Transfer,
        has: &mut RowsSoFar,
        blocks: usize,
    ) -> Result<(), TransferError> {
        let (mut here, mut there) = duplex(1 << 20);
        let sending = async {
            let sent = transfer.over(&mut here).await.map(drop);
            drop(here);
            sent
        };
        let answering = async {
            other_server(&mut there, has, blocks).await;
            drop(there);
        };
        tokio::join!(sending, answering).0
    }

    #[tokio::test]
    async fn a_transfer_goes_on_over_the_next_connection() {
        // However often the connection breaks, each row arrives once and in order.
        let (mut transfer, mut has) = (transfer(ROWS), RowsSoFar::default());
        for blocks in [0, 1, 5, 12] {
            let broken = meet(&mut transfer, &mut has, blocks).await;
            assert!(matches!(broken, Err(TransferError::Broken(_))), "{broken:?}");
        }
        meet(&mut transfer, &mut has, usize::MAX).await.unwrap();
        assert_eq!(has, sum(ROWS));
    }

    #[tokio::test]
    async fn another_transfer_of_the_same_rows_goes_on() {
        // A later leader sends only what is missing, wherever the first one stopped.
        for rows in [1, 7, ROWS] {
            let mut has = sum(rows);
            meet(&mut transfer(ROWS), &mut has, usize::MAX).await.unwrap();
            assert_eq!(has, sum(ROWS));
        }
    }

    #[tokio::test]
    async fn other_rows_are_not_continued() {
        // Rows that differ from those of this checkpoint, or are more, are never built upon.
        let mut differs = sum(7);
        differs.check ^= 1;
        for mut has in [differs, sum(ROWS + 1)] {
            let ended = meet(&mut transfer(ROWS), &mut has, usize::MAX).await;
            assert!(matches!(ended, Err(TransferError::Anew(_))), "{ended:?}");
        }
        // Nor is a transfer whose rows got lost at the other end.
        let (mut transfer, mut has) = (transfer(ROWS), RowsSoFar::default());
        // More than may be on their way at once: some of them are known to have arrived.
        meet(&mut transfer, &mut has, BLOCKS_ON_THE_WAY_MAX + 4).await.unwrap_err();
        let ended = meet(&mut transfer, &mut RowsSoFar::default(), usize::MAX).await;
        assert!(matches!(ended, Err(TransferError::Ended(_))), "{ended:?}");
    }

    #[tokio::test]
    async fn rows_that_cannot_be_read_are_not_sent() {
        // An error of the own disk ends the transfer: it is not taken for the end of the rows.
        let failing = (0..9).map(|number| match number {
            8 => Err(StorageError::State { what: "unreadable".to_owned() }),
            number => Ok(row(number)),
        });
        let rows = SnapshotRows(Box::new(failing));
        let mut transfer = Transfer::new(VOTE, SnapshotMeta::default(), rows, false);
        let ended = meet(&mut transfer, &mut RowsSoFar::default(), usize::MAX).await;
        assert!(ended.is_err_and(|error| error.to_string().contains("unreadable")));
    }
}
