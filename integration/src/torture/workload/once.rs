//! Clients whose writes happen once: the Rust client, which numbers them and sends them again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use grovekeeper_client::{Call, Client, CreateMode, Created, Error, Fate, Stat};
use tokio::time::{MissedTickBehavior, interval};

use super::history::RoundHistory;
use crate::history::Span;
use crate::history::counter::Increment;
use crate::history::sequence::{Create, Outcome};
use crate::torture::dice::Dice;
use crate::torture::world::World;

/// Writes that may be under way at once.
const DEPTH: usize = 48;

/// How long a session lives without a connection.
const SESSION: Duration = Duration::from_secs(6);

/// How often something is written, whether answers come or not.
const PACE: Duration = Duration::from_millis(4);

/// The znode below which these clients create.
pub(super) fn parent(root: &str) -> String {
    format!("{root}/once")
}

/// What is under way.
enum Write {
    /// The counter's znode.
    Begin(Call<Created>),
    Create(u64, Call<Created>),
    Increment(Call<Stat>),
}

/// What was answered.
enum Answer {
    Begun,
    Created(u64, Result<String, Fate>),
    Incremented(Increment),
}

/// Works until the round ends.
///
/// # Panics
///
/// When there can be no runtime.
pub(super) fn work(world: &World, name: &str, dice: Dice) -> RoundHistory {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let mut once = Once { world, dice, history: RoundHistory::default() };
    runtime.expect("the runtime of a client").block_on(once.run(name));
    once.history
}

/// A client of a round.
struct Once<'a> {
    world: &'a World,
    dice: Dice,
    history: RoundHistory,
}

impl Once<'_> {
    /// Session after session, each with a counter of its own.
    async fn run(&mut self, name: &str) {
        let addrs: Vec<String> = self.world.addrs.iter().map(ToString::to_string).collect();
        let servers = addrs.join(",");
        let mut sessions = 0;
        while !self.world.stopped() {
            let connector = Client::builder().session_timeout(SESSION).single_session();
            let Ok(client) = connector.connect(&servers).await else { continue };
            sessions += 1;
            self.write(&client, &format!("{}/{name}-{sessions}", self.world.root)).await;
            let _ = tokio::time::timeout(SESSION, client.close()).await;
        }
    }

    /// Writes until the round or the session ends.
    async fn write(&mut self, client: &Client, counter: &str) {
        let begin = Write::Begin(client.create(counter, b"", CreateMode::Persistent));
        let mut under_way = VecDeque::from([(self.world.now(), begin)]);
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.world.abandoned() {
            let is_over = self.world.stopped() || client.status().borrow().state.is_final();
            if is_over && under_way.is_empty() {
                return;
            }
            let sent = under_way.front().map(|(sent, _)| *sent);
            tokio::select! {
                answer = oldest(&mut under_way) => {
                    under_way.pop_front();
                    self.take(counter, Span::new(sent.unwrap_or_default(), self.world.now()), answer);
                }
                _ = ticks.tick() => {
                    if !is_over && under_way.len() < DEPTH {
                        under_way.push_back((self.world.now(), self.make(client, counter)));
                    }
                }
            }
        }
    }

    fn make(&mut self, client: &Client, counter: &str) -> Write {
        if self.dice.one_in(2) {
            return Write::Increment(client.set(counter, b"", None));
        }
        let (id, path) = (self.dice.roll(), format!("{}/n-", parent(&self.world.root)));
        let mode = CreateMode::PersistentSequential;
        Write::Create(id, client.create(&path, id.to_string().as_bytes(), mode))
    }

    fn take(&mut self, counter: &str, span: Span, answer: Answer) {
        self.world.answered(span.invoked);
        let done = match answer {
            Answer::Begun => return,
            Answer::Created(id, created) => {
                let (span, outcome, done) = match created {
                    Ok(name) => (span, Outcome::Created(name), Some(true)),
                    Err(Fate::NotApplied) => (span, Outcome::Refused, Some(false)),
                    Err(Fate::Applied | Fate::Unknown) => {
                        (Span::unanswered(span.invoked), Outcome::Unknown, None)
                    }
                };
                let creates = self.history.creates.entry(parent(&self.world.root)).or_default();
                creates.push(Create { span, id, outcome });
                done
            }
            Answer::Incremented(increment) => {
                let counters = &mut self.history.counters;
                counters.entry(counter.to_owned()).or_default().push(increment);
                match increment {
                    Increment::Done(_) => Some(true),
                    Increment::Refused => Some(false),
                    Increment::Unknown => None,
                }
            }
        };
        self.world.tally.numbered(done);
        if done == Some(true) {
            self.world.tally.acknowledged(self.world.now());
        }
    }
}

/// Waits for the answer to the oldest.
async fn oldest(under_way: &mut VecDeque<(Duration, Write)>) -> Answer {
    let Some((_, write)) = under_way.front_mut() else { return std::future::pending().await };
    match write {
        Write::Begin(call) => {
            let _ = Pin::new(call).await;
            Answer::Begun
        }
        Write::Create(id, call) => Answer::Created(*id, name(Pin::new(call).await)),
        Write::Increment(call) => Answer::Incremented(match Pin::new(call).await {
            Ok(stat) => Increment::Done(stat.version.into()),
            Err(error) => match error.fate() {
                Fate::NotApplied => Increment::Refused,
                Fate::Applied | Fate::Unknown => Increment::Unknown,
            },
        }),
    }
}

/// The last part of the path that was created.
fn name(created: Result<Created, Error>) -> Result<String, Fate> {
    let path = created.map_err(|error| error.fate())?.path;
    Ok(path.rsplit('/').next().unwrap_or_default().to_owned())
}
