//! A value and the line that it came from.

/// A value and the line that it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Located<T> {
    /// Line of the file, counted from 1; 0 if no line said it.
    pub(super) line: usize,
    /// The value.
    pub(super) value: T,
}

impl<T> Located<T> {
    pub(super) fn new(line: usize, value: T) -> Self {
        Self { line, value }
    }

    pub(super) fn some(line: usize, value: T) -> Option<Self> {
        Some(Self::new(line, value))
    }
}
