//! The JSON of an answer: keys in the order in which they were put, then `command` and `error`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

/// What a command answers.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    command: String,
    error: Option<String>,
    entries: Vec<(String, Value)>,
}

impl Answer {
    /// Success, with nothing to tell yet.
    pub(super) fn new(command: &str) -> Self {
        let command = command.to_owned();
        Self { status: StatusCode::OK, command, error: None, entries: Vec::new() }
    }

    /// An error that this status goes with; ZooKeeper sends most errors with 200.
    pub(super) fn error(command: &str, status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: Some(error.into()), ..Self::new(command) }
    }

    /// With one more entry.
    pub(super) fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.entries.push((key.into(), value.into()));
        self
    }

    /// With more entries.
    pub(super) fn with_all<K: Into<String>, V: Into<Value>>(
        self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        entries.into_iter().fold(self, |answer, (key, value)| answer.with(key, value))
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len() + 2))?;
        for (key, value) in &self.entries {
            map.serialize_entry(key, value)?;
        }
        map.serialize_entry("command", &self.command)?;
        map.serialize_entry("error", &self.error)?;
        map.end()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match serde_json::to_string_pretty(&self) {
            Ok(text) => {
                let json = [(header::CONTENT_TYPE, "application/json")];
                (self.status, json, text).into_response()
            }
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_and_error_are_always_there_and_last() {
        // Scripts look at `error` first: null is success.
        let answer = Answer::new("ruok").with("b", 1).with("a", "x");
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(text, r#"{"b":1,"a":"x","command":"ruok","error":null}"#);
        let failed = Answer::error("x", StatusCode::OK, "Unknown command: x");
        let text = serde_json::to_string(&failed).unwrap();
        assert_eq!(text, r#"{"command":"x","error":"Unknown command: x"}"#);
    }
}
