//! The commands of the scripts about the tree.
//!
//! Each write takes the next zxid, from 1. `as`, `time` and `policy` set what the following
//! commands are judged by. A write shows its result or its error, and then the changes that
//! watches are told, as `+ path` (created), `- path` (deleted) and `= path` (data changed).

use std::fmt::Write as _;

use jute_proto::{Acl, Id, Perms, SessionId, Stat, Zxid};
use kernel::time::WallTime;
use kernel::tree::{
    Change, ChangeKind, Create, CreateOp, ExpirySearch, ExpirySettings, Node, OpContext, Policy,
    QuotaUnit, Tree, TreeLoader, TxnResult, WriteOp,
};

use crate::golden::words;

pub(crate) struct TreeRunner {
    tree: Tree,
    zxid: i64,
    wall_time: WallTime,
    session: SessionId,
    identities: Vec<Id>,
    policy: Policy,
    /// What a disk would hold after the last `checkpoint`.
    rows: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Default for TreeRunner {
    fn default() -> Self {
        Self {
            tree: Tree::new(),
            zxid: 0,
            wall_time: WallTime(1000),
            session: SessionId(1),
            identities: Vec::new(),
            policy: Policy::default(),
            rows: std::collections::BTreeMap::new(),
        }
    }
}

impl TreeRunner {
    pub(crate) fn run(&mut self, line: &str) -> String {
        let words = words(line);
        let (command, args) = words.split_first().expect("a command");
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match command.as_str() {
            "as" => self.set_identities(&args),
            "session" => {
                self.session = SessionId(number(args[0]));
                String::new()
            }
            "time" => {
                self.wall_time = WallTime(number(args[0]));
                String::new()
            }
            "policy" => self.set_policy(&args),
            "checkpoint" => self.checkpoint(),
            "restart" => self.restart(),
            "quota-events" => self.quota_events(),
            "verify" => self.verify(),
            "multi" => self.multi(&args),
            "repeat" => {
                let rest = line.splitn(3, ' ').nth(2).expect("a command to repeat");
                let times = 0..number(args[0]);
                times.map(|_| self.run(rest)).last().unwrap_or_default()
            }
            command => self.write(command, &args).unwrap_or_else(|| self.read(command, &args)),
        }
    }

    fn set_identities(&mut self, args: &[&str]) -> String {
        let ids = args.iter().map(|id| id.split_once(':').expect("scheme:id"));
        self.identities = ids.map(|(scheme, id)| Id::new(scheme, id)).collect();
        String::new()
    }

    fn set_policy(&mut self, args: &[&str]) -> String {
        self.policy = Policy {
            extended_types: args.contains(&"extended-types"),
            enforce_quota: args.contains(&"enforce-quota"),
            skip_acl: args.contains(&"skip-acl"),
            no_digest_scheme: args.contains(&"no-digest"),
            x509_scheme: args.contains(&"x509"),
            sasl_scheme: args.contains(&"sasl"),
            reconfig: args.contains(&"reconfig"),
            ensemble_of_one: args.contains(&"ensemble-of-one"),
        };
        String::new()
    }

    /// Runs one write; `None` where the command is none.
    fn write(&mut self, command: &str, args: &[&str]) -> Option<String> {
        let acl = requested_acl(args);
        let op = write_op(command, args, acl.as_deref())?;
        Some(self.apply(&op))
    }

    /// `multi op args ; op args ; ...`
    fn multi(&mut self, args: &[&str]) -> String {
        let parts: Vec<&[&str]> =
            args.split(|word| *word == ";").filter(|part| !part.is_empty()).collect();
        let acls: Vec<_> = parts.iter().map(|part| requested_acl(part)).collect();
        let ops = parts.iter().zip(&acls).map(|(part, acl)| {
            write_op(part[0], &part[1..], acl.as_deref()).expect("a write operation")
        });
        let op = WriteOp::Multi(ops.collect());
        self.apply(&op)
    }

    fn apply(&mut self, op: &WriteOp<'_>) -> String {
        self.zxid += 1;
        let ctx = OpContext {
            zxid: Zxid(self.zxid),
            wall_time: self.wall_time,
            session: self.session,
            identities: &self.identities,
            policy: self.policy,
        };
        let mut changes = Vec::new();
        let mut out = match self.tree.apply(&ctx, op, &mut changes) {
            Ok(result) => show_result(&result),
            Err(error) => format!("error {error:?}\n"),
        };
        for change in &changes {
            show_change(change, &mut out);
        }
        out
    }

