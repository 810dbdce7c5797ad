//! Conditions as they are decided, and how they are merged with those that stand in status already.

use crosstie_crds::condition::{ConditionType, Reason};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The longest message that is written. Longer ones end in an ellipsis.
pub const LONGEST_MESSAGE: usize = 1024;

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It cannot be told.
    Unknown,
}

impl Truth {
    /// The word in `status.conditions[].status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its type.
    pub kind: ConditionType,
    /// Whether it holds.
    pub truth: Truth,
    /// Why.
    pub reason: Reason,
    /// What failed, on what, and what to do.
    pub message: String,
}

impl Draft {
    /// A condition that holds.
    pub fn yes(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, truth: Truth::True, reason, message: message.into() }
    }

    /// A condition that does not hold.
    pub fn no(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, truth: Truth::False, reason, message: message.into() }
    }

    /// A condition that cannot be told.
    pub fn unknown(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, truth: Truth::Unknown, reason, message: message.into() }
    }
}

/// Turns drafts into conditions. The time of a transition moves only when the status does, so that writing the same again
/// changes nothing. Conditions that are not drafted are gone.
pub fn merge(before: &[Condition], drafts: &[Draft], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    drafts
        .iter()
        .map(|draft| {
            let old = before.iter().find(|condition| condition.type_ == draft.kind.as_str());
            let unchanged = old.filter(|condition| condition.status == draft.truth.as_str());
            Condition {
                type_: draft.kind.as_str().to_owned(),
                status: draft.truth.as_str().to_owned(),
                reason: draft.reason.as_str().to_owned(),
                message: shorten(&draft.message),
                observed_generation: generation,
                last_transition_time: unchanged
                    .map_or_else(|| Time(whole_seconds(now)), |condition| condition.last_transition_time.clone()),
            }
        })
        .collect()
}

/// A time as Kubernetes writes it.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn shorten(message: &str) -> String {
    match message.char_indices().nth(LONGEST_MESSAGE - 1) {
        Some((end, last)) if end + last.len_utf8() < message.len() => format!("{}…", &message[..end]),
        Some(_) | None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_transition_time_moves_only_with_the_status() {
        let first = merge(&[], &[Draft::no(ConditionType::Ready, Reason::Starting, "a")], Some(1), at(100));
        let second = merge(&first, &[Draft::no(ConditionType::Ready, Reason::RollingOut, "b")], Some(2), at(200));
        assert_eq!(second[0].last_transition_time.0, at(100));
        assert_eq!((second[0].reason.as_str(), second[0].observed_generation), ("RollingOut", Some(2)));
        let third = merge(&second, &[Draft::yes(ConditionType::Ready, Reason::Flowing, "c")], Some(2), at(300));
        assert_eq!(third[0].last_transition_time.0, at(300));
    }

    #[test]
    fn merging_the_same_again_changes_nothing() {
        let drafts = [Draft::yes(ConditionType::Ready, Reason::Flowing, "a")];
        let first = merge(&[], &drafts, Some(1), at(100));
        assert_eq!(merge(&first, &drafts, Some(1), at(999)), first);
    }

    #[test]
    fn a_condition_that_no_longer_applies_is_gone() {
        let first = merge(&[], &[Draft::yes(ConditionType::Stalled, Reason::PlanInvalid, "a")], Some(1), at(100));
        assert_eq!(merge(&first, &[], Some(1), at(200)), []);
    }

    #[test]
    fn long_messages_end_in_an_ellipsis_without_cutting_a_character() {
        let exact = "ü".repeat(LONGEST_MESSAGE);
        assert_eq!(shorten(&exact), exact);
        let shortened = shorten(&format!("{exact}ü"));
        assert_eq!(shortened.chars().count(), LONGEST_MESSAGE);
        assert!(shortened.ends_with('…'));
    }
}
