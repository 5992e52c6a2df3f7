//! Four-letter words: which are answered, and with what.

use integration::{Kind, RawClient, Server, ServerOptions, eventually, raw};

fn open_server() -> Server {
    Server::options().set("4lw.commands.whitelist", "*").start()
}

fn ask(server: &Server, word: &str) -> String {
    server.four_letter_word(word).unwrap_or_else(|| panic!("{word} is answered"))
}

fn contains(answer: &str, parts: &[&str]) {
    for part in parts {
        assert!(answer.contains(part), "{part:?} is missing in:\n{answer}");
    }
}

#[test]
fn only_srvr_is_answered_unless_more_are_listed() {
    // The default whitelist is srvr alone; every other word gets the same refusal.
    let server = Server::start();
    contains(&ask(&server, "srvr"), &["Zookeeper version: ", "Mode: standalone"]);
    for word in ["ruok", "stat", "mntr", "cons", "dump", "envi", "wchs", "conf", "isro"] {
        let expected = format!("{word} is not executed because it is not in the whitelist.\n");
        assert_eq!(ask(&server, word), expected);
    }
}

#[test]
fn listed_words_are_answered() {
    // 4lw.commands.whitelist names what is answered besides srvr.
    let server = Server::options().set("4lw.commands.whitelist", "ruok, isro").start();
    assert_eq!(ask(&server, "ruok"), "imok");
    assert_eq!(ask(&server, "isro"), "rw");
    contains(&ask(&server, "stat"), &["not in the whitelist"]);
}

#[test]
fn srvr_and_stat_count_what_happened() {
    // Their lines are those that monitoring scripts parse.
    let server = open_server();
    let mut client = RawClient::connect(server.addr());
    client.create("/a", b"", 0).expect("created");
    let srvr = ask(&server, "srvr");
    let lines = [
        "Zookeeper version: ",
        "\nLatency min/avg/max: ",
        "\nReceived: ",
        "\nSent: ",
        "\nConnections: ",
        "\nOutstanding: 0\n",
        "\nZxid: 0x",
        "\nMode: standalone\n",
        "\nNode count: 6\n",
    ];
    contains(&srvr, &lines);
    let stat = ask(&server, "stat");
    contains(&stat, &lines);
    contains(&stat, &["\nClients:\n", " /127.0.0.1:", "[1](queued=0,recved="]);
}

#[test]
fn cons_names_each_connection_and_crst_forgets_their_counts() {
    // One line a connection with its session, timeout and last operation.
    let server = open_server();
    let mut client = RawClient::connect(server.addr());
    contains(&ask(&server, "cons"), &["lop=SESS", "lcxid=0x0,"]);
    client.create("/a", b"", 0).expect("created");
    client.get("/a", false).expect("read");
    let session = format!("sid={:#x}", client.session().id.0);
    let cons = ask(&server, "cons");
    contains(&cons, &[&session, "lop=GETD", "to=10000", "lcxid=", "lzxid=0x", "est=", "minlat="]);
    assert_eq!(ask(&server, "crst"), "Connection stats reset.\n");
    assert_eq!(ask(&server, "srst"), "Server stats reset.\n");
}

#[test]
fn dump_lists_sessions_and_ephemerals() {
    // Who is here, until when, and what goes with them.
    let server = open_server();
    let mut client = RawClient::connect(server.addr());
    client.create("/short", b"", 1).expect("created");
    let session = format!("{:#x}", client.session().id.0);
    let dump = ask(&server, "dump");
    contains(
        &dump,
        &[
            "SessionTracker dump:",
            "Session Sets (",
            "ephemeral nodes dump:",
            "Sessions with Ephemerals (1):",
            &format!("{session}:\n\t/short"),
            "Connections dump:",
        ],
    );
}

#[test]
fn watch_words_list_data_watches() {
    // wchs counts, wchc lists by session, wchp by path.
    let server = open_server();
    let mut client = RawClient::connect(server.addr());
    client.exists("/a", true).expect("watched");
    client.exists("/b", true).expect("watched");
    let session = format!("{:#x}", client.session().id.0);
    contains(&ask(&server, "wchs"), &["1 connections watching 2 paths\n", "Total watches:2"]);
    contains(&ask(&server, "wchc"), &[&session, "\n\t/a", "\n\t/b"]);
    contains(&ask(&server, "wchp"), &[&format!("/a\n\t{session}"), &format!("/b\n\t{session}")]);
}

#[test]
fn mntr_has_the_keys_that_scrapers_read() {
    // One `zk_key<TAB>value` a line, with the counts of this very server.
    let server = open_server();
    let mut client = RawClient::connect(server.addr());
    client.create("/a", b"12345", 1).expect("created");
    client.exists("/a", true).expect("watched");
    let mntr = ask(&server, "mntr");
    let keys = [
        "version",
        "server_state\tstandalone\n",
        "ephemerals_count\t1\n",
        "watch_count\t1\n",
        "znode_count\t6\n",
        "num_alive_connections\t",
        "avg_latency\t",
        "min_latency\t",
        "max_latency\t",
        "packets_received\t",
        "packets_sent\t",
        "outstanding_requests\t0\n",
        "approximate_data_size\t",
        "open_file_descriptor_count\t",
        "max_file_descriptor_count\t",
        "global_sessions\t1\n",
        "local_sessions\t0\n",
        "uptime\t",
        "last_client_response_size\t",
    ];
    for key in keys {
        contains(&mntr, &[&format!("zk_{key}")]);
    }
    assert!(mntr.lines().all(|line| line.starts_with("zk_")), "{mntr}");
}

