//! Clients whose writes happen once: the Rust client, which numbers them and sends them again.
//!
//! Each session has a counter, the version of a znode that it alone sets: with any version, with the one
//! that the counter has when all before it happened once, or in a transaction with a create. A
//! repeat that is done again shows in the counter, in a second znode, or as a version that is not
//! the expected one.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use grovekeeper_client::{Call, Client, CreateMode, Created, Error, Fate, MultiResult, Stat};
use tokio::time::{MissedTickBehavior, interval};

use super::history::RoundHistory;
use crate::torture::dice::Dice;
use crate::torture::world::World;
use history::Span;
use history::counter::Increment;
use history::sequence::{Create, Outcome};

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
    /// A create and an increment in one transaction.
    Both(u64, Call<Vec<MultiResult>>),
}

/// What was answered.
#[derive(Default)]
struct Answer {
    /// The data of a create, and under which name it was done.
    created: Option<(u64, Result<String, Fate>)>,
    incremented: Option<Result<i64, Fate>>,
}

/// The counter of a session.
struct Counter {
    path: String,
    /// How many increments were asked for.
    asked: i32,
    /// All that were answered were done.
    is_certain: bool,
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
            let path = format!("{}/{name}-{sessions}", self.world.root);
            self.write(&client, Counter { path, asked: 0, is_certain: true }).await;
            let _ = tokio::time::timeout(SESSION, client.close()).await;
        }
    }

    /// Writes until the round or the session ends.
    async fn write(&mut self, client: &Client, mut counter: Counter) {
        let begin = Write::Begin(client.create(&counter.path, b"", CreateMode::Persistent));
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
                    let span = Span::new(sent.unwrap_or_default(), self.world.now());
                    self.take(&mut counter, span, answer);
                }
                _ = ticks.tick() => {
                    if !is_over && under_way.len() < DEPTH {
                        under_way.push_back((self.world.now(), self.make(client, &mut counter)));
                    }
                }
            }
        }
    }

    fn make(&mut self, client: &Client, counter: &mut Counter) -> Write {
        let (id, path) = (self.dice.roll(), format!("{}/n-", parent(&self.world.root)));
        let data = id.to_string();
        if self.dice.one_in(3) {
            let mode = CreateMode::PersistentSequential;
            return Write::Create(id, client.create(&path, data.as_bytes(), mode));
        }
        let version = (counter.is_certain && self.dice.one_in(2)).then_some(counter.asked);
        counter.asked += 1;
        if self.dice.one_in(2) {
            return Write::Increment(client.set(&counter.path, b"", version));
        }
        let both = client.multi().create(&path, data.as_bytes(), CreateMode::PersistentSequential);
        Write::Both(id, both.set(&counter.path, b"", version).commit())
    }

    fn take(&mut self, counter: &mut Counter, span: Span, answer: Answer) {
        self.world.answered(span.invoked);
        let Answer { created, incremented } = answer;
        let fate = match (&created, &incremented) {
            (Some((_, Err(fate))), _) | (_, Some(Err(fate))) => Some(*fate),
            (Some(_), _) | (_, Some(_)) => None,
            (None, None) => return,
        };
        if let Some((id, created)) = created {
            let (span, outcome) = match created {
                Ok(name) => (span, Outcome::Created(name)),
                Err(Fate::NotApplied) => (span, Outcome::Refused),
                Err(Fate::Applied | Fate::Unknown) => {
                    (Span::unanswered(span.invoked), Outcome::Unknown)
                }
            };
            let creates = self.history.creates.entry(parent(&self.world.root)).or_default();
            creates.push(Create { span, id, outcome });
        }
        if let Some(incremented) = incremented {
            counter.is_certain &= incremented.is_ok();
            let increment = match incremented {
                Ok(value) => Increment::Done(value),
                Err(Fate::NotApplied) => Increment::Refused,
                Err(Fate::Applied | Fate::Unknown) => Increment::Unknown,
            };
            self.history.counters.entry(counter.path.clone()).or_default().push(increment);
        }
        self.world.tally.numbered(fate);
        if fate.is_none() {
            self.world.tally.acknowledged(self.world.now());
        }
    }
}

/// Waits for the answer to the oldest.
async fn oldest(under_way: &mut VecDeque<(Duration, Write)>) -> Answer {
    let Some((_, write)) = under_way.front_mut() else { return std::future::pending().await };
    let fate = |error: Error| error.fate();
    match write {
        Write::Begin(call) => {
            let _ = Pin::new(call).await;
            Answer::default()
        }
        Write::Create(id, call) => {
            let name = Pin::new(call).await.map(|created| name(&created.path)).map_err(fate);
            Answer { created: Some((*id, name)), incremented: None }
        }
        Write::Increment(call) => {
            let value = Pin::new(call).await.map(|stat| stat.version.into()).map_err(fate);
            Answer { created: None, incremented: Some(value) }
        }
        Write::Both(id, call) => match Pin::new(call).await.map_err(fate) {
            Ok(results) => {
                let (created, incremented) = both(&results);
                Answer { created: Some((*id, created)), incremented: Some(incremented) }
            }
            Err(fate) => Answer { created: Some((*id, Err(fate))), incremented: Some(Err(fate)) },
        },
    }
}

/// What a transaction did; what it does not show was done all the same.
fn both(results: &[MultiResult]) -> (Result<String, Fate>, Result<i64, Fate>) {
    match results {
        [MultiResult::Created { path, .. }, MultiResult::Set(stat)] => {
            (Ok(name(path)), Ok(stat.version.into()))
        }
        _ => (Err(Fate::Applied), Err(Fate::Applied)),
    }
}

/// The last part of a path.
fn name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}
