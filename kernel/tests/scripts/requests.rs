//! Requests as scripts write them: the operation, its path, and `key=value` for the rest.

use jute_proto::{
    Acl, AddWatchRequest, AuthRequest, CheckRequest, CheckWatchesRequest, CreateRequest,
    CreateTtlRequest, DeleteContainerRequest, DeleteRequest, ExistsRequest, GetAclRequest,
    GetAllChildrenNumberRequest, GetChildrenRequest, GetDataRequest, GetEphemeralsRequest,
    GetSubtreeRequest, Id, ListPageRequest, MultiOp, MultiReadOp, MultiReadRequest, MultiRequest,
    Perms, ReconfigRequest, RemoveWatchesRequest, Request, SaslRequest, SetAclRequest,
    SetDataRequest, SetWatches2Request, SetWatchesRequest, SyncRequest, Zxid,
};

/// The words behind an operation.
struct Args<'a>(&'a [&'a str]);

impl<'a> Args<'a> {
    fn path(&self) -> std::borrow::Cow<'a, str> {
        self.0.first().copied().expect("a path").into()
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn number(&self, key: &str, otherwise: i64) -> i64 {
        self.value(key).map_or(otherwise, |text| text.parse().expect("a number"))
    }

    fn int(&self, key: &str, otherwise: i32) -> i32 {
        self.number(key, otherwise.into()) as i32
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    fn data(&self) -> Option<&'a [u8]> {
        match self.value("data") {
            Some("null") | None => None,
            Some(text) => Some(text.as_bytes()),
        }
    }

    fn acl(&self) -> Vec<Acl> {
        self.value("acl").map_or_else(Acl::open, |text| text.split(',').map(acl).collect())
    }

    fn list(&self, key: &str) -> Vec<std::borrow::Cow<'a, str>> {
        let text = self.value(key).unwrap_or_default();
        text.split(',').filter(|path| !path.is_empty()).map(Into::into).collect()
    }

    fn create(&self, flags: i32) -> CreateRequest<'a> {
        let flags = self.int("flags", flags);
        CreateRequest { path: self.path(), data: self.data(), acl: Some(self.acl()), flags }
    }

    fn create_ttl(&self) -> CreateTtlRequest<'a> {
        let CreateRequest { path, data, acl, flags } = self.create(5);
        CreateTtlRequest { path, data, acl, flags, ttl_ms: self.number("ttl", 1000) }
    }
}

/// `scheme:id:perms`, where the id may hold colons.
fn acl(text: &str) -> Acl {
    let (scheme, rest) = text.split_once(':').expect("scheme:id:perms");
    let (id, letters) = rest.rsplit_once(':').expect("scheme:id:perms");
    let bit = |letter| match letter {
        'r' => Perms::READ,
        'w' => Perms::WRITE,
        'c' => Perms::CREATE,
        'd' => Perms::DELETE,
        'a' => Perms::ADMIN,
        _ => panic!("no permission {letter}"),
    };
    let perms = letters.chars().fold(0, |perms, letter| perms | bit(letter).0);
    Acl { perms: Perms(perms), id: Id::new(scheme, id) }
}

