//! The log's view of a directory, so that tests can put a failing disk under it.

use std::fmt::Debug;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::env::fs::{self, File};
use crate::failpoints;

/// One flat directory. What it does is durable only after the matching sync.
pub trait FileSystem: Debug + Send + Sync + 'static {
    /// The path of a file, for messages.
    fn path(&self, name: &str) -> PathBuf;
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Creates an empty file, replacing one of that name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;
    /// Gives a file another name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// How many bytes an unprivileged user could still write.
    fn available_bytes(&self) -> io::Result<u64>;
}

/// An open file. Usable from several threads.
pub trait LogFile: Debug + Send + Sync + 'static {
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file holds no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `out` from `offset`; a file that ends before is an error.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`, growing the file if needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the written bytes durable, and the length if it changed.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the operating system.
#[derive(Clone, Debug)]
pub struct OsDirectory {
    path: PathBuf,
    /// Kept open for as long as anyone uses the directory: the files whose locks protect it.
    _locks: Option<Arc<dyn Debug + Send + Sync>>,
}

impl OsDirectory {
    /// Uses an existing directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), _locks: None }
    }

    /// Keeps the owner of some locks alive for as long as the directory is used, by threads that
    /// finish their work included.
    #[must_use]
    pub fn holding(self, locks: Arc<dyn Debug + Send + Sync>) -> Self {
        Self { _locks: Some(locks), ..self }
    }
}

impl FileSystem for OsDirectory {
    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Arc::new(OsFile { file: options.open(self.path.join(name))? }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let file = File::options().read(true).write(true).open(self.path.join(name))?;
        Ok(Arc::new(OsFile { file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }

    fn available_bytes(&self) -> io::Result<u64> {
        fs::available_bytes(&self.path)
    }
}

/// Makes a directory, with those above it that are missing, and their names durable.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    let is_named = |dir: &&Path| !dir.as_os_str().is_empty();
    let missing: Vec<&Path> =
        path.ancestors().take_while(|dir| is_named(dir) && !dir.exists()).collect();
    fs::create_dir_all(path)?;
    missing.iter().try_for_each(|dir| {
        let above = dir.parent().filter(is_named);
        sync_directory(above.unwrap_or(Path::new(".")))
    })
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[derive(Debug)]
struct OsFile {
    file: File,
}

impl LogFile for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        failpoints::before_flush();
        self.file.sync_data()
    }
}
