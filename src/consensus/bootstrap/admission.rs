//! Servers that ask the leader to be taken in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kernel::ensemble::MemberId;
use parking_lot::Mutex;

use crate::env::time::Instant;

/// A wish that was not repeated for this long is none any more.
const FRESH: Duration = Duration::from_secs(3);

/// So many servers may ask at once; an ensemble has a handful.
const ASKING_MAX: usize = 64;

/// A server that asks to be taken in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joiner {
    /// Its number, and the life of its disk.
    pub member: MemberId,
    /// Where it says that it is reached.
    pub address: String,
}

/// Servers that ask the leader to be taken in, and what they are told. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Admissions(Arc<Mutex<BTreeMap<u64, Asking>>>);

#[derive(Debug)]
struct Asking {
    joiner: Joiner,
    at: Instant,
    answer: Option<String>,
}

impl Admissions {
    /// A server asks; the newest life of a number counts. Returns what it is to be told.
    pub(super) fn ask(&self, joiner: Joiner) -> Option<String> {
        let now = Instant::now();
        let mut asking = self.0.lock();
        asking.retain(|_, known| now - known.at < FRESH);
        let number = joiner.member.number;
        if asking.len() >= ASKING_MAX && !asking.contains_key(&number) {
            return Some("too many servers ask to be taken in".to_owned());
        }
        let known = asking.remove(&number).filter(|known| known.joiner.member == joiner.member);
        let answer = known.and_then(|known| known.answer);
        asking.insert(number, Asking { joiner, at: now, answer: answer.clone() });
        answer
    }

    /// Who asks at the moment, by number.
    pub fn asking(&self) -> BTreeMap<u64, Joiner> {
        let now = Instant::now();
        let asking = self.0.lock();
        let fresh = asking.iter().filter(|(_, known)| now - known.at < FRESH);
        fresh.map(|(number, known)| (*number, known.joiner.clone())).collect()
    }

    /// What a server that asks is told from now on.
    pub fn tell(&self, member: MemberId, answer: impl Into<String>) {
        if let Some(known) = self.0.lock().get_mut(&member.number)
            && known.joiner.member == member
        {
            known.answer = Some(answer.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joiner(number: u64, life: u32) -> Joiner {
        Joiner { member: MemberId { number, life }, address: format!("h:{number}") }
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_life_of_a_number_asks() {
        // What one life was told is not told another one; a server that stops asking is forgotten.
        let admissions = Admissions::default();
        assert_eq!(admissions.ask(joiner(3, 7)), None);
        admissions.tell(joiner(3, 7).member, "wait");
        admissions.tell(joiner(3, 9).member, "not asked");
        assert_eq!(admissions.ask(joiner(3, 7)), Some("wait".to_owned()));
        assert_eq!(admissions.ask(joiner(3, 8)), None);
        assert_eq!(admissions.asking(), BTreeMap::from([(3, joiner(3, 8))]));
        tokio::time::advance(FRESH).await;
        assert!(admissions.asking().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_may_ask_at_once() {
        // Who makes numbers up fills no memory, and does not keep those out that ask already.
        let admissions = Admissions::default();
        for number in 0..1000 {
            admissions.ask(joiner(number, 1));
        }
        assert_eq!(admissions.asking().len(), ASKING_MAX);
        assert_eq!(admissions.ask(joiner(3, 2)), None);
    }
}
