//! What a server may get wrong, and what is said about it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use jute_proto::{
    ConnectResponse, Encode, ErrorCode, GetDataResponse, Reader, ReplyHeader, RequestHeader,
    SessionId, Stat, Xid, Zxid, begin_frame, end_frame, next_frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::drive::{Window, drive};
use super::error::BenchError;
use super::link::Link;
use super::script::WrongReply;
use super::scripts::{KeyMix, KeyScript, Value};
use super::tally::Tally;

const VALUE_BYTES: usize = 20;

/// How the server of a test answers a request.
#[derive(Clone, Copy)]
enum Answer {
    Right,
    WrongData,
    WrongLength,
    Error(ErrorCode),
    Cut,
    OtherXid,
    Nothing,
}

/// A server of one connection that gives every tenth request this answer, and the right one else.
async fn serve(answer: Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        answer_all(stream, answer).await;
    });
    addr
}

async fn answer_all(mut stream: TcpStream, answer: Answer) {
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let mut count = 0;
    while stream.read_buf(&mut input).await.is_ok_and(|read| read > 0) {
        while let Some(frame) = next_frame(&mut input, 1 << 20).unwrap() {
            match count {
                0 => shake_hands(&mut out),
                _ if count % 10 != 0 => reply(&frame, Answer::Right, &mut out),
                _ if matches!(answer, Answer::Nothing) => return,
                _ => reply(&frame, answer, &mut out),
            }
            count += 1;
        }
        if stream.write_all_buf(&mut out).await.is_err() {
            return;
        }
    }
}

fn shake_hands(out: &mut BytesMut) {
    let mark = begin_frame(out);
    ConnectResponse {
        protocol_version: 0,
        timeout_ms: 6000,
        session_id: SessionId(1),
        password: &[0; 16],
        read_only: Some(false),
    }
    .encode(out);
    end_frame(out, mark);
}

fn reply(frame: &[u8], answer: Answer, out: &mut BytesMut) {
    let mut reader = Reader::new(frame);
    let RequestHeader { xid, .. } = reader.record().unwrap();
    let path = reader.str().unwrap();
    let key = path.rsplit('/').next().unwrap().parse().unwrap();
    let mut value = Value::new(VALUE_BYTES);
    let mut data = value.of(key).to_vec();
    let mut header = ReplyHeader { xid, zxid: Zxid(1), err: 0 };
    let mut data_length = VALUE_BYTES as i32;
    match answer {
        Answer::WrongData => data[VALUE_BYTES - 1] ^= 1,
        Answer::WrongLength => data_length += 1,
        Answer::Error(code) => header.err = code.into(),
        Answer::OtherXid => header.xid = Xid(xid.0 + 1),
        Answer::Right | Answer::Cut | Answer::Nothing => {}
    }
    let mark = begin_frame(out);
    header.encode(out);
    match answer {
        Answer::Error(_) => {}
        Answer::Cut => GetDataResponse { data: Some(&data), stat: Stat::default() }.encode(out),
        Answer::Right
        | Answer::WrongData
        | Answer::WrongLength
        | Answer::OtherXid
        | Answer::Nothing => {
            let stat = Stat { data_length, ..Stat::default() };
            GetDataResponse { data: Some(&data), stat }.encode(out);
        }
    }
    if matches!(answer, Answer::Cut) {
        out.truncate(out.len() - 10);
    }
    end_frame(out, mark);
}

/// Drives `getData` against such a server for a moment.
async fn load(answer: Answer) -> Result<Tally, BenchError> {
    let mut link = Link::open(serve(answer).await).await?;
    let mut script = KeyScript::new(KeyMix::Get, "/keys", 50, Value::new(VALUE_BYTES), 7);
    let window = Window::open(Duration::from_millis(100), &Arc::default());
    drive(&mut link, &mut script, 4, &window).await
}

#[tokio::test]
async fn right_replies_are_counted_and_timed() {
    // Against a correct server there is nothing to complain about.
    let tally = load(Answer::Right).await.unwrap();
    assert!(tally.ops() > 10, "{} replies", tally.ops());
    assert_eq!((tally.wrong(), tally.first_wrong()), (0, None));
    assert!(tally.quantile_us(0.5) > 0.0);
}

#[tokio::test]
async fn every_kind_of_wrong_reply_is_noticed() {
    // An error code, another length, one flipped bit of data: none of them counts as success.
    let table = [
        (Answer::WrongData, WrongReply::Body("data")),
        (Answer::WrongLength, WrongReply::Body("dataLength")),
        (Answer::Error(ErrorCode::NoNode), WrongReply::Code(-101)),
    ];
    for (answer, expected) in table {
        let tally = load(answer).await.unwrap();
        assert_eq!(tally.first_wrong(), Some(expected));
        assert!(tally.wrong() > 0 && tally.wrong() <= tally.ops() / 9 + 1);
    }
    let tally = load(Answer::Cut).await.unwrap();
    assert!(matches!(tally.first_wrong(), Some(WrongReply::Undecodable(_))));
}

#[tokio::test]
async fn a_broken_protocol_ends_the_run() {
    // A reply to another request and a closed connection are failures, not statistics.
    let error = load(Answer::OtherXid).await.unwrap_err();
    assert!(matches!(error, BenchError::OutOfOrder { .. }), "{error}");
    let error = load(Answer::Nothing).await.unwrap_err();
    assert!(matches!(error, BenchError::Closed { .. } | BenchError::Io { .. }), "{error}");
}
