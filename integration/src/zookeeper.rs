//! Apache ZooKeeper as Debian installs it: the server that decides what is right.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian's packages put their jars.
const JARS: &str = "/usr/share/java";

/// The environment variable that names the Java class path of another version to run as server.
const CLASS_PATH: &str = "ZOOKEEPER_CLASS_PATH";

/// Whether Apache ZooKeeper's server is installed on this machine.
#[must_use]
pub(crate) fn installed() -> bool {
    std::env::var_os(CLASS_PATH).is_some() || jar("zookeeper").exists()
}

/// The command that serves with the configuration file `config`. `properties` are those of its
/// settings that it reads as Java system properties only.
pub(crate) fn serve_command(config: &Path, properties: &[(String, String)]) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
    for (key, value) in properties {
        command.arg(format!("-D{key}={value}"));
    }
    command
        .arg("-cp")
        .arg(
            std::env::var(CLASS_PATH)
                .unwrap_or_else(|_| class_path(&["zookeeper", "netty-codec", "netty-resolver"])),
        )
        .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
        .arg(config);
    command
}

/// Whether a setting reaches the real server only as a Java system property: in the configuration
/// file it would be given the prefix `zookeeper.` and go unnoticed.
pub(crate) fn is_system_property(key: &str) -> bool {
    ["jute.", "readonlymode.", "znode."].iter().any(|prefix| key.starts_with(prefix))
}

/// A Java class path of the named jars; each names those that it needs in its manifest.
pub(crate) fn class_path(names: &[&str]) -> String {
    let jars: Vec<String> = names.iter().map(|name| jar(name).display().to_string()).collect();
    jars.join(":")
}

/// Where the jar `name` lies when its package is installed.
pub(crate) fn jar(name: &str) -> PathBuf {
    Path::new(JARS).join(format!("{name}.jar"))
}
