//! Any request and any response, in owned form, because the real ones borrow.

use std::borrow::Cow;

use jute_proto::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// What requests and responses are made of.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    path: String,
    texts: Vec<String>,
    opt_texts: [Option<String>; 3],
    data: Option<Vec<u8>>,
    acl: Option<Vec<Acl>>,
    number: i32,
    flag: bool,
    long: i64,
    stat: Stat,
    mode: CreateMode,
}

/// A request in owned form.
#[derive(Clone, Debug)]
pub(crate) struct OwnedRequest {
    kind: usize,
    parts: Parts,
    more: Vec<(usize, Parts)>,
}

/// A response in owned form.
#[derive(Clone, Debug)]
pub(crate) struct OwnedResponse(OwnedRequest);

pub(crate) fn opt_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    option::of(vec(any::<u8>(), 0..20))
}

fn acl() -> impl Strategy<Value = Acl> {
    let id = (any::<String>(), any::<String>());
    (any::<i32>(), id)
        .prop_map(|(perms, (scheme, id))| Acl { perms: Perms(perms), id: Id { scheme, id } })
}

fn stat() -> impl Strategy<Value = Stat> {
    (any::<[i64; 6]>(), any::<[i32; 5]>()).prop_map(|(long, int)| Stat {
        czxid: Zxid(long[0]),
        mzxid: Zxid(long[1]),
        ctime: long[2],
        mtime: long[3],
        version: int[0],
        cversion: int[1],
        aversion: int[2],
        ephemeral_owner: SessionId(long[4]),
        data_length: int[3],
        num_children: int[4],
        pzxid: Zxid(long[5]),
    })
}

fn parts() -> impl Strategy<Value = Parts> {
    let texts = (any::<String>(), vec(any::<String>(), 0..4), any::<[Option<String>; 3]>());
    let lists = (opt_bytes(), option::of(vec(acl(), 0..3)));
    let numbers = any::<(i32, bool, i64)>();
    (texts, lists, numbers, stat(), prop::sample::select(CreateMode::ALL)).prop_map(
        |((path, texts, opt_texts), (data, acl), (number, flag, long), stat, mode)| Parts {
            path,
            texts,
            opt_texts,
            data,
            acl,
            number,
            flag,
            long,
            stat,
            mode,
        },
    )
}

pub(crate) fn request() -> impl Strategy<Value = OwnedRequest> {
    let more = vec((any::<usize>(), parts()), 0..4);
    (any::<usize>(), parts(), more).prop_map(|(kind, parts, more)| OwnedRequest {
        kind,
        parts,
        more,
    })
}

pub(crate) fn response() -> impl Strategy<Value = OwnedResponse> {
    request().prop_map(OwnedResponse)
}

