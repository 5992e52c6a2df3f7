//! Four-letter words: text in, text out, socket closed (protocol section 8.1).
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
