//! Requests as a script writes them: `create ~/a data=x acl=world:anyone:cdrwa mode=1`.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each function is about some operations; encode sends it no others"
)]

use std::borrow::Cow;

use bytes::BytesMut;
use jute_proto::{
    Acl, AddWatchRequest, AuthRequest, CheckRequest, CheckWatchesRequest, CreateRequest,
    CreateTtlRequest, DeleteContainerRequest, DeleteRequest, Encode, ExistsRequest, GetAclRequest,
    GetAllChildrenNumberRequest, GetChildrenRequest, GetDataRequest, GetEphemeralsRequest, Id,
    MultiHeader, OpCode, Perms, ReconfigRequest, RemoveWatchesRequest, SaslRequest, SetAclRequest,
    SetDataRequest, SetWatches2Request, SetWatchesRequest, SyncRequest, Xid, Zxid,
};

use super::command::{Arguments, Names, bytes_of_hex, number, unescape};

/// Writes the body of a request, and returns its operation and the xid that clients use for it, if
/// it is a fixed one.
///
/// # Panics
/// Where the request is not understood.
pub fn encode(
    verb: &str,
    words: &Arguments,
    names: &Names,
    out: &mut BytesMut,
) -> (i32, Option<i32>) {
    let op = OpCode::ALL.iter().find(|op| op.name() == verb);
    let op = *op.unwrap_or_else(|| panic!("{verb} is no operation"));
    let request = Words { words, names };
    request.encode(op, out);
    let xid = match op {
        OpCode::Ping => Some(Xid::PING.0),
        OpCode::Auth => Some(Xid::AUTH.0),
        OpCode::SetWatches | OpCode::SetWatches2 => Some(Xid::SET_WATCHES.0),
        _ => None,
    };
    (op.into(), xid)
}

/// Writes the body of a multi or multiRead, and returns its operation.
///
/// # Panics
/// Where an operation is not understood.
pub fn multi<'a>(
    verb: &str,
    operations: impl Iterator<Item = (&'a str, Arguments)>,
    names: &Names,
    out: &mut BytesMut,
) -> i32 {
    for (verb, arguments) in operations {
        let mut body = BytesMut::new();
        let (op, _) = encode(verb, &arguments, names, &mut body);
        MultiHeader { op, done: false, err: -1 }.encode(out);
        out.extend_from_slice(&body);
    }
    MultiHeader::END.encode(out);
    let op = if verb == "multi" { OpCode::Multi } else { OpCode::MultiRead };
    op.into()
}

struct Words<'a> {
    words: &'a Arguments,
    names: &'a Names,
}