impl Parts {
    fn path(&self) -> Cow<'_, str> {
        self.path.as_str().into()
    }

    fn data(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }

    fn texts(&self) -> Vec<Cow<'_, str>> {
        self.texts.iter().map(|text| text.as_str().into()).collect()
    }

    fn opt_text(&self, index: usize) -> Option<Cow<'_, str>> {
        self.opt_texts[index].as_deref().map(Cow::Borrowed)
    }

    fn node(&self) -> SubtreeNode<'_> {
        let (path, data, stat) = (self.path(), self.data(), self.stat);
        SubtreeNode { path, err: self.number, data, stat }
    }

    fn create(&self, flags: i32) -> CreateRequest<'_> {
        CreateRequest { path: self.path(), data: self.data(), acl: self.acl.clone(), flags }
    }

    fn create_ttl(&self, flags: i32) -> CreateTtlRequest<'_> {
        let CreateRequest { path, data, acl, flags } = self.create(flags);
        CreateTtlRequest { path, data, acl, flags, ttl_ms: self.long }
    }

    fn delete(&self) -> DeleteRequest<'_> {
        DeleteRequest { path: self.path(), version: self.number }
    }

    fn set_data(&self) -> SetDataRequest<'_> {
        SetDataRequest { path: self.path(), data: self.data(), version: self.number }
    }

    fn check(&self) -> CheckRequest<'_> {
        CheckRequest { path: self.path(), version: self.number }
    }

    fn get_data(&self) -> GetDataRequest<'_> {
        GetDataRequest { path: self.path(), watch: self.flag }
    }

    fn get_children(&self) -> GetChildrenRequest<'_> {
        GetChildrenRequest { path: self.path(), watch: self.flag }
    }

    /// An operation as a multi holds it: the flags agree with what is created, and there is an ACL.
    fn multi_op(&self, kind: usize) -> MultiOp<'_> {
        let create = || {
            let acl = Some(self.acl.clone().unwrap_or_default());
            CreateRequest { acl, ..self.create(self.mode.into()) }
        };
        match (kind % 4, self.mode) {
            (0, mode) if mode.is_ttl() => MultiOp::CreateTtl(self.create_ttl(mode.into())),
            (0, CreateMode::Container) => MultiOp::CreateContainer(create()),
            (0, _) if self.flag => MultiOp::Create2(create()),
            (0, _) => MultiOp::Create(create()),
            (1, _) => MultiOp::Delete(self.delete()),
            (2, _) => MultiOp::SetData(self.set_data()),
            _ => MultiOp::Check(self.check()),
        }
    }

    fn set_watches2(&self) -> SetWatches2Request<'_> {
        SetWatches2Request {
            relative_zxid: Zxid(self.long),
            data_watches: self.texts(),
            exist_watches: vec![self.path()],
            child_watches: Vec::new(),
            persistent_watches: self.texts(),
            persistent_recursive_watches: vec![self.path()],
        }
    }

    fn result(&self, kind: usize) -> OpResult<'_> {
        match kind % 8 {
            0 => OpResult::Create(CreateResponse::new(self.path())),
            1 => OpResult::Create2(Create2Response::new(self.path(), self.stat)),
            2 => OpResult::Delete,
            3 => OpResult::SetData(self.stat),
            4 => OpResult::Check,
            5 => OpResult::GetChildren(GetChildrenResponse { children: self.texts() }),
            6 => OpResult::GetData(GetDataResponse { data: self.data(), stat: self.stat }),
            _ => OpResult::Error(self.number),
        }
    }
}

