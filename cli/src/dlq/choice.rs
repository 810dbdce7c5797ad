//! Which letters a person means.

use crosstie_crds::letters::Letter;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

/// What is asked of letters; all of it has to be true.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Choice {
    /// Only letters of this flow
    #[arg(long, value_name = "NAME")]
    pub(crate) flow: Option<String>,
    /// Only letters whose cause has this text; case does not matter
    #[arg(long, value_name = "TEXT")]
    pub(crate) cause: Option<String>,
    /// Only letters that were set aside within this time, for example 30m, 2h or 3d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) newer_than: Option<SignedDuration>,
    /// Only letters that were set aside longer ago
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) older_than: Option<SignedDuration>,
}

/// A time that is not nothing, as people write it.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, String> {
    let read = || text.parse::<Span>()?.to_duration(SpanRelativeTo::days_are_24_hours());
    match read() {
        Ok(duration) if duration.is_positive() => Ok(duration),
        Ok(_) | Err(_) => Err("write a time such as 30m, 2h or 3d".to_owned()),
    }
}

impl Choice {
    /// Whether nothing is asked of them.
    pub(crate) fn is_open(&self) -> bool {
        self.flow.is_none() && self.cause.is_none() && self.newer_than.is_none() && self.older_than.is_none()
    }

    /// Whether a letter is meant.
    pub(crate) fn takes(&self, letter: &Letter, now: Timestamp) -> bool {
        let age = now.duration_since(letter.last_failed_at);
        let has = |text: &String| letter.cause.to_lowercase().contains(&text.to_lowercase());
        self.flow.as_ref().is_none_or(|flow| letter.flow == *flow)
            && self.cause.as_ref().is_none_or(has)
            && self.newer_than.is_none_or(|limit| age <= limit)
            && self.older_than.is_none_or(|limit| age > limit)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn letter(id: i64) -> Letter {
        Letter {
            id,
            flow: "orders".into(),
            source: "shopify".into(),
            destination: "netsuite".into(),
            key: format!("order-{id}"),
            version: Some("1".into()),
            cause: "the destination refused it: No such item".into(),
            status: Some(422),
            request_ids: vec!["r-1".into()],
            excerpt: None,
            attempts: 3,
            first_failed_at: Timestamp::from_second(0).unwrap(),
            last_failed_at: Timestamp::from_second(100).unwrap(),
            plan_hash: "plan".into(),
            payload: None,
        }
    }

    #[test]
    fn letters_are_chosen_by_flow_cause_and_time() {
        let takes = |choice: Choice| choice.takes(&letter(1), Timestamp::from_second(100 + 3600).unwrap());
        let open = Choice::default();
        assert!(open.is_open() && takes(open.clone()));
        assert!(takes(Choice { cause: Some("no such ITEM".into()), ..open.clone() }));
        assert!(!takes(Choice { cause: Some("customer".into()), ..open.clone() }));
        assert!(!takes(Choice { flow: Some("refunds".into()), ..open.clone() }));
        let hours = |text| Some(duration(text).unwrap());
        assert!(takes(Choice { newer_than: hours("1h"), older_than: hours("59m"), ..open.clone() }));
        assert!(!takes(Choice { newer_than: hours("59m"), ..open.clone() }));
        assert!(!takes(Choice { older_than: hours("1d"), ..open }));
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for text in ["", "soon", "0s", "-1h", "5"] {
            assert!(duration(text).unwrap_err().contains("2h"), "{text}");
        }
    }
}
