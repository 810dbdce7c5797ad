//! The `filter` parameter: `operator(field,value)`, joined by commas. Pure. What is not understood is refused.

use std::ops::Bound;

use jiff::Timestamp;
use serde_json::Value;

/// All of these must hold.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Filter {
    /// Fields that must have a value.
    equal: Vec<(String, String)>,
    /// Lower end of the time, in microseconds.
    low: Option<Bound<i64>>,
    /// Upper end.
    high: Option<Bound<i64>>,
}

impl Filter {
    /// Reads a filter. `time` is the field whose times can be compared; `inclusive` says whether ends may belong to the range.
    ///
    /// # Errors
    /// A sentence that says what is not understood.
    pub(super) fn parse(text: &str, time: &str, inclusive: bool) -> Result<Self, String> {
        let mut filter = Self::default();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let close = closing(rest).ok_or_else(|| format!("Invalid filter: {text}"))?;
            filter.add(&rest[..close], time, inclusive)?;
            rest = rest[close + 1..].trim_start_matches([',', ' ']);
        }
        Ok(filter)
    }

    fn add(&mut self, condition: &str, time: &str, inclusive: bool) -> Result<(), String> {
        let problem = || format!("Invalid filter: {condition})");
        let (operator, inside) = condition.split_once('(').ok_or_else(problem)?;
        let (field, value) = inside.split_once(',').ok_or_else(problem)?;
        let value = value.trim();
        match operator {
            "equals" if matches!(field, "id" | "email" | "external_id" | "phone_number") => {
                let unquoted = value.strip_prefix(['"', '\'']).and_then(|value| value.strip_suffix(['"', '\'']));
                self.equal.push((field.to_owned(), unquoted.ok_or_else(problem)?.to_owned()));
                return Ok(());
            }
            _ if field != time => return Err(format!("'{field}' cannot be filtered by '{operator}'")),
            _ => {}
        }
        let at = value.parse::<Timestamp>().map_err(|_| problem())?.as_microsecond();
        match operator {
            "greater-than" => self.low = Some(Bound::Excluded(at)),
            "less-than" => self.high = Some(Bound::Excluded(at)),
            "greater-or-equal" if inclusive => self.low = Some(Bound::Included(at)),
            "less-or-equal" if inclusive => self.high = Some(Bound::Included(at)),
            _ => return Err(format!("'{operator}' is not an operator of '{field}'")),
        }
        Ok(())
    }

    /// The range of times.
    pub(super) fn range(&self) -> (Bound<i64>, Bound<i64>) {
        (self.low.unwrap_or(Bound::Unbounded), self.high.unwrap_or(Bound::Unbounded))
    }

    /// Whether the attributes of a record (and its id) are asked for.
    pub(super) fn holds(&self, record: &Value) -> bool {
        self.equal.iter().all(|(field, value)| record[field.as_str()] == value.as_str())
    }
}

/// Where the parenthesis that opens first is closed; quotations may hold any character.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (index, character) in text.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, ')') => return Some(index),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_and_values_are_read() {
        let text =
            "greater-than(updated,1970-01-01T00:00:01Z),less-than(updated,1970-01-01T00:00:02Z),equals(email,\"a),b\")";
        let filter = Filter::parse(text, "updated", false).unwrap();
        assert_eq!(filter.range(), (Bound::Excluded(1_000_000), Bound::Excluded(2_000_000)));
        assert!(filter.holds(&json!({"email": "a),b"})) && !filter.holds(&json!({"email": "a"})));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "updated",
            "greater-or-equal(updated,1970-01-01T00:00:01Z)",
            "equals(name,\"x\")",
            "equals(id,x)",
            "less-than(updated,now)",
        ] {
            assert!(Filter::parse(text, "updated", false).is_err(), "{text}");
        }
    }
}
