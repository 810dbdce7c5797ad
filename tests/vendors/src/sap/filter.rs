//! The part of OData's `$filter` that integrations use: comparisons joined by `and`. Pure. What is not understood is refused.

use std::ops::Bound;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

/// All of these must hold.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Filter {
    equal: Vec<(String, String)>,
    low: Option<Bound<i64>>,
    high: Option<Bound<i64>>,
}

impl Filter {
    /// Reads a filter. `times` are the fields that hold the time of the last change.
    ///
    /// # Errors
    /// A sentence that says what is not understood.
    pub(super) fn parse(text: &str, times: &[&str]) -> Result<Self, String> {
        let mut filter = Self::default();
        for condition in conditions(text) {
            let problem = || format!("Invalid token detected in {condition}");
            let mut words = condition.splitn(3, ' ');
            let (Some(field), Some(operator), Some(value)) = (words.next(), words.next(), words.next()) else {
                return Err(problem());
            };
            if times.contains(&field) {
                let at = time(value).ok_or_else(problem)?;
                match operator {
                    "ge" => filter.low = Some(Bound::Included(at)),
                    "gt" => filter.low = Some(Bound::Excluded(at)),
                    "le" => filter.high = Some(Bound::Included(at)),
                    "lt" => filter.high = Some(Bound::Excluded(at)),
                    _ => return Err(problem()),
                }
            } else {
                let quoted = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
                let value = quoted.filter(|_| operator == "eq").ok_or_else(problem)?.replace("''", "'");
                filter.equal.push((field.to_owned(), value));
            }
        }
        Ok(filter)
    }

    /// The range of times.
    pub(super) fn range(&self) -> (Bound<i64>, Bound<i64>) {
        (self.low.unwrap_or(Bound::Unbounded), self.high.unwrap_or(Bound::Unbounded))
    }

    /// Whether a record is asked for, apart from its time.
    pub(super) fn holds(&self, record: &Value) -> bool {
        self.equal.iter().all(|(field, value)| record[field.as_str()] == value.as_str())
    }
}

/// The parts between ` and `, where that stands outside of quotes.
fn conditions(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut quoted = false;
    let mut rest = text.trim();
    while let Some(character) = rest.chars().next() {
        quoted ^= character == '\'';
        if !quoted && let Some(after) = rest.strip_prefix(" and ") {
            found.push(String::new());
            rest = after;
            continue;
        }
        if let Some(last) = found.last_mut() {
            last.push(character);
        }
        rest = &rest[character.len_utf8()..];
    }
    found.retain(|condition| !condition.is_empty());
    found
}

/// A time as version 4 writes it, or version 2: `datetimeoffset'…'` and `datetime'…'`, which has no offset.
fn time(text: &str) -> Option<i64> {
    let inside = |name: &str| text.strip_prefix(name)?.strip_suffix('\'');
    if let Some(local) = inside("datetime'") {
        let zoned = local.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?;
        return Some(zoned.timestamp().as_microsecond());
    }
    inside("datetimeoffset'").unwrap_or(text).parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_of_both_versions_and_quoted_texts_are_read() {
        for text in [
            "T ge 1970-01-01T00:00:01Z",
            "T ge datetimeoffset'1970-01-01T00:00:01Z'",
            "T ge datetime'1970-01-01T00:00:01'",
        ] {
            let filter = Filter::parse(&format!("{text} and N eq 'a and ''b'''"), &["T"]).unwrap();
            assert_eq!(filter.range().0, Bound::Included(1_000_000));
            assert!(filter.holds(&json!({"N": "a and 'b'"})) && !filter.holds(&json!({"N": "a"})));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in ["T", "T ge soon", "N eq x", "N ne 'x'", "T eq 1970-01-01T00:00:01Z", "contains(N,'x')"] {
            assert!(Filter::parse(text, &["T"]).is_err(), "{text}");
        }
    }
}
