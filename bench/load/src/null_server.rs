//! A server without state, log and sessions: what sockets, frames and records alone cost.
//!
//! It answers with the bytes that a real server would send for the nodes of a run, computed from the
//! request alone, so that the load generator checks its replies like any other's. One task a
//! connection, and one write for all requests that came together, as in the real server.

use std::io;

use bytes::BytesMut;
use jute_proto::{
    ConnectResponse, CreateResponse, Encode, ErrorCode, GetDataResponse, MultiHeader, MultiOp,
    OpCode, Reader, ReplyHeader, Request, RequestHeader, SessionId, Stat, Zxid, begin_frame,
    begin_vec, end_frame, end_vec, next_frame, put_str,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::scripts::Value;

/// The largest request that is read, in bytes.
const FRAME_LEN_MAX: usize = 16 << 20;
/// Room for one read, in bytes.
const READ_CHUNK: usize = 64 << 10;
/// The session timeout that every client gets.
const TIMEOUT_MS: i32 = 30_000;

/// What the nodes of the server look like.
#[derive(Clone, Debug)]
pub struct NullServer {
    value: Value,
    /// The body of every listing.
    listing: BytesMut,
}

impl NullServer {
    /// Nodes with this many bytes of data, and this many children.
    #[must_use]
    pub fn new(value_bytes: usize, children: u64) -> Self {
        let mut listing = BytesMut::new();
        let mark = begin_vec(&mut listing);
        for number in 0..children {
            put_str(&mut listing, &format!("{number:08}"));
        }
        end_vec(&mut listing, mark, usize::try_from(children).unwrap_or(usize::MAX));
        Self { value: Value::new(value_bytes), listing }
    }

    /// Answers every client until the task is dropped.
    ///
    /// # Errors
    /// Where no connection can be accepted.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(self.clone().answer_all(stream));
        }
    }

    /// Ends with the connection; what goes wrong with it is the client's to report.
    async fn answer_all(mut self, mut stream: TcpStream) {
        let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
        let mut greeted = false;
        if stream.set_nodelay(true).is_err() {
            return;
        }
        loop {
            input.reserve(READ_CHUNK);
            if !matches!(stream.read_buf(&mut input).await, Ok(1..)) {
                return;
            }
            let mut goes_on = true;
            while let Ok(Some(frame)) = next_frame(&mut input, FRAME_LEN_MAX) {
                goes_on = match greeted {
                    true => self.answer(&frame, &mut out).unwrap_or(false),
                    false => greet(&mut out),
                };
                greeted = true;
            }
            if stream.write_all_buf(&mut out).await.is_err() || !goes_on {
                return;
            }
        }
    }

    /// Appends the reply; false after the last one, an error where the request is unreadable.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the load generator sends few of them")]
    fn answer(
        &mut self,
        frame: &[u8],
        out: &mut BytesMut,
    ) -> Result<bool, Box<dyn std::error::Error>> {
        let mut reader = Reader::new(frame);
        let RequestHeader { xid, op } = reader.record()?;
        let op = OpCode::try_from(op)?;
        let mark = begin_frame(out);
        let at = out.len();
        ReplyHeader { xid, zxid: Zxid(1), err: 0 }.encode(out);
        match Request::decode(op, &mut reader)? {
            Request::Create(create) => CreateResponse { path: create.path }.encode(out),
            Request::Sync(sync) => put_str(out, &sync.path),
            Request::GetData(get) => {
                let stat = self.stat();
                let data = Some(self.value.of(number(&get.path)));
                GetDataResponse { data, stat }.encode(out);
            }
            Request::SetData(_) | Request::Exists(_) => self.stat().encode(out),
            Request::GetChildren(_) => out.extend_from_slice(&self.listing),
            Request::Delete(_) | Request::Ping | Request::CloseSession => {}
            Request::Multi(multi) => {
                for op in &multi.ops {
                    MultiHeader::success(op.op_code()).encode(out);
                    match op {
                        MultiOp::Create(create) => put_str(out, &create.path),
                        MultiOp::SetData(_) => self.stat().encode(out),
                        MultiOp::Create2(_)
                        | MultiOp::CreateContainer(_)
                        | MultiOp::CreateTtl(_)
                        | MultiOp::Delete(_)
                        | MultiOp::Check(_) => {}
                    }
                }
                MultiHeader::END.encode(out);
            }
            _ => {
                out.truncate(at);
                let err = ErrorCode::Unimplemented.into();
                ReplyHeader { xid, zxid: Zxid(1), err }.encode(out);
            }
        }
        end_frame(out, mark);
        Ok(op != OpCode::CloseSession)
    }

    fn stat(&self) -> Stat {
        Stat { data_length: self.value.stat_len(), ..Stat::default() }
    }
}

fn greet(out: &mut BytesMut) -> bool {
    let mark = begin_frame(out);
    ConnectResponse {
        protocol_version: 0,
        timeout_ms: TIMEOUT_MS,
        session_id: SessionId(1),
        password: &[0; 16],
        read_only: Some(false),
    }
    .encode(out);
    end_frame(out, mark);
    true
}

/// The number at the end of a path.
fn number(path: &str) -> u64 {
    path.rsplit('/').next().and_then(|name| name.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;
    use crate::{BenchOptions, Workload, run};

    #[tokio::test]
    async fn its_replies_pass_the_checks_of_the_load_generator() {
        // What the real server is compared with sends right replies of the right length.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = BenchOptions::new(listener.local_addr().unwrap());
        tokio::spawn(NullServer::new(options.value_bytes, options.children).serve(listener));
        options.measure = Duration::from_millis(20);
        options.warmup = Duration::ZERO;
        options.workloads.retain(|workload| *workload != Workload::Watch);
        let (report, outcome) = run(&options, &Arc::new(AtomicBool::new(false)), |_| ()).await;
        outcome.unwrap();
        assert_eq!(report.workloads.len(), Workload::ALL.len() - 1);
        assert!(report.workloads.iter().all(|found| found.errors == 0));
    }
}
