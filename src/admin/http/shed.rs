//! Letting a share of the clients go, so that they find another server.

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use kernel::conn::CloseReason;
use serde::Deserialize;

use super::answer::Answer;
use super::command::Command;
use crate::admin::NodeView;

/// Longest body that is read.
const BODY_LEN_MAX: usize = 4 << 10;

#[derive(Deserialize)]
struct Wish {
    percentage: Option<i64>,
}

/// Closes the share of the connections that the body asks for: `{"percentage": 25}`.
pub(super) async fn shed(view: &NodeView, body: Body) -> Answer {
    let name = Command::ShedConnections.name();
    let wish = match to_bytes(body, BODY_LEN_MAX).await {
        Ok(body) => percentage(&body),
        Err(error) => Err(format!("Invalid JSON or failed to read request body: {error}")),
    };
    match wish {
        Ok(percentage) => {
            let count = close(view, percentage);
            tracing::info!("{count} connections ({percentage} %) were shed");
            Answer::new(name)
                .with("connections_shed", count)
                .with("percentage_requested", percentage)
        }
        Err(error) => Answer::error(name, StatusCode::BAD_REQUEST, error),
    }
}

fn percentage(body: &[u8]) -> Result<usize, String> {
    let wish: Wish = serde_json::from_slice(body)
        .map_err(|error| format!("Invalid JSON or failed to read request body: {error}"))?;
    let percentage = wish.percentage.ok_or("Missing required field: percentage")?;
    let within = usize::try_from(percentage).ok().filter(|percentage| *percentage <= 100);
    within.ok_or_else(|| "Percentage must be between 0 and 100".to_owned())
}

/// Closes every so-many-th connection, so that old and new ones are hit alike.
fn close(view: &NodeView, percentage: usize) -> usize {
    let mut count = 0;
    for (at, client) in view.core.connections.all().iter().enumerate() {
        if (at + 1) * percentage / 100 > at * percentage / 100 {
            client.close(CloseReason::Shed);
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_whole_numbers_up_to_a_hundred() {
        // Anything else is refused with ZooKeeper's words.
        assert_eq!(percentage(br#"{"percentage": 25}"#), Ok(25));
        assert_eq!(percentage(br#"{"percentage": 100, "x": 1}"#), Ok(100));
        let too_many = Err("Percentage must be between 0 and 100".to_owned());
        assert_eq!(percentage(br#"{"percentage": 101}"#), too_many);
        assert_eq!(percentage(br#"{"percentage": -1}"#), too_many);
        assert_eq!(percentage(b"{}"), Err("Missing required field: percentage".to_owned()));
        assert!(percentage(b"nonsense").is_err());
    }
}
