//! A disk that a test can fill.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own, small and in memory; gone when dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of `size` (as in `96m`) on `folder`; `None` for who may not.
    ///
    /// # Panics
    ///
    /// Where it cannot be mounted although `GROVEKEEPER_MUST_MOUNT` says that it must.
    #[must_use]
    pub fn mount(folder: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("the mount point");
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder)
            .output()
            .is_ok_and(|output| output.status.success());
        let must = std::env::var_os("GROVEKEEPER_MUST_MOUNT").is_some();
        assert!(mounted || !must, "a small file system must be mounted here, and cannot be");
        mounted.then(|| Self(folder.to_owned()))
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it as large as what is on it, and so many megabytes more.
    ///
    /// # Panics
    ///
    /// When it cannot be made larger.
    pub fn make_room(&self, megabytes: u64) {
        let options = format!("remount,size={}m", self::megabytes(&self.0) + megabytes);
        let mounted = Command::new("mount").args(["-o", &options]).arg(&self.0).output();
        assert!(mounted.is_ok_and(|output| output.status.success()), "mount -o {options}");
    }

    /// Takes all the space that is left.
    ///
    /// # Panics
    ///
    /// When the file that takes it cannot be made.
    pub fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("the ballast");
        for size in [1 << 20, 4096, 1] {
            while ballast.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// Gives the space back.
    ///
    /// # Panics
    ///
    /// When it was not taken.
    pub fn relieve(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast is removed");
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

/// What lies in a folder, in megabytes.
pub(crate) fn megabytes(folder: &Path) -> u64 {
    let used = Command::new("du").arg("-sm").arg(folder).output().expect("the space in use");
    let used = String::from_utf8_lossy(&used.stdout);
    used.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount succeeds while the server still ends.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
