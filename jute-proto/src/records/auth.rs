//! Identities of a connection.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::codec::record;

record! {
    /// Adds an identity to the connection.
    pub struct AuthRequest<'a> {
        /// Always zero.
        pub auth_type: i32,
        /// The authentication scheme.
        pub scheme: Cow<'a, str>,
        /// What proves the identity, in a form that the scheme defines.
        pub auth: Option<&'a [u8]>,
    }
}

record! {
    /// A SASL token of the client.
    #[derive(Copy)]
    pub struct SaslRequest<'a> {
        /// The token.
        pub token: Option<&'a [u8]>,
    }
}

record! {
    /// A SASL token of the server; sent even behind a header with an error.
    #[derive(Copy)]
    pub struct SaslResponse<'a> {
        /// The token.
        pub token: Option<&'a [u8]>,
    }
}

record! {
    /// The identities of the connection.
    pub struct WhoAmIResponse<'a> {
        /// One entry an identity.
        pub clients: Vec<ClientInfo<'a>>,
    }
}

record! {
    /// One identity of a connection, without what is secret about it.
    pub struct ClientInfo<'a> {
        /// The authentication scheme.
        pub auth_scheme: Cow<'a, str>,
        /// The user within the scheme.
        pub user: Cow<'a, str>,
    }
}
