//! Answers as text in which servers that behave alike do not differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jute_proto::{
    Acl, ClientInfo, ConnectResponse, ErrorCode, EventType, OpCode, OpResult, Reader, ReplyHeader,
    Response, SessionId, Stat, WatcherEvent, Zxid, session_password,
};

/// Marks around a number that is replaced once the case is over.
const ZXID: char = '\u{e000}';
const SESSION: char = '\u{e001}';
const END: char = '\u{e002}';

/// Writes the answers of one case.
#[derive(Debug)]
pub struct Transcript {
    /// The znode of the case.
    root: String,
    /// Times before this are `old`.
    started_ms: i64,
    /// The last zxid before the case.
    base: Zxid,
    /// The lines of each step.
    steps: Vec<Vec<String>>,
}

impl Transcript {
    /// Begins the transcript of a case whose znode is `root`, created at `started_ms`; the session that created it
    /// was closed with the transaction `base`.
    #[must_use]
    pub fn new(root: &str, started_ms: i64, base: Zxid) -> Self {
        Self { root: root.to_owned(), started_ms, base, steps: Vec::new() }
    }

    /// Begins the next step.
    pub fn begin_step(&mut self) {
        self.steps.push(Vec::new());
    }

    /// Forgets the lines of the step.
    pub fn forget_step(&mut self) {
        if let Some(step) = self.steps.last_mut() {
            step.clear();
        }
    }

    /// Adds a line to the step.
    pub fn push(&mut self, line: String) {
        if let Some(step) = self.steps.last_mut() {
            step.push(line);
        }
    }

    /// The lines of each step, with zxids and sessions replaced by what they are to each other.
    #[must_use]
    pub fn finish(self) -> Vec<Vec<String>> {
        let text = self.steps.concat().join("\n");
        let mut zxids = marked(&text, ZXID);
        zxids.push(self.base.0);
        zxids.retain(|zxid| *zxid >= self.base.0);
        zxids.sort_unstable();
        zxids.dedup();
        let ranks = zxids.iter().enumerate().map(|(rank, zxid)| (*zxid, format!("z{rank}")));
        let mut zxids: BTreeMap<i64, String> = ranks.collect();
        zxids.extend([(0, "0".to_owned()), (-1, "-1".to_owned())]);
        let mut sessions = BTreeMap::from([(0, "0".to_owned())]);
        for session in marked(&text, SESSION) {
            let next = format!("s{}", sessions.len());
            sessions.entry(session).or_insert(next);
        }
        let resolve = |line: String| replace(&replace(&line, ZXID, &zxids), SESSION, &sessions);
        self.steps.into_iter().map(|step| step.into_iter().map(resolve).collect()).collect()
    }

    /// A zxid as text.
    #[must_use]
    pub fn zxid(&self, zxid: Zxid) -> String {
        format!("{ZXID}{}{END}", zxid.0)
    }

    /// A session as text.
    #[must_use]
    pub fn session(&self, session: SessionId) -> String {
        format!("{SESSION}{}{END}", session.0)
    }

    /// The answer to the handshake.
    #[must_use]
    pub fn connected(&self, response: &ConnectResponse<'_>) -> String {
        let password = match response.password {
            password if password == session_password(response.session_id) => "derived",
            password if password == [0; 16] => "zeroes",
            _ => "other",
        };
        let read_only = match response.read_only {
            Some(true) => "yes",
            Some(false) => "no",
            None => "none",
        };
        let version = match response.protocol_version {
            0 => String::new(),
            version => format!(" version={version}"),
        };
        format!(
            "connected{version} timeout={} session={} password={password} ro={read_only}",
            response.timeout_ms,
            self.session(response.session_id)
        )
    }

