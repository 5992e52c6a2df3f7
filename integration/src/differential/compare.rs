//! Where answers differ from the recorded ones, and how to record them.

use std::collections::BTreeMap;
use std::fmt;

use super::runner::Answers;
use super::script::{Script, Variant};

/// The reason of a variant that nobody has explained yet.
pub const UNEXPLAINED: &str = "unexplained";

/// A step that was answered otherwise than recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The case.
    pub case: String,
    /// What was sent.
    pub step: String,
    /// The recorded answers.
    pub expected: Vec<String>,
    /// The answers now.
    pub found: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "== {}", self.case)?;
        writeln!(f, "{}", self.step)?;
        for line in &self.expected {
            writeln!(f, "  - {line}")?;
        }
        for line in &self.found {
            writeln!(f, "  + {line}")?;
        }
        Ok(())
    }
}

/// The steps that `server` answered otherwise than recorded for it.
#[must_use]
pub fn compare(script: &Script, answers: &[Answers], server: &str) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (case, answers) in script.cases.iter().zip(answers) {
        let steps = case.steps.iter().zip(case.expected(server)).zip(answers);
        for ((step, expected), found) in steps {
            if !alike(server, expected, found) {
                differences.push(Difference {
                    case: case.title.clone(),
                    step: step.input.clone(),
                    expected: expected.to_vec(),
                    found: found.clone(),
                });
            }
        }
    }
    differences
}

/// Whether two answers are the same. The zxid of a notification is new in 3.9 (ZOOKEEPER-4655; before it was always
/// -1), which would make a variant of nearly every case with a watch, so it is not looked at for older versions.
fn alike(server: &str, recorded: &[String], found: &[String]) -> bool {
    if server != "zookeeper 3.8" {
        return recorded == found;
    }
    let recorded = recorded.iter().map(|line| without_zxid(line));
    recorded.eq(found.iter().map(|line| without_zxid(line)))
}

fn without_zxid(line: &str) -> &str {
    let event = line.starts_with("event ").then(|| line.rsplit_once(' ')).flatten();
    event.map_or(line, |(event, _)| event)
}

/// Puts answers into the script: as what every server must answer, or with `variant` as what the server of that
/// name answers where it differs. Reasons already given are kept.
pub fn record(script: &mut Script, answers: Vec<Answers>, variant: Option<&str>) {
    for (case, answers) in script.cases.iter_mut().zip(answers) {
        let Some(server) = variant else {
            for (step, output) in case.steps.iter_mut().zip(answers) {
                step.output = output;
            }
            continue;
        };
        let steps = case.steps.iter().zip(answers).enumerate();
        let output: BTreeMap<usize, Vec<String>> = steps
            .filter(|(_, (step, found))| !alike(server, &step.output, found))
            .map(|(index, (_, found))| (index + 1, found))
            .collect();
        let known = case.variants.iter().position(|variant| variant.server == server);
        let known = known.map(|index| case.variants.remove(index));
        if !output.is_empty() {
            let reason = known.map_or_else(|| UNEXPLAINED.to_owned(), |known| known.reason);
            case.variants.push(Variant { server: server.to_owned(), reason, output });
        }
    }
}
