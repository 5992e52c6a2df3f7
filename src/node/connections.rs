//! The open connections of this server.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use hashbrown::DefaultHashBuilder;
use jute_proto::SessionId;
use kernel::conn::{CloseReason, Conn, Propose, View};
use kernel::replica::Outcome;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::recent_disconnects::RecentDisconnects;
use crate::env::net::OwnedWriteHalf;
use crate::telemetry::ServerStats;

/// One open connection, as the rest of the server sees it.
///
/// Two parties work on it. The task of the connection owns the socket: it reads requests, takes output and writes it.
/// The apply thread puts outcomes and events into the output. Both go through the lock of `conn`, and none of the two
/// waits for the other.
///
/// What the fields outside that lock say:
///
/// * `paused` may be read without the lock of `conn` by a task that holds a lock of the replica. Requests are only
///   paused while the replica is locked shared, and `paused` is set before that lock is given back ([`note_paused`]).
///   So the apply thread, which has the replica alone, never misses a request that must be answered before the next
///   write is applied. It may find `paused` set where the task has served all since: then there is nothing to serve.
/// * `task_idle` changes under the lock of `conn` only, and is read under it. While it is true, all bytes before the
///   output of `conn` are in the socket, and the task has nothing to do but to wait for input. So a thread that holds
///   the lock may write output to the socket in place of the task ([`send_at_once`](Self::send_at_once)), and the order
///   of the bytes stays.
/// * `on_wake_list` belongs to the apply thread.
///
/// [`note_paused`]: Self::note_paused
#[derive(Debug)]
pub struct ConnectionHandle {
    /// Its state. Hold the lock briefly; where the replica is locked too, it is locked first.
    pub conn: Mutex<Conn>,
    /// Wakes the task that owns the socket: there is output, or the connection is to be closed. A wake-up that comes
    /// while the task is busy is kept until it waits again.
    wake: Notify,
    /// When something was last received, in microseconds of the server's clock.
    heard_us: AtomicU64,
    /// The session, once it is open; 0 before.
    session: AtomicI64,
    /// Whether requests of it are paused: [`Conn::has_paused`] without the lock.
    paused: AtomicBool,
    /// The socket, where bytes can be written to it as they are: not with TLS.
    outlet: Option<Arc<OwnedWriteHalf>>,
    /// The task waits for input and has no bytes of its own to send, nor anything else to do once
    /// there are replies.
    task_idle: AtomicBool,
    /// Whether it is on the list of connections to be woken after the current apply batch.
    on_wake_list: AtomicBool,
}

/// More output than this is left to the task of the connection: copying it into the socket would keep the next batch
/// waiting.
const SENT_AT_ONCE_MAX: usize = 4 << 10;

impl ConnectionHandle {
    /// The task that owns the socket says, under the lock of `conn`, whether it only waits for input.
    pub fn set_task_idle(&self, task_idle: bool) {
        self.task_idle.store(task_idle, Ordering::Relaxed);
    }

    /// Sends what there is without waking the task, where that is all that is left to do; else
    /// false.
    fn send_at_once(&self, stats: &ServerStats) -> bool {
        let Some(outlet) = &self.outlet else { return false };
        let mut conn = self.conn.lock();
        let may = self.task_idle.load(Ordering::Relaxed)
            && conn.close_reason().is_none()
            && !conn.has_paused()
            && !conn.has_oversized()
            && conn.output().len() <= SENT_AT_ONCE_MAX;
        if !may {
            return false;
        }
        // Whatever is wrong with the socket, the task finds it too.
        let Ok(sent) = outlet.try_write(conn.output()) else { return false };
        conn.output_sent(sent);
        stats.bytes_sent.add(sent as u64);
        conn.output().is_empty()
    }

    /// Wakes the task that owns the socket.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until the task is woken. To be awaited by the task that owns the socket alone.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Closes the connection: its task sends what there is and ends.
    pub fn close(&self, reason: CloseReason) {
        self.conn.lock().close(reason);
        self.wake();
    }

    /// Something was received at this moment, in microseconds of the server's clock.
    pub fn received(&self, now_us: u64) {
        self.heard_us.store(now_us, Ordering::Relaxed);
    }

    /// When something was last received, in microseconds of the server's clock.
    pub fn heard_us(&self) -> u64 {
        self.heard_us.load(Ordering::Relaxed)
    }

    /// The session, once it is [open](Self::opened); 0 before. Known without the lock of `conn`.
    pub(super) fn session(&self) -> SessionId {
        SessionId(self.session.load(Ordering::Relaxed))
    }

