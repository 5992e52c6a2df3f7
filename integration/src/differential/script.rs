//! The text form of a script: cases, steps, recorded answers.

use std::collections::BTreeMap;
use std::fmt;

/// A script: the settings of its server and its cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The lines before the first case, as they stand.
    pub head: Vec<String>,
    /// The cases, in order.
    pub cases: Vec<Case>,
}

/// A sequence of requests that begins with a znode of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// What the case shows.
    pub title: String,
    /// What is sent, and the recorded answers.
    pub steps: Vec<Step>,
    /// Servers known to answer otherwise.
    pub variants: Vec<Variant>,
}

/// One thing sent and its answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The comment lines above it.
    pub comment: Vec<String>,
    /// What is sent.
    pub input: String,
    /// The recorded answers, one a line.
    pub output: Vec<String>,
}

/// How another server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// Which server, for example `zookeeper 3.8`.
    pub server: String,
    /// Why it does.
    pub reason: String,
    /// The answers of the steps that differ; the first step is 1.
    pub output: BTreeMap<usize, Vec<String>>,
}

/// A line of a script that means nothing there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line's number, the first is 1.
    pub line: usize,
    /// What is wrong.
    pub problem: &'static str,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for ScriptError {}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// Where a line stands in a place where it means nothing.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self::default();
        let mut comment = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let problem = |problem| ScriptError { line: index + 1, problem };
            if let Some(title) = line.strip_prefix("== ") {
                script.cases.push(Case { title: title.to_owned(), ..Case::default() });
                continue;
            }
            let Some(case) = script.cases.last_mut() else {
                script.head.push(line.to_owned());
                continue;
            };
            if line.is_empty() {
                continue;
            }
            if line.starts_with('#') {
                comment.push(line.to_owned());
            } else if let Some(output) = line.strip_prefix("  ") {
                case.push_output(output).map_err(problem)?;
            } else if let Some(variant) = line.strip_prefix("! ") {
                let (server, reason) =
                    variant.split_once(": ").ok_or_else(|| problem("a variant needs a reason"))?;
                case.variants.push(Variant {
                    server: server.to_owned(),
                    reason: reason.to_owned(),
                    output: BTreeMap::new(),
                });
            } else if case.variants.is_empty() {
                let comment = std::mem::take(&mut comment);
                case.steps.push(Step { comment, input: line.to_owned(), output: Vec::new() });
            } else {
                return Err(problem("a step behind a variant"));
            }
        }
        Ok(script)
    }

    /// The settings of the server: lines `config KEY=VALUE` of the head.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.iter().filter_map(|line| line.strip_prefix("config ")?.split_once('='))
    }

    /// The words that stand for others: lines `let NAME VALUE` of the head.
    pub fn words(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.iter().filter_map(|line| line.strip_prefix("let ")?.split_once(' '))
    }

    /// How the harness itself has to authenticate, a scheme and its bytes: a line `setup SCHEME AUTH` of the head.
    #[must_use]
    pub fn setup(&self) -> Option<(&str, &str)> {
        self.head.iter().find_map(|line| line.strip_prefix("setup ")?.split_once(' '))
    }
}

impl Case {
    /// The answers expected from `server`: the recorded ones, or those of its variant.
    pub fn expected(&self, server: &str) -> Vec<&[String]> {
        let variant = self.variant(server);
        let steps = self.steps.iter().enumerate();
        steps
            .map(|(index, step)| {
                let other = variant.and_then(|variant| variant.output.get(&(index + 1)));
                other.unwrap_or(&step.output).as_slice()
            })
            .collect()
    }

    /// The variant for `server`, if it has one.
    #[must_use]
    pub fn variant(&self, server: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.server == server)
    }

    fn push_output(&mut self, line: &str) -> Result<(), &'static str> {
        if let Some(variant) = self.variants.last_mut() {
            let (step, output) = line.split_once(':').ok_or("no step number")?;
            let step = step.parse().map_err(|_| "no step number")?;
            let lines: &mut Vec<String> = variant.output.entry(step).or_default();
            if !output.is_empty() {
                lines.push(output.trim_start().to_owned());
            }
            return Ok(());
        }
        let step = self.steps.last_mut().ok_or("an answer before the first step")?;
        step.output.push(line.to_owned());
        Ok(())
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.head {
            writeln!(f, "{line}")?;
        }
        for (index, case) in self.cases.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{case}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "== {}", self.title)?;
        for step in &self.steps {
            for line in &step.comment {
                writeln!(f, "{line}")?;
            }
            writeln!(f, "{}", step.input)?;
            for line in &step.output {
                writeln!(f, "  {line}")?;
            }
        }
        for variant in &self.variants {
            writeln!(f, "! {}: {}", variant.server, variant.reason)?;
            for (step, lines) in &variant.output {
                if lines.is_empty() {
                    writeln!(f, "  {step}:")?;
                }
                for line in lines {
                    writeln!(f, "  {step}: {line}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_written_as_it_was_read() {
        // Reading and writing are inverse, so that re-recording changes nothing but answers.
        let text = "# About.\nconfig a=b\n\n== One.\n# why\na ping\n  ok\n\n== Two.\nb ping\n! x: y\n  1:\n";
        let script = Script::parse(text).expect("a script");
        assert_eq!(script.to_string(), text);
        assert_eq!(script.settings().collect::<Vec<_>>(), [("a", "b")]);
        assert_eq!(script.cases[0].expected("x"), [["ok".to_owned()]]);
    }
}
