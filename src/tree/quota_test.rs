use super::*;

fn parse(text: &str) -> StatsTrack {
    StatsTrack::parse(Some(text.as_bytes()))
}

#[test]
fn the_text_of_a_quota_reads_back() {
    // Old and new forms are understood, and written as ZooKeeper writes them.
    for text in [
        "count=5,bytes=-1",
        "count=1,bytes=2=;byteHardLimit=3;countHardLimit=4",
        "count=-1,bytes=-1=;countHardLimit=7",
    ] {
        assert_eq!(parse(text).to_string(), text);
    }
    assert_eq!(parse("count=5").to_string(), "count=5,bytes=-1");
    assert_eq!(parse("count=1;bytes=2;byteHardLimit=").value(BYTE_HARD_LIMIT), UNLIMITED);
}

#[test]
fn nonsense_in_a_quota_limits_nothing() {
    // A client may write anything there; it must not stop the server.
    for text in ["", "=", ",;,", "count", "count=x,bytes=99999999999999999999", "\u{fffd}=1"] {
        let track = parse(text);
        assert_eq!((track.value(COUNT), track.value(BYTES)), (UNLIMITED, UNLIMITED), "{text}");
    }
    assert_eq!(StatsTrack::parse(None).value(COUNT), UNLIMITED);
    assert_eq!(StatsTrack::parse(Some(b"\xff=1,count=2")).value(COUNT), 2);
}

#[test]
fn only_the_deepest_quota_counts() {
    // Usage below a nested quota does not add up to the outer one.
    let mut quotas = QuotaPaths::default();
    for path in ["/a", "/a/b"] {
        quotas.node_attached(&node_path(path, LIMITS));
        quotas.node_attached(&node_path(path, STATS));
    }
    let deepest = |quotas: &QuotaPaths, path| quotas.deepest(path).map(|path| path.to_string());
    assert_eq!(deepest(&quotas, "/a/b/c").as_deref(), Some("/a/b"));
    assert_eq!(deepest(&quotas, "/a/bc").as_deref(), Some("/a"));
    assert_eq!(deepest(&quotas, "/a").as_deref(), Some("/a"));
    assert_eq!(deepest(&quotas, "/ab"), None);
    quotas.node_detached(&node_path("/a/b", LIMITS));
    assert_eq!(deepest(&quotas, "/a/b/c").as_deref(), Some("/a"));
    quotas.node_attached("/zookeeper/quota/zookeeper_limits");
    assert_eq!(deepest(&quotas, "/z"), None, "the root has no quota");
}
