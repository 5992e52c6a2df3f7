//! Where the server runs: the lines of `envi`.

use rustix::system::uname;

use super::process::kib_of;
use super::version::VERSION;
use crate::env::fs;

/// Keys and values in ZooKeeper's order. Its keys about the Java machine are absent: there is none.
pub fn list() -> Vec<(&'static str, String)> {
    let system = uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    let user = User::current();
    let mut list = vec![
        ("zookeeper.version", VERSION.to_owned()),
        ("host.name", text(system.nodename())),
        ("os.name", text(system.sysname())),
        ("os.arch", java_arch(&text(system.machine()))),
        ("os.version", text(system.release())),
        ("user.name", user.name),
        ("user.home", user.home),
        (
            "user.dir",
            std::env::current_dir().map_or_else(|_| String::new(), |dir| dir.display().to_string()),
        ),
    ];
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    for (key, line) in [("os.memory.free", "MemAvailable"), ("os.memory.total", "MemTotal")] {
        if let Some(kib) = kib_of(&memory, line) {
            list.push((key, format!("{}MB", kib / 1024)));
        }
    }
    list
}

/// Java's name of a processor architecture, which inventories expect.
fn java_arch(machine: &str) -> String {
    match machine {
        "x86_64" => "amd64".to_owned(),
        other => other.to_owned(),
    }
}

struct User {
    name: String,
    home: String,
}

impl User {
    /// The user of this process, from the system's list, else from the environment.
    fn current() -> Self {
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let variable = |name| std::env::var(name).unwrap_or_default();
        Self::find(&accounts, rustix::process::getuid().as_raw())
            .unwrap_or_else(|| Self { name: variable("USER"), home: variable("HOME") })
    }

    fn find(accounts: &str, uid: u32) -> Option<Self> {
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let found: u32 = fields.nth(1)?.parse().ok()?;
            let home = fields.nth(2)?;
            (found == uid).then(|| Self { name: name.to_owned(), home: home.to_owned() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_number() {
        // Name and home directory of the account with this number.
        let accounts = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/sh\n";
        let user = User::find(accounts, 1000).unwrap();
        assert_eq!((user.name.as_str(), user.home.as_str()), ("ann", "/home/ann"));
        assert!(User::find(accounts, 7).is_none());
    }

    #[test]
    fn the_list_has_the_keys_of_inventories() {
        // Each has a value on Linux.
        let list = list();
        for key in ["zookeeper.version", "host.name", "os.name", "os.arch", "user.dir"] {
            assert!(list.iter().any(|(name, value)| *name == key && !value.is_empty()), "{key}");
        }
    }
}
