//! From the text of a key to its row in the table.

use super::{Key, honoured, ignored, refused, tls};

/// How alike two keys must be for one to be suggested for the other; 1 is equal.
const SUGGESTION_LIKENESS_MIN: f64 = 0.75;

/// The prefix of ZooKeeper's Java system properties.
const PROPERTY_PREFIX: &str = "zookeeper.";

/// Every known key.
pub(in super::super) fn all() -> impl Iterator<Item = &'static Key> {
    [honoured::KEYS, ignored::KEYS, refused::KEYS, tls::KEYS].into_iter().flatten()
}

/// The row of `key`, its name without the property prefix, and what stands for a `*` in the row.
///
/// An exact name wins over a family, a longer family over a shorter one.
pub(in super::super) fn find(key: &str) -> Option<(&'static Key, &str, &str)> {
    let name = key.strip_prefix(PROPERTY_PREFIX).unwrap_or(key);
    if let Some(row) = all().find(|row| row.name == name) {
        return Some((row, name, ""));
    }
    all()
        .filter_map(|row| Some((row, family_suffix(row, name)?)))
        .max_by_key(|(row, _)| row.name.len())
        .map(|(row, suffix)| (row, name, suffix))
}

fn family_suffix<'a>(row: &Key, name: &'a str) -> Option<&'a str> {
    let prefix = row.name.strip_suffix('*')?;
    name.strip_prefix(prefix).filter(|suffix| !suffix.is_empty())
}

/// The known key most like `key`, if one is alike enough to be what was meant.
pub(in super::super) fn nearest(key: &str) -> Option<String> {
    let name = key.strip_prefix(PROPERTY_PREFIX).unwrap_or(key).to_ascii_lowercase();
    let likeness = |row: &Key| strsim::jaro_winkler(&name, &row.name.to_ascii_lowercase());
    all()
        .map(|row| (likeness(row), row.name))
        .filter(|(likeness, _)| *likeness >= SUGGESTION_LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.replace('*', "N"))
}
