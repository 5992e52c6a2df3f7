//! Whole files: what they amount to, and what is said about bad ones.

use std::path::{Path, PathBuf};

use kernel::session::auth::DigestAlgorithm;
use tempfile::TempDir;

use super::{Config, ConfigError, DataSizes, Overrides};

/// Writes a file with the lines that every file needs, then `lines` from line 3 on.
fn write(dir: &Path, lines: &str) -> PathBuf {
    let file = dir.join("zoo.cfg");
    let text = format!("dataDir={}\nclientPort=2181\n{lines}", dir.join("data").display());
    std::fs::write(&file, text).unwrap();
    file
}

fn load_in(dir: &Path, lines: &str) -> Result<Config, ConfigError> {
    Config::load(&write(dir, lines))
}

fn load(lines: &str) -> Result<Config, ConfigError> {
    let dir = temp_dir();
    load_in(dir.path(), lines)
}

fn temp_dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The message without the directory of the file.
fn message(lines: &str) -> String {
    let text = load(lines).unwrap_err().to_string();
    text.rsplit_once("/zoo.cfg").map_or(text.clone(), |(_, rest)| format!("zoo.cfg{rest}"))
}

#[test]
fn a_minimal_file_gives_zookeepers_defaults() {
    // Two lines are enough, and what they do not say is as in ZooKeeper.
    let config = load("").unwrap();
    assert_eq!(config.clients.addr.to_string(), "0.0.0.0:2181");
    assert_eq!(config.data.log_dir, config.data.dir);
    assert_eq!(config.sessions.tick_time_ms, 3000);
    assert_eq!((config.sessions.min_timeout_ms, config.sessions.max_timeout_ms), (6000, 60_000));
    assert_eq!(config.clients.max_per_ip, Some(60));
    assert_eq!(config.limits.jute_max_buffer, 1_048_575);
    assert_eq!(config.words.words().collect::<Vec<_>>(), ["srvr"]);
    assert_eq!(config.admin.addr.to_string(), "0.0.0.0:8080");
    assert_eq!(config.metrics.prometheus_addr, None);
    assert_eq!(config.notices, []);
}

#[test]
fn values_reach_the_settings_that_they_name() {
    // A sample of keys of every kind, each seen in the typed result.
    let config = load(
        "tickTime=2000\nmaxSessionTimeout = 90000\nmaxClientCnxns: 0\nclientPortAddress=::1\n\
         4lw.commands.whitelist=stat, ruok,\\\n   mntr\nzookeeper.enforceQuota=true\n\
         extendedTypesEnabled=true\nskipACL=yes\nreadonlymode.enabled=true\n\
         jute.maxbuffer=0x400000\nzookeeper.DigestAuthenticationProvider.digestAlg=SHA3-256\n\
         authProvider.1=org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider\n\
         ensembleAuthName=blue, green\nenforce.auth.enabled=true\nenforce.auth.schemes=digest\n\
         metricsProvider.className=\
         org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider\n\
         metricsProvider.httpPort=7001\nadmin.serverPort=9090\nadmin.serverAddress=localhost\n",
    )
    .unwrap();
    assert_eq!(config.clients.addr.to_string(), "[::1]:2181");
    assert_eq!((config.sessions.min_timeout_ms, config.sessions.max_timeout_ms), (4000, 90_000));
    assert_eq!(config.clients.max_per_ip, None);
    assert_eq!(config.words.words().collect::<Vec<_>>(), ["isro", "mntr", "ruok", "srvr", "stat"]);
    assert!(config.features.enforce_quota && config.features.extended_types);
    assert!(config.features.skip_acl);
    assert_eq!(config.limits.jute_max_buffer, 0x40_0000);
    assert_eq!(config.auth.digest_algorithm, DigestAlgorithm::Sha3_256);
    let names = ["blue".to_owned(), "green".to_owned()];
    assert_eq!(config.auth.ensemble_names.as_deref(), Some(&names[..]));
    assert_eq!(config.auth.enforced_schemes, Some(vec!["digest".to_owned()]));
    assert_eq!(config.metrics.prometheus_addr.unwrap().to_string(), "0.0.0.0:7001");
    assert_eq!(config.admin.addr.to_string(), "127.0.0.1:9090");
}

