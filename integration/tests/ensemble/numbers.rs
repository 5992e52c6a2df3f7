//! Every number that ZooKeeper's servers may have is a server's number, 0 and those above 255 among them.

use std::collections::BTreeSet;

use integration::{Ensemble, RawClient, Wish, within};
use jute_proto::{AuthRequest, ErrorCode, OpCode, Xid};

use crate::members::changeable;
use crate::patience::{PATIENCE, client, create};
use integration::{EnsembleOptions, Kind};

/// Three servers of one ensemble, and one that is to join it. The low bytes of the first two are equal.
const NUMBERS: [u64; 4] = [0, 256, 4_294_967_295, 999];

/// Sessions that are opened at each server.
const SESSIONS: usize = 50;

const FIRST: [usize; 3] = [0, 1, 2];

fn wait_until_serve(ensemble: &Ensemble, servers: &[usize]) {
    within(PATIENCE, "the servers serve", || {
        servers.iter().all(|server| ensemble.mode(*server).is_some()).then_some(())
    });
}

/// Opens sessions at these servers; no id is one of those that were given before.
fn open_sessions(
    ensemble: &Ensemble,
    servers: &[usize],
    seen: &mut BTreeSet<i64>,
) -> Vec<RawClient> {
    let mut open = Vec::new();
    for server in servers {
        for _ in 0..SESSIONS {
            let client = client(ensemble.addr(*server));
            assert!(seen.insert(client.session().id.0), "an id is given twice");
            open.push(client);
        }
    }
    open
}

#[test]
fn servers_with_any_numbers_form_serve_and_forward() {
    // Servers 0, 256 and 4294967295 form, each takes writes and passes them on, no session id is given
    // twice, also over restarts; server 999 is added by reconfig, and counts.
    let mut ensemble = changeable(Kind::Grovekeeper, 4).numbered(&NUMBERS).prepare();
    for server in FIRST {
        ensemble.list(server, &FIRST, &[]);
        ensemble.start(server);
    }
    ensemble.list(3, &[0, 1, 2, 3], &[]);
    wait_until_serve(&ensemble, &FIRST);
    let mut seen = BTreeSet::new();
    for server in FIRST {
        create(ensemble.addr(server), &format!("/by-{}", NUMBERS[server]));
    }
    let mut sessions = open_sessions(&ensemble, &FIRST, &mut seen);
    for server in FIRST {
        ensemble.kill(server);
        let others: Vec<usize> = FIRST.into_iter().filter(|other| *other != server).collect();
        create(ensemble.addr(others[0]), &format!("/without-{}", NUMBERS[server]));
        ensemble.start(server);
        wait_until_serve(&ensemble, &FIRST);
        sessions.extend(open_sessions(&ensemble, &[server], &mut seen));
    }

    ensemble.start(3);
    let text = Wish::add(&[ensemble.line(3, false)]).ask(&mut client(ensemble.addr(0)));
    let text = text.expect("server 999 is added");
    assert!(text.lines().any(|line| line.starts_with("server.999=")), "{text}");
    wait_until_serve(&ensemble, &[0, 1, 2, 3]);
    sessions.extend(open_sessions(&ensemble, &[3], &mut seen));
    create(ensemble.addr(3), "/by-999");
    ensemble.kill(1);
    create(ensemble.addr(0), "/three-of-four");
    let mut last = client(ensemble.addr(3));
    last.sync("/").expect("synced");
    let names = last.children("/", false).expect("listed");
    for number in NUMBERS {
        assert!(names.contains(&format!("by-{number}")), "{names:?}");
    }
}

#[test]
fn server_0_may_be_the_only_one() {
    // `myid` 0 with the line server.0 alone serves, also after a restart; then it is one of three.
    let options = EnsembleOptions::new(Kind::Grovekeeper, 3).numbered(&[0, 1, 2]);
    let mut ensemble = options.prepare();
    ensemble.list(0, &[0], &[]);
    ensemble.start(0);
    create(ensemble.addr(0), "/mine");
    ensemble.stop(0);
    ensemble.start(0);
    assert!(client(ensemble.addr(0)).exists("/mine", false).expect("asked").is_some());
    ensemble.stop(0);
    ensemble.list(0, &FIRST, &[]);
    for server in FIRST {
        ensemble.start(server);
    }
    wait_until_serve(&ensemble, &FIRST);
    let mut second = client(ensemble.addr(1));
    second.sync("/").expect("synced");
    assert!(second.exists("/mine", false).expect("asked").is_some());
}

#[test]
fn permission_is_judged_before_a_number_above_255() {
    // What kazoo's own tests send: `server.999` as an observer, first by nobody, then by the super user. Numbers
    // that no server can have are refused as ZooKeeper refuses them.
    let digest = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
    let super_digest = "DigestAuthenticationProvider.superDigest";
    let options = EnsembleOptions::new(Kind::Grovekeeper, 3);
    let ensemble = options.set("reconfigEnabled", "true").set(super_digest, digest).start();
    let mut client = client(ensemble.addr(0));
    let joining = |line: &str| Wish::add(&[line.to_owned()]);
    let observer = joining("server.999=0.0.0.0:1234:2345:observer;3456");
    assert_eq!(observer.ask(&mut client), Err(ErrorCode::NoAuth));
    let packet = AuthRequest { auth_type: 0, scheme: "digest".into(), auth: Some(b"super:test") };
    client.send_as(Xid::AUTH, OpCode::Auth.into(), &packet).expect("sent");
    client.receive(Xid::AUTH).and_then(|reply| reply.ok()).expect("the super user");
    let text = observer.ask(&mut client).expect("allowed");
    let expected = "server.999=0.0.0.0:1234:2345:observer;0.0.0.0:3456";
    assert!(text.lines().any(|line| line == expected), "{text}");
    for (number, refusal) in [
        ("9223372036854775808", ErrorCode::MarshallingError),
        ("nine", ErrorCode::MarshallingError),
        ("4294967296", ErrorCode::BadArguments),
        ("-1", ErrorCode::BadArguments),
    ] {
        let line = format!("server.{number}=10.9.9.9:1234:2345:observer;3456");
        assert_eq!(joining(&line).ask(&mut client), Err(refusal), "{number}");
    }
    let leaving = |numbers: &str| Wish { leaving: Some(numbers.to_owned()), ..Wish::default() };
    let text = leaving("999,4294967295").ask(&mut client).expect("unknown numbers are no mistake");
    assert_eq!(text.lines().filter(|line| line.starts_with("server.")).count(), 3, "{text}");
}
