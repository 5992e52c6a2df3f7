//! A disk in memory that loses power: what was not flushed is lost, in part or as a whole.
//!
//! And one whose flush fails. Then it does as Linux does on ext4 and XFS: what the flush was to write stays
//! readable and counts as written, so that no later flush writes it. A process that ends leaves behind
//! what the system keeps in memory for the next one; a loss of power does not.

use std::collections::{BTreeMap, BTreeSet};
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

/// Which of some sectors are meant: those that survive a loss of power though they were not flushed, those
/// that a failed flush wrote all the same, or those that the system no longer keeps in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Survivors {
    None,
    All,
    FirstHalf,
    SecondHalf,
    /// All but so many.
    AllBut(usize),
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
            Self::AllBut(first) => at >= first,
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
        match self {
            Self::All | Self::SecondHalf | Self::AllBut(_) | Self::Odd | Self::Random(2 | 3) => {
                true
            }
            Self::None | Self::FirstHalf | Self::Even | Self::Random(_) => false,
        }
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

/// Whose flushes hang, who is told that one does, and for how long at most.
struct Hanging {
    thread: &'static str,
    tell: Box<dyn Fn() + Send>,
    at_most: Duration,
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
            let at_most = closed.as_ref().map_or(Duration::ZERO, |hanging| hanging.at_most);
            self.opened.wait_while_for(&mut closed, |closed| is_for_me(closed), at_most);
        }
    }
}

/// What names stand for.
type File = Arc<Mutex<Content>>;

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, File>,
    durable_names: BTreeMap<String, File>,
    /// Changes that still succeed; `None`: all.
    changes_left: Option<u64>,
    /// Bytes that all files together may hold; `None`: any.
    capacity: Option<u64>,
    /// Names that no flush writes any more.
    lost_names: BTreeSet<String>,
    /// Flushes so far, of files and of the directory.
    flushes: u64,
    failing: Option<Failing>,
    /// No file, and no directory, can be opened: the process has as many open as it may.
    out_of_files: bool,
}

/// The flush that fails.
#[derive(Clone, Copy, Debug)]
struct Failing {
    number: u64,
    /// What it writes all the same.
    written: Survivors,
    why: io::ErrorKind,
}

