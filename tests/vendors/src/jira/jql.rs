//! The part of JQL that integrations need: clauses joined by AND over project, labels, created and updated, and an order by updated. A query
//! without a clause is refused, as the search refuses what is unbounded. Times are minutes in the user's zone (here UTC), or milliseconds
//! since 1970.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::store::field;

/// A parsed query.
#[derive(Debug, PartialEq)]
pub(super) struct Query {
    clauses: Vec<Clause>,
    /// Whether the newest change comes first.
    pub(super) newest_first: bool,
}

#[derive(Debug, PartialEq)]
enum Clause {
    Project(String),
    Label(String),
    Time { name: &'static str, operator: Operator, millis: i64 },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    Before,
    UpTo,
    From,
    After,
}

impl Query {
    /// Reads a query.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let words = words(text)?;
        let order = words.windows(2).position(|pair| is(&pair[0], "order") && is(&pair[1], "by"));
        let (condition, order) = words.split_at(order.unwrap_or(words.len()));
        let newest_first = match order {
            [] => true,
            [_, _, name] if is(name, "updated") => false,
            [_, _, name, way] if is(name, "updated") => is(way, "desc"),
            _ => return Err("Only ORDER BY updated is understood here.".to_owned()),
        };
        let clauses = condition.split(|word| is(word, "and")).map(clause).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { clauses, newest_first })
    }

    /// Whether an issue is meant.
    pub(super) fn holds(&self, issue: &Value) -> bool {
        self.clauses.iter().all(|clause| clause.holds(issue))
    }
}

impl Clause {
    fn holds(&self, issue: &Value) -> bool {
        let fields = &issue["fields"];
        match self {
            Self::Project(key) => fields["project"]["key"] == *key,
            Self::Label(label) => {
                fields["labels"].as_array().is_some_and(|labels| labels.iter().any(|other| other == label))
            }
            Self::Time { name, operator, millis } => {
                let time =
                    field(fields, name).and_then(Value::as_str).and_then(|text| text.parse::<jiff::Timestamp>().ok());
                time.is_some_and(|time| {
                    let time = time.as_millisecond();
                    match operator {
                        Operator::Before => time < *millis,
                        Operator::UpTo => time <= *millis,
                        Operator::From => time >= *millis,
                        Operator::After => time > *millis,
                    }
                })
            }
        }
    }
}

/// A word, and whether it stood in quotes.
type Word = (String, bool);

fn is(word: &Word, text: &str) -> bool {
    !word.1 && word.0.eq_ignore_ascii_case(text)
}

fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = if first == '"' {
            let end = rest[1..].find('"').ok_or("The quotes are not closed.")?;
            words.push((rest[1..=end].to_owned(), true));
            end + 2
        } else if "=<>!~".contains(first) {
            let end = rest.find(|c| !"=<>!~".contains(c)).unwrap_or(rest.len());
            words.push((rest[..end].to_owned(), false));
            end
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "=<>!~\"".contains(c)).unwrap_or(rest.len());
            words.push((rest[..end].to_owned(), false));
            end
        };
        rest = rest[end..].trim_start();
    }
    Ok(words)
}

fn clause(words: &[Word]) -> Result<Clause, String> {
    let [name, operator, (value, _)] = words else {
        return Err("Unbounded or unreadable query: each clause is a field, an operator and a value.".to_owned());
    };
    let operator = operator.0.as_str();
    if is(name, "project") && operator == "=" {
        return Ok(Clause::Project(value.clone()));
    }
    if is(name, "labels") && operator == "=" {
        return Ok(Clause::Label(value.clone()));
    }
    let name = ["created", "updated"].into_iter().find(|known| is(name, known));
    let name = name.ok_or_else(|| format!("Field '{}' does not exist here.", words[0].0))?;
    let operator = match operator {
        "<" => Operator::Before,
        "<=" => Operator::UpTo,
        ">=" => Operator::From,
        ">" => Operator::After,
        other => return Err(format!("The operator '{other}' is not supported by the '{name}' field.")),
    };
    let millis = millis(value).ok_or_else(|| format!("Date value '{value}' for field '{name}' is invalid."))?;
    Ok(Clause::Time { name, operator, millis })
}

fn millis(text: &str) -> Option<i64> {
    if let Ok(millis) = text.parse() {
        return Some(millis);
    }
    let minutes =
        DateTime::strptime("%Y-%m-%d %H:%M", text).or_else(|_| DateTime::strptime("%Y/%m/%d %H:%M", text)).ok()?;
    minutes.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn issue() -> Value {
        json!({"fields": {"project": {"key": "SHOP"}, "labels": ["a-1"], "updated": "2026-01-01T12:00:30.000+0000"}})
    }

    #[test]
    fn clauses_are_read_and_hold_or_not() {
        for (query, holds) in [
            ("project = SHOP", true),
            ("project = \"OTHER\"", false),
            ("labels = \"a-1\" AND project=SHOP", true),
            ("labels = \"and\"", false),
            ("updated >= \"2026-01-01 12:00\" ORDER BY updated ASC", true),
            ("updated <= \"2026-01-01 12:00\"", false),
            ("updated >= 1767268830000 and updated < 1767268831000", true),
        ] {
            assert_eq!(Query::parse(query).unwrap().holds(&issue()), holds, "{query}");
        }
        assert!(Query::parse("updated > 1 order by updated").is_ok_and(|query| !query.newest_first));
    }

    #[test]
    fn what_jira_would_refuse_is_refused() {
        for query in ["", "order by updated", "labels = \"a", "updated = 1", "colour = red", "updated > soon"] {
            assert!(Query::parse(query).is_err(), "{query}");
        }
    }
}
