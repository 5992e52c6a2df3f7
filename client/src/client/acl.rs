//! Reading and replacing access control lists.

use jute_proto::{Acl, GetAclRequest, GetAclResponse, OpCode, SetAclRequest, SetAclResponse, Stat};

use super::call::{Call, record};
use super::data::Version;
use super::handle::Client;

impl Client {
    /// The access control list of a znode, and its metadata. Hashes of passwords are masked for
    /// callers without the permission `admin`.
    ///
    /// # Errors
    ///
    /// With the codes `NoNode` and `NoAuth`.
    pub fn get_acl(&self, path: &str) -> Call<(Vec<Acl>, Stat)> {
        let request = self.chroot.to_server(path).map(|path| GetAclRequest { path });
        Call::send(self, OpCode::GetAcl, request, |reply, _| {
            let response: GetAclResponse = record(&reply)?;
            Ok((response.acl, response.stat))
        })
    }

    /// Replaces the access control list of a znode whose list has the given version
    /// ([`Stat::aversion`]).
    ///
    /// # Errors
    ///
    /// With the codes `NoNode`, `NoAuth`, `InvalidAcl` and `BadVersion`.
    pub fn set_acl(&self, path: &str, acl: Vec<Acl>, version: impl Into<Version>) -> Call<Stat> {
        let version = version.into().number();
        let path = self.chroot.to_server(path);
        let request = path.map(|path| SetAclRequest { path, acl: Some(acl), version });
        Call::send(self, OpCode::SetAcl, request, |reply, _| {
            record::<SetAclResponse>(&reply).map(|response| response.stat)
        })
    }
}
