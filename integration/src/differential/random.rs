//! Cases made up at random: no one wrote down the answers, so two servers are compared with each other.

use super::runner::Answers;
use super::script::{Case, Script, Step};

/// How many steps a case has.
const STEPS: u64 = 25;

/// The connections of a case.
const CONNECTIONS: [&str; 3] = ["a", "b", "c"];

/// Few paths, so that operations meet.
const PATHS: [&str; 7] = ["~", "~/p", "~/p/c", "~/p/d", "~/q", "~/q/e", "~/q/e/f"];

/// ACLs that keep some out, and one that means nothing.
const ACLS: [&str; 7] = [
    "world:anyone:r",
    "world:anyone:cdrwa",
    "world:anyone:cdwa",
    "world:anyone:ra",
    "auth:\\e:cdrwa",
    "digest:bob:fyVmFCwVbTJYrznoSu1koqYEYF0=:cdrwa,world:anyone:r",
    "world:bob:r",
];

/// What not to send, because a version is known to answer it otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Avoid {
    /// Nothing: the target version.
    Nothing,
    /// What differs in 3.8: ACLs at `exists`, several modes of watch on one path, their types, `create2` and
    /// `createContainer` in a multi.
    NewerThan38,
}

/// Numbers that follow from a seed (splitmix64).
#[derive(Clone, Debug)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A script of `cases` cases that follows from `seed`.
#[must_use]
pub fn script(seed: u64, cases: u64, avoid: Avoid) -> Script {
    let cases = (0..cases).map(|number| {
        let seed = seed.wrapping_add(number.wrapping_mul(0x1000_0000_01b3));
        Maker { chance: Chance(seed), avoid, closed: [0; 3], used: [false; 3], waiting: [false; 3] }
            .case(&format!("seed {seed}"))
    });
    // Containers that go by themselves would use zxids at any moment.
    let head = vec!["config znode.container.checkIntervalMs=3600000".to_owned()];
    Script { head, cases: cases.collect() }
}

/// The steps that two servers answered differently. Events that one transaction caused may come in any order, as they
/// do where a session ends with several ephemerals.
#[must_use]
pub fn disagreements(
    script: &Script,
    (one, other): (&[Answers], &[Answers]),
    avoid: Avoid,
) -> Vec<String> {
    let cases = script.cases.iter().zip(one.iter().zip(other));
    let mut found = Vec::new();
    for (case, (one, other)) in cases {
        let differing = (0..case.steps.len())
            .find(|step| comparable(&one[*step], avoid) != comparable(&other[*step], avoid));
        let Some(step) = differing else { continue };
        let mut text = format!("== {}\n", case.title);
        for (number, before) in case.steps[..=step].iter().enumerate() {
            text.push_str(&format!("{}\n", before.input));
            if number < step {
                one[number].iter().for_each(|line| text.push_str(&format!("  {line}\n")));
            }
        }
        one[step].iter().for_each(|line| text.push_str(&format!("  - {line}\n")));
        other[step].iter().for_each(|line| text.push_str(&format!("  + {line}\n")));
        found.push(text);
    }
    found
}

fn comparable(answers: &[String], avoid: Avoid) -> Vec<String> {
    let mut lines: Vec<String> = answers.to_vec();
    for line in &mut lines {
        if avoid == Avoid::NewerThan38 && line.starts_with("event ") {
            line.truncate(line.rfind(' ').unwrap_or(line.len()));
        }
    }
    let events = lines.iter().take_while(|line| line.starts_with("event ")).count();
    lines[..events].sort_unstable();
    lines
}

struct Maker {
    chance: Chance,
    avoid: Avoid,
    /// How often each connection was closed; a new one gets a new name.
    closed: [usize; 3],
    /// Whether each connection was opened.
    used: [bool; 3],
    /// Whether each connection has requests that are not sent yet.
    waiting: [bool; 3],
}

impl Maker {
    fn case(mut self, title: &str) -> Case {
        let mut steps: Vec<Step> = (0..STEPS).map(|_| self.step()).collect();
        for index in 0..CONNECTIONS.len() {
            let input = format!("{} ping", self.name(index));
            steps.push(Step { input, ..Step::default() });
        }
        Case { title: title.to_owned(), steps, ..Case::default() }
    }

    fn name(&self, index: usize) -> String {
        format!("{}{}", CONNECTIONS[index], self.closed[index])
    }

