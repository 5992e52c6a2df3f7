//! The first packet: a new session, a session resumed, or no session.

use jute_proto::{ConnectRequest, Extensions, OpCode, Reader, SessionId, Xid, session_password};

use super::close::CloseReason;
use super::conn::Conn;
use super::surroundings::{Propose, View};
use crate::replica::Op;

impl Conn {
    /// Judges a connect request in ZooKeeper's order: one too many, and a client that is ahead, are
    /// cut off without an answer, then the timeout is negotiated, then the session is made or looked for.
    pub(super) fn handshake(&mut self, view: View<'_>, log: &mut impl Propose, frame: &[u8]) {
        let request: ConnectRequest<'_> = match Reader::new(frame).record() {
            Ok(request) => request,
            Err(error) => return self.close(CloseReason::BadHandshake(error)),
        };
        let tokens = view.settings.connect_weights.map_or(1, |weights| match request.session_id {
            SessionId(0) => weights.global,
            _ => weights.renew,
        });
        if !log.may_connect(tokens) {
            view.stats.connections_rejected.increment();
            return self.close(CloseReason::Throttled);
        }
        view.stats.connection_requests.increment();
        self.agreement.set_speaks_read_only(request.read_only.is_some());
        let (seen, last) = (request.last_zxid_seen, view.replica.last_zxid());
        if seen > last {
            return self.close(CloseReason::ClientAhead { seen, last });
        }
        let timeout_ms = self.session.negotiate_timeout(request.timeout_ms, view.settings);
        self.grant(view, log, request.protocol_version);
        if self.agreement.wants_another_server() {
            self.answer_handshake(view, (SessionId(0), 0), &[0; 16]);
            return self.close(CloseReason::NotLeader);
        }
        if view.read_only {
            return self.open_local(view, log, &request);
        }
        let op = if request.session_id == SessionId(0) {
            self.session.begin_create(log.next_session_id(), view.now_us);
            view.stats.count_op(OpCode::CreateSession);
            Op::CreateSession { timeout_ms }
        } else {
            // Among several servers this one may be behind: the log knows better.
            let known = !view.settings.is_alone
                || view.replica.sessions().get(request.session_id).is_some();
            if !known || request.password != session_password(request.session_id) {
                return self.refuse_session(view);
            }
            self.session.begin_resume(request.session_id);
            view.stats.sessions_resumed.increment();
            Op::AttachSession { timeout_ms }
        };
        if self.propose(view, log, op).is_err() {
            self.close(CloseReason::Unavailable);
        }
    }

    /// Grants what the client asks for beyond ZooKeeper. Without a majority nothing is written, so
    /// nothing is written once.
    fn grant(&mut self, view: View<'_>, log: &impl Propose, protocol_version: i32) {
        let known = Extensions::LINEARIZABLE_READS
            .with(Extensions::TELL_LEADER)
            .with(Extensions::LEADER_ONLY)
            .with(Extensions::PAGES);
        let writes = if view.read_only { Extensions::NONE } else { Extensions::EXACTLY_ONCE };
        self.agreement.grant(protocol_version, known.with(writes));
        if self.agreement.has(Extensions::TELL_LEADER) {
            self.agreement.set_leader(log.leader(self.is_secure()));
        }
    }

    /// Opens a session that only this server knows, for a client that is content with reading what may
    /// be old (`ReadOnlyZooKeeperServer`).
    fn open_local(&mut self, view: View<'_>, log: &mut impl Propose, request: &ConnectRequest<'_>) {
        if request.read_only != Some(true) {
            return self.close(CloseReason::NotServing);
        }
        let id = if request.session_id == SessionId(0) {
            log.next_session_id()
        } else {
            if request.password != session_password(request.session_id) {
                return self.refuse_session(view);
            }
            if view.replica.sessions().get(request.session_id).is_none() {
                // A session that is newer than this state must not be told that it is gone.
                return self.close(CloseReason::NotServing);
            }
            request.session_id
        };
        self.session.begin_local(id);
        self.session_opened(view, self.session.timeout_ms());
    }

    pub(super) fn session_opened(&mut self, view: View<'_>, timeout_ms: u32) {
        if let Some(latency_us) = self.session.open(timeout_ms, view.now_us) {
            self.count_creation(view, latency_us);
        }
        let id = self.session.id();
        self.answer_handshake(view, (id, timeout_ms), &session_password(id));
    }

    /// A new session is an update that was answered, under the xid 0; a resumed one is not.
    fn count_creation(&mut self, view: View<'_>, latency_us: u64) {
        view.stats.latency_us.record(latency_us);
        view.stats.write_latency_us.record(latency_us);
        let zxid = view.replica.last_zxid();
        let tally = self.output.tally_mut();
        tally.answered(OpCode::CreateSession, Xid(0), zxid, view.now_us, latency_us);
    }

    /// Tells the client that its session is gone; the connection is of no more use.
    pub(super) fn refuse_session(&mut self, view: View<'_>) {
        self.session.refuse();
        self.answer_handshake(view, (SessionId(0), 0), &[0; 16]);
        self.close(CloseReason::SessionRefused);
    }

    fn answer_handshake(
        &mut self,
        view: View<'_>,
        (session_id, timeout_ms): (SessionId, u32),
        password: &[u8; 16],
    ) {
        let numbers = self.agreement.has(Extensions::EXACTLY_ONCE);
        let write_number = numbers.then(|| view.replica.sessions().last_write_number(session_id));
        let (agreement, is_local) = (&mut self.agreement, self.session.is_local());
        self.output.packet(view.around, |out| {
            let session = (session_id, timeout_ms);
            agreement.put_response(out, session, password, is_local, write_number);
        });
        self.settle_output();
    }
}