#[test]
fn messages_name_file_line_and_key_and_what_to_do() {
    // Each mistake gets one line that is enough to mend it.
    let table = [
        (
            "maxClientCnxn=5",
            "zoo.cfg:3: maxClientCnxn: unknown key (did you mean `maxClientCnxns`?)",
        ),
        ("\n# c\nticktime=5", "zoo.cfg:5: ticktime: unknown key (did you mean `tickTime`?)"),
        (
            "zookeeper.enforcequota=true",
            "zoo.cfg:3: zookeeper.enforcequota: unknown key (did you mean `enforceQuota`?)",
        ),
        ("xqzw=1", "zoo.cfg:3: xqzw: unknown key"),
        (
            "tickTime=2s",
            "zoo.cfg:3: tickTime: expected a whole number from 1 to 2147483647, found \"2s\"",
        ),
        ("enforceQuota=yes", "zoo.cfg:3: enforceQuota: expected true or false, found \"yes\""),
        ("skipACL=true", "zoo.cfg:3: skipACL: expected yes or no, found \"true\""),
        ("dataLogDir=", "zoo.cfg:3: dataLogDir: has no value"),
        ("a=\\u12", "zoo.cfg:3: `\\u` must be followed by four hexadecimal digits"),
        (
            "secureClientPort=2281",
            "zoo.cfg:3: secureClientPort: it is set, so ssl.keyStore.location must name a PEM file",
        ),
        (
            "enforce.auth.enabled=true",
            "zoo.cfg:3: enforce.auth.enabled: it is true, \
             so enforce.auth.schemes must name at least one scheme",
        ),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=digest,sasl",
            "zoo.cfg:4: enforce.auth.schemes: there is no scheme \"sasl\"; \
             there are digest, ip, x509",
        ),
        (
            "raft.heartbeatMs=150",
            "zoo.cfg:3: raft.electionTimeoutMaxMs: raft.heartbeatMs (150), \
             raft.electionTimeoutMinMs (100) and raft.electionTimeoutMaxMs (200) must be in this \
             order, each more than the one before",
        ),
        (
            "server.1=a:1:2;2182",
            "zoo.cfg:3: server.1: its client port 2182 is not the clientPort 2181",
        ),
        (
            "server.x=a:1:2",
            "zoo.cfg:3: server.x: the N of server.N must be a number from 0 to 4294967295",
        ),
    ];
    for (lines, expected) in table {
        assert_eq!(message(lines), expected, "{lines}");
    }
}

#[test]
fn timeouts_in_the_wrong_order_are_refused_where_they_stand() {
    // A minimum above the maximum is told with the line of the key that made it so.
    let expected = "zoo.cfg:4: minSessionTimeout: 9000 ms is more than maxSessionTimeout, 8000 ms";
    assert_eq!(message("maxSessionTimeout=8000\nminSessionTimeout=9000"), expected);
    let expected = "zoo.cfg:3: maxSessionTimeout: 1000 ms is less than minSessionTimeout, 6000 ms";
    assert_eq!(message("maxSessionTimeout=1000"), expected);
}

