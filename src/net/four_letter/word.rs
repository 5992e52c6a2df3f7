//! The words.

/// A four-letter word, whether or not it is allowed.
///
/// A new word stands here, in `config::FOUR_LETTER_WORDS`, in `serve` and `text` beside this file (a new number in
/// `admin::reading`), in `integration/tests/it/four_letter_words.rs`, and in the tables of docs/compatibility.md and
/// docs/operating.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::net) enum Word {
    Conf,
    Cons,
    Crst,
    Dirs,
    Dump,
    Envi,
    Gtmk,
    Hash,
    Isro,
    Mntr,
    Ruok,
    Srst,
    Srvr,
    Stat,
    Stmk,
    Wchc,
    Wchp,
    Wchs,
}

impl Word {
    pub(super) const ALL: [Self; 18] = [
        Self::Conf,
        Self::Cons,
        Self::Crst,
        Self::Dirs,
        Self::Dump,
        Self::Envi,
        Self::Gtmk,
        Self::Hash,
        Self::Isro,
        Self::Mntr,
        Self::Ruok,
        Self::Srst,
        Self::Srvr,
        Self::Stat,
        Self::Stmk,
        Self::Wchc,
        Self::Wchp,
        Self::Wchs,
    ];

    /// The word that these four bytes are, if they are one.
    pub(in crate::net) fn parse(bytes: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.name().as_bytes() == bytes)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Conf => "conf",
            Self::Cons => "cons",
            Self::Crst => "crst",
            Self::Dirs => "dirs",
            Self::Dump => "dump",
            Self::Envi => "envi",
            Self::Gtmk => "gtmk",
            Self::Hash => "hash",
            Self::Isro => "isro",
            Self::Mntr => "mntr",
            Self::Ruok => "ruok",
            Self::Srst => "srst",
            Self::Srvr => "srvr",
            Self::Stat => "stat",
            Self::Stmk => "stmk",
            Self::Wchc => "wchc",
            Self::Wchp => "wchp",
            Self::Wchs => "wchs",
        }
    }

    /// Whether it is answered by a server that does not serve its clients.
    pub(super) fn needs_no_service(self) -> bool {
        match self {
            Self::Ruok | Self::Envi | Self::Gtmk | Self::Stmk => true,
            Self::Conf
            | Self::Cons
            | Self::Crst
            | Self::Dirs
            | Self::Dump
            | Self::Hash
            | Self::Isro
            | Self::Mntr
            | Self::Srst
            | Self::Srvr
            | Self::Stat
            | Self::Wchc
            | Self::Wchp
            | Self::Wchs => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FOUR_LETTER_WORDS;

    #[test]
    fn words_are_those_of_the_whitelist() {
        // Every word that can be listed is understood, and nothing else is. Both lists are sorted.
        let names: Vec<&str> = Word::ALL.iter().map(|word| word.name()).collect();
        assert_eq!(names, FOUR_LETTER_WORDS);
        for word in Word::ALL {
            assert_eq!(Word::parse(word.name().as_bytes()), Some(word));
        }
        assert_eq!(Word::parse(b"lead"), None);
        assert_eq!(Word::parse(&[0, 0, 0, 44]), None);
    }
}