#[derive(Clone, Debug, Default)]
struct Content {
    /// What is read.
    bytes: Vec<u8>,
    /// What is on the disk.
    durable: Vec<u8>,
    /// Sectors that differ from the disk and that no flush writes any more.
    lost: BTreeSet<usize>,
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
            let content = Content::on_disk(bytes.clone());
            disk.state.lock().names.insert(name.clone(), Arc::new(Mutex::new(content)));
        }
        disk
    }

    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state.lock();
        let bytes = |content: &File| content.lock().bytes.clone();
        state.names.iter().map(|(name, content)| (name.clone(), bytes(content))).collect()
    }

    /// Loses power after so many more changes.
    pub(crate) fn fail_after(&self, changes: u64) {
        self.state.lock().changes_left = Some(changes);
    }

    /// From now on flushes by the thread of this name hang; `tell` is called when one begins to.
    pub(crate) fn hang_flushes(&self, thread: &'static str, tell: impl Fn() + Send + 'static) {
        // A test that fails meanwhile ends all the same.
        let hanging = Hanging { thread, tell: Box::new(tell), at_most: HANGS_MAX };
        *self.gate.closed.lock() = Some(hanging);
    }

    /// From now on flushes by the thread of this name take so long.
    pub(crate) fn slow_flushes(&self, thread: &'static str, at_most: Duration) {
        *self.gate.closed.lock() = Some(Hanging { thread, tell: Box::new(|| ()), at_most });
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

    /// Lets the flush with this number fail, counted from now. Of what it was to write `written` reaches
    /// the disk; no later flush writes the rest, though it can be read.
    pub(crate) fn fail_flush(&self, number: u64, written: Survivors) {
        self.fail_flush_with(number, written, io::ErrorKind::Other);
    }

    /// As [`Self::fail_flush`], with this error.
    pub(crate) fn fail_flush_with(&self, number: u64, written: Survivors, why: io::ErrorKind) {
        let mut state = self.state.lock();
        state.failing = Some(Failing { number: state.flushes + number, written, why });
    }

    /// Whether that flush has failed.
    pub(crate) fn flush_failed(&self) -> bool {
        let state = self.state.lock();
        state.failing.is_some_and(|failing| state.flushes >= failing.number)
    }

    /// Whether the power was lost.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.lock().changes_left == Some(0)
    }

    /// What is on the disk when the power is back.
    pub(crate) fn after_power_loss(&self, survivors: Survivors) -> Self {
        self.after_power_loss_on_disks(|_| survivors)
    }

    /// As [`Self::after_power_loss`], where each file is on a disk of its own.
    pub(crate) fn after_power_loss_on_disks(&self, survivors: impl Fn(&str) -> Survivors) -> Self {
        let state = self.state.lock();
        let kept =
            |name: &String| survivors(name).keeps_names() && !state.lost_names.contains(name);
        let now = state.names.iter().filter(|(name, _)| kept(name));
        let before = state.durable_names.iter().filter(|(name, _)| !kept(name));
        let names: BTreeMap<_, _> = now
            .chain(before)
            .map(|(name, content)| {
                let bytes = content.lock().after_power_loss(survivors(name));
                (name.clone(), Arc::new(Mutex::new(Content::on_disk(bytes))))
            })
            .collect();
        let durable_names = names.clone();
        let state = State { names, durable_names, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), gate: Arc::default() }
    }

    /// What the next process finds when this one was killed: all that was written. Of what a failed flush
    /// has lost, the system has `forgotten` some: there the disk shows through.
    pub(crate) fn after_process_death(&self, forgotten: Survivors) -> Self {
        let mut state = self.state.lock();
        let mut copies: Vec<(File, File)> = Vec::new();
        let mut copy = |names: &BTreeMap<String, File>| {
            let mut copied = BTreeMap::new();
            for (name, content) in names {
                // A file keeps its identity whatever it is called.
                let known = copies.iter().find(|(of, _)| Arc::ptr_eq(of, content));
                let copy = known.map(|(_, copy)| Arc::clone(copy)).unwrap_or_else(|| {
                    let copy = Arc::new(Mutex::new(content.lock().forgetting(forgotten)));
                    copies.push((Arc::clone(content), Arc::clone(&copy)));
                    copy
                });
                copied.insert(name.clone(), copy);
            }
            copied
        };
        let names = copy(&state.names);
        let durable_names = copy(&state.durable_names);
        let lost_names = state.lost_names.clone();
        // What is left of the process writes nothing any more.
        state.changes_left = Some(0);
        let state = State { names, durable_names, lost_names, ..State::default() };
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

    /// Counts a flush; how it fails when it is the one that does.
    fn count_flush(&mut self) -> Option<Failing> {
        self.flushes += 1;
        self.failing.filter(|failing| failing.number == self.flushes)
    }

    /// Makes the names durable, but for those that are lost. What is removed is gone.
    fn flush_names(&mut self) {
        let Self { names, durable_names, lost_names, .. } = self;
        durable_names.retain(|name, _| names.contains_key(name));
        for (name, content) in names.iter().filter(|(name, _)| !lost_names.contains(*name)) {
            durable_names.insert(name.clone(), Arc::clone(content));
        }
    }

    /// Fails to: new names are lost, unless some survive.
    fn lose_names(&mut self, written: Survivors) {
        if written.keeps_names() {
            return self.flush_names();
        }
        let Self { names, durable_names, lost_names, .. } = self;
        let is_durable = |name: &String, content: &Arc<_>| {
            durable_names.get(name).is_some_and(|durable| Arc::ptr_eq(durable, content))
        };
        let lost = names.iter().filter(|(name, content)| !is_durable(name, content));
        lost_names.extend(lost.map(|(name, _)| name.clone()));
    }

    fn room_for(&self, more: u64) -> io::Result<()> {
        let fits = self.capacity.is_none_or(|capacity| self.used() + more <= capacity);
        if fits { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}

impl Content {
    fn on_disk(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), bytes, lost: BTreeSet::new() }
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        let len = self.bytes.len();
        self.bytes.resize(len.max(end), 0);
        self.bytes[offset..end].copy_from_slice(bytes);
        // A sector that was written to is written as a whole by the next flush.
        (offset / SECTOR..end.div_ceil(SECTOR)).for_each(|at| _ = self.lost.remove(&at));
    }

    fn resize(&mut self, len: usize) {
        self.bytes.resize(len, 0);
        self.lost.retain(|at| at * SECTOR < len);
    }

    /// The sectors that the next flush writes.
    fn dirty(&self) -> Vec<usize> {
        let sectors = self.bytes.len().max(self.durable.len()).div_ceil(SECTOR);
        (0..sectors)
            .filter(|at| sector(&self.bytes, *at) != sector(&self.durable, *at))
            .filter(|at| !self.lost.contains(at))
            .collect()
    }

    /// What is on the disk when some of the dirty sectors are written to it. The length of the file
    /// is what it needs to be.
    fn with_written(&self, dirty: &[usize], written: Survivors) -> Vec<u8> {
        let mut after = self.durable.clone();
        for (nth, at) in dirty.iter().copied().enumerate() {
            if written.keeps(nth, dirty.len()) {
                let end = ((at + 1) * SECTOR).min(self.bytes.len());
                after.resize(after.len().max(end), 0);
                after[at * SECTOR..end].copy_from_slice(&self.bytes[at * SECTOR..end]);
            }
        }
        after
    }

    fn flush(&mut self) {
        if self.lost.is_empty() {
            self.durable.clone_from(&self.bytes);
            return;
        }
        let mut durable = self.bytes.clone();
        for at in &self.lost {
            let end = ((at + 1) * SECTOR).min(durable.len());
            durable[at * SECTOR..end]
                .copy_from_slice(&sector(&self.durable, *at)[..end - at * SECTOR]);
        }
        self.durable = durable;
    }

    fn fail_flush(&mut self, written: Survivors) {
        let dirty = self.dirty();
        let mut durable = self.with_written(&dirty, written);
        durable.resize(self.bytes.len(), 0);
        self.durable = durable;
        let lost =
            dirty.into_iter().filter(|at| sector(&self.bytes, *at) != sector(&self.durable, *at));
        self.lost.extend(lost.collect::<Vec<_>>());
    }

    /// The same, with the disk showing through some of the sectors that are lost.
    fn forgetting(&self, forgotten: Survivors) -> Self {
        let mut after = self.clone();
        for (nth, at) in self.lost.iter().copied().enumerate() {
            if forgotten.keeps(nth, self.lost.len()) {
                let end = ((at + 1) * SECTOR).min(after.bytes.len());
                let found = sector(&self.durable, at);
                after.bytes[at * SECTOR..end].copy_from_slice(&found[..end - at * SECTOR]);
                after.lost.remove(&at);
            }
        }
        after
    }

    fn after_power_loss(&self, survivors: Survivors) -> Vec<u8> {
        self.with_written(&self.dirty(), survivors)
    }
}

