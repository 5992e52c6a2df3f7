//! A disk in memory that loses power: what was not flushed is lost, in part or as a whole.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grovekeeper::storage::log::{FileSystem, LogFile};
use parking_lot::{Condvar, Mutex};

/// What a disk writes as one piece.
const SECTOR: usize = 512;

/// How long a flush hangs at most.
const HANGS_MAX: Duration = Duration::from_secs(60);

/// Which of the sectors that were written and not flushed survive a loss of power.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Survivors {
    None,
    All,
    FirstHalf,
    SecondHalf,
    Even,
    Odd,
    Random(u64),
}

impl Survivors {
    pub(crate) const MANY: [Self; 9] = [
        Self::None,
        Self::All,
        Self::FirstHalf,
        Self::SecondHalf,
        Self::Even,
        Self::Odd,
        Self::Random(1),
        Self::Random(2),
        Self::Random(3),
    ];

    fn keeps(self, at: usize, count: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::FirstHalf => at < count.div_ceil(2),
            Self::SecondHalf => at >= count / 2,
            Self::Even => at.is_multiple_of(2),
            Self::Odd => !at.is_multiple_of(2),
            Self::Random(seed) => {
                let mut x = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed;
                x = (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                (x ^ (x >> 29)) & 1 == 1
            }
        }
    }

    /// Names that were not flushed are kept or lost as a whole.
    fn keeps_names(self) -> bool {
        matches!(self, Self::All | Self::SecondHalf | Self::Odd | Self::Random(2 | 3))
    }
}

/// A flat directory on the fake disk. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeDisk {
    state: Arc<Mutex<State>>,
    gate: Arc<Gate>,
}

/// Where flushes hang until they are let go.
#[derive(Default)]
struct Gate {
    closed: Mutex<Option<Hanging>>,
    opened: Condvar,
}

/// Whose flushes hang, and who is told that one does.
struct Hanging {
    thread: &'static str,
    tell: Box<dyn Fn() + Send>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// Returns at once, or once the flush of this thread is let go.
    fn pass(&self) {
        let mut closed = self.closed.lock();
        let is_for_me = |closed: &Option<Hanging>| {
            let name = closed.as_ref().map(|hanging| hanging.thread);
            name.is_some() && name == std::thread::current().name()
        };
        if is_for_me(&closed) {
            closed.iter().for_each(|hanging| (hanging.tell)());
            // A test that fails meanwhile ends all the same.
            self.opened.wait_while_for(&mut closed, |closed| is_for_me(closed), HANGS_MAX);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, Arc<Mutex<Content>>>,
    durable_names: BTreeMap<String, Arc<Mutex<Content>>>,
    /// Changes that still succeed; `None`: all.
    changes_left: Option<u64>,
    /// Bytes that all files together may hold; `None`: any.
    capacity: Option<u64>,
    /// No file, and no directory, can be opened: the process has as many open as it may.
    out_of_files: bool,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

impl FakeDisk {
    /// A disk that loses power at the change with this number.
    pub(crate) fn failing_at(change: u64) -> Self {
        let disk = Self::default();
        disk.fail_after(change);
        disk
    }

    /// A healthy disk that holds these files.
    pub(crate) fn holding(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let disk = Self::default();
        for (name, bytes) in files {
            let content = Content { bytes: bytes.clone(), durable: bytes.clone() };
            disk.state.lock().names.insert(name.clone(), Arc::new(Mutex::new(content)));
        }
        disk
    }

    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state.lock();
        let bytes = |content: &Arc<Mutex<Content>>| content.lock().bytes.clone();
        state.names.iter().map(|(name, content)| (name.clone(), bytes(content))).collect()
    }

    /// Loses power after so many more changes.
    pub(crate) fn fail_after(&self, changes: u64) {
        self.state.lock().changes_left = Some(changes);
    }

    /// From now on flushes by the thread of this name hang; `tell` is called when one begins to.
    pub(crate) fn hang_flushes(&self, thread: &'static str, tell: impl Fn() + Send + 'static) {
        *self.gate.closed.lock() = Some(Hanging { thread, tell: Box::new(tell) });
    }

    /// Lets flushes go that hang, and those to come.
    pub(crate) fn let_flushes_go(&self) {
        *self.gate.closed.lock() = None;
        self.gate.opened.notify_all();
    }

    pub(crate) fn set_capacity(&self, capacity: Option<u64>) {
        self.state.lock().capacity = capacity;
    }

    /// Whether nothing can be opened, as when all file descriptors are in use.
    pub(crate) fn set_out_of_files(&self, out_of_files: bool) {
        self.state.lock().out_of_files = out_of_files;
    }

    pub(crate) fn used(&self) -> u64 {
        self.state.lock().used()
    }

    /// Whether the power was lost.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.lock().changes_left == Some(0)
    }

    /// What is on the disk when the power is back.
    pub(crate) fn after_power_loss(&self, survivors: Survivors) -> Self {
        let state = self.state.lock();
        let names = if survivors.keeps_names() { &state.names } else { &state.durable_names };
        let names: BTreeMap<_, _> = names
            .iter()
            .map(|(name, content)| {
                let bytes = content.lock().after_power_loss(survivors);
                let content = Content { durable: bytes.clone(), bytes };
                (name.clone(), Arc::new(Mutex::new(content)))
            })
            .collect();
        let durable_names = names.clone();
        let state = State { names, durable_names, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), gate: Arc::default() }
    }