#[test]
fn a_file_without_the_necessary_lines_says_which() {
    // dataDir and clientPort are told apart, with a line to add.
    let dir = temp_dir();
    let file = dir.path().join("zoo.cfg");
    let missing = dir.path().join("none.cfg");
    for (text, needed) in [
        ("clientPort=2181", "dataDir is not set: add `dataDir=/var/lib/zookeeper`"),
        ("dataDir=/tmp/none", "clientPort is not set: add `clientPort=2181`"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = Config::load(&file).unwrap_err().to_string();
        assert_eq!(error, format!("{}: {needed}", file.display()));
    }
    let error = Config::load(&missing).unwrap_err().to_string();
    assert!(error.contains("none.cfg: cannot read the configuration: "), "{error}");
}

#[test]
fn a_repeated_key_counts_last_and_is_noticed() {
    // Java keeps the last one; the reader of the log learns that the first is dead.
    let config = load("tickTime=1000\ntickTime=2000\n").unwrap();
    assert_eq!(config.sessions.tick_time_ms, 2000);
    assert_eq!(config.notices.len(), 1);
    assert_eq!(config.notices[0].line, 3);
    assert!(config.notices[0].reason.contains("line 4"));
}

#[test]
fn one_server_line_is_a_server_on_its_own() {
    // HBase and others write a single server line; its client port and number count.
    let dir = temp_dir();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let config = load_in(dir.path(), "server.7=localhost:2888:3888;127.0.0.1:2181\n").unwrap();
    assert_eq!(config.ensemble.my_id, Some(7));
    assert_eq!(config.clients.addr.to_string(), "127.0.0.1:2181");
    std::fs::write(data.join("myid"), "3\n").unwrap();
    assert_eq!(load_in(dir.path(), "").unwrap().ensemble.my_id, Some(3));
    for bad in ["three", "", "4294967296", "-1"] {
        std::fs::write(data.join("myid"), bad).unwrap();
        let error = load_in(dir.path(), "").unwrap_err().to_string();
        let expected =
            "data/myid: the first line must be the number of this server, 0 to 4294967295";
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn members_may_stand_in_a_dynamic_file() {
    // dynamicConfigFile is read; anything but members in it is an error that names that file.
    let dir = temp_dir();
    let dynamic = dir.path().join("zoo.cfg.dynamic");
    let line = format!("dynamicConfigFile={}\n", dynamic.display());
    std::fs::write(&dynamic, "server.1=localhost:2888:3888:participant;2181\nversion=0\n").unwrap();
    let config = load_in(dir.path(), &line).unwrap();
    assert_eq!(config.ensemble.servers.len(), 1);
    let both = format!("{line}server.1=h:1:2\n");
    let error = load_in(dir.path(), &both).unwrap_err().to_string();
    assert!(error.contains("zoo.cfg:4: server.1: stands in both files"), "{error}");
    std::fs::write(&dynamic, "tickTime=3\n").unwrap();
    let error = load_in(dir.path(), &line).unwrap_err().to_string();
    assert!(error.contains("zoo.cfg.dynamic:1: tickTime: unknown key"), "{error}");
}

#[test]
fn debians_default_file_is_accepted_without_a_word() {
    // The file that the Debian package installs starts as it is.
    let config = load("tickTime=2000\ninitLimit=10\nsyncLimit=5\n").unwrap();
    assert_eq!(config.notices, []);
    assert_eq!(config.ensemble.init_limit_ticks, 10);
}

#[test]
fn conf_shows_zookeepers_keys_in_their_order() {
    // What scrapers of `conf` read is there under the names that they know.
    let mut config = Config::standalone("/data");
    config.clients.max_per_ip = None;
    let sizes = DataSizes { data_dir_bytes: 10, log_dir_bytes: 20 };
    config.clients.addr.set_port(4000);
    let lines = config.describe(sizes);
    let lines: Vec<String> = lines.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let expected = "clientPort=4000 secureClientPort=-1 dataDir=/data dataDirSize=10 \
                    dataLogDir=/data dataLogSize=20 tickTime=3000 maxClientCnxns=0 \
                    minSessionTimeout=6000 maxSessionTimeout=60000 clientPortListenBacklog=-1 \
                    serverId=0";
    assert_eq!(lines.join(" "), expected);
}

#[test]
fn the_command_line_wins_over_the_file_and_stands_in_for_its_lines() {
    // A directory or an address given by hand is used, whether or not the file has one.
    let dir = temp_dir();
    let file = write(dir.path(), "admin.enableServer=false\ndataLogDir=/log\n");
    let overrides = Overrides {
        join: false,
        data_dir: Some(dir.path().join("other")),
        client_addr: Some(([127, 0, 0, 1], 4000).into()),
        admin_addr: Some(([127, 0, 0, 1], 4001).into()),
    };
    let empty = dir.path().join("empty.cfg");
    std::fs::write(&empty, "").unwrap();
    for config in [
        Config::load_with(&file, &overrides).unwrap(),
        Config::load_with(&empty, &overrides).unwrap(),
        Config::without_file(&overrides),
    ] {
        assert_eq!(config.data.dir, dir.path().join("other"));
        assert_eq!(config.data.log_dir, config.data.dir);
        assert_eq!(config.clients.addr.to_string(), "127.0.0.1:4000");
        assert_eq!(config.admin.addr.to_string(), "127.0.0.1:4001");
        assert!(config.admin.enabled && config.admin.required);
    }
}

#[test]
fn an_ensemble_of_several_needs_to_know_who_is_who() {
    // Without a myid, with one that is not listed, or without limits, the message says what to do.
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let file = dir.path().join("zoo.cfg");
    let load = |limits: &str, my_id: Option<&str>| {
        let text = format!(
            "dataDir={}\nclientPort=2181\n{limits}\nserver.1=a:1:2\nserver.2=b:1:2\n",
            data.display()
        );
        std::fs::write(&file, text).unwrap();
        let _ = std::fs::remove_file(data.join("myid"));
        if let Some(id) = my_id {
            std::fs::write(data.join("myid"), id).unwrap();
        }
        Config::load(&file)
    };
    let refusal = |limits, my_id| load(limits, my_id).unwrap_err().to_string();
    let limits = "initLimit=10\nsyncLimit=5";
    assert!(refusal(limits, None).contains("myid says which of its servers"));
    assert!(refusal(limits, Some("3")).contains("there is no line server.3"));
    assert!(refusal("initLimit=10", Some("1")).contains("syncLimit"));
    assert!(refusal("syncLimit=5", Some("1")).contains("initLimit"));
    let config = load(limits, Some("2")).unwrap();
    assert_eq!((config.ensemble.my_id, config.ensemble.servers.len()), (Some(2), 2));
}
