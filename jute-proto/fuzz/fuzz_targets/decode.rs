//! Bytes from outside, taken for everything that they could be. What can be decoded must survive being encoded.

#![no_main]

use bytes::BytesMut;
use jute_proto::{
    ConnectRequest, ConnectResponse, Encode, OpCode, Reader, ReplyHeader, Request, RequestHeader, Response,
    WatcherEvent, next_frame,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut stream = BytesMut::from(bytes);
    while let Ok(Some(frame)) = next_frame(&mut stream, 1 << 20) {
        packet(&frame);
    }
    packet(bytes);
});

fn packet(bytes: &[u8]) {
    let _ = Reader::new(bytes).record::<ConnectRequest<'_>>();
    let _ = Reader::new(bytes).record::<ConnectResponse<'_>>();
    request(bytes);
    response(bytes);
}

fn request(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(header) = reader.record::<RequestHeader>() else { return };
    let Ok(op) = OpCode::try_from(header.op) else { return };
    let Ok(request) = Request::decode(op, &mut reader) else { return };
    let mut encoded = BytesMut::new();
    request.encode(&mut encoded);
    let again = Request::decode(op, &mut Reader::new(&encoded));
    assert_eq!(again.as_ref(), Ok(&request));
}

/// The operation stands where a reply has its error, so that one input reaches every response.
fn response(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(header) = reader.record::<ReplyHeader>() else { return };
    let _ = Reader::new(reader.rest()).record::<WatcherEvent<'_>>();
    let Ok(op) = OpCode::try_from(header.err) else { return };
    let Ok(response) = Response::decode(op, &mut reader) else { return };
    let mut encoded = BytesMut::new();
    response.encode(&mut encoded);
    let again = Response::decode(op, &mut Reader::new(&encoded));
    assert_eq!(again.as_ref(), Ok(&response));
}
