//! Long lists and subtrees in parts, with the client crate: on Grovekeeper by its own operations, on
//! Apache ZooKeeper by plain ones, with the same results.

use std::collections::BTreeSet;

use grovekeeper_client::{
    Acl, ChildrenPage, ChildrenStream, Client, CreateOptions, Error, ErrorCode, Id, Perms,
    SubtreeNode, SubtreeStream,
};
use integration::{Kind, ServerOptions};

use crate::client_world::{PERSISTENT, on_each, run};

async fn create_each(zk: &Client, paths: &[&str]) {
    for path in paths {
        zk.create(path, path.as_bytes(), PERSISTENT).await.expect("created");
    }
}

async fn names(mut stream: ChildrenStream) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(name) = stream.next().await {
        names.push(name.expect("a name"));
    }
    names
}

async fn nodes(mut stream: SubtreeStream) -> Vec<SubtreeNode> {
    let mut nodes = Vec::new();
    while let Some(node) = stream.next().await {
        nodes.push(node.expect("a node"));
    }
    nodes
}

fn paths(nodes: &[SubtreeNode]) -> Vec<&str> {
    nodes.iter().map(|node| node.path.as_str()).collect()
}

#[test]
fn a_list_is_read_page_by_page() {
    // Pages have names in order, from behind one that need not be there, with the parent's metadata.
    on_each(|_, zk| async move {
        create_each(&zk, &["/n", "/n/b", "/n/a", "/n/d", "/n/é", "/n/c"]).await;
        let page = zk.list_page("/n", None, 2).await.expect("a page");
        let (_, stat) = zk.get("/n").await.expect("read");
        assert_eq!(
            (page.names.as_slice(), page.more),
            (&["a".to_owned(), "b".to_owned()][..], true)
        );
        assert_eq!((page.stat, page.zxid), (stat, stat.pzxid));
        zk.delete("/n/c", None).await.expect("deleted");
        let ChildrenPage { names, more, stat: later, .. } =
            zk.list_page("/n", Some("c"), 2).await.expect("a page");
        assert_eq!((names, more), (vec!["d".to_owned(), "é".to_owned()], false));
        assert!(later.pzxid > stat.pzxid, "the list has changed");
        let page = zk.list_page("/n", Some("é"), 2).await.expect("a page");
        assert_eq!((page.names.len(), page.more), (0, false));
        let missing = zk.list_page("/none", None, 2).await;
        assert_eq!(missing.map_err(|error| error.code()), Err(Some(ErrorCode::NoNode)));
        let senseless = zk.list_page("/n", None, 0).await;
        assert!(matches!(senseless, Err(Error::InvalidArgument(_))), "{senseless:?}");
        assert_eq!(names_of(&zk, "/n").await, ["a", "b", "d", "é"]);
        assert_eq!(names_of(&zk, "/n/a").await, [""; 0]);
    });
}

async fn names_of(zk: &Client, path: &str) -> Vec<String> {
    names(zk.children(path)).await
}

#[test]
fn a_subtree_is_read_in_order() {
    // A znode comes before those below it and siblings in order, with data and metadata; below a znode
    // that may not be read nothing is told. Paths are those of the client's root.
    on_each(|_, zk| async move {
        create_each(&zk, &["/app", "/app/n", "/app/n/a", "/app/n/a/x", "/app/n/a/x/y"]).await;
        create_each(&zk, &["/app/n/a-", "/app/n/b", "/app/nn"]).await;
        let hidden = vec![Acl { perms: Perms::READ, id: Id::new("ip", "10.9.8.7") }];
        let options = CreateOptions::from(PERSISTENT).acl(hidden);
        zk.create("/app/n/b/secret", b"s", options.clone()).await.expect("created");
        zk.create("/app/closed", b"s", options).await.expect("created");
        let app = zk.chroot("/app").expect("a path");
        let found = nodes(app.get_subtree("/n")).await;
        let expected = ["/n", "/n/a", "/n/a/x", "/n/a/x/y", "/n/a-", "/n/b", "/n/b/secret"];
        assert_eq!(paths(&found), expected);
        for node in &found {
            if node.path == "/n/b/secret" {
                assert_eq!(node.content, None);
                continue;
            }
            let (data, stat) = app.get(&node.path).await.expect("read");
            assert_eq!(node.content, Some((data, stat)));
            assert!(node.zxid >= stat.mzxid, "{node:?}");
        }
        let top = nodes(zk.get_subtree("/app/n/a")).await;
        assert_eq!(paths(&top), ["/app/n/a", "/app/n/a/x", "/app/n/a/x/y"]);
        let all = nodes(zk.get_subtree("/")).await;
        let (first, last) = (all.first(), all.last());
        assert_eq!(first.map(|node| node.path.as_str()), Some("/"));
        assert_eq!(last.map(|node| node.path.as_str()), Some("/zookeeper/quota"));
        for (path, code) in [("/none", ErrorCode::NoNode), ("/app/closed", ErrorCode::NoAuth)] {
            let mut stream = zk.get_subtree(path);
            let error = stream.next().await.expect("an answer").expect_err("refused");
            assert_eq!(error.code(), Some(code));
            assert!(stream.next().await.is_none(), "an error that lasts ends the stream");
        }
    });
}

