//! Files of a few lines, each written as a whole.

use std::io::{self, Write as _};
use std::path::Path;

use super::sync_directory;
use crate::env::fs::{self, File};

/// What a disk writes as a whole or not at all, in bytes
/// ([safety-disks.md](../../docs/internals/safety-disks.md), D2).
const SECTOR: u64 = 512;

/// Replaces a file, all or nothing, and flushes it with its directory. A text of one sector that is as long as the one
/// before is written in its place, which takes no space: a server starts on a full disk.
///
/// # Errors
/// The file is what it was before, or what it should be.
pub(crate) fn write(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let file = dir.join(name);
    let len = text.len() as u64;
    let is_as_long = fs::metadata(&file).is_ok_and(|found| found.len() == len);
    if is_as_long && len <= SECTOR {
        let mut out = File::options().write(true).open(&file)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
    } else {
        let unfinished = dir.join(format!("{name}.tmp"));
        let mut out = File::create(&unfinished)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&unfinished, &file)?;
    }
    sync_directory(dir)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_text_of_the_same_length_takes_no_new_file() {
        // So it can be written where no space is left; another one replaces the file.
        let dir = tempfile::tempdir().unwrap();
        let inode = || fs::metadata(dir.path().join("f")).unwrap().ino();
        let shows =
            |text: &str| assert_eq!(fs::read_to_string(dir.path().join("f")).unwrap(), text);
        write(dir.path(), "f", "one").unwrap();
        let first = inode();
        write(dir.path(), "f", "two").unwrap();
        shows("two");
        assert_eq!(inode(), first);
        let long = "x".repeat(600);
        for text in ["three", &long, &long.replace('x', "y")] {
            write(dir.path(), "f", text).unwrap();
            shows(text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