    /// The task that owns the socket has seen that the session is open.
    pub fn opened(&self, session: SessionId, now_us: u64) {
        self.received(now_us);
        self.session.store(session.0, Ordering::Relaxed);
    }

    /// Takes note of whether requests of it are paused; to be called with the lock of the replica that the
    /// connection was given input under.
    pub fn note_paused(&self, conn: &Conn) {
        self.paused.store(conn.has_paused(), Ordering::Relaxed);
    }

    /// Whether requests of it are paused; to be called with a lock of the replica.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Hands over the outcome of one of its commands.
    pub(super) fn complete(&self, view: View<'_>, seq: u64, outcome: Outcome) {
        let mut conn = self.conn.lock();
        conn.complete(view, seq, view.replica.last_zxid(), outcome);
        self.note_paused(&conn);
    }

    /// Answers what waited for the read barrier of this number.
    pub(super) fn pass_barrier(&self, view: View<'_>, log: &mut impl Propose, barrier: u64) {
        let mut conn = self.conn.lock();
        conn.barrier_passed(view, log, barrier);
        self.note_paused(&conn);
    }

    /// Serves requests that were paused until the output was taken.
    pub fn resume(&self, view: View<'_>, log: &mut impl Propose) {
        let mut conn = self.conn.lock();
        conn.resume(view, log);
        self.note_paused(&conn);
    }
}

/// All open connections, by number, and what is left of those that closed lately.
///
/// A number is given once in the life of a process. So the outcome of a command finds the connection that sent it, or
/// none.
#[derive(Debug, Default)]
pub struct ConnectionRegistry {
    by_number: DashMap<u64, Arc<ConnectionHandle>, DefaultHashBuilder>,
    per_ip: DashMap<IpAddr, usize>,
    count: AtomicUsize,
    last_number: AtomicU64,
    /// Connections with this number and those before it were closed without waiting for the outcome of what they
    /// sent.
    abandoned_up_to: AtomicU64,
    recent_disconnects: RecentDisconnects,
}

impl ConnectionRegistry {
    /// A number that no connection of this process had.
    pub(super) fn next_number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// All connections of now were closed: outcomes of what they sent count for nothing any more. Under the exclusive
    /// lock of the replica, so that none of them sends anything after that.
    pub(super) fn abandon_outcomes(&self) {
        self.abandoned_up_to.store(self.last_number.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether the outcome of what a connection of this server sent counts for nothing any more.
    pub(super) fn is_abandoned(&self, number: u64) -> bool {
        number <= self.abandoned_up_to.load(Ordering::Relaxed)
    }

    /// Takes a connection in, unless its address or all together have too many already.
    pub fn admit(&self, address: IpAddr, per_ip_max: Option<u32>, total_max: Option<u32>) -> bool {
        let is_full = |count: usize, max: Option<u32>| max.is_some_and(|max| count >= max as usize);
        let mut of_address = self.per_ip.entry(address).or_insert(0);
        if is_full(self.count.load(Ordering::Relaxed), total_max)
            || is_full(*of_address, per_ip_max)
        {
            drop(of_address);
            self.per_ip.remove_if(&address, |_, count| *count == 0);
            return false;
        }
        *of_address += 1;
        self.count.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// A connection that was admitted is gone.
    pub fn release(&self, address: IpAddr) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        if let Some(mut count) = self.per_ip.get_mut(&address) {
            *count -= 1;
        }
        self.per_ip.remove_if(&address, |_, count| *count == 0);
    }

    /// Makes the connection known by its number.
    pub(super) fn insert(
        &self,
        conn: Conn,
        now_us: u64,
        outlet: Option<Arc<OwnedWriteHalf>>,
    ) -> Arc<ConnectionHandle> {
        let number = conn.id().number;
        let client = Arc::new(ConnectionHandle {
            conn: Mutex::new(conn),
            wake: Notify::new(),
            heard_us: AtomicU64::new(now_us),
            session: AtomicI64::new(0),
            paused: AtomicBool::new(false),
            outlet,
            task_idle: AtomicBool::new(false),
            on_wake_list: AtomicBool::new(false),
        });
        self.by_number.insert(number, Arc::clone(&client));
        client
    }

    /// Forgets a connection, but for when its client was last heard of. Returns when that was, in microseconds.
    pub(super) fn remove(&self, number: u64, handle: &ConnectionHandle, session: SessionId) -> u64 {
        let heard_us = handle.heard_us();
        // First, so that [`ConnectionRegistry::heard_since`] never misses it.
        self.recent_disconnects.note(session, heard_us);
        self.by_number.remove(&number);
        heard_us
    }

    /// The sessions of the open connections, and when each was last heard of, in microseconds.
    pub(super) fn last_heard(&self) -> impl Iterator<Item = (SessionId, u64)> {
        self.all().into_iter().map(|handle| (handle.session(), handle.heard_us()))
    }

    /// The sessions that were heard of since that moment, and when that was, in microseconds; those of connections that
    /// closed since included. A session may be named twice.
    pub(super) fn heard_since(&self, since_us: u64) -> Vec<(SessionId, u64)> {
        let mut heard: Vec<_> =
            self.last_heard().filter(|(_, heard_us)| *heard_us >= since_us).collect();
        // After the open ones: who leaves meanwhile is among the one or the other.
        heard.extend(self.recent_disconnects.since(since_us));
        heard
    }

    /// The connection of this number, while it is open.
    pub fn get(&self, number: u64) -> Option<Arc<ConnectionHandle>> {
        self.by_number.get(&number).map(|entry| Arc::clone(entry.value()))
    }

    /// All open connections, in the order of their numbers.
    pub fn all(&self) -> Vec<Arc<ConnectionHandle>> {
        let mut all: Vec<_> =
            self.by_number.iter().map(|entry| (*entry.key(), Arc::clone(entry.value()))).collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, client)| client).collect()
    }

