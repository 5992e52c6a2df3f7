//! Which life of each server is to take part in the consensus.
//!
//! The configuration names servers by number; the consensus knows members, which are numbers with
//! lives. A life that was lost keeps its seat until the leader has exchanged it for the one that asks to be
//! taken in. Until then it counts as a voter that is down.

use std::collections::BTreeMap;

use kernel::ensemble::MemberId;

use crate::consensus::{Joiner, Members};

/// A server's place in the consensus.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::node) struct ServerLives {
    /// The life that votes.
    pub(in crate::node) voter: Option<MemberId>,
    /// Another life, which takes part without a vote or asks to be taken in.
    pub(in crate::node) other: Option<MemberId>,
}

impl ServerLives {
    /// The life that takes part, or is to.
    pub(in crate::node) fn member(&self) -> Option<MemberId> {
        self.voter.or(self.other)
    }
}

/// What the leader knows of lives.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct MemberLives<'a> {
    pub(in crate::node) own: MemberId,
    pub(in crate::node) members: &'a Members,
    pub(in crate::node) asking: &'a BTreeMap<u64, Joiner>,
}

impl MemberLives<'_> {
    /// The place of the server of that number.
    pub(in crate::node) fn of_server(&self, number: u64) -> ServerLives {
        let is_it = |member: &&MemberId| member.number == number;
        let voter = self.members.voters.iter().find(is_it).copied();
        let servers = self.members.servers.keys().filter(is_it).copied();
        let without_vote: Vec<MemberId> =
            servers.filter(|member| !self.members.voters.contains(member)).collect();
        let asks = self.asking.get(&number).map(|joiner| joiner.member);
        // One that the leader before this one let take part may have stopped asking.
        let answering = without_vote.iter().copied().find(|member| self.answers(*member));
        let other = match (voter, answering) {
            // Two lives of an observer: the one that takes part and answers has the seat.
            (None, Some(answering)) => Some(answering),
            (Some(_) | None, _) => asks.or(answering),
        };
        let other = other.filter(|other| Some(*other) != voter);
        let absent = || without_vote.first().copied().filter(|_| voter.is_none());
        ServerLives { voter, other: other.or_else(absent) }
    }

    /// Who is to vote for the server of that number as far as is known now: a life that asks replaces
    /// the one that votes when it has caught up, and not while that one answers.
    pub(in crate::node) fn next_voter(&self, number: u64) -> Option<MemberId> {
        let ServerLives { voter, other } = self.of_server(number);
        match (voter, other) {
            (Some(voter), Some(other)) if !self.answers(voter) && self.is_synced(other) => {
                Some(other)
            }
            (Some(voter), _) => Some(voter),
            (None, other) => other,
        }
    }

    /// Whether a member is there, this server included.
    pub(in crate::node) fn answers(&self, member: MemberId) -> bool {
        member == self.own || self.members.answers(member)
    }

    /// Whether a member is there and has nearly all that this server, the leader, has.
    pub(in crate::node) fn is_synced(&self, member: MemberId) -> bool {
        member == self.own || self.members.is_synced(member)
    }

    /// What a server that asks to be taken in waits for.
    pub(in crate::node) fn waits_for(&self, joiner: MemberId, is_wanted: bool) -> String {
        if !is_wanted {
            return format!("server {} is not in its configuration", joiner.number);
        }
        let server = self.of_server(joiner.number);
        if let Some(holder) =
            server.member().filter(|holder| *holder != joiner && self.answers(*holder))
        {
            return format!(
                "server {holder} answers: is there another process with that number, or data directory?"
            );
        }
        let voters = &self.members.voters;
        let (there, silent): (Vec<MemberId>, Vec<MemberId>) =
            voters.iter().partition(|voter| self.answers(**voter));
        if there.len() <= voters.len() / 2 {
            let others = silent.iter().filter(|voter| voter.number != joiner.number);
            let others: Vec<String> = others.map(ToString::to_string).collect();
            let others = others.join(", ");
            return format!(
                "a majority of the voters has to agree; no answer from server {others}"
            );
        }
        let matched = self.members.progress.get(&joiner).and_then(|progress| progress.matched);
        match matched {
            Some(matched) if !self.is_synced(joiner) => {
                format!("this server has {matched} of {} entries", self.members.last_index)
            }
            Some(_) | None => "this server is being taken in".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::consensus::MemberProgress;

    const OWN: MemberId = MemberId { number: 1, life: 1 };

    fn member(number: u64, life: u32) -> MemberId {
        MemberId { number, life }
    }

    /// Voters and others, and those that answer, with the entries that they have of 10,000.
    fn members(voters: &[MemberId], others: &[MemberId], answering: &[(MemberId, u64)]) -> Members {
        let all = voters.iter().chain(others);
        let progress = answering.iter().map(|(member, matched)| {
            let silence = Some(Duration::from_millis(10));
            (*member, MemberProgress { matched: Some(*matched), silence })
        });
        Members {
            voters: voters.iter().copied().collect(),
            servers: all.map(|member| (*member, format!("h:{}", member.number))).collect(),
            last_index: 10_000,
            progress: progress.collect(),
            ..Members::default()
        }
    }

    fn asking(members: &[MemberId]) -> BTreeMap<u64, Joiner> {
        let joiner = |member: &MemberId| Joiner { member: *member, address: String::new() };
        members.iter().map(|member| (member.number, joiner(member))).collect()
    }

    #[test]
    fn a_new_life_votes_when_it_has_caught_up_and_the_old_one_is_silent() {
        // Neither before it has the entries nor while the other one answers.
        let (old, new) = (member(2, 7), member(2, 8));
        let voters = [OWN, old, member(3, 1)];
        let to_be = |others: &[MemberId], answering: &[(MemberId, u64)], asks: &[MemberId]| {
            let (members, asking) = (members(&voters, others, answering), asking(asks));
            MemberLives { own: OWN, members: &members, asking: &asking }.next_voter(2)
        };
        assert_eq!(to_be(&[], &[], &[]), Some(old));
        assert_eq!(to_be(&[], &[], &[new]), Some(old), "it does not take part yet");
        assert_eq!(to_be(&[new], &[(new, 3)], &[new]), Some(old), "it has not caught up");
        assert_eq!(to_be(&[new], &[(new, 9_999)], &[new]), Some(new));
        assert_eq!(to_be(&[new], &[(new, 9_999), (old, 9_999)], &[new]), Some(old));
        // The leader that let it take part is gone, and it has stopped asking.
        assert_eq!(to_be(&[new], &[(new, 9_999)], &[]), Some(new));
    }

    #[test]
    fn the_newest_life_that_asks_counts() {
        // A life that was lost while it was taken in has no claim.
        let (lost, new) = (member(2, 8), member(2, 9));
        let (members, asking) = (members(&[OWN], &[lost], &[]), asking(&[new]));
        let lives = MemberLives { own: OWN, members: &members, asking: &asking };
        assert_eq!(lives.of_server(2), ServerLives { voter: None, other: Some(new) });
        assert_eq!(lives.of_server(3), ServerLives::default());
        assert_eq!(lives.of_server(1), ServerLives { voter: Some(OWN), other: None });
    }

    #[test]
    fn an_observer_that_answers_keeps_its_place() {
        // Another life of it waits; one that is silent makes way.
        let (old, new) = (member(4, 1), member(4, 2));
        let voters = BTreeSet::from([OWN]);
        for (answering, holder) in [(vec![(old, 10_000)], old), (vec![], new)] {
            let members = Members { voters: voters.clone(), ..members(&[OWN], &[old], &answering) };
            let asking = asking(&[new]);
            let lives = MemberLives { own: OWN, members: &members, asking: &asking };
            assert_eq!(lives.of_server(4).member(), Some(holder));
        }
    }

    #[test]
    fn who_asks_is_told_what_it_waits_for() {
        // A double, a majority that is missing, entries that are missing, a number that nobody wants.
        let (old, new) = (member(2, 7), member(2, 8));
        let voters = [OWN, old, member(3, 1)];
        let told = |answering: &[(MemberId, u64)], is_wanted| {
            let (members, asking) = (members(&voters, &[new], answering), asking(&[new]));
            MemberLives { own: OWN, members: &members, asking: &asking }.waits_for(new, is_wanted)
        };
        assert!(told(&[], false).contains("not in its configuration"));
        assert!(told(&[(old, 1)], true).contains("another process"));
        assert!(told(&[(new, 5)], true).contains("no answer from server 3 (life 00000001)"));
        assert!(told(&[(new, 5), (member(3, 1), 1)], true).contains("5 of 10000"));
    }
}
