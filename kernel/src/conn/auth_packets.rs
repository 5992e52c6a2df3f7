//! Packets that say who the client is. They are answered at once, outside of the request order.

use alloc::string::String;

use jute_proto::{
    AuthRequest, Encode, ErrorCode, Reader, ReplyHeader, SaslRequest, SaslResponse, Xid, Zxid,
};

use super::close::CloseReason;
use super::conn::Conn;
use super::settings::Settings;
use super::surroundings::View;
use crate::session::auth::{AuthFailure, authenticate, subject_identities};

impl Conn {
    /// The client talks TLS, and has shown a certificate with this subject if it has shown any; to be
    /// called before the first frame.
    pub fn secured(&mut self, settings: &Settings, subject: Option<String>) {
        self.secure = true;
        if let Some(subject) = subject
            && let Err(failure) = self.credentials.add(subject_identities(&settings.auth, subject))
        {
            self.close(CloseReason::AuthFailed(failure));
        }
    }

    pub(super) fn authenticate(&mut self, view: View<'_>, xid: Xid, body: &[u8]) {
        let request: AuthRequest<'_> = match Reader::new(body).record() {
            Ok(request) => request,
            Err(error) => return self.close(CloseReason::BadHeader(error)),
        };
        let address = self.peer().ip();
        let proved = authenticate(&view.settings.auth, address, &request.scheme, request.auth);
        match proved.and_then(|identities| self.credentials.add(identities)) {
            Ok(()) => self.answer_header(view, xid, ErrorCode::Ok),
            Err(failure) => self.refuse_credentials(view, xid, failure),
        }
    }

    fn refuse_credentials(&mut self, view: View<'_>, xid: Xid, failure: AuthFailure) {
        view.stats.auth_failures.increment();
        if !matches!(failure, AuthFailure::OtherEnsemble(_)) {
            self.answer_header(view, xid, ErrorCode::AuthFailed);
        }
        self.close(CloseReason::AuthFailed(failure));
    }

    /// Without a SASL configuration every token is answered with none, as ZooKeeper does.
    pub(super) fn answer_sasl(&mut self, view: View<'_>, xid: Xid, body: &[u8]) {
        if let Err(error) = Reader::new(body).record::<SaslRequest<'_>>() {
            return self.close(CloseReason::BadHeader(error));
        }
        self.output.packet(view.around, |out| {
            ReplyHeader { xid, zxid: Zxid(0), err: 0 }.encode(out);
            SaslResponse { token: None }.encode(out);
        });
        self.settle_output();
    }

    pub(super) fn demand_credentials(&mut self, view: View<'_>, xid: Xid) {
        self.answer_header(view, xid, ErrorCode::SessionClosedRequireSaslAuth);
        self.close(CloseReason::AuthRequired);
    }

    fn answer_header(&mut self, view: View<'_>, xid: Xid, code: ErrorCode) {
        self.output.header(view.around, xid, code);
        self.settle_output();
    }
}
