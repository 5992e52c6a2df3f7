//! One of many: campaigns, leads for a while, steps down, and campaigns again; and prints who
//! leads.
//!
//! ```text
//! cargo run --example leader_election -- 127.0.0.1:2181 candidate-1
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::time::Duration;

use grovekeeper_client::recipes::Election;
use grovekeeper_client::{Client, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let hosts = arguments.next().unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let name = arguments.next().unwrap_or_else(|| format!("candidate-{}", std::process::id()));

    let client = Client::connect(&hosts).await?;
    let election = Election::new(&client, "/election").id(name.clone());

    let mut leaders = election.leaders();
    tokio::spawn(async move {
        while let Ok(leader) = leaders.next().await {
            match leader {
                Some(leader) => println!("{} leads", String::from_utf8_lossy(&leader.id)),
                None => println!("nobody leads"),
            }
        }
    });

    loop {
        let led = election.lead(|term| async move {
            println!("I lead, with the number {term}");
            tokio::time::sleep(Duration::from_secs(5)).await;
        });
        match led.await {
            Ok(()) => println!("I have stepped down"),
            Err(Error::SessionLost { .. }) => println!("I was overtaken"),
            Err(error) => return Err(error),
        }
    }
}
