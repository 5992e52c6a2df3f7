//! What follows from the answers of the other servers: a pure function.

use std::collections::{BTreeMap, BTreeSet};

pub use super::message::BootstrapPolicy;
use kernel::ensemble::MemberId;

use super::message::{Answer, Promise, Proposal, Question, Stage};
use crate::storage::ClusterId;

/// What a server knows of itself.
#[derive(Clone, Debug)]
pub(crate) struct OwnSituation {
    pub(super) id: MemberId,
    /// All servers of its file with their addresses, itself included.
    pub(super) servers: BTreeMap<u64, String>,
    /// The numbers of those that vote.
    pub(super) voters: BTreeSet<u64>,
    pub(super) stage: Stage,
    /// The name that an ensemble would get which this server proposes.
    pub(super) name: u128,
}

/// What came of asking a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PeerAnswer {
    /// Its answer.
    Answer(Answer),
    /// It runs a build that knows no lives; whether that one has data.
    Earlier {
        /// It has.
        has_data: bool,
    },
    /// It gave none, for this reason.
    Nothing(String),
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    /// Ask again; the text says who is waited for, and why.
    Wait(String),
    /// Propose this ensemble to its members.
    Propose(Proposal),
    /// Decide on this ensemble.
    Decide(Promise),
    /// Forget what was agreed to: nothing can come of it any more.
    Release,
    /// A server that was formed on its own may lead.
    Lead,
    /// The start ends, for this reason.
    End(String),
}

/// How many of `of` servers are a majority.
pub(super) fn majority(of: usize) -> usize {
    of / 2 + 1
}

/// What follows from the answers, by the numbers of the servers.
pub(super) fn decide(facts: &OwnSituation, answers: &BTreeMap<u64, PeerAnswer>) -> Decision {
    match facts.stage {
        Stage::Empty { policy, promise } => form(facts, answers, policy, promise),
        Stage::Alone { name } => grow(facts, answers, name),
        Stage::Forming { name } => wait_for_own(facts, answers, Some(name)),
        Stage::Member { name } => wait_for_own(facts, answers, name),
    }
}

/// Data of another ensemble at a voter of the file.
fn foreign<'a>(
    facts: &'a OwnSituation,
    answers: &'a BTreeMap<u64, PeerAnswer>,
    own: u128,
) -> impl Iterator<Item = (u64, u128)> + 'a {
    let voters = answers.iter().filter(|(number, _)| facts.voters.contains(number));
    voters.filter_map(move |(number, reply)| {
        let name = answer(reply)?.stage.ensemble().filter(|name| *name != own)?;
        Some((*number, name))
    })
}

fn answer(reply: &PeerAnswer) -> Option<&Answer> {
    match reply {
        PeerAnswer::Answer(answer) => Some(answer),
        PeerAnswer::Earlier { .. } | PeerAnswer::Nothing(_) => None,
    }
}

/// A server with data of an ensemble waits for that, unless a majority belongs to others.
fn wait_for_own(
    facts: &OwnSituation,
    answers: &BTreeMap<u64, PeerAnswer>,
    own: Option<u128>,
) -> Decision {
    let Some(own) = own else { return Decision::Wait(reasons(facts, answers)) };
    let foreign: Vec<(u64, u128)> = foreign(facts, answers, own).collect();
    match foreign.first() {
        Some(first) if foreign.len() >= majority(facts.voters.len()) => {
            Decision::End(not_ours(facts, own, *first))
        }
        Some(_) | None => Decision::Wait(reasons(facts, answers)),
    }
}

/// A server that was formed on its own looks for the others of its file.
fn grow(facts: &OwnSituation, answers: &BTreeMap<u64, PeerAnswer>, own: u128) -> Decision {
    if let Some(first) = foreign(facts, answers, own).next() {
        return Decision::End(not_ours(facts, own, first));
    }
    let is_good = |answer: &Answer| match answer.stage {
        Stage::Empty { promise, .. } => promise.is_none_or(|promise| promise.name == own),
        Stage::Forming { .. } | Stage::Alone { .. } | Stage::Member { .. } => {
            answer.stage.ensemble() == Some(own)
        }
    };
    let voters = answers.iter().filter(|(number, _)| facts.voters.contains(number));
    let good = voters.filter(|(_, reply)| answer(reply).is_some_and(is_good)).count();
    let own = usize::from(facts.voters.contains(&facts.id.number));
    if good + own >= majority(facts.voters.len()) {
        Decision::Lead
    } else {
        Decision::Wait(reasons(facts, answers))
    }
}

fn not_ours(facts: &OwnSituation, own: u128, (other, theirs): (u64, u128)) -> String {
    format!(
        "this server has data of ensemble {}, but server {other} has data of ensemble {}, and the lines \
         server.N name both. Nothing was changed. Decide which data count, and empty the data directories \
         of the servers with other data: they will copy the rest. This is server {}",
        ClusterId(own),
        ClusterId(theirs),
        facts.id
    )
}