    fn read(&self, command: &str, args: &[&str]) -> String {
        let (path, ids, policy) =
            (args.first().copied().unwrap_or("/"), &*self.identities, self.policy);
        let shown = match command {
            "get" => self.tree.read(path, ids, policy).map(|node| match node.data() {
                Some(data) => format!("{:?}", String::from_utf8_lossy(data)),
                None => "null".to_owned(),
            }),
            "stat" => self.tree.exists(path, ids, policy).map(|node| show_stat(&node.stat())),
            "ls" => self.tree.read(path, ids, policy).map(|node| {
                let names: Vec<_> = node.children().map(|name| format!("{name:?}")).collect();
                format!("[{}]", names.join(", "))
            }),
            "get-acl" => self.tree.read_acl(path, ids, policy).map(|(_, list)| show_acl(&list)),
            "count" => self.tree.count_descendants(path, ids, policy).map(|n| n.to_string()),
            "ephemerals" => {
                let paths = self.tree.ephemerals(self.session, args.first().copied());
                Ok(paths.map(ToString::to_string).collect::<Vec<_>>().join(" "))
            }
            "counters" => Ok(format!(
                "nodes={} ephemerals={} data-size={}",
                self.tree.node_count(),
                self.tree.ephemeral_count(),
                self.tree.approximate_data_size(),
            )),
            "expired" => Ok(self.expired(args)),
            other => panic!("no command {other}"),
        };
        match shown {
            Ok(shown) if shown.is_empty() => "none\n".to_owned(),
            Ok(shown) => shown + "\n",
            Err(error) => format!("error {error:?}\n"),
        }
    }

    fn expired(&self, args: &[&str]) -> String {
        let settings = ExpirySettings {
            container_never_used_ms_max: option(args, "never-used").map_or(0, number),
            extended_types: self.policy.extended_types,
        };
        let age_ms = |_: &str, node: &Node| self.wall_time.ms_since(node.mtime());
        // One candidate at a time finds the same as all at once.
        let mut search = ExpirySearch::default();
        let found = std::iter::from_fn(|| self.tree.expired(settings, age_ms, &mut search, 1));
        let paths: Vec<_> = found.flatten().map(|(path, _)| path.to_string()).collect();
        paths.join(" ")
    }

    /// Writes what changed to the rows and lists it.
    fn checkpoint(&mut self) -> String {
        let mut lines = Vec::new();
        let removed = self.tree.begin_checkpoint();
        for row in removed.rows(|| self.tree.take_changed(2)) {
            let path = String::from_utf8_lossy(&row.key).into_owned();
            lines.push(format!("{} {path}\n", if row.value.is_some() { "put" } else { "remove" }));
            match row.value {
                Some(value) => self.rows.insert(row.key.to_vec(), value.to_vec()),
                None => self.rows.remove(&*row.key),
            };
        }
        if lines.is_empty() { "nothing\n".to_owned() } else { lines.concat() }
    }

    /// Goes on with the tree that the rows make.
    fn restart(&mut self) -> String {
        let mut loader = TreeLoader::new();
        for (key, value) in &self.rows {
            loader.add(key, value).expect("rows of a checkpoint");
        }
        self.tree = loader.finish().expect("a whole checkpoint");
        String::new()
    }

    fn quota_events(&mut self) -> String {
        let show = |event: kernel::tree::QuotaEvent| {
            let unit = match event.unit {
                QuotaUnit::Nodes => "nodes",
                QuotaUnit::Bytes => "bytes",
            };
            let kind = if event.hard { "hard" } else { "soft" };
            let outcome = if event.refused { "refused" } else { "noted" };
            format!("{} {unit} {}>{} {kind} {outcome}\n", event.path, event.usage, event.limit)
        };
        self.tree.take_quota_events().into_iter().map(show).collect()
    }

