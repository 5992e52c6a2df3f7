//! Pages of children and chunks of a subtree against a model that reads everything at once.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use jute_proto::{
    Acl, ConnectRequest, CreateRequest, DeleteRequest, Encode, ErrorCode, Extensions,
    GetSubtreeRequest, GetSubtreeResponse, ListPageRequest, ListPageResponse, Reader, ReplyHeader,
    Request, SessionId, Zxid, next_frame,
};
use proptest::prelude::*;
use testkit::InMemoryServer;
use testkit::server::{frame, handshake};

/// The name of the connection.
const CLIENT: &str = "a";

/// A server and a client that may ask for pages.
struct Rig {
    server: InMemoryServer,
    input: BytesMut,
}

impl Rig {
    fn new() -> Self {
        let mut server = InMemoryServer::default();
        server.connect(CLIENT, [127, 0, 0, 1]);
        server.receive(
            CLIENT,
            handshake(&ConnectRequest {
                protocol_version: Extensions::PAGES.protocol_version(),
                last_zxid_seen: Zxid(0),
                timeout_ms: 10_000,
                session_id: SessionId(0),
                password: &[0; 16],
                read_only: Some(false),
            }),
        );
        while server.apply_next().is_some() {}
        let mut rig = Self { server, input: BytesMut::new() };
        rig.frame();
        rig
    }

    fn frame(&mut self) -> Bytes {
        let conn = self.server.conns.get_mut(CLIENT).expect("connected");
        self.input.unsplit(conn.take_output());
        let frame = next_frame(&mut self.input, 1 << 20).expect("a frame");
        frame.expect("an answer")
    }

    /// The answer to a request: its error, and the record behind its header.
    fn ask(&mut self, request: &Request<'_>) -> (ErrorCode, Bytes) {
        let mut body = BytesMut::new();
        request.encode(&mut body);
        self.server.receive(CLIENT, frame(1, request.op_code().into(), &body));
        while self.server.apply_next().is_some() {}
        let answer = self.frame();
        let header: ReplyHeader = Reader::new(&answer).record().expect("a header");
        let code = ErrorCode::try_from(header.err).expect("a known code");
        (code, answer.slice(ReplyHeader::LEN..))
    }

    fn create(&mut self, path: &str) -> ErrorCode {
        let (path, acl) = (path.into(), Some(Acl::open()));
        self.ask(&Request::Create(CreateRequest { path, data: Some(b"d"), acl, flags: 0 })).0
    }

    fn delete(&mut self, path: &str) -> ErrorCode {
        self.ask(&Request::Delete(DeleteRequest { path: path.into(), version: -1 })).0
    }

    fn page(&mut self, path: &str, after: Option<&str>, limit: i32) -> (Vec<String>, bool) {
        let after = after.map(Into::into);
        let request = Request::ListPage(ListPageRequest { path: path.into(), after, limit });
        let (code, record) = self.ask(&request);
        assert_eq!(code, ErrorCode::Ok);
        let page: ListPageResponse<'_> = Reader::new(&record).record().expect("a page");
        (page.children.into_iter().map(Into::into).collect(), page.more)
    }

    fn chunk(&mut self, path: &str, after: Option<&str>, limit: i32) -> (Vec<String>, bool) {
        let after = after.map(Into::into);
        let request = Request::GetSubtree(GetSubtreeRequest { path: path.into(), after, limit });
        let (code, record) = self.ask(&request);
        assert_eq!(code, ErrorCode::Ok);
        let chunk: GetSubtreeResponse<'_> = Reader::new(&record).record().expect("a chunk");
        (chunk.nodes.into_iter().map(|node| node.path.into()).collect(), chunk.more)
    }
}

/// A change between two pages: create or delete a node.
type Change = (bool, usize);

fn changes() -> impl Strategy<Value = Vec<(i32, Vec<Change>)>> {
    let change = (any::<bool>(), any::<usize>());
    prop::collection::vec((1..5i32, prop::collection::vec(change, 0..3)), 1..8)
}

/// Few names, of which some are the beginning of others and some sort around a slash.
fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "a-", "a.b", "a0", "b", "ba", "é", "Z"])
}

fn paths() -> impl Strategy<Value = BTreeSet<Vec<&'static str>>> {
    prop::collection::btree_set(prop::collection::vec(name(), 1..4), 0..24)
}

