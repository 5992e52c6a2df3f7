//! The whitelist of four-letter words (`4lw.commands.whitelist`).

use std::collections::BTreeSet;

use super::error::Problem;

/// Every four-letter word there is, sorted. The rustdoc of `net::four_letter`'s `Word` lists the other
/// places that a new word needs.
pub const FOUR_LETTER_WORDS: [&str; 18] = [
    "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst",
    "srvr", "stat", "stmk", "wchc", "wchp", "wchs",
];

/// The four-letter words that are answered; all others get a line that says they are not.
///
/// `srvr` is always among them, `isro` when the read-only mode is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whitelist {
    words: BTreeSet<&'static str>,
}

impl Default for Whitelist {
    fn default() -> Self {
        Self { words: BTreeSet::from(["srvr"]) }
    }
}

impl Whitelist {
    /// Whether `word` is answered.
    #[must_use]
    pub fn allows(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// The words that are answered, sorted.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.words.iter().copied()
    }

    /// Every word (`4lw.commands.whitelist=*`).
    #[must_use]
    pub fn all() -> Self {
        Self { words: BTreeSet::from(FOUR_LETTER_WORDS) }
    }

    /// Adds `isro`, which clients of the read-only mode need.
    pub(super) fn allow_isro(&mut self) {
        self.words.insert("isro");
    }

    /// Reads a comma-separated list; `*` is every word.
    pub(super) fn parse(names: &[String]) -> Result<Self, Problem> {
        let mut whitelist = Self::default();
        for name in names {
            if name == "*" {
                whitelist.words.extend(FOUR_LETTER_WORDS);
                continue;
            }
            let Some(word) = FOUR_LETTER_WORDS.iter().find(|word| **word == *name) else {
                let known = FOUR_LETTER_WORDS.join(", ");
                return Err(Problem::value(format!(
                    "\"{name}\" is no four-letter word; known are: {known}, or * for all"
                )));
            };
            whitelist.words.insert(word);
        }
        Ok(whitelist)
    }
}