/// A server without data joins where others have some, forms an ensemble where nobody has.
fn form(
    facts: &OwnSituation,
    answers: &BTreeMap<u64, PeerAnswer>,
    policy: BootstrapPolicy,
    promise: Option<Promise>,
) -> Decision {
    let wait = || Decision::Wait(reasons(facts, answers));
    let own = facts.id.raft_id();
    match promise {
        Some(Promise { proposer: Some(id), .. }) if id != own => {
            return if is_void(promise, id, answers) { Decision::Release } else { wait() };
        }
        Some(Promise { name, proposer: None }) => return join(facts, answers, policy, Some(name)),
        Some(Promise { proposer: Some(_), .. }) | None => {}
    }
    if promise.is_none()
        && let Some(promise) = begun_with(own, answers)
    {
        return Decision::Decide(promise);
    }
    if answers.values().any(has_data) {
        // What this server proposed itself was not begun: it has no log.
        return if promise.is_some() {
            Decision::Release
        } else {
            join(facts, answers, policy, None)
        };
    }
    match members(facts, answers, policy) {
        Some(members) if members.keys().next() == Some(&facts.id.number) => {
            let named = |(number, id): (u64, u64)| {
                (id, facts.servers.get(&number).cloned().unwrap_or_default())
            };
            let members = members.into_iter().map(named).collect();
            Decision::Propose(Proposal { name: facts.name, members })
        }
        // Another one is to propose: this server must be free to agree.
        Some(_) if promise.is_some() => Decision::Release,
        Some(_) | None => wait(),
    }
}

/// An ensemble that is being formed with this life as a member: it had agreed, whatever it remembers.
fn begun_with(own: u64, answers: &BTreeMap<u64, PeerAnswer>) -> Option<Promise> {
    answers.values().filter_map(answer).find_map(|answer| match answer.stage {
        Stage::Forming { name } if answer.members.contains_key(&own) => {
            Some(Promise { name, proposer: Some(answer.id) })
        }
        Stage::Empty { .. }
        | Stage::Forming { .. }
        | Stage::Alone { .. }
        | Stage::Member { .. } => None,
    })
}

fn has_data(reply: &PeerAnswer) -> bool {
    match reply {
        PeerAnswer::Answer(answer) => !matches!(answer.stage, Stage::Empty { .. }),
        PeerAnswer::Earlier { has_data } => *has_data,
        PeerAnswer::Nothing(_) => false,
    }
}

/// A server without data decides on the one ensemble that there is. While it has no data it may decide
/// otherwise: nobody can count on it.
fn join(
    facts: &OwnSituation,
    answers: &BTreeMap<u64, PeerAnswer>,
    policy: BootstrapPolicy,
    decided: Option<u128>,
) -> Decision {
    let wait = || Decision::Wait(reasons(facts, answers));
    let named = |reply: &PeerAnswer| match answer(reply)?.stage {
        Stage::Alone { name } => Some(name),
        Stage::Member { name } => name,
        // It may come to nothing.
        Stage::Empty { .. } | Stage::Forming { .. } => None,
    };
    let names: BTreeSet<u128> = answers.values().filter_map(named).collect();
    match (decided, names.first()) {
        (Some(decided), _) if names.contains(&decided) => wait(),
        (_, Some(name)) if names.len() == 1 => {
            Decision::Decide(Promise { name: *name, proposer: None })
        }
        (Some(_), None) if members(facts, answers, policy).is_some() => Decision::Release,
        _ => wait(),
    }
}

/// Whether nothing can come of a proposal: who made it has another life, or another mind.
fn is_void(promise: Option<Promise>, proposer: u64, answers: &BTreeMap<u64, PeerAnswer>) -> bool {
    let answer = answers.get(&MemberId::number_of(proposer)).and_then(answer);
    let Some(answer) = answer else { return false };
    let name = promise.map(|promise| promise.name);
    let keeps = match answer.stage {
        Stage::Empty { promise: kept, .. } => kept == promise,
        Stage::Forming { .. } | Stage::Member { .. } => {
            answer.stage.ensemble().is_none_or(|theirs| Some(theirs) == name)
        }
        Stage::Alone { .. } => false,
    };
    answer.id != proposer || !keeps
}

