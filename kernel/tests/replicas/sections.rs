//! A section that comes again does nothing.

use bytes::{Bytes, BytesMut};
use kernel::replica::section::{self, RESERVED_LEN, next_section};
use proptest::prelude::*;

use crate::log::{Act, Entry, Fate, Pause, Step, step, write_log};
use crate::server::Server;

/// The numbered sections of an entry, as they come once more in a later one.
fn again(entry: &Entry) -> Option<Bytes> {
    if entry.payload[0] != section::FORMAT {
        return None;
    }
    let (header, mut rest) = section::open(&entry.payload).expect("its own encoding");
    let sections = std::iter::from_fn(|| next_section(&mut rest).expect("its own encoding"));
    let numbered = sections.filter(|section| section.sender.incarnation > 0);
    Some(section::seal(BytesMut::zeroed(RESERVED_LEN), &header, None, numbered))
}

proptest! {
    #[test]
    fn what_comes_again_does_nothing(
        steps in prop::collection::vec(step(), 1..150), back in prop::collection::vec(0..40_usize, 150),
    ) {
        // A section that was in an entry changes nothing when it comes again, however late: not where the
        // session that it made is gone, nor behind another process of its server.
        let log = write_log(&steps, 0);
        let mut server = Server::default();
        for (at, entry) in log.iter().enumerate() {
            server.outcomes(at, entry);
            let earlier = &log[at.saturating_sub(back[at])];
            // One that was not the next when it came may be it now.
            let (Some(payload), Fate::InTurn | Fate::NewProcess) = (again(earlier), earlier.fate) else {
                continue;
            };
            let before = (server.replica.digest(), server.replica.last_zxid());
            let repeated = Entry { payload, term: entry.term, ..*earlier };
            prop_assert_eq!(server.outcomes(at, &repeated), []);
            prop_assert_eq!((server.replica.digest(), server.replica.last_zxid()), before);
        }
    }
}

#[test]
fn a_session_that_was_closed_does_not_come_back() {
    // A client's whole life in one section: when the section comes again, neither the session nor what it wrote
    // is made anew (a follower that did not hear that it was applied sends it again).
    let step = |act, ends| Step {
        act,
        session: 1,
        conn: 1,
        stranger: false,
        skew: 0,
        numbered: None,
        ends,
        new_term: false,
        fate: Fate::InTurn,
        pauses: [Pause::None; 3],
    };
    let create = |flags| Act::Create { path: "/job".to_owned(), flags, private: false };
    let log = write_log(
        &[
            step(Act::Expire, true),
            step(Act::NewSession, false),
            step(create(2), false),
            step(Act::Close, true),
        ],
        0,
    );
    let mut server = Server::default();
    assert_eq!(log.len(), 2);
    for (at, entry) in log.iter().enumerate() {
        server.outcomes(at, entry);
    }
    let nodes = server.replica.tree().node_count();
    let payload = again(&log[1]).expect("numbered sections");
    let entry = Entry { payload, ..log[1] };
    assert_eq!(server.outcomes(2, &entry), []);
    assert_eq!(server.replica.tree().node_count(), nodes);
    assert!(server.replica.sessions().is_empty());
}
