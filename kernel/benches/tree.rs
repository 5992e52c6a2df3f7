//! How fast the tree is and how much memory its nodes take: `cargo bench --bench tree`.
//!
//! One thread, no log, no network: what one request costs in the kernel. Each node holds 100 bytes;
//! nodes are spread over 1000 parents, and then all are children of one.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "it measures and reports")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use jute_proto::{Acl, SessionId, Zxid};
use kernel::time::WallTime;
use kernel::tree::{Create, CreateOp, OpContext, Policy, Tree, TreeLoader, WriteOp};

const NODES: usize = 1_000_000;
const DATA: [u8; 100] = [b'x'; 100];

fn main() {
    // `cargo test --benches` passes no `--bench`; then a small run shows that it works.
    let nodes = if std::env::args().any(|arg| arg == "--bench") { NODES } else { 1000 };
    let parents: Vec<String> = (0..1000).map(|n| format!("/bench-{n:03}")).collect();
    let spread = |n: usize| format!("{}/node-{n:010}", parents[n * 7919 % parents.len()]);
    run("1000 parents", nodes, &parents, spread);
    let one = ["/bench".to_owned()];
    run("one parent, in order", nodes, &one, |n| format!("/bench/node-{n:010}"));
    // A multiplier without common factors visits each number once, in no order.
    run("one parent, no order", nodes, &one, |n| {
        format!("/bench/node-{:010}", n * 611_953 % NODES)
    });
}

fn run(name: &str, nodes: usize, parents: &[String], path: impl Fn(usize) -> String) {
    println!("{name}, {nodes} nodes of {} bytes", DATA.len());
    let before = resident_bytes();
    let mut bench = Bench { tree: Tree::new(), zxid: 0, open: Acl::open() };
    for parent in parents {
        bench.create(parent);
    }
    // Paths are made one after the other, so that only those of the tree count.
    let (mut slowest, started) = (Duration::ZERO, busy());
    for n in 0..nodes {
        let path = path(n);
        let begun = Instant::now();
        bench.create(&path);
        slowest = slowest.max(begun.elapsed());
    }
    let taken = resident_bytes().saturating_sub(before);
    println!("  fill        {:>8.3} us, the slowest {slowest:?}", each(started, nodes));
    println!("  memory      {:>8} bytes a node, {} MiB", taken / nodes, taken >> 20);

    // In no order, so that caches help no more than they will.
    let order: Vec<String> = (0..nodes).map(|n| path(n * 611_953 % nodes)).collect();
    bench.time("get", &order, |bench, path| {
        black_box(
            bench.tree.read(path, &[], Policy::default()).is_ok_and(|node| node.data().is_some()),
        );
    });
    bench.time("stat", &order, |bench, path| {
        black_box(bench.tree.get(path).map(|node| node.stat()));
    });
    bench.time("set", &order, |bench, path| {
        bench.apply(&WriteOp::SetData { path, data: Some(&DATA), version: -1 });
    });
    let started = busy();
    let removed = bench.tree.begin_checkpoint();
    println!("  begin       {:>8.3} us a checkpoint", each(started, 1));
    let started = busy();
    let rows: Vec<_> = removed.rows(|| bench.tree.take_changed(256)).collect();
    println!("  rows        {:>8.3} us a row", each(started, rows.len()));
    bench.time("delete", &order, |bench, path| {
        bench.apply(&WriteOp::Delete { path, version: -1 });
    });
    bench.time("create", &order, |bench, path| bench.create(path));
    let started = busy();
    let listed: usize = parents
        .iter()
        .filter_map(|parent| bench.tree.get(parent))
        .flat_map(|n| n.children())
        .count();
    println!("  list        {:>8.3} us a child", each(started, listed));
    drop(bench);
    let started = busy();
    let mut loader = TreeLoader::new();
    for row in &rows {
        if let Some(value) = &row.value {
            loader.add(&row.key, value).expect("its own rows");
        }
    }
    let tree = loader.finish().expect("its own rows");
    println!("  load        {:>8.3} us a row", each(started, rows.len()));
    black_box(tree);
}

struct Bench {
    tree: Tree,
    zxid: i64,
    open: Vec<Acl>,
}

impl Bench {
    fn time(&mut self, name: &str, paths: &[String], mut op: impl FnMut(&mut Self, &str)) {
        let started = busy();
        for path in paths {
            op(self, path);
        }
        println!("  {name:<11} {:>8.3} us", each(started, paths.len()));
    }

    fn create(&mut self, path: &str) {
        let open = std::mem::take(&mut self.open);
        let (op, data, acl) = (CreateOp::Create, Some(&DATA[..]), Some(&open[..]));
        self.apply(&WriteOp::Create(Create { op, path, data, acl, flags: 0, ttl_ms: -1 }));
        self.open = open;
    }

    fn apply(&mut self, op: &WriteOp<'_>) {
        self.zxid += 1;
        let (zxid, session, policy) = (Zxid(self.zxid), SessionId(1), Policy::default());
        let ctx =
            OpContext { zxid, wall_time: WallTime(self.zxid), session, identities: &[], policy };
        let mut changes = Vec::new();
        let result = self.tree.apply(&ctx, op, &mut changes);
        black_box((result.expect("a good operation"), changes));
    }
}

fn each(started: Duration, count: usize) -> f64 {
    (busy() - started).as_secs_f64() * 1e6 / count.max(1) as f64
}

/// How long this thread has had a processor, so that other programs matter less.
fn busy() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
