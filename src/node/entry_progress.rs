//! How far an entry is applied: readers have their turn between two parts of it.

use kernel::replica::{Section, Sender, Stamp};

/// An entry that is being applied.
pub(super) struct EntryProgress<'a> {
    pub(super) stamp: Stamp,
    /// Whether the replica knows of it.
    pub(super) begun: bool,
    /// What is being applied of the section at hand.
    pub(super) part: Option<SectionProgress<'a>>,
    /// The sections behind it.
    pub(super) sections: &'a [u8],
}

/// What is left of a section.
pub(super) struct SectionProgress<'a> {
    pub(super) sender: Sender,
    /// The commands that the section has.
    pub(super) count: u32,
    /// Those that were applied.
    pub(super) number: u32,
    /// The others.
    pub(super) commands: &'a [u8],
    /// Whether its sender numbers nothing: it may be applied twice, so each command must be one that may.
    pub(super) must_be_repeatable: bool,
}

impl<'a> EntryProgress<'a> {
    /// An entry of a build that knew no sections.
    pub(super) fn of_section(stamp: Stamp, section: Section<'a>) -> Self {
        let part =
            SectionProgress { must_be_repeatable: false, ..SectionProgress::of_section(section) };
        Self { stamp, begun: false, part: Some(part), sections: &[] }
    }

    pub(super) fn of_sections(stamp: Stamp, sections: &'a [u8]) -> Self {
        Self { stamp, begun: false, part: None, sections }
    }
}

impl<'a> SectionProgress<'a> {
    pub(super) fn of_section(section: Section<'a>) -> Self {
        let Section { sender, count, commands } = section;
        let must_be_repeatable = sender.incarnation == 0;
        Self { sender, count, number: 0, commands, must_be_repeatable }
    }
}
