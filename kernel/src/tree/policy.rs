//! Settings that change what an operation does.

/// The settings that decide outcomes. They travel in each log entry, so that replicas with
/// different configuration files still agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// `extendedTypesEnabled`: nodes with a time to live may be created.
    pub extended_types: bool,
    /// `enforceQuota`: hard quotas refuse operations instead of being reported only.
    pub enforce_quota: bool,
    /// `skipACL`: no operation is refused for lack of permission.
    pub skip_acl: bool,
    /// `DigestAuthenticationProvider.enabled=false`: the scheme `digest` is unknown.
    pub no_digest_scheme: bool,
    /// The scheme `x509` is known; a server with a secure port has it.
    pub x509_scheme: bool,
    /// The scheme `sasl` is known; an `authProvider` line turns it on.
    pub sasl_scheme: bool,
    /// `reconfigEnabled`: the members of the ensemble may be changed.
    pub reconfig: bool,
    /// `standaloneEnabled=false`: one server may be an ensemble.
    pub ensemble_of_one: bool,
}

impl Policy {
    /// The settings as bits, for the header of a log entry.
    ///
    /// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
    #[must_use]
    pub fn to_bits(self) -> u8 {
        u8::from(self.extended_types)
            | u8::from(self.enforce_quota) << 1
            | u8::from(self.skip_acl) << 2
            | u8::from(self.no_digest_scheme) << 3
            | u8::from(self.x509_scheme) << 4
            | u8::from(self.sasl_scheme) << 5
            | u8::from(self.reconfig) << 6
            | u8::from(self.ensemble_of_one) << 7
    }

    /// The settings that [`to_bits`](Self::to_bits) wrote.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self {
            extended_types: bits & 1 != 0,
            enforce_quota: bits & 1 << 1 != 0,
            skip_acl: bits & 1 << 2 != 0,
            no_digest_scheme: bits & 1 << 3 != 0,
            x509_scheme: bits & 1 << 4 != 0,
            sasl_scheme: bits & 1 << 5 != 0,
            reconfig: bits & 1 << 6 != 0,
            ensemble_of_one: bits & 1 << 7 != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_survives_the_entry_header() {
        // What the leader decided with is what each replica decides with.
        for bits in 0..=u8::MAX {
            assert_eq!(Policy::from_bits(bits).to_bits(), bits);
        }
        assert_eq!(Policy::default().to_bits(), 0);
    }
}
