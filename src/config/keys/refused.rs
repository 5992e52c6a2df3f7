//! Keys that ask for what this server does not do: it would be wrong to start and not do it.

use super::{Key, refuse, refuse_unless};

const SASL: &str = "SASL is not supported yet; use the scheme digest, or remove this line";
const KERBEROS: &str = "Kerberos is not supported yet; use the scheme digest, or remove this line";
const TLS: &str = "there is no TLS for HTTP; remove this line, and keep the port to the machine or \
                   behind a proxy that talks TLS";
const HIERARCHY: &str = "hierarchical quorums are not supported; remove the group and weight lines";
const AUDIT: &str = "the audit log is not supported yet; set it to false or remove this line";

pub(super) static KEYS: &[Key] = &[
    refuse_unless("admin.forceHttps", "false", TLS),
    refuse_unless("admin.portUnification", "false", TLS),
    refuse_unless("admin.needClientAuth", "false", TLS),
    refuse("metricsProvider.httpsPort", "7443", TLS),
    refuse_unless("sessionRequireClientSASLAuth", "false", SASL),
    refuse("superUser", "admin", SASL),
    refuse("superUser.*", "admin", SASL),
    refuse("SASLAuthenticationProvider.superPassword", "secret", SASL),
    refuse("letAnySaslUserDoX", "user", SASL),
    refuse_unless("allowSaslFailedClients", "false", SASL),
    refuse("sasl.serverconfig", "Server", SASL),
    refuse_unless("quorum.auth.enableSasl", "false", SASL),
    refuse_unless("quorum.auth.learnerRequireSasl", "false", SASL),
    refuse_unless("quorum.auth.serverRequireSasl", "false", SASL),
    refuse("quorum.auth.kerberos.servicePrincipal", "zkquorum/_HOST", KERBEROS),
    refuse("kerberos.*", "true", KERBEROS),
    refuse_unless("requireKerberosConfig", "false", KERBEROS),
    refuse("security.auth_to_local", "DEFAULT", KERBEROS),
    refuse("server.realm", "EXAMPLE.ORG", KERBEROS),
    refuse("group.*", "1:2:3", HIERARCHY),
    refuse("weight.*", "1", HIERARCHY),
    refuse(
        "oraclePath",
        "/etc/zookeeper/oracle",
        "a quorum of two with an oracle is not supported; use three servers",
    ),
    refuse_unless(
        "multiAddress.enabled",
        "false",
        "several addresses for one server are not supported; give one and set this to false",
    ),
    refuse_unless("electionAlg", "3", "3 is the only election algorithm of ZooKeeper itself"),
    refuse_unless(
        "IPAuthenticationProvider.usexforwardedfor",
        "false",
        "forwarded addresses are not trusted here; set it to false",
    ),
    refuse_unless("audit.enable", "false", AUDIT),
];
