//! What the commands answer.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use kernel::ensemble::{HostPort, PeerAddr};
use kernel::tree::digest;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::command::Command;
use super::connections;
use crate::admin::{NodeView, VERSION, ensemble, environment, reading};
use crate::consensus::Role;
use crate::telemetry::{flatten, rounded, to_ms};

/// Arguments of a request.
pub(super) type Arguments = BTreeMap<String, String>;

/// Runs a command that is asked with `GET`.
pub(super) async fn run(
    view: &NodeView,
    initial_config: &str,
    command: Command,
    arguments: &Arguments,
) -> Answer {
    let answer = Answer::new(command.name());
    match command {
        Command::Configuration => answer.with_all(configuration(view)),
        Command::InitialConfiguration => answer.with("initial_configuration", initial_config),
        Command::Environment => answer.with_all(environment::list()),
        Command::Dirs => {
            let sizes = reading::sizes(view);
            answer
                .with("datadir_size", sizes.data_dir_bytes)
                .with("logdir_size", sizes.log_dir_bytes)
        }
        Command::Monitor => monitor(answer, view),
        Command::ServerStats => server_stats(answer, view),
        Command::Stats => with_connections(server_stats(answer, view), view, true),
        Command::Connections => with_connections(answer, view, false),
        Command::Dump => dump(answer, view).await,
        Command::Hash => answer.with("digests", digests(view)),
        Command::LastSnapshot => last_snapshot(answer, view),
        Command::IsReadOnly => answer.with("read_only", reading::is_read_only(view)),
        Command::WatchSummary => watch_summary(answer, view),
        Command::Watches => watches(answer, view),
        Command::WatchesByPath => watches_by_path(answer, view),
        Command::StatReset => {
            reading::reset(view);
            answer
        }
        Command::ConnectionStatReset => {
            reading::reset_connections(view);
            answer
        }
        Command::GetTraceMask => answer.with("tracemask", view.trace_mask()),
        Command::SetTraceMask => set_trace_mask(answer, view, arguments),
        // A server with nothing wrong has nothing to say here; nothing is counted of observers.
        Command::Ruok | Command::ObserverConnectionStatReset => answer,
        Command::Observers => observers(answer, view),
        Command::Leader => leader(answer, view),
        Command::VotingView => answer.with("current_config", voting_view(view)),
        Command::ZabState => zab_state(answer, view),
        Command::Snapshot | Command::Restore => not_yet(command),
        Command::ShedConnections => wrong_method(command),
    }
}

/// The answer of commands that are planned.
fn not_yet(command: Command) -> Answer {
    let text = format!("{} is not available in this version", command.name());
    Answer::error(command.name(), StatusCode::SERVICE_UNAVAILABLE, text)
}

/// The answer to `GET` where `POST` is meant, or the other way round.
pub(super) fn wrong_method(command: Command) -> Answer {
    let method = if command.is_post() { "POST" } else { "GET" };
    let text = format!("{} is asked with {method}", command.name());
    Answer::error(command.name(), StatusCode::METHOD_NOT_ALLOWED, text)
}

/// The settings of `conf` under ZooKeeper's names for JSON, which leave out some.
fn configuration(view: &NodeView) -> impl Iterator<Item = (String, Value)> {
    let absent = ["secureClientPort", "dataDirSize", "dataLogSize"];
    let settings = reading::settings(view).into_iter();
    settings.filter(move |(key, _)| !absent.contains(key)).map(|(key, value)| {
        let value = value.parse::<i64>().map_or(Value::String(value), Value::from);
        (snake_case(key), value)
    })
}

