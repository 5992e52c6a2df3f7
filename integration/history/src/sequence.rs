//! Sequential znodes below one parent, created by many clients.

use std::collections::BTreeMap;

use super::{Anomaly, Promise, Span};

/// One create and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// When it was under way.
    pub span: Span,
    /// The data, different for each create.
    pub id: u64,
    /// The answer.
    pub outcome: Outcome,
}

/// The answer to a create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, under this name.
    Created(String),
    /// Certainly not done.
    Refused,
    /// No answer came.
    Unknown,
}

/// The znodes that are there at the end: name to data.
pub type Present = BTreeMap<String, u64>;

/// Checks the creates below one parent: names are unique and grow with time; at the end all
/// acknowledged ones are `present` under their names, refused ones are not, and unanswered ones at
/// most once.
#[must_use]
pub fn check(parent: &str, creates: &[Create], present: &Present) -> Vec<Anomaly> {
    let mut anomalies = durable(parent, creates, present);
    anomalies.extend(growing(parent, creates));
    anomalies
}

/// The part of [`check`] that is about what is present.
#[must_use]
pub fn durable(parent: &str, creates: &[Create], present: &Present) -> Vec<Anomaly> {
    let mut names: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for (name, id) in present {
        names.entry(*id).or_default().push(name);
    }
    let mut anomalies = Vec::new();
    let mut wrong = |create: &Create, found: &[&str]| {
        let (id, span, outcome) = (create.id, create.span, &create.outcome);
        anomalies.push(Anomaly::new(
            Promise::Durable,
            format!("{parent}: create {id} ({span}) was {outcome:?}, present as {found:?}"),
        ));
    };
    for create in creates {
        let found = names.remove(&create.id).unwrap_or_default();
        let right = match &create.outcome {
            Outcome::Created(name) => found == [name.as_str()],
            Outcome::Refused => found.is_empty(),
            Outcome::Unknown => found.len() <= 1,
        };
        if !right {
            wrong(create, &found);
        }
    }
    for (id, found) in names {
        anomalies.push(Anomaly::new(
            Promise::Durable,
            format!("{parent}: {found:?} holds {id}, which nobody created"),
        ));
    }
    anomalies
}

/// Names are unique, and a create that began when another was answered has the higher number.
fn growing(parent: &str, creates: &[Create]) -> Vec<Anomaly> {
    let mut anomalies = Vec::new();
    let mut numbered: Vec<(i64, &Create)> = Vec::new();
    for create in creates {
        let Outcome::Created(name) = &create.outcome else { continue };
        let digits = name.get(name.len().saturating_sub(10)..).unwrap_or_default();
        match digits.parse() {
            Ok(number) => numbered.push((number, create)),
            Err(_) => anomalies.push(Anomaly::new(
                Promise::Sequence,
                format!("{parent}: {name} does not end in a number of ten digits"),
            )),
        }
    }
    numbered.sort_by_key(|(number, _)| *number);
    for pair in numbered.windows(2) {
        let [(one, _), (next, _)] = pair else { continue };
        if one == next {
            anomalies
                .push(Anomaly::new(Promise::Sequence, format!("{parent}: two creates got {one}")));
        }
    }
    // Going down the numbers, none may have been answered before a higher one was sent.
    let mut earliest: Option<(std::time::Duration, i64)> = None;
    for (number, create) in numbered.iter().rev() {
        if let (Some((answered, higher)), invoked) = (earliest, create.span.invoked)
            && answered < invoked
        {
            anomalies.push(Anomaly::new(
                Promise::Sequence,
                format!("{parent}: {higher} was answered before the create of {number} was sent"),
            ));
        }
        let answered = create.span.completed.unwrap_or(std::time::Duration::MAX);
        if earliest.is_none_or(|(known, _)| answered < known) {
            earliest = Some((answered, *number));
        }
    }
    anomalies
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Create, Outcome, Present, check};
    use crate::{Promise, Span};

    fn create(id: u64, at: u64, outcome: Outcome) -> Create {
        let span = Span::new(Duration::from_millis(at), Duration::from_millis(at + 1));
        Create { span, id, outcome }
    }

    fn created(id: u64, at: u64, number: u32) -> Create {
        create(id, at, Outcome::Created(name(number)))
    }

    fn name(number: u32) -> String {
        format!("n-{number:010}")
    }

    fn broken(creates: &[Create], present: &[(u32, u64)]) -> Vec<Promise> {
        let present: Present = present.iter().map(|(number, id)| (name(*number), *id)).collect();
        check("/q", creates, &present).into_iter().map(|anomaly| anomaly.promise).collect()
    }

    #[test]
    fn a_correct_history_passes() {
        // Answered creates are there, refused ones are not, and unanswered ones may be.
        let creates = [
            created(1, 0, 0),
            created(2, 2, 3),
            create(3, 4, Outcome::Refused),
            create(4, 5, Outcome::Unknown),
            create(5, 6, Outcome::Unknown),
        ];
        assert_eq!(broken(&creates, &[(0, 1), (3, 2), (4, 5)]), []);
    }

    #[test]
    fn a_lost_create_is_found() {
        // Acknowledged and gone, or there under another name, or twice.
        assert_eq!(broken(&[created(1, 0, 0)], &[]), [Promise::Durable]);
        assert_eq!(broken(&[created(1, 0, 0)], &[(1, 1)]), [Promise::Durable]);
        assert_eq!(broken(&[created(1, 0, 0)], &[(0, 1), (1, 1)]), [Promise::Durable]);
        let unknown = create(1, 0, Outcome::Unknown);
        assert_eq!(broken(&[unknown], &[(0, 1), (1, 1)]), [Promise::Durable]);
    }

    #[test]
    fn a_refused_create_that_is_there_is_found() {
        // Nor is there anything that nobody created.
        assert_eq!(broken(&[create(1, 0, Outcome::Refused)], &[(0, 1)]), [Promise::Durable]);
        assert_eq!(broken(&[], &[(0, 1)]), [Promise::Durable]);
    }

    #[test]
    fn numbers_are_unique_and_grow() {
        // Two creates with one number, and a later create with a lower number.
        let twice = [created(1, 0, 0), created(2, 5, 0)];
        assert!(broken(&twice, &[(0, 2)]).contains(&Promise::Sequence));
        let back = [created(1, 0, 5), created(2, 10, 4)];
        assert_eq!(broken(&back, &[(5, 1), (4, 2)]), [Promise::Sequence]);
    }
}
