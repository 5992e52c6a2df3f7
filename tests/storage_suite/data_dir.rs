//! Which directories are accepted, and that refused ones are left alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use grovekeeper::storage::{ClusterId, DataDir, OpenOptions, StorageError};

/// Names, contents and times of change of all files.
fn look(dir: &Path) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        let changed = entry.metadata().unwrap().modified().unwrap();
        if entry.file_type().unwrap().is_dir() {
            let inner = look(&entry.path());
            files.extend(inner.into_iter().map(|(inner, file)| (format!("{name}/{inner}"), file)));
        } else {
            files.insert(name, (fs::read(entry.path()).unwrap(), changed));
        }
    }
    files
}

/// Opens a directory that must be refused; returns the message.
fn refused(dir: &Path, options: &OpenOptions) -> StorageError {
    let before = look(dir);
    let error = DataDir::open(dir, options).expect_err("it must be refused");
    assert!(look(dir) == before, "a refused directory was changed: {error}");
    error
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new(1);
    options.log.segment_bytes = 1 << 16;
    options
}

/// A new directory gets an identity, and keeps it.
#[test]
fn a_directory_keeps_its_identity() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("made/on/the/way");
    let identity = DataDir::open(&dir, &options()).unwrap().identity();
    assert_eq!(identity.member.number, 1);
    assert_eq!(DataDir::open(&dir, &options()).unwrap().identity(), identity);
}

/// The directory of another server, or of another ensemble, is refused.
#[test]
fn the_directory_of_another_server_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let identity = DataDir::open(temp.path(), &options()).unwrap().identity();
    let error = refused(temp.path(), &OpenOptions { server: 2, ..options() });
    assert!(error.to_string().contains("belongs to server 1"), "{error}");
    let other = ClusterId(identity.cluster.0 ^ 1);
    let error = refused(temp.path(), &OpenOptions { cluster: Some(other), ..options() });
    assert!(matches!(error, StorageError::WrongOwner { .. }), "{error}");
}

/// One directory, one process.
#[test]
fn a_directory_in_use_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path(), &options()).unwrap();
    let error = DataDir::open(temp.path(), &options()).expect_err("it is in use");
    assert!(matches!(error, StorageError::InUse { .. }), "{error}");
    drop(dir);
    DataDir::open(temp.path(), &options()).unwrap();
}

/// A directory with other people's files is refused; one of ZooKeeper by its name.
#[test]
fn a_foreign_directory_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("thesis.txt"), "do not lose").unwrap();
    let error = refused(temp.path(), &options());
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("version-2")).unwrap();
    let error = refused(temp.path(), &options());
    assert!(error.to_string().contains("Apache ZooKeeper"), "{error}");
    let file = temp.path().join("file");
    fs::write(&file, "").unwrap();
    let error = DataDir::open(&file, &options()).expect_err("it is a file");
    assert!(matches!(error, StorageError::Io { .. }), "{error}");
}

/// A later format is refused as such, a damaged identity as damage.
#[test]
fn a_newer_or_damaged_identity_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    drop(DataDir::open(temp.path(), &options()).unwrap());
    let file = temp.path().join("identity");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("format 2", "format 7")).unwrap();
    let error = refused(temp.path(), &options());
    assert!(matches!(error, StorageError::NewerFormat { found: 7, .. }), "{error}");
    for at in 0..text.len() {
        let mut damaged = text.clone().into_bytes();
        damaged[at] ^= 1;
        fs::write(&file, damaged).unwrap();
        let error = refused(temp.path(), &options());
        assert!(
            matches!(error, StorageError::Corrupt { .. } | StorageError::NewerFormat { .. }),
            "byte {at}: {error}"
        );
    }
}

/// A first start that was interrupted is made good by the next one.
#[test]
fn an_interrupted_first_start_is_finished() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("lock"), "").unwrap();
    fs::write(temp.path().join("identity.tmp"), "grovekee").unwrap();
    drop(DataDir::open(temp.path(), &options()).unwrap());
    fs::remove_file(temp.path().join("state.redb")).unwrap();
    fs::write(temp.path().join("state.redb.tmp"), "half a database").unwrap();
    DataDir::open(temp.path(), &options()).unwrap();
}

