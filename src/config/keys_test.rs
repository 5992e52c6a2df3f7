//! The table of known keys as a whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::keys::{self, Effect};
use super::{Config, ConfigError};

const STORES: &str = "ssl.keyStore.location=/k.pem\nssl.trustStore.location=/t.pem";

/// Writes a file with the lines that every file needs, then `line`.
fn write(dir: &Path, line: &str) -> PathBuf {
    let file = dir.join("zoo.cfg");
    let data = dir.join("data");
    // Some keys want others beside them.
    let beside = match line.trim_start_matches("zookeeper.").split('=').next() {
        Some("secureClientPort") => STORES.to_owned(),
        Some("secureClientPortAddress") => format!("secureClientPort=2281\n{STORES}"),
        _ => String::new(),
    };
    let text = format!("dataDir={}\nclientPort=2181\n{line}\n{beside}\n", data.display());
    std::fs::write(&file, text).unwrap();
    file
}

fn load(dir: &Path, line: &str) -> Result<Config, ConfigError> {
    Config::load(&write(dir, line))
}

/// A key of the row: families get a member.
fn instance(name: &str) -> String {
    match name {
        "metricsProvider.ssl.*" => "metricsProvider.ssl.clientAuth".to_owned(),
        "kerberos.*" => "kerberos.removeHostFromPrincipal".to_owned(),
        other => other.replace('*', "1"),
    }
}

#[test]
fn every_known_key_is_honoured_or_noticed_or_refused_by_name() {
    // No key of ZooKeeper's is accepted in silence without being used.
    let dir = tempfile::tempdir().unwrap();
    let dynamic = dir.path().join("dynamic");
    std::fs::write(&dynamic, "server.1=h:1:2\n").unwrap();
    for row in keys::all() {
        let sample = match row.name {
            "dataDir" | "dataLogDir" => dir.path().display().to_string(),
            "dynamicConfigFile" => dynamic.display().to_string(),
            _ => row.sample.to_owned(),
        };
        for key in [instance(row.name), format!("zookeeper.{}", instance(row.name))] {
            let outcome = load(dir.path(), &format!("{key}={sample}"));
            match (&row.effect, outcome) {
                (Effect::Set(_), Ok(_)) => {}
                (Effect::Ignore(reason), Ok(config)) => {
                    let notice = config.notices.iter().find(|n| n.key == key);
                    assert_eq!(notice.map(|n| (n.line, n.reason.as_str())), Some((3, *reason)));
                }
                (Effect::IgnoreUnless(..) | Effect::RefuseUnless(..), Ok(config)) => {
                    assert_eq!(config.notices, [], "{key}");
                }
                (Effect::Refuse(reason), Err(error @ ConfigError::Refused { .. })) => {
                    let text = error.to_string();
                    assert!(text.contains(&format!("zoo.cfg:3: {key}: refused: {reason}")));
                }
                (effect, outcome) => panic!("{key}={sample}: {effect:?} gave {outcome:?}"),
            }
        }
    }
}

#[test]
fn conditional_keys_tell_the_other_value_apart() {
    // The value that matches how the server works is silent; any other one is said or refused.
    let dir = tempfile::tempdir().unwrap();
    for row in keys::all() {
        let outcome = load(dir.path(), &format!("{}=other", row.name));
        match row.effect {
            Effect::IgnoreUnless(_, reason) => {
                assert_eq!(outcome.unwrap().notices[0].reason, reason, "{}", row.name);
            }
            Effect::RefuseUnless(_, reason) => {
                assert!(outcome.unwrap_err().to_string().contains(reason), "{}", row.name);
            }
            Effect::Set(_) | Effect::Ignore(_) | Effect::Refuse(_) => {}
        }
    }
}

#[test]
fn no_key_is_listed_twice() {
    // A key has one meaning.
    let mut seen = BTreeSet::new();
    for row in keys::all() {
        assert!(seen.insert(row.name), "{} is listed twice", row.name);
    }
    assert!(seen.len() > 200, "{} keys", seen.len());
}

/// The row of a key in docs/compatibility.md.
fn row(row: &keys::Key) -> String {
    let name = row.name;
    match row.effect {
        Effect::Set(_) => format!("| `{name}` | honoured | |"),
        Effect::Ignore(reason) => format!("| `{name}` | no meaning | {reason} |"),
        Effect::IgnoreUnless(only, reason) => {
            format!("| `{name}` | no meaning, always `{only}` | {reason} |")
        }
        Effect::Refuse(reason) => format!("| `{name}` | refused | {reason} |"),
        Effect::RefuseUnless(only, reason) => {
            format!("| `{name}` | refused unless `{only}` | {reason} |")
        }
    }
}

#[test]
fn the_document_has_a_true_row_for_each_key() {
    // docs/compatibility.md says of each key what the server does with it.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md");
    let document = std::fs::read_to_string(file).unwrap_or_default();
    let rows: Vec<_> = keys::all().map(row).collect();
    let missing: Vec<_> = rows
        .iter()
        .filter(|row| {
            // A longer explanation may stand in the last cell.
            let start = row.trim_end_matches(" |").trim_end();
            !document.lines().any(|line| line.starts_with(start))
        })
        .map(String::as_str)
        .collect();
    assert!(missing.is_empty(), "missing rows:\n{}", missing.join("\n"));
}