/// The nodes that creating all these makes: sorted by names, so a node is before those below it.
fn with_parents(paths: &BTreeSet<Vec<&'static str>>) -> BTreeSet<Vec<&'static str>> {
    let each = paths.iter().flat_map(|path| (1..=path.len()).map(|len| path[..len].to_vec()));
    each.collect()
}

fn text(path: &[&str]) -> String {
    format!("/n/{}", path.join("/"))
}

proptest! {
    #[test]
    fn pages_together_are_the_sorted_children(
        names in prop::collection::btree_set("[a-c]{1,3}", 0..40),
        rounds in changes(),
    ) {
        // Whatever the limits, and whatever comes and goes between two pages: names are in order, none
        // twice, those that were there all the time are all there, those that never were are not.
        let mut rig = Rig::new();
        rig.create("/n");
        for name in &names {
            rig.create(&format!("/n/{name}"));
        }
        let pool: Vec<String> = ["a", "ab", "abz", "b", "c", "zz"].map(str::to_owned).into();
        let (mut always, mut ever) = (names.clone(), names);
        let (mut seen, mut more) = (Vec::<String>::new(), true);
        let mut rounds = rounds.iter().cycle();
        while more {
            let (limit, changes) = rounds.next().expect("a cycle");
            let (page, is_more) = rig.page("/n", seen.last().map(String::as_str), *limit);
            prop_assert!(page.len() <= *limit as usize);
            prop_assert!(!is_more || !page.is_empty());
            seen.extend(page);
            more = is_more;
            for (create, at) in changes {
                let name = &pool[at % pool.len()];
                let path = format!("/n/{name}");
                if *create {
                    rig.create(&path);
                    ever.insert(name.clone());
                } else if rig.delete(&path) == ErrorCode::Ok {
                    always.remove(name);
                }
            }
        }
        prop_assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
        let seen: BTreeSet<String> = seen.into_iter().collect();
        prop_assert!(always.is_subset(&seen), "{always:?} {seen:?}");
        prop_assert!(seen.is_subset(&ever), "{seen:?} {ever:?}");
    }

    #[test]
    fn chunks_together_are_the_subtree(paths in paths(), others in paths(), rounds in changes()) {
        // Likewise for a subtree: a node before those below it, siblings in order.
        let mut rig = Rig::new();
        rig.create("/n");
        let nodes = with_parents(&paths);
        for node in &nodes {
            prop_assert_eq!(rig.create(&text(node)), ErrorCode::Ok);
        }
        let pool: Vec<_> = with_parents(&others).into_iter().collect();
        let (mut always, mut ever) = (nodes.clone(), nodes);
        let (mut seen, mut more) = (Vec::<String>::new(), true);
        let mut rounds = rounds.iter().cycle();
        while more {
            let (limit, changes) = rounds.next().expect("a cycle");
            let (chunk, is_more) = rig.chunk("/n", seen.last().map(String::as_str), *limit);
            prop_assert!(chunk.len() <= *limit as usize);
            prop_assert!(!is_more || !chunk.is_empty());
            seen.extend(chunk);
            more = is_more;
            for (create, at) in changes.iter().filter(|_| !pool.is_empty()) {
                let node = &pool[at % pool.len()];
                if *create {
                    if rig.create(&text(node)) == ErrorCode::Ok {
                        ever.insert(node.clone());
                    }
                } else if rig.delete(&text(node)) == ErrorCode::Ok {
                    always.remove(node);
                }
            }
        }
        prop_assert_eq!(seen.first().map(String::as_str), Some("/n"));
        let seen: Vec<Vec<&str>> =
            seen[1..].iter().map(|path| path["/n/".len()..].split('/').collect()).collect();
        prop_assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
        let seen: BTreeSet<Vec<&str>> = seen.into_iter().collect();
        prop_assert!(always.iter().all(|node| seen.contains(&node[..])), "{always:?} {seen:?}");
        prop_assert!(seen.iter().all(|node| ever.contains(&node[..])), "{seen:?} {ever:?}");
    }

    #[test]
    fn any_place_to_go_on_from_is_answered(top in ".{0,8}", after in prop::option::of("[/a-é]{0,12}")) {
        // Paths and cursors that make no sense are answered or refused; nothing panics.
        let mut rig = Rig::new();
        for path in ["/a", "/a/b", "/a/é", "/é"] {
            rig.create(path);
        }
        for top in [top.as_str(), "/", "/a", ""] {
            let after = || after.as_deref().map(Into::into);
            let (path, limit) = (top, 2);
            let list = ListPageRequest { path: path.into(), after: after(), limit };
            rig.ask(&Request::ListPage(list));
            let subtree = GetSubtreeRequest { path: path.into(), after: after(), limit };
            rig.ask(&Request::GetSubtree(subtree));
        }
    }
}

#[test]
fn an_answer_has_a_bounded_length() {
    // However much is asked for, a page is far below jute.maxbuffer, and what does not fit comes next;
    // with a small jute.maxbuffer it is smaller still.
    let mut rig = Rig::new();
    rig.create("/n");
    let names: Vec<String> = (0..3000).map(|number| format!("{number:0200}")).collect();
    for name in &names {
        rig.create(&format!("/n/{name}"));
    }
    for (max, most) in [(0xf_ffff, 256 << 10), (4096, 2048)] {
        rig.server.settings.packet_len_max = max;
        let (mut listed, mut read) = (Vec::new(), Vec::new());
        let (mut more, mut pages) = (true, 0);
        while more {
            let (page, is_more) = rig.page("/n", listed.last().map(String::as_str), i32::MAX);
            assert!(page.len() * 204 <= most, "{} names", page.len());
            listed.extend(page);
            (more, pages) = (is_more, pages + 1);
        }
        assert_eq!(listed, names);
        assert!(pages >= 600_000 / most, "{pages}");
        more = true;
        while more {
            let (chunk, is_more) = rig.chunk("/n", read.last().map(String::as_str), i32::MAX);
            assert!(chunk.len() * (203 + 81) <= most, "{} nodes", chunk.len());
            read.extend(chunk);
            more = is_more;
        }
        assert_eq!(read.len(), names.len() + 1);
    }
    // One that is longer than that alone is a page of its own.
    let long = "x".repeat(5000);
    rig.create(&format!("/n/{long}"));
    let last = names.last().map(String::as_str);
    assert_eq!(rig.page("/n", last, 5), (vec![long], false));
}

#[test]
fn pages_are_short_of_names_before_they_are_long() {
    // Short names are counted: ten thousand at most.
    let mut rig = Rig::new();
    for number in 0..10_001 {
        rig.create(&format!("/{number:05}"));
    }
    let (page, more) = rig.page("/", None, i32::MAX);
    assert_eq!((page.len(), more), (10_000, true));
    let (rest, more) = rig.page("/", page.last().map(String::as_str), i32::MAX);
    assert_eq!((rest, more), (vec!["10000".to_owned(), "zookeeper".to_owned()], false));
}