fn snake_case(key: &str) -> String {
    let mut out = String::new();
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

fn monitor(answer: Answer, view: &NodeView) -> Answer {
    let numbers = flatten(&reading::metrics(view)).into_iter();
    let numbers = numbers.map(|(name, number)| (name, json!(number)));
    let answer = answer.with("version", VERSION).with("server_state", reading::mode(view));
    let state = ensemble::peer_state(view).map(|state| ("peer_state".to_owned(), json!(state)));
    answer.with_all(state.into_iter().chain(numbers))
}

fn server_stats(answer: Answer, view: &NodeView) -> Answer {
    let server = reading::server(view);
    let sizes = reading::sizes(view);
    let response = view.core.stats.conns.response_bytes.read();
    let size = |bytes: u64| if response.count == 0 { -1 } else { bytes.cast_signed() };
    let response = json!({
        "last_buffer_size": size(response.last),
        "min_buffer_size": size(response.min),
        "max_buffer_size": size(response.max),
    });
    let stats = json!({
        "packets_sent": server.sent,
        "packets_received": server.received,
        "client_response_stats": &response,
        "data_dir_size": sizes.data_dir_bytes,
        "log_dir_size": sizes.log_dir_bytes,
        "last_processed_zxid": server.zxid.0,
        "server_state": server.mode,
        "outstanding_requests": server.outstanding,
        "avg_latency": rounded(server.latency_us.mean() / 1000.0),
        "max_latency": to_ms(server.latency_us.max),
        "min_latency": to_ms(server.latency_us.min),
        "num_alive_client_connections": server.connections,
        "uptime": view.core.clock.now_us() / 1000,
        "auth_failed_count": view.core.stats.conns.auth_failures.get(),
    });
    answer
        .with("version", VERSION)
        .with("read_only", reading::is_read_only(view))
        .with("server_stats", stats)
        .with("client_response", response)
        .with("node_count", server.node_count)
}

fn with_connections(answer: Answer, view: &NodeView, brief: bool) -> Answer {
    let (secure, plain): (Vec<_>, Vec<_>) =
        reading::connections(view).into_iter().partition(|conn| conn.secure);
    answer
        .with("connections", connections::list(&plain, brief))
        .with("secure_connections", connections::list(&secure, brief))
}

async fn dump(answer: Answer, view: &NodeView) -> Answer {
    let ends = reading::expiring_sessions(view).into_iter().map(|(at_ms, sessions)| {
        let ids: Value = sessions.iter().map(|session| session.0).collect();
        (at_ms.to_string(), ids)
    });
    let ephemerals = reading::ephemerals(view).await.into_iter().map(|(session, paths)| {
        let paths: Value = paths.iter().map(|path| &**path).collect();
        (session.0.to_string(), paths)
    });
    answer
        .with("expiry_time_to_session_ids", ends.collect::<Map<_, _>>())
        .with("session_id_to_ephemeral_paths", ephemerals.collect::<Map<_, _>>())
}

fn digests(view: &NodeView) -> Value {
    let records = reading::digests(view).into_iter();
    records
        .map(|record| {
            json!({
                "zxid": record.zxid.0,
                "digest": record.digest.cast_signed(),
                "digest_version": digest::VERSION,
            })
        })
        .collect()
}

/// The newest checkpoint on disk; -1 stands for none, as in ZooKeeper.
fn last_snapshot(answer: Answer, view: &NodeView) -> Answer {
    let last = reading::last_checkpoint(view);
    let (zxid, seconds) = last.map_or((-1, -1), |note| (note.zxid.0, note.time_ms / 1000));
    answer.with("zxid", format!("{zxid:x}")).with("timestamp", seconds)
}

fn watch_summary(answer: Answer, view: &NodeView) -> Answer {
    let (connections, paths, watches) = reading::watch_summary(view);
    answer
        .with("num_connections", connections)
        .with("num_paths", paths)
        .with("num_total_watches", watches)
}

fn watches(answer: Answer, view: &NodeView) -> Answer {
    let sessions = reading::watches_by_session(view).into_iter().map(|(session, paths)| {
        (session.0.to_string(), paths.iter().map(|path| &**path).collect::<Value>())
    });
    answer.with("session_id_to_watched_paths", sessions.collect::<Map<_, _>>())
}

fn watches_by_path(answer: Answer, view: &NodeView) -> Answer {
    let paths = reading::watches_by_path(view).into_iter().map(|(path, sessions)| {
        (path.to_string(), sessions.iter().map(|session| session.0).collect::<Value>())
    });
    answer.with("path_to_session_ids", paths.collect::<Map<_, _>>())
}

fn set_trace_mask(answer: Answer, view: &NodeView, arguments: &Arguments) -> Answer {
    let name = Command::SetTraceMask.name();
    let refuse = |text: String| Answer::error(name, StatusCode::OK, text);
    let Some(text) = arguments.get("traceMask") else {
        return refuse("setTraceMask requires long traceMask argument".to_owned());
    };
    let Ok(mask) = text.parse::<i64>() else {
        return refuse(format!("setTraceMask requires long traceMask argument, got {text}"));
    };
    view.set_trace_mask(mask);
    answer.with("tracemask", mask)
}

fn leader(answer: Answer, view: &NodeView) -> Answer {
    let status = view.consensus.status();
    if reading::mode(view) == "standalone" {
        return Answer::error(Command::Leader.name(), StatusCode::OK, "server is not initialized");
    }
    answer
        .with("is_leader", status.role == Role::Leader)
        .with("leader_id", status.leader.map_or(-1, |leader| leader.number.cast_signed()))
        .with(
            "leader_ip",
            status.leader.map_or_else(String::new, |leader| host(view, leader.number)),
        )
}

/// The host of a voter, as the configuration names it; empty for another server.
fn host(view: &NodeView, server: u64) -> String {
    let voters = ensemble::voters(view);
    let peer = voters.get(&server).and_then(|voter| voter.peers.first());
    peer.map_or_else(String::new, |peer| peer.host.clone())
}

fn voting_view(view: &NodeView) -> Map<String, Value> {
    let voters = ensemble::voters(view).into_iter();
    let shown = voters.map(|(id, voter)| {
        let addresses = |port: fn(&PeerAddr) -> u16| -> Vec<String> {
            let place = |peer: &PeerAddr| HostPort { host: peer.host.clone(), port: port(peer) };
            voter.peers.iter().map(|peer| place(peer).to_string()).collect()
        };
        let view = json!({
            "server_addresses": addresses(|peer| peer.quorum_port),
            "election_addresses": addresses(|peer| peer.election_port),
            "client_address": voter.client.as_ref().map_or_else(String::new, HostPort::to_string),
            "learner_type": voter.role.to_string(),
        });
        (id.to_string(), view)
    });
    shown.collect()
}

fn observers(answer: Answer, view: &NodeView) -> Answer {
    let observers = ensemble::synced_observers(view);
    let list: Vec<Value> = observers
        .iter()
        .map(|server| json!({"sid": server.id, "remote_socket_address": server.peer_address()}))
        .collect();
    answer.with("synced_observers", list.len()).with("observers", list)
}

/// What ZooKeeper says of its own agreement, as far as Raft has the like.
fn zab_state(answer: Answer, view: &NodeView) -> Answer {
    let Some(state) = ensemble::peer_state(view) else {
        return answer.with("voting", false).with("zabstate", "");
    };
    let status = view.consensus.status();
    let zxid = view.core.replica.figures().last_zxid();
    answer
        .with("myid", view.core.process.server())
        .with("is_leader", status.role == Role::Leader)
        .with("voting", ensemble::voters(view).contains_key(&view.core.process.server()))
        .with("last_zxid", format!("0x{:x}", zxid.0))
        .with("zab_epoch", zxid.0 >> 32)
        .with("zab_counter", zxid.0 & 0xffff_ffff)
        .with("zabstate", if state == "looking" { "election" } else { "broadcast" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_snake_case() {
        // The names of `configuration` are those of `conf`, spelled for JSON.
        assert_eq!(snake_case("clientPortListenBacklog"), "client_port_listen_backlog");
        assert_eq!(snake_case("dataDir"), "data_dir");
    }

    #[test]
    fn what_is_not_there_yet_says_so() {
        // 503 with a plain text, and 405 for the wrong method.
        assert_eq!(not_yet(Command::Snapshot).status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(wrong_method(Command::Ruok).status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
