//! Reads a `zoo.cfg` and the dynamic file that it may name.

use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::error::{ConfigError, Place, Problem};
use super::finish::finish;
use super::keys::{self, Effect, Setting};
use super::located::Located;
use super::properties::{self, Entry, SyntaxError};
use super::types::{Config, Notice, Overrides};
use super::value::Value;
use crate::env::fs;

/// Where data is kept when no configuration file is given, relative to the working directory.
const DATA_DIR_DEFAULT: &str = "grovekeeper-data";

impl Config {
    /// Reads a `zoo.cfg`.
    ///
    /// # Errors
    /// The first thing in it that cannot be used, as one line that names file, line and key.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        Self::load_with(file, &Overrides::default())
    }

    /// Reads a `zoo.cfg` of which the command line overrides a part.
    ///
    /// # Errors
    /// As [`Config::load`]; a line that the command line replaces may be missing.
    pub fn load_with(file: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let entries = read(file)?;
        let mut draft = Draft::new(file, overrides);
        for entry in &entries {
            apply(&mut draft, file, entry)?;
        }
        draft.config.notices.extend(repeated(&entries));
        if let Some(dynamic) = draft.dynamic_file.clone() {
            read_dynamic(&mut draft, file, &dynamic)?;
        }
        finish(draft, file)
    }

    /// The configuration of a server that was started without a file: on its own, listening on
    /// 127.0.0.1:2181, data in `./grovekeeper-data`, unless the command line says otherwise.
    #[must_use]
    pub fn without_file(overrides: &Overrides) -> Self {
        let mut config = Self::standalone(DATA_DIR_DEFAULT);
        config.apply(overrides);
        config
    }
}

fn read(file: &Path) -> Result<Vec<Entry>, ConfigError> {
    let bytes =
        fs::read(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
    properties::parse(&properties::decode(&bytes)).map_err(|SyntaxError { line, problem }| {
        ConfigError::Syntax { file: file.to_owned(), line, problem }
    })
}

/// Looks the key up and does what the table says.
fn apply(draft: &mut Draft, file: &Path, entry: &Entry) -> Result<(), ConfigError> {
    let Entry { line, key, value } = entry;
    let Some((row, name, suffix)) = keys::find(key) else {
        return Err(unknown(file, entry, keys::nearest(key)));
    };
    let is = |only: &str| value.eq_ignore_ascii_case(only);
    let outcome = match row.effect {
        Effect::Set(setter) => {
            setter(draft, &Setting { line: *line, key: name, suffix, value: Value(value) })
        }
        Effect::IgnoreUnless(only, _) | Effect::RefuseUnless(only, _) if is(only) => Ok(()),
        Effect::Ignore(reason) | Effect::IgnoreUnless(_, reason) => {
            let (line, key, reason) = (*line, key.clone(), reason.to_owned());
            draft.config.notices.push(Notice { line, key, reason });
            Ok(())
        }
        Effect::Refuse(reason) | Effect::RefuseUnless(_, reason) => Err(Problem::refused(reason)),
    };
    outcome.map_err(|problem| problem.at(file, *line, key))
}

fn unknown(file: &Path, entry: &Entry, suggestion: Option<String>) -> ConfigError {
    let place = Place { file: file.to_owned(), line: entry.line, key: entry.key.clone() };
    ConfigError::UnknownKey { place, suggestion }
}

/// Keys that are set again further down: Java keeps the last one.
fn repeated(entries: &[Entry]) -> Vec<Notice> {
    let later = |index: usize, key: &str| entries[index + 1..].iter().find(|e| e.key == key);
    let repeats = entries.iter().enumerate().filter_map(|(i, e)| Some((e, later(i, &e.key)?)));
    repeats
        .map(|(first, again)| Notice {
            line: first.line,
            key: first.key.clone(),
            reason: format!("it is set again on line {}, and the last one counts", again.line),
        })
        .collect()
}

/// Reads the file of `dynamicConfigFile`, which holds the members of the ensemble and nothing else.
fn read_dynamic(
    draft: &mut Draft,
    main_file: &Path,
    dynamic: &Located<String>,
) -> Result<(), ConfigError> {
    if let Some(server) = draft.servers.first() {
        let key = format!("server.{}", server.value.id);
        let text = "stands in both files: move every server line to the dynamicConfigFile";
        return Err(Problem::value(text).at(main_file, server.line, &key));
    }
    let file = PathBuf::from(&dynamic.value);
    for entry in read(&file)? {
        let is_member = ["server.", "group", "weight"].iter().any(|p| entry.key.starts_with(p));
        if is_member {
            apply(draft, &file, &entry)?;
        } else if entry.key != "version" {
            return Err(unknown(&file, &entry, Some("server.N".to_owned())));
        }
    }
    draft.servers_file = Some(file);
    Ok(())
}