    /// How many connections are open.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Connections that have output after an apply batch, to be woken once at its end.
///
/// Belongs to the apply thread. A connection is on it once, however many outcomes and events it got: its flag says so.
/// A wake-up costs more than what it brings, so a connection with a hundred events in a batch is woken once.
#[derive(Debug, Default)]
pub(super) struct WakeList(Vec<Arc<ConnectionHandle>>);

impl WakeList {
    pub(super) fn add(&mut self, client: &Arc<ConnectionHandle>) {
        if !client.on_wake_list.swap(true, Ordering::Relaxed) {
            self.0.push(Arc::clone(client));
        }
    }

    /// Brings the output on its way. If exactly one connection has some, and its task is idle, the apply thread writes
    /// it to the socket directly: waking the task takes as long as sending. Where more have some, their tasks do it in
    /// parallel.
    pub(super) fn wake_all(&mut self, stats: &ServerStats) {
        if let [handle] = &self.0[..] {
            handle.on_wake_list.store(false, Ordering::Relaxed);
            if handle.send_at_once(stats) {
                return self.0.clear();
            }
        }
        for handle in self.0.drain(..) {
            handle.on_wake_list.store(false, Ordering::Relaxed);
            handle.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use kernel::ensemble::ServerId;
    use std::future::Future;
    use std::time::Duration;

    use futures_util::FutureExt;
    use jute_proto::{EventType, Zxid};
    use kernel::conn::{Settings, Surroundings};
    use kernel::replica::Event;
    use kernel::session::ConnId;
    use kernel::tree::AclList;
    use socket2::SockRef;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::tls::Transport;

    /// A connection that nobody serves: what arrives was sent where it was made.
    struct Fixture {
        settings: Settings,
        stats: ServerStats,
        wake_list: WakeList,
        client: Arc<ConnectionHandle>,
        /// The side of the task.
        stream: Transport,
        /// The side of the client.
        other: TcpStream,
        /// All bytes that were made, in order.
        made: Vec<u8>,
    }

    impl Fixture {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            SockRef::from(&stream).set_send_buffer_size(16 << 10).unwrap();
            SockRef::from(&other).set_recv_buffer_size(16 << 10).unwrap();
            // Until then nothing is tried.
            stream.writable().await.unwrap();
            let (stream, outlet) = Transport::Plain(stream).share();
            let conn = Conn::new(ConnId { server: ServerId(1), boot: 1, number: 1 }, peer, 0);
            let client = ConnectionRegistry::default().insert(conn, 0, outlet);
            client.set_task_idle(true);
            let (settings, stats) = (Settings::default(), ServerStats::default());
            let (wake_list, made) = (WakeList::default(), Vec::new());
            Self { settings, stats, wake_list, client, stream, other, made }
        }

        /// Puts an event of about this length into the output.
        fn make(&mut self, len: usize) {
            let path = format!(
                "/{}",
                char::from(b'a' + (self.made.len() % 26) as u8).to_string().repeat(len)
            );
            let event = Event {
                zxid: Zxid(1),
                watcher: 1,
                event_type: EventType::NodeCreated,
                path: &path,
                acl: &AclList::new(&jute_proto::Acl::open()),
            };
            let (settings, stats) = (&self.settings, &self.stats.conns);
            let mut conn = self.client.conn.lock();
            let before = conn.output().len();
            conn.notify(Surroundings { settings, stats, now_us: 0, read_only: false }, &event);
            self.made.extend_from_slice(&conn.output()[before..]);
            drop(conn);
            self.wake_list.add(&self.client);
        }

        /// Ends the batch; says whether the task was woken.
        fn end_batch(&mut self) -> bool {
            self.wake_list.wake_all(&self.stats);
            self.client.wake.notified().now_or_never().is_some()
        }

        fn unsent(&self) -> usize {
            self.client.conn.lock().output().len()
        }

        /// The client gets all that was made up to here, and nothing else.
        async fn arrives(&mut self, len: usize) {
            let mut received = vec![0; len];
            in_time(self.other.read_exact(&mut received)).await.unwrap();
            assert!(received == self.made[..len], "other bytes arrived than were made");
            assert!(self.other.try_read(&mut [0]).is_err(), "more arrived than was made");
        }
    }

    async fn in_time<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(60), future).await.expect("in time")
    }