    /// Compares what is kept up with every change with what follows from the nodes.
    fn verify(&self) -> String {
        assert_eq!(self.tree.digest(), self.tree.recomputed_digest());
        "consistent\n".to_owned()
    }
}

fn write_op<'a>(command: &str, args: &[&'a str], acl: Option<&'a [Acl]>) -> Option<WriteOp<'a>> {
    let path = args.first().copied().unwrap_or("");
    let version = option(args, "version").map_or(-1, |version| number(version) as i32);
    let data = option(args, "data").map(str::as_bytes);
    let create = |op| {
        let flags = option(args, "flags").map_or(0, |flags| number(flags) as i32);
        let ttl_ms = option(args, "ttl").map_or(-1, number);
        WriteOp::Create(Create { op, path, data, acl, flags, ttl_ms })
    };
    Some(match command {
        "create" => create(CreateOp::Create),
        "create2" => create(CreateOp::Create2),
        "create-container" => create(CreateOp::Container),
        "create-ttl" => create(CreateOp::Ttl),
        "delete" => WriteOp::Delete { path, version },
        "set" => WriteOp::SetData { path, data, version },
        "set-acl" => WriteOp::SetAcl { path, acl, version },
        "check" => WriteOp::Check { path, version },
        "delete-container" => WriteOp::DeleteContainer { path, age_ms: None },
        "close-session" => WriteOp::CloseSession,
        "set-config" => WriteOp::SetConfig { data: data.unwrap_or_default() },
        _ => return None,
    })
}

/// `acl=scheme:id:perms,...`; nothing is the open list, `acl=null` a null one, `acl=` an empty one.
fn requested_acl(args: &[&str]) -> Option<Vec<Acl>> {
    match option(args, "acl") {
        None => Some(Acl::open()),
        Some("null") => None,
        Some("") => Some(Vec::new()),
        Some(entries) => Some(entries.split(',').map(acl).collect()),
    }
}

fn acl(entry: &str) -> Acl {
    let (id, perms) = entry.rsplit_once(':').expect("scheme:id:perms");
    let (scheme, id) = id.split_once(':').expect("scheme:id:perms");
    let letters = [('c', Perms::CREATE), ('d', Perms::DELETE), ('r', Perms::READ)];
    let letters = letters.into_iter().chain([('w', Perms::WRITE), ('a', Perms::ADMIN)]);
    let has = letters.filter(|(letter, _)| perms.contains(*letter));
    let perms = has.fold(Perms(0), |all, (_, perm)| all | perm);
    Acl { perms, id: Id::new(scheme, id) }
}

fn option<'a>(args: &[&'a str], key: &str) -> Option<&'a str> {
    args.iter().find_map(|arg| arg.strip_prefix(key)?.strip_prefix('='))
}

fn number(text: &str) -> i64 {
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).expect("a hexadecimal number"),
        None => text.parse().expect("a number"),
    }
}

fn show_result(result: &TxnResult) -> String {
    match result {
        TxnResult::Created { op, path, stat } => format!("{op:?} {path} {}\n", show_stat(stat)),
        TxnResult::Deleted => "deleted\n".to_owned(),
        TxnResult::DataSet(stat) | TxnResult::AclSet(stat) => format!("set {}\n", show_stat(stat)),
        TxnResult::Checked => "checked\n".to_owned(),
        TxnResult::Multi(results) => results
            .iter()
            .map(show_result)
            .fold("multi\n".to_owned(), |out, result| out + "  " + &result),
        TxnResult::MultiFailed(codes) => format!("multi failed {codes:?}\n"),
        TxnResult::Reconfigured { stat, .. } => format!("configured {}\n", show_stat(stat)),
        TxnResult::SessionClosed { ephemerals } => format!("closed, {ephemerals} ephemerals\n"),
    }
}

/// The zxids and times, versions (data, children, ACL), owner, length and number of children.
fn show_stat(stat: &Stat) -> String {
    format!(
        "c{}@{} m{}@{} p{} v{}/{}/{} owner={:#x} len={} children={}",
        stat.czxid.0,
        stat.ctime,
        stat.mzxid.0,
        stat.mtime,
        stat.pzxid.0,
        stat.version,
        stat.cversion,
        stat.aversion,
        stat.ephemeral_owner.0,
        stat.data_length,
        stat.num_children,
    )
}

fn show_acl(list: &[Acl]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn show_change(change: &Change, out: &mut String) {
    let sign = match change.kind {
        ChangeKind::Created => '+',
        ChangeKind::Deleted => '-',
        ChangeKind::DataChanged => '=',
    };
    write!(out, "  {sign} {}", change.path).expect("memory takes it");
    let [own, parent] = [&change.acl, &change.parent_acl].map(|acl| show_acl(acl.entries()));
    if own != "world:anyone:cdrwa" || parent != "world:anyone:cdrwa" {
        write!(out, " [{own} below {parent}]").expect("memory takes it");
    }
    out.push('\n');
}
