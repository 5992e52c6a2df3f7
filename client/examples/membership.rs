//! Who is there: joins a group and prints its members whenever they change.
//!
//! ```text
//! cargo run --example membership -- 127.0.0.1:2181 worker-1
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use grovekeeper_client::recipes::Group;
use grovekeeper_client::{Client, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let hosts = arguments.next().unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let name = arguments.next().unwrap_or_else(|| format!("worker-{}", std::process::id()));

    let client = Client::connect(&hosts).await?;
    let group = Group::new(&client, "/workers");
    let me = group.join(&name, "ready for work");
    me.ready().await?;

    let mut changes = group.watch();
    loop {
        let members = changes.next().await?;
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        println!("{} members: {}", names.len(), names.join(", "));
    }
}
