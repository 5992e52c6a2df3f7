//! What clients can ask for beyond ZooKeeper's protocol.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use integration::raw::{self, closed, frame, read_frame};
use integration::{EnsembleOptions, Kind, within};
use jute_proto::{
    ConnectRequest, ConnectResponse, Encode, Extensions, LeaderHint, Reader, SessionId, Zxid,
};

use crate::patience::{PATIENCE, follower};

/// What a server answered to a handshake.
struct Greeting {
    stream: TcpStream,
    granted: Option<Extensions>,
    session: SessionId,
    leader: Option<LeaderHint<'static>>,
}

fn greet(addr: SocketAddr, wanted: Extensions) -> raw::Result<Greeting> {
    let mut stream = raw::open(addr)?;
    let request = ConnectRequest {
        protocol_version: wanted.protocol_version(),
        last_zxid_seen: Zxid(0),
        timeout_ms: 10_000,
        session_id: SessionId(0),
        password: &[0; 16],
        read_only: Some(false),
    };
    stream.write_all(&frame(|out| request.encode(out)))?;
    let body = read_frame(&mut stream)?;
    let mut reader = Reader::new(&body);
    let response: ConnectResponse<'_> = reader.record()?;
    let granted = Extensions::of_protocol_version(response.protocol_version);
    let session = response.session_id;
    let leader = match reader.is_empty() {
        true => None,
        false => Some(match reader.record()? {
            LeaderHint::At(address) => LeaderHint::At(address.into_owned().into()),
            LeaderHint::Here => LeaderHint::Here,
            LeaderHint::Election => LeaderHint::Election,
            LeaderHint::Elsewhere => LeaderHint::Elsewhere,
        }),
    };
    Ok(Greeting { stream, granted, session, leader })
}

#[test]
fn a_client_can_find_the_leader() {
    // Asked for, the handshake says where the leader is; a client that wants only the leader gets a
    // session there and nowhere else; when the leader is lost it is told of the election or of the
    // next one.
    let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).start();
    let leader = ensemble.wait_for_leader();
    let other = follower(&ensemble, leader);
    let at_leader = LeaderHint::At(ensemble.addr(leader).to_string().into());
    let told = greet(ensemble.addr(other), Extensions::TELL_LEADER).expect("greeted");
    assert_eq!(told.granted, Some(Extensions::TELL_LEADER));
    assert_eq!(told.leader, Some(at_leader.clone()));
    assert_ne!(told.session, SessionId(0), "the session is opened all the same");
    let only = Extensions::TELL_LEADER.with(Extensions::LEADER_ONLY);
    let mut sent_on = greet(ensemble.addr(other), only).expect("greeted");
    assert_eq!((sent_on.session, sent_on.leader), (SessionId(0), Some(at_leader)));
    assert!(closed(&mut sent_on.stream));
    let here = greet(ensemble.addr(leader), only).expect("greeted");
    assert_eq!(here.leader, Some(LeaderHint::Here));
    assert_ne!(here.session, SessionId(0));
    ensemble.kill(leader);
    within(PATIENCE, "the next leader is found", || {
        match greet(ensemble.addr(other), only).ok()?.leader? {
            LeaderHint::Here => Some(()),
            LeaderHint::At(address) => {
                let hint = greet(address.parse().ok()?, only).ok()?.leader;
                (hint == Some(LeaderHint::Here)).then_some(())
            }
            LeaderHint::Election | LeaderHint::Elsewhere => None,
        }
    });
}