/// The request of these words. Operations of a `multi` or `multiRead` are separated by `+`.
pub(crate) fn parse<'a>(op: &str, words: &'a [&'a str]) -> Request<'a> {
    let args = Args(words);
    match op {
        "create" => Request::Create(args.create(0)),
        "create2" => Request::Create2(args.create(0)),
        "createContainer" => Request::CreateContainer(args.create(4)),
        "createTTL" => Request::CreateTtl(args.create_ttl()),
        "delete" => {
            Request::Delete(DeleteRequest { path: args.path(), version: args.int("version", -1) })
        }
        "deleteContainer" => Request::DeleteContainer(DeleteContainerRequest { path: args.path() }),
        "setData" => Request::SetData(set_data(&args)),
        "setACL" => Request::SetAcl(SetAclRequest {
            path: args.path(),
            acl: Some(args.acl()),
            version: args.int("version", -1),
        }),
        "check" => {
            Request::Check(CheckRequest { path: args.path(), version: args.int("version", -1) })
        }
        "multi" => Request::Multi(MultiRequest { ops: parts(words).map(multi_op).collect() }),
        "closeSession" => Request::CloseSession,
        "reconfig" => Request::Reconfig(ReconfigRequest {
            joining_servers: args.value("joining").map(Into::into),
            leaving_servers: args.value("leaving").map(Into::into),
            new_members: args.value("members").map(Into::into),
            current_config_id: Zxid(args.number("version", -1)),
        }),
        op => parse_read(op, words),
    }
}

fn parse_read<'a>(op: &str, words: &'a [&'a str]) -> Request<'a> {
    let args = Args(words);
    let watch = args.has("watch");
    match op {
        "exists" => Request::Exists(ExistsRequest { path: args.path(), watch }),
        "getData" => Request::GetData(GetDataRequest { path: args.path(), watch }),
        "getChildren" => Request::GetChildren(GetChildrenRequest { path: args.path(), watch }),
        "getChildren2" => Request::GetChildren2(GetChildrenRequest { path: args.path(), watch }),
        "getACL" => Request::GetAcl(GetAclRequest { path: args.path() }),
        "getAllChildrenNumber" => {
            Request::GetAllChildrenNumber(GetAllChildrenNumberRequest { path: args.path() })
        }
        "getEphemerals" => {
            Request::GetEphemerals(GetEphemeralsRequest { prefix: Some(args.path()) })
        }
        "listPage" => Request::ListPage(ListPageRequest {
            path: args.path(),
            after: args.value("after").map(Into::into),
            limit: args.int("limit", i32::MAX),
        }),
        "getSubtree" => Request::GetSubtree(GetSubtreeRequest {
            path: args.path(),
            after: args.value("after").map(Into::into),
            limit: args.int("limit", i32::MAX),
        }),
        "multiRead" => {
            Request::MultiRead(MultiReadRequest { ops: parts(words).map(read_op).collect() })
        }
        "sync" => Request::Sync(SyncRequest { path: args.path() }),
        "ping" => Request::Ping,
        "whoAmI" => Request::WhoAmI,
        op => parse_other(op, &args),
    }
}

fn parse_other<'a>(op: &str, args: &Args<'a>) -> Request<'a> {
    let watcher_type = args.int("type", 3);
    match op {
        "addWatch" => {
            Request::AddWatch(AddWatchRequest { path: args.path(), mode: args.int("mode", 0) })
        }
        "checkWatches" => {
            Request::CheckWatches(CheckWatchesRequest { path: args.path(), watcher_type })
        }
        "removeWatches" => {
            Request::RemoveWatches(RemoveWatchesRequest { path: args.path(), watcher_type })
        }
        "setWatches" => Request::SetWatches(SetWatchesRequest {
            relative_zxid: Zxid(args.number("seen", 0)),
            data_watches: args.list("data"),
            exist_watches: args.list("exist"),
            child_watches: args.list("child"),
        }),
        "setWatches2" => Request::SetWatches2(SetWatches2Request {
            relative_zxid: Zxid(args.number("seen", 0)),
            data_watches: args.list("data"),
            exist_watches: args.list("exist"),
            child_watches: args.list("child"),
            persistent_watches: args.list("persistent"),
            persistent_recursive_watches: args.list("recursive"),
        }),
        "auth" => Request::Auth(AuthRequest {
            auth_type: 0,
            scheme: args.path(),
            auth: args.0.get(1).map(|text| text.as_bytes()),
        }),
        "sasl" => Request::Sasl(SaslRequest { token: Some(b"token") }),
        op => panic!("no operation {op}"),
    }
}

fn set_data<'a>(args: &Args<'a>) -> SetDataRequest<'a> {
    SetDataRequest { path: args.path(), data: args.data(), version: args.int("version", -1) }
}

fn parts<'a>(words: &'a [&'a str]) -> impl Iterator<Item = &'a [&'a str]> {
    words.split(|word| *word == "+").filter(|part| !part.is_empty())
}

fn multi_op<'a>(words: &'a [&'a str]) -> MultiOp<'a> {
    let args = Args(&words[1..]);
    match words[0] {
        "create" => MultiOp::Create(args.create(0)),
        "create2" => MultiOp::Create2(args.create(0)),
        "createContainer" => MultiOp::CreateContainer(args.create(4)),
        "createTTL" => MultiOp::CreateTtl(args.create_ttl()),
        "delete" => {
            MultiOp::Delete(DeleteRequest { path: args.path(), version: args.int("version", -1) })
        }
        "setData" => MultiOp::SetData(set_data(&args)),
        "check" => {
            MultiOp::Check(CheckRequest { path: args.path(), version: args.int("version", -1) })
        }
        op => panic!("no operation {op} in a multi"),
    }
}

fn read_op<'a>(words: &'a [&'a str]) -> MultiReadOp<'a> {
    let args = Args(&words[1..]);
    let (path, watch) = (args.path(), false);
    match words[0] {
        "getData" => MultiReadOp::GetData(GetDataRequest { path, watch }),
        "getChildren" => MultiReadOp::GetChildren(GetChildrenRequest { path, watch }),
        op => panic!("no operation {op} in a multiRead"),
    }
}