impl OwnedRequest {
    /// Lends the request.
    pub(crate) fn with(&self, check: impl FnOnce(&Request<'_>)) {
        let p = &self.parts;
        let request = match self.kind % 3 {
            0 => self.write(p),
            1 => self.read(p),
            _ => self.other(p),
        };
        check(&request);
    }

    fn write<'a>(&'a self, p: &'a Parts) -> Request<'a> {
        match self.kind / 3 % 10 {
            0 => Request::Create(p.create(p.number)),
            1 => Request::Create2(p.create(p.number)),
            2 => Request::CreateContainer(p.create(p.number)),
            3 => Request::CreateTtl(p.create_ttl(p.number)),
            4 => Request::Delete(p.delete()),
            5 => Request::DeleteContainer(DeleteContainerRequest { path: p.path() }),
            6 => Request::SetData(p.set_data()),
            7 => {
                let (path, acl) = (p.path(), p.acl.clone());
                Request::SetAcl(SetAclRequest { path, acl, version: p.number })
            }
            8 => Request::Check(p.check()),
            _ => {
                let ops = self.more.iter().map(|(kind, parts)| parts.multi_op(*kind)).collect();
                Request::Multi(MultiRequest { ops })
            }
        }
    }

    fn read<'a>(&'a self, p: &'a Parts) -> Request<'a> {
        let path = p.path();
        match self.kind / 3 % 12 {
            0 => Request::Exists(ExistsRequest { path, watch: p.flag }),
            1 => Request::GetData(p.get_data()),
            2 => Request::GetAcl(GetAclRequest { path }),
            3 => Request::GetChildren(p.get_children()),
            4 => Request::GetChildren2(p.get_children()),
            5 => Request::GetAllChildrenNumber(GetAllChildrenNumberRequest { path }),
            6 => Request::GetEphemerals(GetEphemeralsRequest { prefix: p.opt_text(0) }),
            7 => Request::Sync(SyncRequest { path }),
            8 => Request::WhoAmI,
            9 => {
                let (after, limit) = (p.opt_text(0), p.number);
                Request::ListPage(ListPageRequest { path, after, limit })
            }
            10 => {
                let (after, limit) = (p.opt_text(0), p.number);
                Request::GetSubtree(GetSubtreeRequest { path, after, limit })
            }
            _ => {
                let ops = self.more.iter().map(|(kind, parts)| match kind % 2 {
                    0 => MultiReadOp::GetData(parts.get_data()),
                    _ => MultiReadOp::GetChildren(parts.get_children()),
                });
                Request::MultiRead(MultiReadRequest { ops: ops.collect() })
            }
        }
    }

    fn other<'a>(&'a self, p: &'a Parts) -> Request<'a> {
        let (path, watcher_type) = (p.path(), p.number);
        match self.kind / 3 % 10 {
            0 => Request::CheckWatches(CheckWatchesRequest { path, watcher_type }),
            1 => Request::RemoveWatches(RemoveWatchesRequest { path, watcher_type }),
            2 => Request::SetWatches(SetWatchesRequest {
                relative_zxid: Zxid(p.long),
                data_watches: p.texts(),
                exist_watches: Vec::new(),
                child_watches: p.texts(),
            }),
            3 => Request::SetWatches2(p.set_watches2()),
            4 => Request::AddWatch(AddWatchRequest { path, mode: p.number }),
            5 => {
                let (auth_type, auth) = (p.number, p.data());
                Request::Auth(AuthRequest { auth_type, scheme: path, auth })
            }
            6 => Request::Sasl(SaslRequest { token: p.data() }),
            7 => Request::Ping,
            8 => Request::CloseSession,
            _ => Request::Reconfig(ReconfigRequest {
                joining_servers: p.opt_text(0),
                leaving_servers: p.opt_text(1),
                new_members: p.opt_text(2),
                current_config_id: Zxid(p.long),
            }),
        }
    }
}

impl OwnedResponse {
    /// Lends the response and the operation that it answers.
    pub(crate) fn with(&self, check: impl FnOnce(OpCode, &Response<'_>)) {
        let (p, kind) = (&self.0.parts, self.0.kind);
        let (path, stat, data, children) = (p.path(), p.stat, p.data(), p.texts());
        let acl = p.acl.clone().unwrap_or_default();
        let (op, response) = match kind % 20 {
            0 => (OpCode::Delete, Response::Delete),
            1 => (OpCode::Create, Response::Create(CreateResponse { path })),
            2 => (OpCode::CreateTtl, Response::CreateTtl(Create2Response { path, stat })),
            3 => (OpCode::Exists, Response::Exists(ExistsResponse { stat })),
            4 => (OpCode::GetData, Response::GetData(GetDataResponse { data, stat })),
            5 => (OpCode::SetData, Response::SetData(SetDataResponse { stat })),
            6 => (OpCode::GetAcl, Response::GetAcl(GetAclResponse { acl, stat })),
            7 => (OpCode::SetAcl, Response::SetAcl(SetAclResponse { stat })),
            8 => (OpCode::GetChildren, Response::GetChildren(GetChildrenResponse { children })),
            9 => {
                let response = GetChildren2Response { children, stat };
                (OpCode::GetChildren2, Response::GetChildren2(response))
            }
            10 => {
                let response = GetAllChildrenNumberResponse { total_number: p.number };
                (OpCode::GetAllChildrenNumber, Response::GetAllChildrenNumber(response))
            }
            11 => {
                let response = GetEphemeralsResponse { ephemerals: children };
                (OpCode::GetEphemerals, Response::GetEphemerals(response))
            }
            12 => (OpCode::Sync, Response::Sync(SyncResponse { path })),
            13 => {
                let results = self.0.more.iter().map(|(kind, parts)| parts.result(*kind));
                let response = MultiResponse { results: results.collect() };
                (OpCode::MultiRead, Response::MultiRead(response))
            }
            14 => (OpCode::Reconfig, Response::Reconfig(ReconfigResponse { data, stat })),
            15 => (OpCode::AddWatch, Response::AddWatch(AddWatchResponse { err: p.number })),
            16 => {
                let response = ListPageResponse { children, more: p.flag, stat };
                (OpCode::ListPage, Response::ListPage(response))
            }
            17 => {
                let nodes = self.0.more.iter().map(|(_, parts)| parts.node()).collect();
                let response = GetSubtreeResponse { nodes, more: p.flag };
                (OpCode::GetSubtree, Response::GetSubtree(response))
            }
            18 => (OpCode::Sasl, Response::Sasl(SaslResponse { token: data })),
            _ => {
                let client = ClientInfo { auth_scheme: path.clone(), user: path };
                (OpCode::WhoAmI, Response::WhoAmI(WhoAmIResponse { clients: vec![client] }))
            }
        };
        check(op, &response);
    }
}