    pub(crate) fn file(&self, name: &str) -> FakeFile {
        let content = Arc::clone(self.state.lock().names.entry(name.to_owned()).or_default());
        self.state.lock().durable_names.insert(name.to_owned(), Arc::clone(&content));
        FakeFile { disk: self.clone(), content }
    }

    /// Every change goes through here. The one at which the power goes takes effect, unflushed,
    /// and fails all the same.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock();
        let power_lost = || Err(io::Error::other("the power is gone"));
        match &mut state.changes_left {
            Some(0) => power_lost(),
            Some(left) => {
                *left -= 1;
                let last = *left == 0;
                let result = change(&mut state);
                if last { power_lost() } else { result }
            }
            None => change(&mut state),
        }
    }
}

/// What Linux answers where all file descriptors are in use (`EMFILE`).
const TOO_MANY_OPEN_FILES: i32 = 24;

impl State {
    fn open_one(&self) -> io::Result<()> {
        if self.out_of_files {
            return Err(io::Error::from_raw_os_error(TOO_MANY_OPEN_FILES));
        }
        Ok(())
    }

    fn used(&self) -> u64 {
        self.names.values().map(|content| content.lock().bytes.len() as u64).sum()
    }

    fn powered(&self) -> bool {
        self.changes_left != Some(0)
    }

    fn room_for(&self, more: u64) -> io::Result<()> {
        let fits = self.capacity.is_none_or(|capacity| self.used() + more <= capacity);
        if fits { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}

impl Content {
    fn after_power_loss(&self, survivors: Survivors) -> Vec<u8> {
        let sectors = self.bytes.len().max(self.durable.len()).div_ceil(SECTOR);
        let sector = |bytes: &[u8], at: usize| {
            let mut sector = [0; SECTOR];
            let from = (at * SECTOR).min(bytes.len());
            let to = (from + SECTOR).min(bytes.len());
            sector[..to - from].copy_from_slice(&bytes[from..to]);
            sector
        };
        let dirty: Vec<usize> = (0..sectors)
            .filter(|at| sector(&self.bytes, *at) != sector(&self.durable, *at))
            .collect();
        let mut after = self.durable.clone();
        for (nth, at) in dirty.iter().copied().enumerate() {
            if survivors.keeps(nth, dirty.len()) {
                let end = ((at + 1) * SECTOR).min(self.bytes.len());
                after.resize(after.len().max(end), 0);
                after[at * SECTOR..end].copy_from_slice(&self.bytes[at * SECTOR..end]);
            }
        }
        after
    }
}

impl FileSystem for FakeDisk {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/fake").join(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.change(|state| {
            state.open_one()?;
            let content = Arc::default();
            state.names.insert(name.to_owned(), Arc::clone(&content));
            Ok(Arc::new(FakeFile { disk: self.clone(), content }) as Arc<dyn LogFile>)
        })
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let state = self.state.lock();
        state.open_one()?;
        let content = state.names.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(FakeFile { disk: self.clone(), content }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|state| {
            let content = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.insert(to.to_owned(), content);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(|state| {
            state.names.remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
        })
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.change(|state| {
            state.open_one()?;
            if state.powered() {
                state.durable_names = state.names.clone();
            }
            Ok(())
        })
    }

    fn available_bytes(&self) -> io::Result<u64> {
        let state = self.state.lock();
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
    }
}

/// An open file of the fake disk.
#[derive(Clone, Debug)]
pub(crate) struct FakeFile {
    disk: FakeDisk,
    content: Arc<Mutex<Content>>,
}

impl FakeFile {
    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.change(|_| {
            self.content.lock().bytes.resize(usize::try_from(len).unwrap(), 0);
            Ok(())
        })
    }
}

impl LogFile for FakeFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().bytes.len() as u64)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.content.lock();
        let from = usize::try_from(offset).unwrap();
        let bytes = content.bytes.get(from..from + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.change(|state| {
            let end = usize::try_from(offset).unwrap() + bytes.len();
            let len = self.content.lock().bytes.len();
            state.room_for(end.saturating_sub(len) as u64)?;
            let mut content = self.content.lock();
            content.bytes.resize(len.max(end), 0);
            content.bytes[end - bytes.len()..end].copy_from_slice(bytes);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.gate.pass();
        self.disk.change(|state| {
            // The flush at which the power goes has not happened; what survives is left to chance.
            if state.powered() {
                let mut content = self.content.lock();
                content.durable = content.bytes.clone();
            }
            Ok(())
        })
    }
}