/// A sector of a file, with zeros behind its end.
fn sector(bytes: &[u8], at: usize) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    let from = (at * SECTOR).min(bytes.len());
    let to = (from + SECTOR).min(bytes.len());
    sector[..to - from].copy_from_slice(&bytes[from..to]);
    sector
}

fn flush_failed(why: io::ErrorKind) -> io::Error {
    io::Error::new(why, "the flush failed")
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
            state.lost_names.remove(name);
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
            state.lost_names.remove(from);
            state.lost_names.remove(to);
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
            if !state.powered() {
                return Ok(());
            }
            match state.count_flush() {
                None => state.flush_names(),
                Some(Failing { written, why, .. }) => {
                    state.lose_names(written);
                    return Err(flush_failed(why));
                }
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
    content: File,
}

impl FakeFile {
    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.change(|_| {
            self.content.lock().resize(usize::try_from(len).unwrap());
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
            self.content.lock().write(bytes, end - bytes.len());
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.gate.pass();
        self.disk.change(|state| {
            // The flush at which the power goes has not happened; what survives is left to chance.
            if !state.powered() {
                return Ok(());
            }
            match state.count_flush() {
                None => self.content.lock().flush(),
                Some(Failing { written, why, .. }) => {
                    self.content.lock().fail_flush(written);
                    return Err(flush_failed(why));
                }
            }
            Ok(())
        })
    }
}
