//! A full disk: writes are refused, reads go on, nothing acknowledged is lost.

use integration::raw::Error;
use integration::{Kind, RawClient, ServerOptions, SmallDisk, eventually};

#[test]
fn a_full_disk_refuses_writes_and_serves_reads() {
    // Writes end with an error code when the disk is full, reads are answered all the while,
    // writes are accepted again when there is space, and every acknowledged one is there.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), "96m") else { return };
    let mut server =
        ServerOptions::new(Kind::Grovekeeper).data_dir(&disk.path().join("data")).start();
    let mut client = RawClient::connect(server.addr());
    client.create("/before", b"1", 0).expect("created");
    disk.fill();
    let mut acknowledged = Vec::new();
    let refusal = (0..1_000).find_map(|number| {
        let path = format!("/full-{number}");
        match client.create(&path, &vec![b'x'; 200_000], 0) {
            Ok(path) => {
                acknowledged.push(path);
                None
            }
            Err(error) => Some(error),
        }
    });
    let refusal = refusal.expect("a write on a full disk is refused");
    assert!(matches!(refusal, Error::Code(_)), "{refusal:?}");
    for _ in 0..20 {
        assert_eq!(client.get("/before", false).expect("reads go on").0, b"1");
    }
    disk.relieve();
    eventually("writes are accepted again", || client.set("/before", b"2", -1).ok());
    server.kill();
    server.start_again();
    let mut client = RawClient::connect(server.addr());
    assert_eq!(client.get("/before", false).expect("read").0, b"2");
    for path in &acknowledged {
        let stat = client.exists(path, false).expect("asked");
        assert!(stat.is_some(), "{path} was acknowledged and is gone");
    }
    drop(server);
}
