//! Apache's own shell, `zkCli.sh`, through all of its commands.

use std::path::Path;

use integration::{Server, zk_cli};

/// The commands, one a line, and what the shell prints for them with Apache ZooKeeper 3.8.
///
/// `UPDATE_GOLDEN=1 GROVEKEEPER_TEST_SERVER=zookeeper` writes the answers anew.
const COMMANDS: &str = include_str!("../../clients/zkcli/commands.txt");
const ANSWERS: &str = "clients/zkcli/answers.txt";

#[test]
fn the_shell_prints_what_it_prints_with_apache_zookeeper() {
    // Every command of zkCli.sh 3.8 has the same outcome, Stats and events included; zxids and
    // times are compared by their order of appearance.
    let server = Server::options().set("extendedTypesEnabled", "true").start();
    let script = COMMANDS.replace("{server}", &server.connect_string());
    let printed = zk_cli(&server, &script).replace(&server.connect_string(), "{server}");
    let transcript = Transcript::of(&printed).text();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(ANSWERS);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &transcript).expect("the file of answers");
    }
    let expected = std::fs::read_to_string(&file).expect("the file of answers");
    let (expected, got): (Vec<_>, Vec<_>) =
        (expected.lines().collect(), transcript.lines().collect());
    let differing = expected.iter().zip(&got).position(|(expected, got)| expected != got);
    let at = differing.unwrap_or(expected.len().min(got.len()));
    assert!(
        expected == got,
        "from line {} of {ANSWERS}:\nexpected {:#?}\ngot {:#?}",
        at + 1,
        &expected[at..expected.len().min(at + 12)],
        &got[at..got.len().min(at + 12)],
    );
}

/// What the shell printed, with all that may differ between two runs taken out.
struct Transcript {
    answers: Vec<String>,
    events: Vec<String>,
    zxids: Vec<String>,
}

impl Transcript {
    fn of(printed: &str) -> Self {
        let mut transcript = Self { answers: Vec::new(), events: Vec::new(), zxids: Vec::new() };
        for line in printed.lines() {
            transcript.take(line);
        }
        transcript
    }

    /// Events come from a thread of their own, at any place between the answers.
    fn take(&mut self, line: &str) {
        let noise = ["SLF4J:", "WATCHER::", "JLine support", "Welcome to", "Connecting to"];
        if line.is_empty() || noise.iter().any(|prefix| line.starts_with(prefix)) {
            return;
        }
        if line.starts_with("WatchedEvent") {
            self.events.push(line.to_owned());
            return;
        }
        let answer = self.without_what_differs(line);
        self.answers.push(answer);
    }

    fn without_what_differs(&mut self, line: &str) -> String {
        if let Some((version, _)) = line.split_once(": 3.") {
            return version.to_owned();
        }
        let Some((name, value)) = line.split_once(" = ") else { return sorted_list(line) };
        match name {
            "cZxid" | "mZxid" | "pZxid" => format!("{name} = {}", self.rank(value)),
            "ctime" | "mtime" => {
                let value = if value.ends_with(" 1970") { "never" } else { "then" };
                format!("{name} = {value}")
            }
            _ => line.to_owned(),
        }
    }

    fn rank(&mut self, zxid: &str) -> String {
        if zxid == "0x0" {
            return "none".to_owned();
        }
        let known = self.zxids.iter().position(|known| known == zxid);
        let rank = known.unwrap_or_else(|| {
            self.zxids.push(zxid.to_owned());
            self.zxids.len() - 1
        });
        format!("zxid {}", rank + 1)
    }

    fn text(self) -> String {
        let mut lines = self.answers;
        sort_identities(&mut lines);
        lines.push("--- events ---".to_owned());
        lines.extend(self.events);
        lines.join("\n") + "\n"
    }
}

/// The identities below the heading of `whoami`, which come in any order.
fn sort_identities(lines: &mut [String]) {
    let Some(heading) = lines.iter().position(|line| line == "Auth scheme: User") else { return };
    let below = &mut lines[heading + 1..];
    let is_identity = |line: &String| line.starts_with("digest: ") || line.starts_with("ip: ");
    let count = below.iter().take_while(|line| is_identity(line)).count();
    below[..count].sort();
}

/// A printed list of names in one order, as servers answer them in any.
fn sorted_list(line: &str) -> String {
    let Some(inside) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return line.to_owned();
    };
    let mut names: Vec<&str> = inside.split(", ").collect();
    names.sort_unstable();
    format!("[{}]", names.join(", "))
}
