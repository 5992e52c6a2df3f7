//! Four-letter words: text in, text out, socket closed (docs/compatibility.md says which, and how far they are the
//! same).
//!
//! * `word`: which words there are.
//! * `serve`: which are answered, and with what.
//! * `text`, `dump`: the answers, made of plain values.
//! * `date`: dates as Java prints them.

mod date;
mod dump;
mod serve;
mod text;
mod word;

pub(super) use serve::serve;
pub(super) use word::Word;
