use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec;

use proptest::prelude::*;

use super::super::{HostPort, MembershipChange, PeerAddr, ServerRole};
use super::*;

#[test]
fn a_configuration_comes_back_as_it_was_written() {
    // What replicas keep as text is what they go by after a restart.
    let text = "server.1=a:1:2:participant;0.0.0.0:3\nserver.2=[::1]:1:2:observer\n\
                server.10=b:1:2:participant;;c:4\nversion=10000000a";
    let configuration = Configuration::parse(text).unwrap();
    assert_eq!(configuration.to_string(), text);
    assert_eq!(configuration.version, 0x1_0000_000a);
    assert!(configuration.was_agreed_on());
    assert_eq!(configuration.voters(), BTreeSet::from([1, 10]));
    assert_eq!(configuration.addresses()[&2], "[::1]:1");
    for bad in ["server.1", "server.x=a:1:2", "server.1=a:1", "group.1=1", "version=x"] {
        assert!(Configuration::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_host_that_begins_with_a_bracket_can_still_be_read() {
    // Earlier versions took it, wrote it without the brackets around it, and did not start on that.
    for host in ["[[h]", "[ [h]", "[[]", "[[::1]", "h]", "h[", "[\nh]"] {
        let joining = format!("server.4={host}:24999:24998:observer;{host}:24997");
        let change = MembershipChange { joining: Some(&joining), ..MembershipChange::default() };
        let servers = change.apply(&current(), false).unwrap();
        let configuration = Configuration { servers, version: 7 };
        let read = Configuration::parse(&configuration.to_string());
        assert_eq!(read, Ok(configuration), "{host:?}");
    }
}

#[test]
fn a_host_with_a_line_break_can_still_be_read() {
    // Earlier versions took it, wrote it into the checkpoint, and did not start on that. A new request with
    // such a host is refused.
    for host in ["h\nx", "h\r\nx", "h\n", "h\nserver.9=x", "h\nversion=7", "a\nb\nc"] {
        let joining = format!("server.4={host}:24999:24998:observer;127.0.0.1:24997");
        let change = MembershipChange { joining: Some(&joining), ..MembershipChange::default() };
        assert!(!change.names_plain_hosts(), "{host:?}");
        let Ok(servers) = change.apply(&current(), false) else { continue };
        let configuration = Configuration { servers, version: 7 };
        let read = Configuration::parse(&configuration.to_string());
        assert_eq!(read, Ok(configuration), "{host:?}");
    }
}

fn current() -> Configuration {
    let text =
        "server.1=10.0.0.1:1:2;3\nserver.2=10.0.0.2:1:2;3\nserver.3=10.0.0.3:1:2;3\nversion=5";
    Configuration::parse(text).unwrap()
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9._-]{1,20}",
        "[0-9a-f:]{2,20}(%[a-z0-9]{1,4})?",
        any::<String>().prop_filter("plain", |host| !host.is_empty()),
    ]
}

fn server(id: u64) -> impl Strategy<Value = ServerSpec> {
    let peer = (host(), 1..=u16::MAX, 1..=u16::MAX);
    let peer = peer.prop_filter("two ports", |(_, quorum, election)| quorum != election);
    let peer = peer.prop_map(|(host, quorum_port, election_port)| PeerAddr {
        host,
        quorum_port,
        election_port,
    });
    let client = || {
        let place = (host(), any::<u16>()).prop_map(|(host, port)| HostPort { host, port });
        prop::option::of(place)
    };
    let peers = prop::collection::vec(peer, 1..3);
    let server = (peers, any::<bool>(), client(), client()).prop_map(move |parts| {
        let (peers, votes, client, secure_client) = parts;
        let role = if votes { ServerRole::Participant } else { ServerRole::Observer };
        ServerSpec { id, peers, role, client, secure_client }
    });
    server.prop_filter("plain hosts", ServerSpec::has_plain_hosts)
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let servers = prop::collection::vec(any::<u64>().prop_flat_map(server), 0..5);
    (servers, any::<i64>()).prop_map(|(servers, version)| Configuration {
        servers: servers.into_iter().map(|server| (server.id, server)).collect(),
        version,
    })
}

/// What a client may ask for: pieces of server lines, and what breaks them.
fn request() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(vec![
            "server.4=", "server.5=", "h", "[::1]", ":1", ":2", ":3", ";4", ";h:5", ",", "|", ":observer",
        ]),
        1 => prop::sample::select(vec!["\n", "\r", " ", "\t", "\u{85}", "\u{2028}", "[", "]", "=", "\0"]),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same(configuration in configuration()) {
        // Whatever servers with plain hosts there are, their text is read as the same servers.
        let text = configuration.to_string();
        prop_assert_eq!(Configuration::parse(&text), Ok(configuration));
    }

    #[test]
    fn what_a_client_asks_for_can_be_read_again(
        request in prop_oneof![
            request(),
            ("[a\n\r \t;|:=\\[\\],]{0,5}", "[a\n\r \t;|:=\\[\\],]{0,5}").prop_map(|(one, two)| {
                format!("server.4={one}h{two}:1:2;{two}c{one}:3")
            }),
        ],
    ) {
        // Whatever a reconfig makes of a text, servers start on it; where the hosts are plain, what they
        // read is what was agreed on.
        let change = MembershipChange { joining: Some(&request), ..MembershipChange::default() };
        let Ok(servers) = change.apply(&current(), false) else { return Ok(()) };
        let configuration = Configuration { servers, version: 1 };
        let read = Configuration::parse(&configuration.to_string());
        prop_assert!(read.is_ok(), "{:?}", configuration);
        if change.names_plain_hosts() {
            prop_assert_eq!(read, Ok(configuration));
        }
    }
}
