//! Data directories that the server must not touch: it refuses, says what and what to do, and
//! leaves every file as it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use integration::{Kind, RawClient, Server, ServerOptions};

/// A server with some data, stopped by a kill.
fn killed_server() -> Server {
    let mut server = ServerOptions::new(Kind::Grovekeeper).start();
    let mut client = RawClient::connect(server.addr());
    for number in 0..200 {
        client.create(&format!("/n{number}"), &[b'x'; 500], 0).expect("created");
    }
    server.kill();
    server
}

/// Every file below `folder` with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).expect("a file"));
        }
    }
    found
}

/// Expects a refusal that says all of `words` and changes no file.
fn refused(server: &mut Server, words: &[&str]) {
    let before = contents(server.data_dir());
    let said = server.start_refused();
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in:\n{said}");
    }
    let after = contents(server.data_dir());
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&after), names(&before), "the same files");
    for (path, bytes) in &before {
        assert!(after[path] == *bytes, "{} was changed", path.display());
    }
}

fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    let mut content = std::fs::read(path).expect("the file to damage");
    content[at..at + bytes.len()].copy_from_slice(bytes);
    std::fs::write(path, content).expect("the damaged file");
}

#[test]
fn a_second_process_is_refused() {
    // Two servers on one directory would destroy it: the second one ends, the first one serves on.
    let first = ServerOptions::new(Kind::Grovekeeper).start();
    let options = ServerOptions::new(Kind::Grovekeeper).data_dir(first.data_dir());
    let said = options.prepare().start_refused();
    assert!(said.contains("in use by another process"), "{said}");
    RawClient::connect(first.addr()).create("/still-served", b"", 0).expect("created");
}

#[test]
fn a_folder_of_other_files_is_refused() {
    // A directory that holds somebody's pictures is not made a data directory.
    let mut server = ServerOptions::new(Kind::Grovekeeper).prepare();
    std::fs::write(server.data_dir().join("holiday.jpg"), b"...").expect("written");
    refused(&mut server, &["holiday.jpg", "empty directory"]);
}

#[test]
fn the_data_of_apache_zookeeper_is_refused() {
    // version-2 belongs to Apache ZooKeeper; the message says so.
    let mut server = ServerOptions::new(Kind::Grovekeeper).prepare();
    let theirs = server.data_dir().join("version-2");
    std::fs::create_dir(&theirs).expect("made");
    std::fs::write(theirs.join("log.1"), b"ZKLG").expect("written");
    refused(&mut server, &["Apache ZooKeeper", "version-2"]);
}

#[test]
fn a_newer_format_is_refused() {
    // Data that a later version wrote is not guessed at.
    let mut server = killed_server();
    let identity = server.data_dir().join("identity");
    let text = std::fs::read_to_string(&identity).expect("the identity file");
    std::fs::write(&identity, text.replace("format 2", "format 9")).expect("written");
    refused(&mut server, &["format 9", "newer version"]);
}

#[test]
fn a_damaged_identity_is_refused() {
    // The file that says whose data this is has a check sum.
    let mut server = killed_server();
    let identity = server.data_dir().join("identity");
    let text = std::fs::read_to_string(&identity).expect("the identity file");
    std::fs::write(&identity, text.replace("server ", "server 4")).expect("written");
    refused(&mut server, &["identity", "damaged", "joins anew"]);
}

#[test]
fn a_damaged_state_file_is_refused() {
    // A state file that is not one any more is not replaced by an empty one.
    let mut server = killed_server();
    let state = server.data_dir().join("state.redb");
    overwrite(&state, 0, b"not a database");
    refused(&mut server, &["state.redb"]);
}

#[test]
fn a_log_damaged_in_its_middle_is_refused() {
    // Acknowledged entries behind the damage would be lost: only a torn end may be cut off.
    let mut server = killed_server();
    let log = server.data_dir().join("log");
    let segment = contents(&log).into_iter().find(|(_, bytes)| bytes.iter().any(|byte| *byte != 0));
    let (path, bytes) = segment.expect("a log segment with entries");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("entries");
    overwrite(&path, end / 2, &[bytes[end / 2] ^ 0x20]);
    refused(&mut server, &["damaged"]);
}

#[test]
fn a_log_torn_at_its_end_is_served_without_the_torn_entry() {
    // What a crash left half written was never acknowledged: the server starts without it.
    let mut server = killed_server();
    let log = server.data_dir().join("log");
    let segment = contents(&log).into_iter().find(|(_, bytes)| bytes.iter().any(|byte| *byte != 0));
    let (path, bytes) = segment.expect("a log segment with entries");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("entries");
    let torn = vec![0; 8];
    overwrite(&path, end - 7, &torn);
    server.start_again();
    let mut client = RawClient::connect(server.addr());
    let found = client.children("/", false).expect("listed").len();
    assert!(found >= 200, "{found} nodes are left");
}

#[test]
fn a_missing_permission_is_named() {
    // A directory that may not be written is named, with what to change.
    let mut server = killed_server();
    let folder = server.data_dir().to_owned();
    let mut permissions = std::fs::metadata(&folder).expect("the folder").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o500);
    let identity = folder.join("identity");
    std::fs::set_permissions(&folder, permissions).expect("set");
    let mut closed = std::fs::metadata(&identity).expect("the file").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut closed, 0o000);
    std::fs::set_permissions(&identity, closed).expect("set");
    let output = without_privileges(&server.command())
        .stdin(Stdio::null())
        .output()
        .expect("the server is started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("ermission"), "{said}");
    assert!(said.contains(folder.to_str().expect("a plain path")), "{said}");
    let mut open = std::fs::metadata(&folder).expect("the folder").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut open, 0o700);
    std::fs::set_permissions(&folder, open).expect("set");
    let mut open = std::fs::metadata(&identity).expect("the file").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut open, 0o600);
    std::fs::set_permissions(&identity, open).expect("set");
    server.start_again();
}

/// The same command, for root without the right to pass over permissions.
fn without_privileges(command: &Command) -> Command {
    let mut plain = if rustix::process::getuid().is_root() {
        let mut setpriv = Command::new("setpriv");
        setpriv.arg("--bounding-set=-dac_override,-dac_read_search").arg(command.get_program());
        setpriv
    } else {
        Command::new(command.get_program())
    };
    plain.args(command.get_args());
    plain
}