#[test]
fn a_wide_subtree_is_read_in_parts() {
    // More znodes than are read at a time come in order, each once, while others come and go.
    on_each(|address, zk| async move {
        let changing = address.connect().await;
        let mut expected = vec!["/w".to_owned()];
        zk.create("/w", b"", PERSISTENT).await.expect("created");
        for number in 0..200 {
            let path = format!("/w/{number:03}");
            expected.extend([path.clone(), format!("{path}/below")]);
            let made = zk.create(&path, b"", PERSISTENT);
            zk.create(&format!("{path}/below"), b"", PERSISTENT).await.expect("created");
            made.await.expect("created");
        }
        let mut stream = zk.get_subtree("/w");
        let mut found = Vec::new();
        while let Some(node) = stream.next().await {
            let path = node.expect("a node").path;
            if found.len() % 50 == 0 {
                let passing = format!("{path}-passing");
                changing.create(&passing, b"", PERSISTENT).await.expect("created");
                changing.delete(&passing, None).await.expect("deleted");
            }
            found.push(path);
        }
        found.retain(|path| !path.ends_with("-passing"));
        assert_eq!(found, expected);
    });
}

/// Creates children with long names, some hundred at a time.
async fn fill(zk: &Client, parent: &str, count: usize) -> BTreeSet<String> {
    let names: BTreeSet<String> = (0..count).map(|number| format!("{number:0>100}")).collect();
    let paths: Vec<String> = names.iter().map(|name| format!("{parent}/{name}")).collect();
    zk.create(parent, b"", PERSISTENT).await.expect("created");
    let commits: Vec<_> = paths
        .chunks(500)
        .map(|some| {
            let multi =
                some.iter().fold(zk.multi(), |multi, path| multi.create(path, b"", PERSISTENT));
            multi.commit()
        })
        .collect();
    for commit in commits {
        commit.await.expect("created");
    }
    names
}

/// What a list of so many names of 100 bytes needs is over `jute.maxbuffer`.
const MANY: usize = 12_000;
const JUTE_MAXBUFFER: usize = 0xf_ffff;

#[test]
fn a_list_that_no_packet_could_hold_is_read_while_it_changes() {
    // A client that takes no longer answers than ZooKeeper's clients do reads all children and the
    // whole subtree; those that come and go meanwhile change nothing about the others. The server
    // counts the operations and warns of nothing.
    let options = ServerOptions::new(Kind::Grovekeeper).set("4lw.commands.whitelist", "mntr");
    let server = options.start();
    let hosts = server.connect_string();
    run(async {
        let zk = Client::builder()
            .max_response(JUTE_MAXBUFFER)
            .connect(&hosts)
            .await
            .expect("connected");
        let names = fill(&zk, "/many", MANY).await;
        const { assert!(MANY * 104 > JUTE_MAXBUFFER) };
        let (mut found, mut stream) = (Vec::new(), zk.children("/many"));
        while let Some(name) = stream.next().await {
            if found.len() % 1000 == 0 {
                let passing = format!("/many/{}-passing", found.len());
                zk.create(&passing, b"", PERSISTENT).await.expect("created");
                zk.delete(&passing, None).await.expect("deleted");
            }
            found.push(name.expect("a name"));
        }
        let (stat, zxid) = stream.shown().expect("pages were shown");
        assert!(stat.pzxid <= zxid && stat.num_children as usize == MANY, "{stat:?}");
        found.retain(|name| !name.ends_with("-passing"));
        assert!(found.iter().eq(&names), "all names, in order");
        let below = nodes(zk.get_subtree("/many")).await;
        assert_eq!(below.len(), MANY + 1);
        assert_eq!(zk.status().borrow().generation, 0);
    });
    assert!(!server.log().contains("jute.maxbuffer"), "{}", server.log());
    let mntr = server.four_letter_word("mntr").expect("it serves");
    for counted in ["zk_op_count_list_page\t", "zk_op_count_get_subtree\t"] {
        let line = mntr.lines().find_map(|line| line.strip_prefix(counted));
        assert!(
            line.is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count > 4)),
            "{mntr}"
        );
    }
}

#[test]
fn reading_goes_on_after_the_server_was_gone() {
    // A stream that is interrupted by the loss of its connection goes on behind the last name.
    let mut server = ServerOptions::new(Kind::Grovekeeper)
        .set("minSessionTimeout", "40000")
        .set("maxSessionTimeout", "60000")
        .start();
    run(async {
        let zk = Client::connect(&server.connect_string()).await.expect("connected");
        let names = fill(&zk, "/many", 6000).await;
        let mut stream = zk.children("/many");
        let mut found = vec![stream.next().await.expect("more").expect("a name")];
        server.kill();
        server.start_again();
        while let Some(name) = stream.next().await {
            match name {
                Ok(name) => found.push(name),
                Err(error) => assert!(error.is_interruption(), "{error}"),
            }
        }
        assert!(found.iter().eq(&names), "all names, in order");
    });
}
