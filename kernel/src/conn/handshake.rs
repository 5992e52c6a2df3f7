//! The first packet: a new session, a session resumed, or no session.

use bytes::BufMut;
use jute_proto::{
    ConnectRequest, ConnectResponse, Encode, Extensions, LeaderHint, OpCode, Reader, SessionId,
    Xid, begin_frame, end_frame, session_password,
};

use super::close::CloseReason;
use super::conn::{Conn, Phase, Propose, View};
use crate::replica::Op;

/// What ZooKeeper's servers say, and what its clients are told.
const PROTOCOL_VERSION: i32 = 0;

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
        self.speaks_read_only = request.read_only.is_some();
        let (seen, last) = (request.last_zxid_seen, view.replica.last_zxid());
        if seen > last {
            return self.close(CloseReason::ClientAhead { seen, last });
        }
        let (min, max) =
            (view.settings.session_timeout_ms_min, view.settings.session_timeout_ms_max);
        self.timeout_ms = u32::try_from(request.timeout_ms).unwrap_or(0).clamp(min, max);
        let timeout_ms = self.timeout_ms;
        self.grant(view, log, request.protocol_version);
        if self.is_misplaced() {
            self.put_connect_response(view, 0, SessionId(0), &[0; 16]);
            return self.close(CloseReason::NotLeader);
        }
        if view.read_only {
            return self.open_local(view, log, &request);
        }
        let op = if request.session_id == SessionId(0) {
            self.session = log.next_session_id();
            view.stats.count_op(OpCode::CreateSession);
            self.creating_us = Some(view.now_us);
            Op::CreateSession { timeout_ms }
        } else {
            // Among several servers this one may be behind: the log knows better.
            let known = !view.settings.is_alone
                || view.replica.sessions().get(request.session_id).is_some();
            if !known || request.password != session_password(request.session_id) {
                return self.refuse_session(view);
            }
            self.session = request.session_id;
            view.stats.sessions_resumed.increment();
            Op::AttachSession { timeout_ms }
        };
        self.phase = Phase::Opening;
        if self.propose(view, log, op).is_err() {
            self.close(CloseReason::Unavailable);
        }
    }

    /// Grants what the client asks for beyond ZooKeeper. Without a majority nothing is written, so
    /// nothing is written once.
    fn grant(&mut self, view: View<'_>, log: &impl Propose, protocol_version: i32) {
        self.extensions = Extensions::of_protocol_version(protocol_version).map(|wanted| {
            let known = Extensions::LINEARIZABLE_READS
                .with(Extensions::TELL_LEADER)
                .with(Extensions::LEADER_ONLY)
                .with(Extensions::PAGES);
            let writes = if view.read_only { Extensions::NONE } else { Extensions::EXACTLY_ONCE };
            wanted.and(known.with(writes))
        });
        let tells = self.has_extension(Extensions::TELL_LEADER);
        self.leader = tells.then(|| log.leader(self.is_secure()));
    }

    pub(super) fn has_extension(&self, extension: Extensions) -> bool {
        self.extensions.is_some_and(|granted| granted.contains(extension))
    }

    /// Whether the client wants the leader, and this server is not.
    fn is_misplaced(&self) -> bool {
        let elsewhere = self.leader.as_ref().is_some_and(|leader| *leader != LeaderHint::Here);
        elsewhere && self.has_extension(Extensions::LEADER_ONLY)
    }

    /// Opens a session that only this server knows, for a client that is content with reading what may
    /// be old (`ReadOnlyZooKeeperServer`).
    fn open_local(&mut self, view: View<'_>, log: &mut impl Propose, request: &ConnectRequest<'_>) {
        if request.read_only != Some(true) {
            return self.close(CloseReason::NotServing);
        }
        if request.session_id == SessionId(0) {
            self.session = log.next_session_id();
        } else {
            if request.password != session_password(request.session_id) {
                return self.refuse_session(view);
            }
            if view.replica.sessions().get(request.session_id).is_none() {
                // A session that is newer than this state must not be told that it is gone.
                return self.close(CloseReason::NotServing);
            }
            self.session = request.session_id;
        }
        self.is_local = true;
        self.session_opened(view, self.timeout_ms);
    }

    pub(super) fn session_opened(&mut self, view: View<'_>, timeout_ms: u32) {
        self.phase = Phase::Open;
        self.count_creation(view);
        self.timeout_ms = timeout_ms;
        let password = session_password(self.session);
        self.put_connect_response(view, timeout_ms, self.session, &password);
    }

    /// A new session is an update that was answered, under the xid 0; a resumed one is not.
    fn count_creation(&mut self, view: View<'_>) {
        let Some(creating_us) = self.creating_us.take() else { return };
        let latency_us = view.now_us.saturating_sub(creating_us);
        view.stats.latency_us.record(latency_us);
        view.stats.write_latency_us.record(latency_us);
        let zxid = view.replica.last_zxid();
        self.tally.answered(OpCode::CreateSession, Xid(0), zxid, view.now_us, latency_us);
    }

    /// Tells the client that its session is gone; the connection is of no more use.
    pub(super) fn refuse_session(&mut self, view: View<'_>) {
        self.session = SessionId(0);
        self.put_connect_response(view, 0, SessionId(0), &[0; 16]);
        self.close(CloseReason::SessionRefused);
    }

    fn put_connect_response(
        &mut self,
        view: View<'_>,
        timeout_ms: u32,
        session_id: SessionId,
        password: &[u8; 16],
    ) {
        let frame = begin_frame(&mut self.out);
        let response = ConnectResponse {
            protocol_version: self
                .extensions
                .map_or(PROTOCOL_VERSION, Extensions::protocol_version),
            timeout_ms: i32::try_from(timeout_ms).unwrap_or(i32::MAX),
            session_id,
            password,
            read_only: self.speaks_read_only.then_some(self.is_local),
        };
        response.encode(&mut self.out);
        if let Some(leader) = self.leader.take() {
            leader.encode(&mut self.out);
        }
        if self.has_extension(Extensions::EXACTLY_ONCE) {
            self.out.put_u64(view.replica.sessions().last_write_number(session_id));
        }
        end_frame(&mut self.out, frame);
        self.sent(view.around);
    }
}