/// Who would form an ensemble: each number with the id of its member.
fn members(
    facts: &OwnSituation,
    answers: &BTreeMap<u64, PeerAnswer>,
    own_policy: BootstrapPolicy,
) -> Option<BTreeMap<u64, u64>> {
    if own_policy == BootstrapPolicy::Never || !facts.voters.contains(&facts.id.number) {
        return None;
    }
    let empty = |(number, reply): (&u64, &PeerAnswer)| {
        let answer = answer(reply)?;
        let Stage::Empty { policy, .. } = answer.stage else { return None };
        let agrees = answer.voters == facts.voters && MemberId::number_of(answer.id) == *number;
        (agrees && facts.voters.contains(number)).then_some((*number, answer.id, policy))
    };
    let own = (facts.id.number, facts.id.raft_id(), own_policy);
    let empty: Vec<(u64, u64, BootstrapPolicy)> =
        answers.iter().filter_map(empty).chain([own]).collect();
    let who = |may: &dyn Fn(BootstrapPolicy) -> bool| -> BTreeMap<u64, u64> {
        let able = empty.iter().filter(|(_, _, policy)| may(*policy));
        able.map(|(number, id, _)| (*number, *id)).collect()
    };
    let all = who(&|policy| policy != BootstrapPolicy::Never);
    if all.len() == facts.voters.len() {
        return Some(all);
    }
    let told = who(&|policy| policy == BootstrapPolicy::Initialize);
    (told.len() >= majority(facts.voters.len())).then_some(told)
}

/// Whether a server agrees to a proposal, or why not.
pub(super) fn agree(
    facts: &OwnSituation,
    question: &Question,
    proposal: &Proposal,
) -> Result<Promise, String> {
    let promised = Promise { name: proposal.name, proposer: Some(question.asker) };
    let Stage::Empty { policy, promise } = facts.stage else {
        return Err("it has data".to_owned());
    };
    if policy == BootstrapPolicy::Never {
        return Err("it forms no ensemble, it waits to be taken in".to_owned());
    }
    if !proposal.members.contains_key(&facts.id.raft_id()) {
        return Err(format!("it is server {}, which is no member", facts.id));
    }
    if question.voters != facts.voters {
        return Err(other_voters(&facts.voters));
    }
    match promise {
        Some(known) if known != promised => Err(format!("it {}", decided_on(known))),
        Some(_) | None => Ok(promised),
    }
}

fn decided_on(Promise { name, proposer }: Promise) -> String {
    let name = ClusterId(name);
    match proposer.map(MemberId::from_raft_id) {
        Some(proposer) => {
            format!("has agreed to form ensemble {name}, as server {proposer} proposed")
        }
        None => format!("joins ensemble {name}"),
    }
}

fn other_voters(voters: &BTreeSet<u64>) -> String {
    let voters: Vec<String> = voters.iter().map(u64::to_string).collect();
    format!("the voters in its lines server.N are {}", voters.join(", "))
}

/// Who is waited for, and why.
fn reasons(facts: &OwnSituation, answers: &BTreeMap<u64, PeerAnswer>) -> String {
    if answers.is_empty() {
        return "the lines server.N name no other server".to_owned();
    }
    let of_one =
        |(number, reply): (&u64, &PeerAnswer)| format!("server {number}: {}", why(facts, reply));
    own_reason(facts, answers)
        .into_iter()
        .chain(answers.iter().map(of_one))
        .collect::<Vec<_>>()
        .join("; ")
}

/// Where all could form an ensemble, it may be this server itself that does not.
fn own_reason(facts: &OwnSituation, answers: &BTreeMap<u64, PeerAnswer>) -> Option<String> {
    let waits =
        matches!(facts.stage, Stage::Empty { policy: BootstrapPolicy::Never, promise: None });
    (waits && !answers.values().any(has_data)).then(|| {
        "this server forms none itself (`serve --join`, or `db.autocreate=false` without the file \
         `initialize`)"
            .to_owned()
    })
}

fn why(facts: &OwnSituation, reply: &PeerAnswer) -> String {
    let answer = match reply {
        PeerAnswer::Nothing(reason) => return reason.clone(),
        PeerAnswer::Earlier { has_data: true } => {
            return "it runs an earlier version and has data; only servers of this version can lead while a \
                    new data directory is taken in"
                .to_owned();
        }
        PeerAnswer::Earlier { has_data: false } => {
            return "it runs an earlier version and is empty: upgrade it first".to_owned();
        }
        PeerAnswer::Answer(answer) => answer,
    };
    if let Some(admission) = &answer.admission {
        return format!("it leads; {admission}");
    }
    let led = answer.leader.map_or_else(
        || "has no leader".to_owned(),
        |leader| format!("is led by server {}", MemberId::from_raft_id(leader)),
    );
    let of = |name: u128| format!("ensemble {}", ClusterId(name));
    match answer.stage {
        Stage::Empty { .. } if answer.voters != facts.voters => {
            format!("it is empty, and {}", other_voters(&answer.voters))
        }
        Stage::Empty { policy: BootstrapPolicy::Never, .. } => {
            "it is empty, and forms no ensemble".to_owned()
        }
        Stage::Empty { promise: Some(promise), .. } => {
            format!("it is empty, and {}", decided_on(promise))
        }
        Stage::Empty { .. } => "it is empty".to_owned(),
        Stage::Forming { name } => format!("it forms {}", of(name)),
        Stage::Alone { name } => format!("it was formed on its own, as {}", of(name)),
        Stage::Member { name: Some(name) } => format!("it has data of {}, which {led}", of(name)),
        Stage::Member { name: None } => format!("it has data of an ensemble which {led}"),
    }
}
