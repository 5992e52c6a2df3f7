//! One at a time: takes a lock, works under it with a fencing token, and gives it back.
//!
//! ```text
//! cargo run --example locks -- 127.0.0.1:2181
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::time::Duration;

use grovekeeper_client::recipes::Lock;
use grovekeeper_client::{Client, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let hosts = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let client = Client::connect(&hosts).await?;
    let lock = Lock::new(&client, "/locks/report").data(format!("process {}", std::process::id()));

    for round in 1..=3 {
        let guard = lock.acquire().await?;
        println!("round {round}: mine, with the number {}", guard.fencing_token());
        tokio::select! {
            // What is written here carries the number, so that storage can refuse a holder that was
            // overtaken.
            () = tokio::time::sleep(Duration::from_secs(2)) => println!("done"),
            () = guard.lost() => println!("lost: somebody else may have it"),
        }
        guard.release().await?;
    }
    client.close().await;
    Ok(())
}
