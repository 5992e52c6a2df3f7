//! Taking turns at a lock with a client in another language.

use grovekeeper_client::recipes::{LockGuard, Permit};
use grovekeeper_client::{Client, CreateMode, Error};

/// How often the other side counts.
const ROUNDS: u32 = 25;

/// What is held during a turn.
pub(crate) trait Turn {
    async fn end(self) -> Result<(), Error>;
}

impl Turn for LockGuard {
    async fn end(self) -> Result<(), Error> {
        self.release().await
    }
}

impl Turn for Permit {
    async fn end(self) -> Result<(), Error> {
        self.release().await
    }
}

/// Counts in the znode `count` under a lock until the other side has counted as often as its suite
/// does.
pub(crate) async fn take_turns<T: Turn>(
    zk: &Client,
    count: &str,
    acquire: impl AsyncFn() -> Result<T, Error>,
) {
    let folder = count.rsplit_once('/').expect("a path").0;
    zk.create_all(folder).await.expect("created");
    zk.create(count, b"0", CreateMode::Persistent).await.expect("created");
    for mine in 1.. {
        let turn = acquire().await.expect("acquired");
        let (value, stat) = zk.get(count).await.expect("read");
        let text = std::str::from_utf8(&value).expect("text");
        let next = text.parse::<u32>().expect("a number") + 1;
        // Were the other side under the lock, the version would be wrong.
        zk.set(count, next.to_string().as_bytes(), stat.version).await.expect("counted");
        turn.end().await.expect("given back");
        if next - mine == ROUNDS {
            return;
        }
    }
}