    #[tokio::test]
    async fn the_output_of_one_connection_is_sent_where_it_is_made() {
        // Where the task only waits for input, what a batch made for one connection goes to its socket
        // at once, as a whole and once, is counted, and the task is not woken.
        let mut one = Fixture::new().await;
        for _ in 0..3 {
            one.made.clear();
            one.make(100);
            one.make(1000);
            assert!(!one.end_batch());
            assert_eq!(one.unsent(), 0);
            one.arrives(one.made.len()).await;
        }
        assert!(one.stats.bytes_sent.get() > 3300);
    }

    #[tokio::test]
    async fn what_the_task_has_to_do_is_left_to_it() {
        // A task with bytes of its own, much output, a connection that closes and a batch that touched
        // others too: nothing is sent past the task, which is woken.
        let mut one = Fixture::new().await;
        one.client.set_task_idle(false);
        one.make(100);
        assert!(one.end_batch());
        one.client.set_task_idle(true);
        one.make(SENT_AT_ONCE_MAX);
        assert!(one.end_batch());
        let mut other = Fixture::new().await;
        one.client.conn.lock().take_output();
        one.make(100);
        one.wake_list.add(&other.client);
        assert!(one.end_batch());
        other.make(100);
        other.client.conn.lock().close(CloseReason::SessionClosed);
        assert!(other.end_batch());
        assert_eq!((one.stats.bytes_sent.get(), other.stats.bytes_sent.get()), (0, 0));
        assert!(one.other.try_read(&mut [0]).is_err());
        assert!(other.other.try_read(&mut [0]).is_err());
    }

    #[tokio::test]
    async fn what_a_full_socket_does_not_take_is_left_to_the_task() {
        // The client does not read. What fits is sent at once, the rest stays in the output in order, and
        // the task sends it.
        let mut one = Fixture::new().await;
        let full = in_time(async {
            while one.unsent() == 0 {
                one.make(3000);
                let woken = one.end_batch();
                assert_eq!(woken, one.unsent() > 0);
                tokio::task::yield_now().await;
            }
        });
        full.await;
        one.make(10);
        let (sent, unsent) = (one.stats.bytes_sent.get(), one.unsent() as u64);
        assert_eq!(sent + unsent, one.made.len() as u64);
        one.client.set_task_idle(false);
        let rest = one.client.conn.lock().take_output();
        let mut stream = one.stream;
        let task = tokio::spawn(async move {
            stream.write_all(&rest).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        in_time(one.other.read_to_end(&mut received)).await.unwrap();
        assert!(received == one.made, "{} bytes arrived of {}", received.len(), one.made.len());
        task.await.unwrap();
    }

    #[test]
    fn addresses_have_their_share() {
        // The limits per address and in total hold, and a released place is free again.
        let clients = ConnectionRegistry::default();
        let (one, two): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        assert!(clients.admit(one, Some(1), Some(2)));
        assert!(!clients.admit(one, Some(1), Some(2)));
        assert!(clients.admit(two, Some(1), Some(2)));
        assert!(!clients.admit([127, 0, 0, 3].into(), Some(1), Some(2)));
        assert_eq!(clients.per_ip.len(), 2, "an address without a connection is forgotten");
        clients.release(one);
        assert!(clients.admit(one, Some(1), Some(2)));
        assert_eq!(clients.len(), 2);
    }
}
