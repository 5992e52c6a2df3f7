//! Properties of the encoding: what was encoded is decoded to itself, and nothing from outside makes decoding panic.

mod arbitrary;

use std::borrow::Cow;

use bytes::BytesMut;
use jute_proto::{
    ConnectRequest, ConnectResponse, Decode, Encode, OpCode, Reader, ReplyHeader, Request,
    RequestHeader, Response, SessionId, WatcherEvent, Xid, Zxid, next_frame,
};
use proptest::prelude::*;

use arbitrary::{opt_bytes, request, response};

fn encoded(value: &impl Encode) -> BytesMut {
    let mut out = BytesMut::new();
    value.encode(&mut out);
    out
}

/// Decodes as whatever the operation carries, both ways; the outcome does not matter.
fn decode_all(op: OpCode, bytes: &[u8]) {
    let _ = Request::decode(op, &mut Reader::new(bytes));
    let _ = Response::decode(op, &mut Reader::new(bytes));
}

proptest! {
    #[test]
    fn requests_survive_the_wire(request in request()) {
        // Decoding an encoded request gives the request, and leaves no byte.
        request.with(|request| {
            let bytes = encoded(request);
            let mut reader = Reader::new(&bytes);
            assert_eq!(&Request::decode(request.op_code(), &mut reader).expect("decodable"), request);
            assert!(reader.is_empty());
        });
    }

    #[test]
    fn responses_survive_the_wire(response in response()) {
        // Decoding an encoded response gives the response, and leaves no byte.
        response.with(|op, response| {
            let bytes = encoded(response);
            let mut reader = Reader::new(&bytes);
            assert_eq!(&Response::decode(op, &mut reader).expect("decodable"), response);
            assert!(reader.is_empty());
        });
    }

    #[test]
    fn a_request_cut_short_is_an_error(request in request(), cut in any::<prop::sample::Index>()) {
        // Every proper prefix of a request is refused.
        request.with(|request| {
            let bytes = encoded(request);
            if !bytes.is_empty() {
                let prefix = &bytes[..cut.index(bytes.len())];
                assert!(Request::decode(request.op_code(), &mut Reader::new(prefix)).is_err());
            }
        });
    }

    #[test]
    fn a_response_cut_short_is_an_error(response in response(), cut in any::<prop::sample::Index>()) {
        // Every proper prefix of a response is refused.
        response.with(|op, response| {
            let bytes = encoded(response);
            if !bytes.is_empty() {
                let prefix = &bytes[..cut.index(bytes.len())];
                assert!(Response::decode(op, &mut Reader::new(prefix)).is_err());
            }
        });
    }

    #[test]
    fn noise_never_panics(
        op in prop::sample::select(OpCode::ALL),
        noise in prop::collection::vec(any::<u8>(), 0..256),
    ) {
        // Random bytes are decoded or refused, whatever they are taken for.
        decode_all(op, &noise);
        let mut reader = Reader::new(&noise);
        let _ = reader.record::<ConnectRequest<'_>>();
        let _ = Reader::new(&noise).record::<ConnectResponse<'_>>();
        let _ = Reader::new(&noise).record::<WatcherEvent<'_>>();
        let _ = next_frame(&mut BytesMut::from(&noise[..]), 100);
    }

    #[test]
    fn a_damaged_request_never_panics(
        request in request(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        op in prop::sample::select(OpCode::ALL),
    ) {
        // One wrong byte, or a wrong operation, is decoded to something else or refused.
        request.with(|request| {
            let mut bytes = encoded(request);
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            decode_all(request.op_code(), &bytes);
            decode_all(op, &bytes);
        });
    }

    #[test]
    fn handshakes_survive_the_wire(
        (version, zxid, timeout_ms, session) in any::<(i32, i64, i32, i64)>(),
        password in opt_bytes(),
        read_only in any::<Option<bool>>(),
    ) {
        // Both packets come back, with and without their last byte.
        let password = password.unwrap_or_default();
        same(&ConnectRequest {
            protocol_version: version,
            last_zxid_seen: Zxid(zxid),
            timeout_ms,
            session_id: SessionId(session),
            password: &password,
            read_only,
        });
        same(&ConnectResponse {
            protocol_version: version,
            timeout_ms,
            session_id: SessionId(session),
            password: &password,
            read_only,
        });
    }

    #[test]
    fn headers_and_events_survive_the_wire(
        (xid, op, zxid, err) in any::<(i32, i32, i64, i32)>(),
        path in any::<String>(),
    ) {
        // The small records that stand before all others come back.
        same(&RequestHeader { xid: Xid(xid), op });
        same(&ReplyHeader { xid: Xid(xid), zxid: Zxid(zxid), err });
        same(&WatcherEvent { event_type: op, state: err, path: path.as_str().into() });
    }

    #[test]
    fn strings_are_read_as_they_were_meant(text in any::<String>()) {
        // What a Rust peer writes, and what a Java peer writes (surrogates one by one), is the same text.
        let utf8 = encoded(&Cow::Borrowed(text.as_str()));
        prop_assert_eq!(Reader::new(&utf8).str(), Ok(text.as_str().into()));
        let cesu8 = encoded(&Some(&cesu8(&text)[..]));
        prop_assert_eq!(Reader::new(&cesu8).str(), Ok(text.as_str().into()));
    }
}

fn same<T: for<'a> SameAs<'a>>(value: &T) {
    let bytes = encoded(value);
    value.assert_same(&bytes);
}

/// A record compared with its own encoding, whatever it borrows.
trait SameAs<'a>: Encode {
    fn assert_same(&self, bytes: &'a [u8]);
}

macro_rules! same_as {
    ($($name:ident $(<$lt:lifetime>)?),*) => { $(
        impl<'a> SameAs<'a> for $name $(<$lt>)? {
            fn assert_same(&self, bytes: &'a [u8]) {
                let mut reader = Reader::new(bytes);
                let decoded = $name::decode(&mut reader).expect("decodable");
                assert_eq!(encoded(&decoded), encoded(self));
                assert_eq!(format!("{decoded:?}"), format!("{self:?}"));
                assert!(reader.is_empty());
            }
        }
    )* };
}

same_as!(ConnectRequest<'_>, ConnectResponse<'_>, RequestHeader, ReplyHeader, WatcherEvent<'_>);

/// UTF-16 units encoded one by one, as Java's writers do it.
fn cesu8(text: &str) -> Vec<u8> {
    text.encode_utf16().fold(Vec::new(), |mut out, unit| {
        match unit {
            0..0x80 => out.push(unit as u8),
            0x80..0x800 => out.extend([0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8]),
            _ => out.extend([
                0xe0 | (unit >> 12) as u8,
                0x80 | (unit >> 6 & 0x3f) as u8,
                0x80 | (unit & 0x3f) as u8,
            ]),
        }
        out
    })
}
