//! A full disk: writes are refused, reads go on, nothing acknowledged is lost.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration::raw::Error;
use integration::{Kind, RawClient, ServerOptions, eventually};

/// A file system of its own, small and in memory; gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` for who may not mount one.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("the mount point");
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then(|| Self(folder.to_owned()))
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("the ballast");
        for size in [1 << 20, 4096, 1] {
            while ballast.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// Gives the space back.
    fn relieve(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast is removed");
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount succeeds while the server still ends.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_refuses_writes_and_serves_reads() {
    // Writes end with an error code when the disk is full, reads are answered all the while,
    // writes are accepted again when there is space, and every acknowledged one is there.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), "96m") else {
        println!("skipped: mounting a small file system needs root");
        assert!(std::env::var_os("GROVEKEEPER_MUST_MOUNT").is_none(), "it must run here");
        return;
    };
    let mut server = ServerOptions::new(Kind::Grovekeeper).data_dir(&disk.0.join("data")).start();
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
