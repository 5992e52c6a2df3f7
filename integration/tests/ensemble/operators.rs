//! What the servers of an ensemble tell operators.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use integration::http;
use integration::{Ensemble, Kind, Mode, four_letter, free_port, within};
use serde_json::Value;

use crate::members::changeable;
use crate::patience::PATIENCE;

#[test]
fn the_leader_counts_who_is_up_to_date() {
    // Three voters and an observer: the leader's figures say so, each server has its state, and
    // they change when a follower goes.
    let mut ensemble = changeable(Kind::from_env(), 4).prepare();
    for server in ensemble.servers() {
        ensemble.list(server, &[0, 1, 2, 3], &[3]);
        ensemble.start(server);
    }
    let leader = ensemble.wait_for_leader();
    assert_ne!(leader, 3);
    let shows = |ensemble: &Ensemble, server: usize, figures: &[(&str, &str)]| {
        within(PATIENCE, &format!("server {} shows {figures:?}", server + 1), || {
            let right = |(name, value): &(&str, &str)| {
                ensemble.metric(server, &format!("{name}\t")).as_deref() == Some(value)
            };
            figures.iter().all(right).then_some(())
        });
    };
    let all = [
        ("zk_learners", "3"),
        ("zk_synced_followers", "2"),
        ("zk_synced_observers", "1"),
        ("zk_synced_non_voting_followers", "0"),
        ("zk_pending_syncs", "0"),
        ("zk_quorum_size", "3"),
        ("zk_peer_state", "leading - broadcast"),
    ];
    shows(&ensemble, leader, &all);
    let follower = (leader + 1) % 3;
    shows(
        &ensemble,
        follower,
        &[("zk_quorum_size", "3"), ("zk_peer_state", "following - broadcast")],
    );
    shows(&ensemble, 3, &[("zk_peer_state", "observing - broadcast")]);
    assert_eq!(ensemble.metric(follower, "zk_learners\t"), None, "only a leader knows");
    ensemble.kill(follower);
    shows(&ensemble, leader, &[("zk_learners", "2"), ("zk_synced_followers", "1")]);
}

#[test]
fn conf_ends_with_the_members() {
    // The word `conf` has the settings of the ensemble and its configuration.
    let ensemble = changeable(Kind::from_env(), 3).start();
    let text = four_letter::ask_within(ensemble.addr(0), "conf", PATIENCE).expect("an answer");
    let (settings, members) = text.split_once("membership: \n").expect("the members");
    for line in ["initLimit=20", "syncLimit=6", "electionAlg=3", "peerType=0"] {
        assert!(settings.lines().any(|known| known == line), "{line} in {settings}");
    }
    assert_eq!(members.lines().count(), 4, "{members}");
    let version = members.lines().last().and_then(|line| line.strip_prefix("version="));
    assert!(version.is_some_and(|version| version.ends_with("00000000")), "{members}");
}

#[test]
fn commands_show_voters_leader_and_observers() {
    // The administration server of a member knows who votes, who leads and who observes.
    let mut ensemble = changeable(Kind::Grovekeeper, 4).prepare();
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    for server in ensemble.servers() {
        ensemble.list(server, &[0, 1, 2, 3], &[3]);
    }
    let file = OpenOptions::new().append(true).open(ensemble.folder(0).join("zoo.cfg"));
    let lines = format!("admin.enableServer=true\nadmin.serverPort={}\n", admin.port());
    file.and_then(|mut file| file.write_all(lines.as_bytes())).expect("the file grows");
    for server in ensemble.servers() {
        ensemble.start(server);
    }
    within(PATIENCE, "the observer serves", || {
        (ensemble.mode(3) == Some(Mode::Observer)).then_some(())
    });
    let leader = ensemble.wait_for_leader();
    let ask = |command: &str| -> Option<Value> {
        let answer = http::get(admin, &format!("/commands/{command}"))?;
        serde_json::from_str(&answer.body).ok()
    };
    let view = within(PATIENCE, "an answer", || ask("voting_view"));
    let view = view["current_config"].as_object().expect("the voters");
    assert_eq!(view.keys().collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(view["2"]["client_address"], ensemble.addr(1).to_string());
    assert_eq!(view["2"]["learner_type"], "participant");
    let lead = ask("leader").expect("an answer");
    assert_eq!(
        (lead["leader_id"].as_u64(), &lead["leader_ip"]),
        (Some(leader as u64 + 1), &"127.0.0.1".into())
    );
    let zab = ask("zabstate").expect("an answer");
    assert_eq!((&zab["voting"], &zab["zabstate"]), (&true.into(), &"broadcast".into()));
    if leader == 0 {
        within(PATIENCE, "the observer is up to date", || {
            (ask("observers")?["synced_observers"] == 1).then_some(())
        });
    }
}