    /// A reply: its error, its zxid, and its record.
    #[must_use]
    pub fn reply(&self, header: &ReplyHeader, op: Option<OpCode>, body: &[u8]) -> String {
        let error = ErrorCode::try_from(header.err).map(ErrorCode::name);
        let mut line = match error {
            Ok(name) => name.to_owned(),
            Err(unknown) => format!("error{}", unknown.value),
        };
        let _ = write!(line, " {}", self.zxid(header.zxid));
        let mut reader = Reader::new(body);
        if header.err == 0
            && let Some(op) = op
        {
            match Response::decode(op, &mut reader) {
                Ok(response) => line.push_str(&self.response(&response)),
                Err(error) => line = format!("{line} UNDECODABLE {error}"),
            }
        }
        // Clients do not read what stands behind an error; Apache ZooKeeper sometimes leaves something there.
        if header.err == 0 && !reader.is_empty() {
            let _ = write!(line, " +{}", hex(reader.rest()));
        }
        line
    }

    /// A notification.
    #[must_use]
    pub fn event(&self, header: &ReplyHeader, event: &WatcherEvent<'_>) -> String {
        let kind = EventType::try_from(event.event_type)
            .map_or_else(|unknown| unknown.value.to_string(), |kind| kind.name().to_owned());
        let state =
            if event.state == 3 { String::new() } else { format!(" state={}", event.state) };
        let error = if header.err == 0 { String::new() } else { format!(" err={}", header.err) };
        format!("event {kind} {} {}{state}{error}", self.path(&event.path), self.zxid(header.zxid))
    }

    /// A path as a script writes it.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        match path.strip_prefix(&self.root) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("~{}", escape(rest)),
            _ => escape(path).replace(&self.root, "{~}"),
        }
    }

    fn response(&self, response: &Response<'_>) -> String {
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
            Response::Create(created) => format!(" {}", self.path(&created.path)),
            Response::Create2(created)
            | Response::CreateContainer(created)
            | Response::CreateTtl(created) => {
                format!(" {}{}", self.path(&created.path), self.stat(&created.stat))
            }
            Response::Exists(exists) => self.stat(&exists.stat),
            Response::GetData(get) => format!(" {}{}", data(get.data), self.stat(&get.stat)),
            Response::SetData(set) => self.stat(&set.stat),
            Response::GetAcl(get) => format!(" {}{}", acl(&get.acl), self.stat(&get.stat)),
            Response::SetAcl(set) => self.stat(&set.stat),
            Response::GetChildren(get) => format!(" {}", self.sorted(&get.children)),
            Response::GetChildren2(get) => {
                format!(" {}{}", self.sorted(&get.children), self.stat(&get.stat))
            }
            Response::GetAllChildrenNumber(get) => format!(" {}", get.total_number),
            Response::GetEphemerals(get) => format!(" {}", self.sorted(&get.ephemerals)),
            Response::Sync(sync) => format!(" {}", self.path(&sync.path)),
            Response::Multi(multi) | Response::MultiRead(multi) => {
                let results = multi.results.iter().map(|result| self.result(result));
                format!(" [{}]", results.collect::<Vec<_>>().join(" ; "))
            }
            Response::Reconfig(reconfig) => {
                format!(" {}{}", data(reconfig.data), self.stat(&reconfig.stat))
            }
            Response::ListPage(_) | Response::GetSubtree(_) => " (not ZooKeeper's)".to_owned(),
            Response::AddWatch(add) => format!(" err={}", add.err),
            Response::Sasl(sasl) => format!(" {}", data(sasl.token)),
            Response::WhoAmI(who) => {
                let clients = who.clients.iter().map(|ClientInfo { auth_scheme, user }| {
                    format!("{}:{}", escape(auth_scheme), escape(user))
                });
                let mut clients: Vec<String> = clients.collect();
                clients.sort_unstable();
                format!(" [{}]", clients.join(" "))
            }
        }
    }

    fn result(&self, result: &OpResult<'_>) -> String {
        match result {
            OpResult::Create(created) => format!("create {}", self.path(&created.path)),
            OpResult::Create2(created) => {
                format!("create2 {}{}", self.path(&created.path), self.stat(&created.stat))
            }
            OpResult::Delete => "delete".to_owned(),
            OpResult::SetData(stat) => format!("setData{}", self.stat(stat)),
            OpResult::Check => "check".to_owned(),
            OpResult::GetChildren(get) => format!("getChildren {}", self.sorted(&get.children)),
            OpResult::GetData(get) => format!("getData {}{}", data(get.data), self.stat(&get.stat)),
            OpResult::Error(err) => ErrorCode::try_from(*err)
                .map_or_else(|_| format!("error{err}"), |code| code.name().to_owned()),
        }
    }

    fn sorted(&self, paths: &[impl AsRef<str>]) -> String {
        let mut paths: Vec<String> = paths.iter().map(|path| self.path(path.as_ref())).collect();
        paths.sort_unstable();
        format!("[{}]", paths.join(" "))
    }

    fn stat(&self, stat: &Stat) -> String {
        let created = self.time(stat.ctime);
        let modified = match stat.mtime {
            // Two transactions may fall into the same millisecond, one transaction has one time.
            time if stat.mzxid == stat.czxid && time == stat.ctime => "=ctime".to_owned(),
            time if stat.mzxid != stat.czxid && time >= stat.ctime => {
                format!(">=ctime,{}", self.time(time))
            }
            time => format!("{},odd", self.time(time)),
        };
        let owner = match stat.ephemeral_owner.0 as u64 {
            // Not a session but the mark of a container or a TTL, which servers should hide.
            marker @ (0x8000_0000_0000_0000 | 0xff00_0000_0000_0000..) => format!("{marker:#x}"),
            _ => self.session(stat.ephemeral_owner),
        };
        format!(
            " czxid={} mzxid={} pzxid={} ctime={created} mtime{modified} version={} cversion={} aversion={} owner={owner} \
             length={} children={}",
            self.zxid(stat.czxid),
            self.zxid(stat.mzxid),
            self.zxid(stat.pzxid),
            stat.version,
            stat.cversion,
            stat.aversion,
            stat.data_length,
            stat.num_children,
        )
    }

    fn time(&self, time_ms: i64) -> String {
        // Two minutes cover the slowest case; clocks of both processes are the same.
        match time_ms {
            0 => "0".to_owned(),
            time if (self.started_ms - 2_000..self.started_ms + 120_000).contains(&time) => {
                "now".to_owned()
            }
            _ => "old".to_owned(),
        }
    }
}

