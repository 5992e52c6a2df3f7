//! How scripts show what the server says.

use jute_proto::{
    ConnectResponse, ErrorCode, EventType, OpResult, Response, SessionId, Stat, session_password,
};
use kernel::replica::Outcome;

/// The answer to a handshake, `len` bytes long.
pub(crate) fn handshake(response: &ConnectResponse<'_>, len: usize) -> String {
    let ConnectResponse { timeout_ms, session_id, password, read_only, .. } = *response;
    let password = if *password == [0; 16] {
        "zeros"
    } else if *password == session_password(session_id) {
        "derived"
    } else {
        "other"
    };
    let read_only = read_only.map_or_else(|| "left out".to_owned(), |only| only.to_string());
    format!(
        "connected session={session_id} timeout={timeout_ms} password={password} \
         read-only={read_only} ({len} bytes)"
    )
}

pub(crate) fn event_type(number: i32) -> String {
    EventType::try_from(number).expect("a known event").to_string()
}

pub(crate) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Request(Ok(_)) => "done".to_owned(),
        Outcome::Numbered(reply) => format!("{} @{}", reply.code, reply.zxid.0),
        Outcome::BadWriteNumber => "bad write number".to_owned(),
        Outcome::Request(Err(error)) => format!("{}", ErrorCode::from(*error)),
        Outcome::SessionOpened { .. }
        | Outcome::SessionRefused
        | Outcome::SessionClosed
        | Outcome::NotOwner
        | Outcome::OutOfOrder
        | Outcome::Deferred
        | Outcome::Repeated => format!("{outcome:?}"),
    }
}

fn stat(stat: &Stat) -> String {
    let Stat { czxid, mzxid, pzxid, version, cversion, aversion, .. } = stat;
    let (czxid, mzxid, pzxid) = (czxid.0, mzxid.0, pzxid.0);
    let owner = match stat.ephemeral_owner {
        SessionId(0) => String::new(),
        owner => format!(" owner={owner}"),
    };
    format!(
        "c{czxid} m{mzxid} p{pzxid} v{version}/{cversion}/{aversion} len={} children={}{owner}",
        stat.data_length, stat.num_children
    )
}

fn data(data: Option<&[u8]>) -> String {
    match data {
        None => "null".to_owned(),
        Some(data) if data.len() > 40 => format!("({} bytes)", data.len()),
        Some(data) => format!("\"{}\"", data.escape_ascii()),
    }
}

fn names(names: &[std::borrow::Cow<'_, str>]) -> String {
    let mut names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    names.sort_unstable();
    format!("[{}]", names.join(" "))
}

/// What follows the name of the operation.
pub(crate) fn response(response: &Response<'_>) -> String {
    match response {
        Response::Delete
        | Response::DeleteContainer
        | Response::Check
        | Response::CheckWatches
        | Response::RemoveWatches
        | Response::SetWatches
        | Response::SetWatches2
        | Response::Auth
        | Response::Ping
        | Response::CloseSession => String::new(),
        Response::Create(created) => format!(" {}", created.path),
        Response::Create2(created)
        | Response::CreateContainer(created)
        | Response::CreateTtl(created) => format!(" {} {}", created.path, stat(&created.stat)),
        Response::Exists(found) => format!(" {}", stat(&found.stat)),
        Response::GetData(found) => format!(" {} {}", data(found.data), stat(&found.stat)),
        Response::SetData(set) => format!(" {}", stat(&set.stat)),
        Response::SetAcl(set) => format!(" {}", stat(&set.stat)),
        Response::GetAcl(found) => {
            let list: Vec<String> = found.acl.iter().map(ToString::to_string).collect();
            format!(" {} {}", list.join(" "), stat(&found.stat))
        }
        Response::GetChildren(found) => format!(" {}", names(&found.children)),
        Response::GetChildren2(found) => {
            format!(" {} {}", names(&found.children), stat(&found.stat))
        }
        Response::GetAllChildrenNumber(found) => format!(" {}", found.total_number),
        Response::GetEphemerals(found) => format!(" {}", names(&found.ephemerals)),
        Response::Sync(synced) => format!(" {}", synced.path),
        Response::Multi(multi) | Response::MultiRead(multi) => {
            let results: Vec<String> = multi.results.iter().map(result).collect();
            format!(" [{}]", results.join("; "))
        }
        Response::Reconfig(reconfig) => {
            let text = String::from_utf8_lossy(reconfig.data.unwrap_or_default()).into_owned();
            format!(" [{}]{}", text.replace('\n', " "), stat(&reconfig.stat))
        }
        Response::ListPage(page) => {
            let more = if page.more { " and more" } else { "" };
            format!(" [{}]{more} {}", page.children.join(" "), stat(&page.stat))
        }
        Response::GetSubtree(chunk) => {
            let nodes = chunk.nodes.iter().map(|node| match ErrorCode::try_from(node.err) {
                Ok(ErrorCode::Ok) => format!("{} {}", node.path, data(node.data)),
                Ok(code) => format!("{} {code}", node.path),
                Err(error) => panic!("{error}"),
            });
            let nodes = nodes.collect::<Vec<_>>().join("; ");
            format!(" [{nodes}]{}", if chunk.more { " and more" } else { "" })
        }
        Response::AddWatch(added) => format!(" {}", added.err),
        Response::Sasl(sasl) => format!(" token={}", data(sasl.token)),
        Response::WhoAmI(who) => {
            let ids = who.clients.iter().map(|id| format!(" {}:{}", id.auth_scheme, id.user));
            ids.collect()
        }
    }
}

fn result(result: &OpResult<'_>) -> String {
    match result {
        OpResult::Create(created) => format!("create {}", created.path),
        OpResult::Create2(created) => format!("create2 {} {}", created.path, stat(&created.stat)),
        OpResult::Delete => "delete".to_owned(),
        OpResult::SetData(set) => format!("setData {}", stat(set)),
        OpResult::Check => "check".to_owned(),
        OpResult::GetChildren(found) => format!("getChildren {}", names(&found.children)),
        OpResult::GetData(found) => format!("getData {}", data(found.data)),
        OpResult::Error(0) => "OK".to_owned(),
        OpResult::Error(err) => match ErrorCode::try_from(*err) {
            Ok(code) => code.to_string(),
            Err(_) => err.to_string(),
        },
    }
}