    fn step(&mut self) -> Step {
        let index = self.chance.below(CONNECTIONS.len() as u64) as usize;
        let name = self.name(index);
        let what = match self.chance.below(100) {
            0..60 => self.write(),
            60..85 => self.read(),
            85..94 => self.watch(),
            94..96 => "auth digest bob:secret".to_owned(),
            96 => "ping".to_owned(),
            97 => "getEphemerals ~/p".to_owned(),
            98 if self.used[index] => return self.leave(index),
            98 => "sync ~".to_owned(),
            _ => {
                self.closed[index] += 1;
                (self.used[index], self.waiting[index]) = (false, false);
                return Step { input: format!("{name} closeSession"), ..Step::default() };
            }
        };
        self.used[index] = true;
        // Auth packets are answered outside of the order, so nothing may be under way beside them.
        let auth = what.starts_with("auth");
        let what = if auth && self.waiting[index] { "ping".to_owned() } else { what };
        // Apache ZooKeeper judges what is already under way by the ACL as it was before.
        let alone = auth || what.starts_with("setACL");
        self.waiting[index] = !alone && self.chance.percent(20);
        let pipelined = if self.waiting[index] { "& " } else { "" };
        Step { input: format!("{name} {pipelined}{what}"), ..Step::default() }
    }

    /// Breaks the connection, or moves its session to a new one.
    fn leave(&mut self, index: usize) -> Step {
        let old = self.name(index);
        self.waiting[index] = false;
        self.closed[index] += 1;
        let new = self.name(index);
        let input = if self.chance.percent(50) {
            self.used[index] = false;
            format!("{old} drop")
        } else {
            format!("{new} connect session={old}")
        };
        Step { input, ..Step::default() }
    }

    fn path(&mut self) -> &'static str {
        self.chance.one_of(&PATHS)
    }

    fn version(&mut self) -> String {
        let version = self.chance.one_of(&["", "", " v=0", " v=1", " v=-1", " v=2"]);
        version.to_owned()
    }

    fn write(&mut self) -> String {
        match self.chance.below(10) {
            0 => {
                let path = self.path();
                let acl = self.chance.one_of(&ACLS);
                let version = self.version();
                format!("setACL {path} acl={acl}{version}")
            }
            1 | 2 => {
                let count = 1 + self.chance.below(4);
                let operations: Vec<String> = (0..count).map(|_| self.operation(true)).collect();
                format!("multi {}", operations.join(" ; "))
            }
            _ => self.operation(false),
        }
    }

    fn operation(&mut self, in_multi: bool) -> String {
        let path = self.path();
        let old = self.avoid == Avoid::NewerThan38;
        match self.chance.below(10) {
            0..=4 => {
                let verbs: &[&str] = match (in_multi, old) {
                    (true, true) => &["create"],
                    (true, false) | (false, _) => {
                        &["create", "create", "create2", "createContainer"]
                    }
                };
                let verb = self.chance.one_of(verbs);
                let mode = match verb {
                    "createContainer" => self.chance.one_of(&["", " mode=4", " mode=2"]),
                    _ => self.chance.one_of(&["", "", "", " mode=1", " mode=2", " mode=3"]),
                };
                let slash = if mode.is_empty() || self.chance.percent(60) { "" } else { "/s-" };
                let data = self.chance.one_of(&["", " data=", " data=null", " data=abc"]);
                let acl = self.chance.one_of(&ACLS);
                let acl =
                    if self.chance.percent(25) { format!(" acl={acl}") } else { String::new() };
                format!("{verb} {path}{slash}{mode}{data}{acl}")
            }
            5 | 6 if path != "~" => format!("delete {path}{}", self.version()),
            9 if in_multi => format!("check {path}{}", self.version()),
            _ => {
                let data = self.chance.one_of(&["", " data=", " data=null", " data=12345"]);
                format!("setData {path}{data}{}", self.version())
            }
        }
    }

    fn read(&mut self) -> String {
        let path = self.path();
        let watch = if self.chance.percent(60) { " watch" } else { "" };
        match self.chance.below(8) {
            0 if self.avoid == Avoid::Nothing => format!("exists {path}{watch}"),
            1 => format!("getData {path}{watch}"),
            2 => format!("getChildren {path}{watch}"),
            3 => format!("getChildren2 {path}{watch}"),
            4 => format!("getACL {path}"),
            5 => format!("getAllChildrenNumber {path}"),
            6 => {
                let other = self.path();
                format!("multiRead getData {path} ; getChildren {other} ; getData {other}")
            }
            _ => format!("getData {path}{watch}"),
        }
    }

    fn watch(&mut self) -> String {
        let path = self.path();
        if self.avoid == Avoid::NewerThan38 {
            return format!("setWatches zxid=base data={path} child={path}");
        }
        let kind = self.chance.below(6);
        match self.chance.below(4) {
            0 => format!("addWatch {path} mode={}", kind % 2),
            1 => format!("checkWatches {path} type={kind}"),
            2 => format!("removeWatches {path} type={kind}"),
            _ => {
                let other = self.path();
                format!(
                    "setWatches2 zxid=base data={path} exist={other} child={other} persistent={path} recursive={other}"
                )
            }
        }
    }
}
