//! The `q` parameter of a collection: conditions joined by AND. Pure.
//!
//! The part of NetSuite's language that integrations use; anything else is refused rather than guessed.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

/// All of these must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    conditions: Vec<Condition>,
    zone: TimeZone,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    field: String,
    operator: Operator,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Is,
    IsNot,
    Contain,
    StartWith,
    Equal,
    OnOrAfter,
    OnOrBefore,
}

impl Filter {
    /// Reads a filter; dates are those of the account's zone.
    ///
    /// # Errors
    /// A sentence that says what is not understood.
    pub(super) fn parse(text: &str, zone: &str) -> Result<Self, String> {
        let words = words(text)?;
        let conditions: Result<Vec<Condition>, String> = words.split(|word| word.is("AND")).map(condition).collect();
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        conditions.map(|conditions| Self { conditions, zone })
    }

    /// The external id that a record must have, when that is one of the conditions.
    pub(super) fn external_id(&self) -> Option<&str> {
        let found = self
            .conditions
            .iter()
            .find(|one| one.operator == Operator::Is && one.field.eq_ignore_ascii_case("externalId"));
        found.map(|condition| condition.value.as_str())
    }

    /// Whether a record is asked for.
    pub(super) fn holds(&self, record: &Value) -> bool {
        self.conditions.iter().all(|condition| condition.holds(record, &self.zone))
    }
}

impl Condition {
    fn holds(&self, record: &Value, zone: &TimeZone) -> bool {
        let field = record.as_object().and_then(|fields| {
            fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(&self.field)).map(|(_, value)| value)
        });
        let text = match field {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Object(reference)) => reference
                .get("id")
                .map(|id| id.as_str().map_or_else(|| id.to_string(), ToOwned::to_owned))
                .unwrap_or_default(),
            Some(other) => other.to_string(),
        };
        match self.operator {
            Operator::Is | Operator::Equal => text == self.value,
            Operator::IsNot => text != self.value,
            Operator::Contain => text.contains(&self.value),
            Operator::StartWith => text.starts_with(&self.value),
            Operator::OnOrAfter => on(&text, zone).zip(day(&self.value)).is_some_and(|(on, day)| on >= day),
            Operator::OnOrBefore => on(&text, zone).zip(day(&self.value)).is_some_and(|(on, day)| on <= day),
        }
    }
}

/// The day of a time, in the account's zone.
fn on(text: &str, zone: &TimeZone) -> Option<Date> {
    let time: Timestamp = text.parse().ok()?;
    Some(time.to_zoned(zone.clone()).date())
}

/// A day as an account writes it that has not changed its preferences: month, day, year.
fn day(text: &str) -> Option<Date> {
    Date::strptime("%m/%d/%Y", text.split(' ').next()?).ok()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Bare(String),
    Quoted(String),
}

impl Word {
    fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Bare(text) if text.eq_ignore_ascii_case(keyword))
    }

    fn text(&self) -> &str {
        match self {
            Self::Bare(text) | Self::Quoted(text) => text,
        }
    }
}

fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (value, after) =
                quoted.split_once('"').ok_or_else(|| format!("a quotation is not closed in q: {text}"))?;
            words.push(Word::Quoted(value.to_owned()));
            rest = after.trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(Word::Bare(rest[..end].to_owned()));
            rest = rest[end..].trim_start();
        }
    }
    Ok(words)
}

fn condition(words: &[Word]) -> Result<Condition, String> {
    let [field, operator, value] = words else {
        return Err("each condition in q has a field, an operator and a value, joined by AND".to_owned());
    };
    let operator = match operator.text().to_ascii_uppercase().as_str() {
        "IS" => Operator::Is,
        "IS_NOT" => Operator::IsNot,
        "CONTAIN" => Operator::Contain,
        "START_WITH" => Operator::StartWith,
        "EQUAL" => Operator::Equal,
        "ON_OR_AFTER" if day(value.text()).is_some() => Operator::OnOrAfter,
        "ON_OR_BEFORE" if day(value.text()).is_some() => Operator::OnOrBefore,
        other => return Err(format!("the operator {other} in q is not supported here")),
    };
    Ok(Condition { field: field.text().to_owned(), operator, value: value.text().to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_external_id_is_found_with_its_spaces_and_ands() {
        let filter = Filter::parse(r#"externalId IS "a AND b""#, "UTC").unwrap();
        assert_eq!(filter.external_id(), Some("a AND b"));
    }

    #[test]
    fn conditions_are_joined() {
        let filter = Filter::parse(r#"email START_WITH "a" AND entity EQUAL 5"#, "UTC").unwrap();
        assert!(filter.holds(&json!({"email": "ab", "entity": {"id": "5"}})));
        assert!(!filter.holds(&json!({"email": "ab", "entity": {"id": "6"}})));
    }

    #[test]
    fn days_are_those_of_the_account() {
        let filter = Filter::parse(r#"lastModifiedDate ON_OR_AFTER "7/1/2026""#, "America/Los_Angeles").unwrap();
        assert!(filter.holds(&json!({"lastModifiedDate": "2026-07-01T07:00:00Z"})));
        assert!(!filter.holds(&json!({"lastModifiedDate": "2026-07-01T06:59:59Z"})));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            "externalId IS",
            r#"externalId IS "x"#,
            "total BETWEEN 5",
            r#"a ON_OR_AFTER "soon""#,
            "a IS b OR c IS d",
        ] {
            assert!(Filter::parse(text, "UTC").is_err(), "{text}");
        }
    }
}
