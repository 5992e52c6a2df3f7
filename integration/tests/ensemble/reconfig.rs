//! What `reconfig` answers, compared with Apache ZooKeeper where that is installed.

use std::fmt::Write as _;

use integration::{Ensemble, Kind, RawClient, Wish};
use jute_proto::{AuthRequest, ErrorCode, OpCode, Xid};

use crate::members::changeable;
use crate::patience::{client, three};

/// What each request is answered, in one text; `changed` is the server whose role changes.
fn answers(ensemble: &Ensemble, changed: usize, client: &mut RawClient) -> String {
    let (version, _) = current(client);
    let wish = |joining: Option<&str>, leaving: Option<&str>, members: Option<&str>| Wish {
        joining: joining.map(ToOwned::to_owned),
        leaving: leaving.map(ToOwned::to_owned),
        members: members.map(ToOwned::to_owned),
        version: None,
    };
    let observer = ensemble.line(changed, true);
    let voter = ensemble.line(changed, false);
    let all: Vec<String> = (0..3).map(|server| ensemble.line(server, false)).collect();
    let all = all.join(",");
    let wishes = [
        ("another version", Wish { version: Some(77), ..wish(None, Some("2,3"), None) }),
        ("this version", Wish { version: Some(version), ..wish(None, Some("x"), None) }),
        ("too few", wish(None, Some("2,3"), None)),
        ("no number", wish(None, Some("two"), None)),
        ("no line", wish(Some("server.4"), None, None)),
        ("no client port", wish(Some("server.4=10.9.9.9:1:2"), None, None)),
        ("no election port", wish(Some("server.4=10.9.9.9:1;3"), None, None)),
        ("same ports", wish(Some("server.4=10.9.9.9:1:1;3"), None, None)),
        ("bad role", wish(Some("server.4=10.9.9.9:1:2:voter;3"), None, None)),
        ("bad port", wish(Some("server.4=10.9.9.9:x:2;3"), None, None)),
        ("bad id", wish(Some("server.x=10.9.9.9:1:2;3"), None, None)),
        ("two equal signs", wish(Some("server.4=10.9.9.9:1:2;3=4"), None, None)),
        ("many addresses", wish(Some("server.4=10.9.9.9:1:2|10.9.9.8:1:2;3"), None, None)),
        (
            "the same place",
            wish(Some("server.4=10.9.9.9:1:2;3,server.5=10.9.9.9:1:5;6"), None, None),
        ),
        ("nobody", wish(None, None, Some(""))),
        ("one", wish(None, None, Some("server.1=10.9.9.9:1:2;3"))),
        ("observers only", wish(None, None, Some("server.1=10.9.9.9:1:2:observer;3"))),
        ("strange keys", wish(None, None, Some("tickTime=5"))),
        ("nobody there", wish(None, None, Some("server.8=10.9.9.9:1:2;3,server.9=10.9.9.8:1:2;3"))),
        ("nothing", wish(None, None, None)),
        ("unknown leaves", wish(None, Some("9"), None)),
        ("to observer", wish(Some(&observer), None, None)),
        ("to voter", wish(Some(&voter), None, None)),
        ("all", wish(None, None, Some(&all))),
    ];
    let mut text = String::new();
    for (name, wish) in wishes {
        let answer = match wish.ask(client) {
            Ok(configuration) => roles(&configuration),
            Err(code) => code.to_string(),
        };
        let _ = writeln!(text, "{name}: {answer}");
    }
    text
}

/// How many servers vote, and how many do not.
fn roles(configuration: &str) -> String {
    let count = |role: &str| configuration.lines().filter(|line| line.contains(role)).count();
    format!("{} vote, {} observe", count(":participant;"), count(":observer;"))
}

/// The version of the configuration, and its text.
fn current(client: &mut RawClient) -> (i64, String) {
    let (text, stat) = client.get("/zookeeper/config", false).expect("everybody may read it");
    assert_eq!(stat.version, -1);
    let text = String::from_utf8(text).expect("a text");
    let version = text.lines().find_map(|line| line.strip_prefix("version=")).expect("a version");
    (i64::from_str_radix(version, 16).expect("hexadecimal"), text)
}

const EXPECTED: &str = "\
another version: BADVERSION
this version: MARSHALLINGERROR
too few: BADARGUMENTS
no number: MARSHALLINGERROR
no line: BADARGUMENTS
no client port: BADARGUMENTS
no election port: BADARGUMENTS
same ports: BADARGUMENTS
bad role: BADARGUMENTS
bad port: BADARGUMENTS
bad id: MARSHALLINGERROR
two equal signs: BADARGUMENTS
many addresses: BADARGUMENTS
the same place: BADARGUMENTS
nobody: BADARGUMENTS
one: BADARGUMENTS
observers only: MARSHALLINGERROR
strange keys: BADARGUMENTS
nobody there: NEWCONFIGNOQUORUM
nothing: 3 vote, 0 observe
unknown leaves: 3 vote, 0 observe
to observer: 2 vote, 1 observe
to voter: 3 vote, 0 observe
all: 3 vote, 0 observe
";

#[test]
fn requests_are_answered_as_zookeeper_does() {
    // Each mistake has its code, and each change its configuration; with
    // GROVEKEEPER_TEST_SERVER=zookeeper the same holds for Apache ZooKeeper.
    let options = changeable(Kind::from_env(), 3).set("standaloneEnabled", "true");
    let ensemble = options.start();
    let leader = ensemble.wait_for_leader();
    let mut client = client(ensemble.addr((leader + 1) % 3));
    assert_eq!(answers(&ensemble, (leader + 2) % 3, &mut client), EXPECTED);
    let (version, text) = current(&mut client);
    let stat = client.exists("/zookeeper/config", false).expect("asked").expect("there");
    assert_eq!((stat.mzxid.0, text.lines().count()), (version, 4));
}

#[test]
fn only_who_may_changes_the_members() {
    // Nobody but the super user, and nobody where it is switched off.
    let digest = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
    let super_digest = "DigestAuthenticationProvider.superDigest";
    let ensemble = three().set("reconfigEnabled", "true").set(super_digest, digest).start();
    let mut client = client(ensemble.addr(0));
    assert_eq!(Wish::remove(&[8]).ask(&mut client), Err(ErrorCode::NoAuth));
    let packet = AuthRequest { auth_type: 0, scheme: "digest".into(), auth: Some(b"super:test") };
    client.send_as(Xid::AUTH, OpCode::Auth.into(), &packet).expect("sent");
    client.receive(Xid::AUTH).and_then(|reply| reply.ok()).expect("the super user");
    let text = Wish::remove(&[8]).ask(&mut client).expect("allowed");
    assert_eq!(current(&mut client).1, text);
    drop(ensemble);
    let ensemble = three().set("skipACL", "yes").start();
    let mut client = crate::patience::client(ensemble.addr(0));
    let refused = Wish::remove(&[8]).ask(&mut client);
    assert_eq!(refused, Err(ErrorCode::ReconfigDisabled));
    assert_eq!(current(&mut client).0, 0);
}
