//! Whole data directories of earlier builds: see docs/reference/formats.md.

use std::path::{Path, PathBuf};
use std::process::Command;

use integration::data_directory::{options, sessions, show, write_again};
use integration::{RawClient, Server};

/// Builds whose data directory is kept: the first and the last before the formats were written down.
const COMMITS: [&str; 2] = ["8aece55", "5de72fb"];

fn fixture(commit: &str, ending: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/data-{commit}.{ending}"))
}

/// Today's server on a copy of the directory.
fn started(commit: &str, folder: &Path) -> Server {
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(fixture(commit, "tar.gz")).arg("-C").arg(folder);
    assert!(tar.status().expect("tar runs").success());
    options().data_dir(&folder.join("data")).start()
}

#[test]
fn data_directories_of_earlier_builds_are_read() {
    // Checkpoint, log behind it, identity and starts: the nodes, lists, Stats and sessions are what the earlier build
    // showed, and a write whose answer was never read is still done once.
    for commit in COMMITS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = started(commit, folder.path());
        let text = std::fs::read_to_string(fixture(commit, "txt")).expect("it is there");
        let (head, expected) = text.split_once('\n').expect("a first line");
        assert!(head.contains(commit), "{head}");
        let sessions = sessions(expected);
        assert_eq!(show(server.addr(), &sessions), expected, "{commit}");
        assert_eq!(write_again(server.addr(), &sessions[1]), (1 << 40, 0), "{commit}");
        RawClient::resume(server.addr(), &sessions[0]).expect("its session goes on");
        // What today's build writes behind it is read too.
        RawClient::connect(server.addr()).create("/later", b"", 0).expect("created");
        server.kill();
        server.start_again();
        let later = RawClient::connect(server.addr()).exists("/later", false).expect("answered");
        assert!(later.is_some(), "{commit}");
    }
}