#[test]
fn conf_and_envi_say_how_the_server_runs() {
    // key=value lines of the configuration and of the surroundings.
    let server = open_server();
    let port = format!("clientPort={}\n", server.addr().port());
    let keys = ["dataDir=", "dataLogDir=", "tickTime=500\n", "maxClientCnxns=60\n"];
    let conf = ask(&server, "conf");
    contains(&conf, &keys);
    contains(&conf, &[&port, "minSessionTimeout=1000\n", "maxSessionTimeout=10000\n"]);
    contains(&conf, &["serverId=0\n", "clientPortListenBacklog=-1\n"]);
    contains(&ask(&server, "envi"), &["Environment:\n", "zookeeper.version=", "os.name="]);
    contains(&ask(&server, "dirs"), &["datadir_size: ", "logdir_size: "]);
}

#[test]
fn the_trace_mask_is_answered() {
    // gtmk reads the mask as a number.
    let server = open_server();
    assert!(ask(&server, "gtmk").trim().parse::<u64>().is_ok());
}

#[test]
fn a_word_is_a_word_only_before_the_handshake() {
    // On a connection with a session the same four letters are a length, and far too long.
    let server = open_server();
    let mut client = RawClient::connect(server.addr());
    std::io::Write::write_all(client.socket(), b"ruok").expect("written");
    assert!(client.closed());
}

#[test]
fn closing_connections_are_no_longer_counted() {
    // num_alive_connections follows the connections that there are.
    let server = open_server();
    let clients: Vec<RawClient> = (0..5).map(|_| RawClient::connect(server.addr())).collect();
    // The asking connection is counted too.
    contains(&ask(&server, "mntr"), &["zk_num_alive_connections\t6\n"]);
    drop(clients);
    eventually("only the asking connection is left", || {
        ask(&server, "mntr").contains("zk_num_alive_connections\t1\n").then_some(())
    });
}

#[test]
fn stmk_sets_what_gtmk_answers() {
    // The eight bytes behind the word are the new mask, which both words answer.
    let server = open_server();
    assert_eq!(ask(&server, "stmk\0\0\0\0\0\0\0\x05"), "5");
    assert_eq!(ask(&server, "gtmk"), "5");
}

#[test]
fn hash_keeps_a_digest_every_128_writes() {
    // Of 300 writes two are at a multiple of 128; a digest stands behind each zxid.
    let server = open_server();
    let mut client = RawClient::connect(server.addr());
    for _ in 0..300 {
        client.create("/n-", b"", 2).expect("created");
    }
    let hash = ask(&server, "hash");
    let zxids: Vec<u64> = hash
        .lines()
        .map(|line| {
            let (zxid, digest) = line.split_once(": ").expect("a zxid and a digest");
            assert!(digest.parse::<i64>().is_ok(), "{line}");
            u64::from_str_radix(zxid, 16).expect("hexadecimal") & 0xffff_ffff
        })
        .collect();
    assert_eq!(zxids, [128, 256]);
}

#[test]
fn mntr_counts_work_and_srst_forgets_it() {
    // Operations, flushes, batches and told watchers are counted; after srst they start anew.
    let server = Server::options().set("4lw.commands.whitelist", "*").start();
    let mut clients: Vec<RawClient> = (0..2).map(|_| RawClient::connect(server.addr())).collect();
    clients[0].create("/a", b"", 0).expect("created");
    for client in &mut clients {
        client.get("/a", true).expect("read");
    }
    clients[0].set("/a", b"1", -1).expect("set");
    let value = |mntr: &str, key: &str| -> f64 {
        let line = mntr.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('\t'));
        line.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{key} in:\n{mntr}"))
    };
    let mntr = ask(&server, "mntr");
    assert_eq!(value(&mntr, "zk_cnt_node_changed_watch_count"), 1.0);
    assert_eq!(value(&mntr, "zk_sum_node_changed_watch_count"), 2.0);
    // Two sessions, one creation, one change.
    assert_eq!(value(&mntr, "zk_cnt_updatelatency"), 4.0);
    assert_eq!(value(&mntr, "zk_connection_request_count"), 2.0);
    for key in ["zk_cnt_fsynctime", "zk_cnt_readlatency", "zk_max_sync_processor_batch_size"] {
        assert!(value(&mntr, key) >= 1.0, "{key} in:\n{mntr}");
    }
    ask(&server, "srst");
    let mntr = ask(&server, "mntr");
    for key in ["zk_cnt_updatelatency", "zk_connection_request_count", "zk_max_latency"] {
        assert_eq!(value(&mntr, key), 0.0, "{key} in:\n{mntr}");
    }
    assert_eq!(value(&mntr, "zk_znode_count"), 6.0);
}

#[test]
fn ends_of_connections_are_counted_by_kind() {
    // An operator sees why clients leave without reading the log.
    let server = ServerOptions::new(Kind::Grovekeeper).set("4lw.commands.whitelist", "*").start();
    RawClient::connect(server.addr()).close().expect("closed");
    drop(RawClient::connect(server.addr()));
    let mut noise = raw::open(server.addr()).expect("connected");
    std::io::Write::write_all(&mut noise, &[0xff; 8]).expect("written");
    assert!(raw::closed(&mut noise));
    eventually("all three ends are counted", || {
        let mntr = ask(&server, "mntr");
        let kinds = ["by_client", "disconnected", "malformed"];
        let counted = |kind: &&str| mntr.contains(&format!("zk_connection_closed_{kind}\t1\n"));
        kinds.iter().all(counted).then_some(())
    });
}
