//! Who the client proves to be. Auth packets are answered at once, outside of the request order.

use alloc::string::String;
use alloc::vec::Vec;

use jute_proto::{
    AuthRequest, Encode, ErrorCode, Id, Perms, Reader, ReplyHeader, SaslRequest, SaslResponse, Xid,
    Zxid, begin_frame, end_frame,
};

use super::close::CloseReason;
use super::conn::{Conn, Surroundings, View};
use super::settings::Settings;
use crate::limits::{IDENTITIES_LEN_MAX, IDENTITIES_MAX};
use crate::replica::entry::encode_identities;
use crate::session::auth::{AuthFailure, authenticate, subject_identities};
use crate::tree::{AclList, acl};

impl Conn {
    /// The client talks TLS, and has shown a certificate with this subject if it has shown any; to be
    /// called before the first frame.
    pub fn secured(&mut self, settings: &Settings, subject: Option<String>) {
        self.secure = true;
        if let Some(subject) = subject
            && let Err(failure) = self.prove(subject_identities(&settings.auth, subject))
        {
            self.close(CloseReason::AuthFailed(failure));
        }
    }

    /// Adds identities, where there is room for them: each write carries all of them.
    fn prove(&mut self, identities: Vec<Id>) -> Result<(), AuthFailure> {
        let mut new = identities;
        new.retain(|identity| !self.identities.contains(identity));
        if new.is_empty() {
            return Ok(());
        }
        let all = [&self.identities[..], &new].concat();
        if all.len() > IDENTITIES_MAX {
            return Err(AuthFailure::TooMany);
        }
        let encoded = encode_identities(&all);
        if encoded.len() > IDENTITIES_LEN_MAX {
            return Err(AuthFailure::TooLong);
        }
        (self.identities, self.encoded_identities) = (all, encoded);
        Ok(())
    }

    pub(super) fn authenticate(&mut self, view: View<'_>, xid: Xid, body: &[u8]) {
        let request: AuthRequest<'_> = match Reader::new(body).record() {
            Ok(request) => request,
            Err(error) => return self.close(CloseReason::BadHeader(error)),
        };
        let address = self.peer().ip();
        let proved = authenticate(&view.settings.auth, address, &request.scheme, request.auth);
        match proved.and_then(|identities| self.prove(identities)) {
            Ok(()) => self.put_header(view, xid, ErrorCode::Ok),
            Err(failure) => self.refuse_credentials(view, xid, failure),
        }
    }

    fn refuse_credentials(&mut self, view: View<'_>, xid: Xid, failure: AuthFailure) {
        view.stats.auth_failures.increment();
        if !matches!(failure, AuthFailure::OtherEnsemble(_)) {
            self.put_header(view, xid, ErrorCode::AuthFailed);
        }
        self.close(CloseReason::AuthFailed(failure));
    }

    /// Without a SASL configuration every token is answered with none, as ZooKeeper does.
    pub(super) fn answer_sasl(&mut self, view: View<'_>, xid: Xid, body: &[u8]) {
        if let Err(error) = Reader::new(body).record::<SaslRequest<'_>>() {
            return self.close(CloseReason::BadHeader(error));
        }
        let frame = begin_frame(&mut self.out);
        ReplyHeader { xid, zxid: Zxid(0), err: 0 }.encode(&mut self.out);
        SaslResponse { token: None }.encode(&mut self.out);
        end_frame(&mut self.out, frame);
        self.sent(view.around);
    }

    pub(super) fn is_authenticated(&self, settings: &Settings) -> bool {
        settings.enforced_schemes.as_ref().is_none_or(|schemes| {
            schemes.iter().any(|scheme| self.identities.iter().any(|id| id.scheme == *scheme))
        })
    }

    pub(super) fn demand_credentials(&mut self, view: View<'_>, xid: Xid) {
        self.put_header(view, xid, ErrorCode::SessionClosedRequireSaslAuth);
        self.close(CloseReason::AuthRequired);
    }

    pub(super) fn may_read(&self, around: Surroundings<'_>, list: &AclList) -> bool {
        acl::check(list, &self.identities, Perms::READ, around.settings.policy).is_ok()
    }

    fn put_header(&mut self, view: View<'_>, xid: Xid, code: ErrorCode) {
        let frame = begin_frame(&mut self.out);
        ReplyHeader { xid, zxid: Zxid(0), err: code.into() }.encode(&mut self.out);
        end_frame(&mut self.out, frame);
        self.sent(view.around);
    }
}