fn acl(entries: &[Acl]) -> String {
    let entries = entries
        .iter()
        .map(|Acl { perms, id }| format!("{}:{}:{}", escape(&id.scheme), escape(&id.id), perms.0));
    format!("[{}]", entries.collect::<Vec<_>>().join(" "))
}

fn data(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".to_owned(),
        Some(bytes) if bytes.len() > 200 => format!("({} bytes)", bytes.len()),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => format!("{text:?}"),
            Err(_) => format!("0x{}", hex(bytes)),
        },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Spaces and characters that cannot be printed, as scripts write them.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, character| {
        match character {
            ' ' => out.push_str("\\s"),
            character if character.is_ascii_graphic() => out.push(character),
            character => {
                let _ = write!(out, "{}", character.escape_unicode());
            }
        }
        out
    })
}

/// The numbers behind `mark`, in order of appearance.
fn marked(text: &str, mark: char) -> Vec<i64> {
    let parts = text.split(mark).skip(1);
    parts.filter_map(|part| part.split_once(END)?.0.parse().ok()).collect()
}

fn replace(line: &str, mark: char, names: &BTreeMap<i64, String>) -> String {
    let mut parts = line.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, rest) = part.split_once(END).unwrap_or((part, ""));
        let name = number.parse().ok().and_then(|number: i64| names.get(&number));
        out.push_str(name.map_or("old", String::as_str));
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zxids_and_sessions_are_named_by_their_order() {
        // Two servers that count differently but in the same order write the same.
        let lines = |zxids: [i64; 3], session| {
            let mut transcript = Transcript::new("/root", 0, Zxid(zxids[0]));
            transcript.begin_step();
            for zxid in zxids.into_iter().chain([0, -1, 1]) {
                let line = transcript.zxid(Zxid(zxid)) + &transcript.session(SessionId(session));
                transcript.push(line);
            }
            transcript.finish().concat()
        };
        let expected = ["z0s1", "z1s1", "z2s1", "0s1", "-1s1", "olds1"];
        assert_eq!(lines([10, 11, 12], 77), expected);
        assert_eq!(lines([20, 40, 41], 78), expected);
    }
}