impl Words<'_> {
    fn encode(&self, op: OpCode, out: &mut BytesMut) {
        match op {
            OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
                self.create(op, out);
            }
            OpCode::SetData => self.set_data(out),
            OpCode::SetAcl => {
                let (path, acl, version) = (self.path(), self.acl(), self.version());
                SetAclRequest { path, acl, version }.encode(out);
            }
            OpCode::Delete => {
                DeleteRequest { path: self.path(), version: self.version() }.encode(out);
            }
            OpCode::Check => {
                CheckRequest { path: self.path(), version: self.version() }.encode(out)
            }
            OpCode::DeleteContainer => DeleteContainerRequest { path: self.path() }.encode(out),
            OpCode::Reconfig => self.reconfig(out),
            OpCode::Auth => self.auth(out),
            OpCode::Sasl => SaslRequest { token: Some(&self.bytes("data")) }.encode(out),
            OpCode::Ping | OpCode::WhoAmI | OpCode::CloseSession => {}
            OpCode::Notification | OpCode::Multi | OpCode::MultiRead => panic!("use raw for {op}"),
            OpCode::CreateSession | OpCode::Error => panic!("use raw for {op}"),
            OpCode::ListPage | OpCode::GetSubtree => panic!("ZooKeeper has no {op}"),
            OpCode::Exists
            | OpCode::GetData
            | OpCode::GetAcl
            | OpCode::GetChildren
            | OpCode::GetChildren2
            | OpCode::Sync
            | OpCode::GetEphemerals
            | OpCode::GetAllChildrenNumber => self.read(op, out),
            OpCode::CheckWatches
            | OpCode::RemoveWatches
            | OpCode::SetWatches
            | OpCode::SetWatches2
            | OpCode::AddWatch => self.watches(op, out),
        }
    }

    fn read(&self, op: OpCode, out: &mut BytesMut) {
        let watch = self.words.has("watch");
        match op {
            OpCode::Exists => ExistsRequest { path: self.path(), watch }.encode(out),
            OpCode::GetData => GetDataRequest { path: self.path(), watch }.encode(out),
            OpCode::GetAcl => GetAclRequest { path: self.path() }.encode(out),
            OpCode::GetChildren | OpCode::GetChildren2 => {
                GetChildrenRequest { path: self.path(), watch }.encode(out);
            }
            OpCode::Sync => SyncRequest { path: self.path() }.encode(out),
            OpCode::GetEphemerals => {
                let prefix = self.words.positional.first().map(|word| self.names.path(word).into());
                GetEphemeralsRequest { prefix }.encode(out);
            }
            OpCode::GetAllChildrenNumber => {
                GetAllChildrenNumberRequest { path: self.path() }.encode(out);
            }
            other => panic!("{other} is no read"),
        }
    }

    fn watches(&self, op: OpCode, out: &mut BytesMut) {
        let relative_zxid = Zxid(self.words.get("zxid").map_or(0, |word| self.names.zxid(word)));
        let watcher_type = self.words.number("type", 3);
        let (data_watches, exist_watches) = (self.paths("data"), self.paths("exist"));
        let child_watches = self.paths("child");
        match op {
            OpCode::CheckWatches => {
                CheckWatchesRequest { path: self.path(), watcher_type }.encode(out);
            }
            OpCode::RemoveWatches => {
                RemoveWatchesRequest { path: self.path(), watcher_type }.encode(out);
            }
            OpCode::AddWatch => {
                let mode = self.words.number("mode", 0);
                AddWatchRequest { path: self.path(), mode }.encode(out);
            }
            OpCode::SetWatches => {
                SetWatchesRequest { relative_zxid, data_watches, exist_watches, child_watches }
                    .encode(out);
            }
            OpCode::SetWatches2 => SetWatches2Request {
                relative_zxid,
                data_watches,
                exist_watches,
                child_watches,
                persistent_watches: self.paths("persistent"),
                persistent_recursive_watches: self.paths("recursive"),
            }
            .encode(out),
            other => panic!("{other} is not about watches"),
        }
    }

    fn create(&self, op: OpCode, out: &mut BytesMut) {
        let data = self.data();
        let (path, data, acl) = (self.path(), data.as_deref(), self.acl());
        let default = match op {
            OpCode::CreateContainer => 4,
            OpCode::CreateTtl => 5,
            _ => 0,
        };
        let flags = self.words.number("mode", default);
        if op == OpCode::CreateTtl {
            let ttl_ms = self.words.number("ttl", 0);
            CreateTtlRequest { path, data, acl, flags, ttl_ms }.encode(out);
        } else {
            CreateRequest { path, data, acl, flags }.encode(out);
        }
    }

    fn set_data(&self, out: &mut BytesMut) {
        let data = self.data();
        let (path, data, version) = (self.path(), data.as_deref(), self.version());
        SetDataRequest { path, data, version }.encode(out);
    }

    fn auth(&self, out: &mut BytesMut) {
        let scheme = unescape(self.words.at(0)).into();
        let auth = self.words.positional.get(1).map(|word| unescape(word).into_bytes());
        let auth_type = self.words.number("type", 0);
        AuthRequest { auth_type, scheme, auth: auth.as_deref() }.encode(out);
    }

    fn reconfig(&self, out: &mut BytesMut) {
        let members = |key| self.words.get(key).map(|members| Cow::Owned(unescape(members)));
        ReconfigRequest {
            joining_servers: members("joining"),
            leaving_servers: members("leaving"),
            new_members: members("new"),
            current_config_id: Zxid(self.words.number("id", -1)),
        }
        .encode(out);
    }

    fn path(&self) -> Cow<'static, str> {
        Cow::Owned(self.names.path(self.words.at(0)))
    }

    fn paths(&self, key: &str) -> Vec<Cow<'static, str>> {
        let words = self.words.get(key).unwrap_or_default();
        let words = words.split(',').filter(|word| !word.is_empty());
        words.map(|word| Cow::Owned(self.names.path(word))).collect()
    }

    fn version(&self) -> i32 {
        self.words.number("v", -1)
    }

    /// `null`, nothing, text, `@LEN` for that many bytes, or `0x…`; by default `x`.
    fn data(&self) -> Option<Vec<u8>> {
        (self.words.get("data") != Some("null")).then(|| self.bytes("data"))
    }

    fn bytes(&self, key: &str) -> Vec<u8> {
        let word = self.words.get(key).unwrap_or("x");
        if let Some(len) = word.strip_prefix('@') {
            let len = usize::try_from(number(len)).unwrap_or_else(|_| panic!("{word}: a length"));
            return vec![b'x'; len];
        }
        match word.strip_prefix("0x") {
            Some(hex) => bytes_of_hex(hex),
            None => unescape(word).into_bytes(),
        }
    }

    /// `null`, nothing, or `SCHEME:ID:PERMS` separated by commas; by default open to everyone.
    fn acl(&self) -> Option<Vec<Acl>> {
        let Some(word) = self.words.get("acl") else { return Some(Acl::open()) };
        if word == "null" {
            return None;
        }
        let entries = word.split(',').filter(|entry| !entry.is_empty());
        Some(entries.map(acl_entry).collect())
    }
}

fn acl_entry(word: &str) -> Acl {
    let (scheme, rest) = word.split_once(':').unwrap_or_else(|| panic!("{word} is no ACL"));
    let (id, perms) = rest.rsplit_once(':').unwrap_or_else(|| panic!("{word} is no ACL"));
    let letters = [
        ('r', Perms::READ),
        ('w', Perms::WRITE),
        ('c', Perms::CREATE),
        ('d', Perms::DELETE),
        ('a', Perms::ADMIN),
    ];
    let perms = perms.parse().map(Perms).unwrap_or_else(|_| {
        let named = letters.iter().filter(|(letter, _)| perms.contains(*letter));
        named.fold(Perms(0), |all, (_, perm)| all | *perm)
    });
    Acl { perms, id: Id::new(unescape(scheme), unescape(id)) }
}