/// A damaged state database is refused, and a log without its checkpoint too.
#[test]
fn a_damaged_state_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    drop(DataDir::open(temp.path(), &options()).unwrap());
    let file = temp.path().join("state.redb");
    fs::write(&file, "not a database at all").unwrap();
    let error = refused(temp.path(), &options());
    assert!(error.to_string().contains("state.redb"), "{error}");
}

/// Log and state are read at the same time, and neither is changed, or made, where the other is refused.
#[test]
fn a_refused_half_leaves_the_other_as_it_is() {
    let temp = tempfile::tempdir().unwrap();
    drop(DataDir::open(temp.path(), &options()).unwrap());
    let (log, state) =
        (temp.path().join("log/0000000000000001.log"), temp.path().join("state.redb"));
    let good = fs::read(&log).unwrap();
    fs::write(&log, "not a log at all").unwrap();
    fs::remove_file(&state).unwrap();
    let error = refused(temp.path(), &options());
    assert!(error.to_string().contains("0000000000000001.log"), "{error}");
    fs::write(&state, "not a database at all").unwrap();
    let error = refused(temp.path(), &options());
    assert!(error.to_string().contains("0000000000000001.log"), "{error}");
    fs::write(&log, good).unwrap();
    let error = refused(temp.path(), &options());
    assert!(error.to_string().contains("state.redb"), "{error}");
}

/// A log directory of its own is made with the data directory, and belongs to it from then on.
#[test]
fn a_log_directory_belongs_to_its_data_directory() {
    let temp = tempfile::tempdir().unwrap();
    let (data, log) = (temp.path().join("data"), temp.path().join("disk2/log"));
    let apart = OpenOptions { log_dir: Some(log.clone()), ..options() };
    let opened = DataDir::open(&data, &apart).unwrap();
    let identity = opened.identity();
    assert_eq!(opened.log_path(), log.join("log"));
    assert!(!data.join("log").exists());
    let in_use = DataDir::open(&temp.path().join("other"), &apart).expect_err("it is locked");
    assert!(matches!(in_use, StorageError::InUse { .. }), "{in_use}");
    drop(opened);
    assert_eq!(DataDir::open(&data, &apart).unwrap().identity(), identity);
    // Found again where it was moved to.
    let moved = temp.path().join("disk3");
    fs::rename(&log, &moved).unwrap();
    let lost = refused(&data, &apart).to_string();
    assert!(lost.contains("disk2/log") && lost.contains("dataLogDir"), "{lost}");
    let apart = OpenOptions { log_dir: Some(moved), ..options() };
    assert_eq!(DataDir::open(&data, &apart).unwrap().identity(), identity);
    // Without the setting an empty log would be begun.
    let forgotten = refused(&data, &options()).to_string();
    assert!(forgotten.contains("disk3") && forgotten.contains("dataLogDir"), "{forgotten}");
    // The log of another data directory is not taken.
    let other = temp.path().join("log-of-another");
    DataDir::open(
        &temp.path().join("another"),
        &OpenOptions { log_dir: Some(other.clone()), ..options() },
    )
    .unwrap();
    let foreign = refused(&data, &OpenOptions { log_dir: Some(other), ..options() });
    assert!(matches!(foreign, StorageError::WrongOwner { .. }), "{foreign}");
}

/// A data directory that has its log inside keeps it there.
#[test]
fn a_log_stays_where_it_was_made() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let same = OpenOptions { log_dir: Some(temp.path().join("./data")), ..options() };
    let identity = DataDir::open(&data, &options()).unwrap().identity();
    assert_eq!(DataDir::open(&data, &same).unwrap().identity(), identity);
    let apart = OpenOptions { log_dir: Some(temp.path().join("log")), ..options() };
    let message = refused(&data, &apart).to_string();
    assert!(message.contains("dataLogDir") && message.contains("stays there"), "{message}");
    assert!(!temp.path().join("log").exists());
}

/// A first start that was interrupted between the two directories goes on.
#[test]
fn an_interrupted_first_start_with_a_log_directory_goes_on() {
    let temp = tempfile::tempdir().unwrap();
    let (data, log) = (temp.path().join("data"), temp.path().join("log"));
    let apart = OpenOptions { log_dir: Some(log), ..options() };
    DataDir::open(&data, &apart).unwrap();
    fs::remove_file(data.join("identity")).unwrap();
    fs::remove_file(data.join("state.redb")).unwrap();
    assert!(DataDir::open(&data, &apart).is_ok());
}
