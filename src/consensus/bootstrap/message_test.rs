//! Bytes of questions and answers, as earlier builds sent them.

use super::*;
use crate::golden::{BUILD_5DE72FB, BUILD_8AECE55, assert_message};

const MEMBER: u64 = 0x5f2a_c01d_0000_012c;

const NAME: u128 = 0x6f1c << 100;

fn voters() -> BTreeSet<u64> {
    BTreeSet::from([1, 2, 300])
}

fn members() -> BTreeMap<u64, String> {
    BTreeMap::from([(1, "host1:2888".to_owned()), (MEMBER, "host300:2888".to_owned())])
}

fn answer(stage: Stage) -> Answer {
    Answer {
        id: MEMBER,
        stage,
        voters: voters(),
        leader: Some(1),
        members: members(),
        agreed: Some(Err("another one".to_owned())),
        admission: Some("it is not caught up".to_owned()),
    }
}

/// The number of a stage on the wire, and its name in the golden files. Both stay; a new one has the next number.
fn number(stage: Stage) -> (u8, &'static str) {
    match stage {
        Stage::Empty { .. } => (0, "formation.Empty"),
        Stage::Forming { .. } => (1, "formation.Forming"),
        Stage::Alone { .. } => (2, "formation.Alone"),
        Stage::Member { .. } => (3, "formation.Member"),
    }
}

/// As [`number`], of what an empty server may do.
fn policy_number(policy: BootstrapPolicy) -> u8 {
    match policy {
        BootstrapPolicy::Never => 0,
        BootstrapPolicy::WithAll => 1,
        BootstrapPolicy::Initialize => 2,
    }
}

fn stages() -> [Stage; 4] {
    let promise = Some(Promise { name: NAME, proposer: Some(MEMBER) });
    [
        Stage::Empty { policy: BootstrapPolicy::Initialize, promise },
        Stage::Forming { name: NAME },
        Stage::Alone { name: NAME },
        Stage::Member { name: None },
    ]
}

#[test]
fn stages_keep_their_numbers() {
    // The wire knows a stage by its place among the others: swapped, inserted or removed, it would be another.
    for (place, stage) in (0..).zip(stages()) {
        let bytes = postcard::to_stdvec(&stage).unwrap();
        assert_eq!((place, bytes[0]), (number(stage).0, place), "{stage:?}");
    }
    for (place, policy) in
        (0..).zip([BootstrapPolicy::Never, BootstrapPolicy::WithAll, BootstrapPolicy::Initialize])
    {
        let bytes = postcard::to_stdvec(&policy).unwrap();
        assert_eq!((place, &*bytes), (policy_number(policy), &[place][..]), "{policy:?}");
    }
}

#[test]
fn questions_and_answers_of_earlier_builds_are_read() {
    // Servers that look for their ensemble may be of different builds. The type of questions has changed once.
    for file in [BUILD_8AECE55, BUILD_5DE72FB] {
        assert_message(file, "formation.QuestionV1", &QuestionV1 { voters: voters() });
        for (name, state) in
            [("formation.NewV1", StateV1::New), ("formation.MemberV1", StateV1::Member)]
        {
            assert_message(file, name, &AnswerV1 { state, voters: voters() });
        }
    }
    let proposal = Some(Proposal { name: NAME, members: members() });
    let address = "host300:2888".to_owned();
    let (asker, joins) = (MEMBER, Some(NAME));
    let question = Question { asker, address, voters: voters(), joins, proposal };
    assert_message(BUILD_5DE72FB, "formation.Question", &question);
    for stage in stages() {
        assert_message(BUILD_5DE72FB, number(stage).1, &answer(stage));
    }
}
