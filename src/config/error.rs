//! What can be wrong with a configuration, said so that the reader knows which line to change.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The place of a setting: file, line and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file that was read.
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: usize,
    /// The key as written.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.key)
    }
}

/// A configuration that cannot be used. The message is one line and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {source}", file.display())]
    Read {
        /// The file that was asked for.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line breaks the syntax of Java properties.
    #[error("{}:{line}: {problem}", file.display())]
    Syntax {
        /// The file that was read.
        file: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No such key.
    #[error("{place}: unknown key{}", suggestion.as_ref().map_or_else(
        String::new, |known| format!(" (did you mean `{known}`?)")))]
    UnknownKey {
        /// Where it is.
        place: Place,
        /// The nearest key that exists, if one is near.
        suggestion: Option<String>,
    },
    /// The value does not fit the key.
    #[error("{place}: {problem}")]
    Value {
        /// Where it is.
        place: Place,
        /// What was expected.
        problem: String,
    },
    /// The key asks for something that this server does not do.
    #[error("{place}: refused: {reason}")]
    Refused {
        /// Where it is.
        place: Place,
        /// Why, and what to do instead.
        reason: String,
    },
    /// A setting without which the server cannot start.
    #[error("{}: {key} is not set: add `{example}`", file.display())]
    Missing {
        /// The file that was read.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// A line that would do.
        example: &'static str,
    },
    /// `dataDir/myid` is missing, unreadable or does not hold a server number.
    #[error("{}: {problem}", file.display())]
    MyId {
        /// The file.
        file: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// What is wrong with one value, before file, line and key are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The value does not fit; the text says what was expected.
    Value(String),
    /// The value asks for something that is not done here; the text says why.
    Refused(String),
}

impl Problem {
    /// A value that does not fit.
    pub(super) fn value(text: impl Into<String>) -> Self {
        Self::Value(text.into())
    }

    /// Something that is not done here.
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    /// The error that names file, line and key.
    pub(super) fn at(self, file: &Path, line: usize, key: &str) -> ConfigError {
        let place = Place { file: file.to_owned(), line, key: key.to_owned() };
        match self {
            Self::Value(problem) => ConfigError::Value { place, problem },
            Self::Refused(reason) => ConfigError::Refused { place, reason },
        }
    }
}
