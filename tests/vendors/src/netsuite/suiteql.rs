//! SuiteQL over REST: `POST /services/rest/query/v1/suiteql` with `Prefer: transient`. The part of the language that integrations read changes
//! with: one table, conditions joined by AND, `ORDER BY id`. Anything else is refused rather than guessed.

use std::sync::Mutex;

use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{COLLECTION, bad_parameter, error, link, read::window};
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::store::{RecordId, State};
use crate::wire::Settings;

/// The word in `transaction.type` and the record type it stands for.
const TYPES: &[(&str, &str)] = &[
    ("CashSale", "cashSale"),
    ("CustCred", "creditMemo"),
    ("CustInvc", "invoice"),
    ("ItemShip", "itemFulfillment"),
    ("SalesOrd", "salesOrder"),
];
const TABLES: &[(&str, &str)] = &[("customer", "customer"), ("item", "inventoryItem"), ("location", "location")];
const CHANGED: &str = "lastmodifieddate";

/// A query as it is understood.
#[derive(Debug, PartialEq)]
struct Query {
    kind: &'static str,
    /// Each column's field in lower case, and whether it is a time that is written out.
    columns: Vec<(String, bool)>,
    conditions: Vec<Condition>,
}

#[derive(Debug, PartialEq)]
enum Condition {
    /// At or after, or at or before, in the account's zone.
    Since(DateTime),
    Until(DateTime),
    Behind(u64),
}

/// Answers a query.
pub(super) fn answer(call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
    if !call.header("prefer").is_some_and(|prefer| prefer.eq_ignore_ascii_case("transient")) {
        return error(StatusCode::BAD_REQUEST, "INVALID_HEADER", "SuiteQL needs the header Prefer: transient.", None);
    }
    let text = call.object().and_then(|body| body.get("q").and_then(Value::as_str).map(ToOwned::to_owned));
    let query = match text.as_deref().map(parse) {
        Some(Ok(query)) => query,
        Some(Err(detail)) => return bad_parameter(&format!("Invalid search query. {detail}")),
        None => return bad_parameter("The body must be a JSON object with the query in q."),
    };
    let window = match window(call, settings) {
        Ok(window) => window,
        Err(refusal) => return refusal,
    };
    let zone = TimeZone::get(&settings.time_zone).unwrap_or(TimeZone::UTC);
    let mut state = hold(state);
    let found = state.collection(query.kind).map(|collection| {
        let records = collection.iter().map(|(id, record)| (id.clone(), record.value()));
        records
            .filter(|(id, record)| query.conditions.iter().all(|one| one.holds(id, record, &zone)))
            .collect::<Vec<_>>()
    });
    let found = found.unwrap_or_default();
    let rows: Vec<Value> =
        found.iter().skip(window.offset).take(window.limit).map(|(_, record)| query.row(record, &zone)).collect();
    let has_more = window.offset + rows.len() < found.len();
    let body = json!({
        "links": [link("self", &format!("{}{}", call.base, call.target()))], "count": rows.len(), "hasMore": has_more,
        "items": rows, "offset": window.offset, "totalResults": found.len(),
    });
    Reply::json(StatusCode::OK, COLLECTION, &body)
}

fn changed(record: &Value, zone: &TimeZone) -> Option<DateTime> {
    let time: Timestamp = record.get("lastModifiedDate")?.as_str()?.parse().ok()?;
    Some(time.to_zoned(zone.clone()).datetime())
}

impl Condition {
    fn holds(&self, id: &RecordId, record: &Value, zone: &TimeZone) -> bool {
        // TO_DATE knows whole seconds.
        let second = || changed(record, zone).and_then(|at| at.with().subsec_nanosecond(0).build().ok());
        match self {
            Self::Since(time) => second().is_some_and(|at| at >= *time),
            Self::Until(time) => second().is_some_and(|at| at <= *time),
            Self::Behind(number) => *id > RecordId::Number(*number),
        }
    }
}

impl Query {
    /// A row: what is null is left out, a reference is its id.
    fn row(&self, record: &Value, zone: &TimeZone) -> Value {
        let fields = record.as_object().cloned().unwrap_or_default();
        let mut row = Map::new();
        row.insert("links".to_owned(), json!([]));
        for (column, written) in &self.columns {
            let value = if *written {
                changed(record, zone).map(|at| json!(at.strftime("%Y-%m-%d %H:%M:%S").to_string()))
            } else {
                let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(column));
                found.map(|(_, value)| value.get("id").unwrap_or(value).clone()).filter(|value| !value.is_null())
            };
            if let Some(value) = value {
                row.insert(column.clone(), value);
            }
        }
        Value::Object(row)
    }
}

/// The text before and behind a keyword.
fn split<'a>(text: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let at = text.to_ascii_uppercase().find(&format!(" {keyword} "))?;
    Some((text[..at].trim(), text[at + keyword.len() + 2..].trim()))
}

fn parse(text: &str) -> Result<Query, String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let select = text.get(..7).filter(|word| word.eq_ignore_ascii_case("SELECT ")).and_then(|_| text.get(7..));
    let (columns, rest) = select.and_then(|rest| split(rest, "FROM")).ok_or("SELECT … FROM is expected.")?;
    let (rest, order) = split(rest, "ORDER BY").ok_or("ORDER BY id is expected.")?;
    if !order.eq_ignore_ascii_case("id") {
        return Err("ORDER BY id is expected.".to_owned());
    }
    let (table, conditions) = split(rest, "WHERE").unwrap_or((rest, ""));
    let mut kind = TABLES.iter().find(|(name, _)| table.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind);
    let mut understood = Vec::new();
    let mut rest = conditions;
    while !rest.is_empty() {
        let (condition, after) = split(rest, "AND").unwrap_or((rest, ""));
        rest = after;
        match quoted(condition, "type = ") {
            Some(word) if table.eq_ignore_ascii_case("transaction") => {
                kind = TYPES.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
            }
            Some(_) | None => understood.push(condition_of(condition)?),
        }
    }
    let kind = kind.ok_or_else(|| format!("The table {table} or its type is not known."))?;
    let columns = columns_of(columns)?;
    Ok(Query { kind, columns, conditions: understood })
}

/// Columns by name, and one call that has commas of its own.
fn columns_of(text: &str) -> Result<Vec<(String, bool)>, String> {
    let written = "TO_CHAR(lastmodifieddate, 'YYYY-MM-DD HH24:MI:SS') AS lastmodifieddate";
    let mut columns = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (written_out, name, after) = match rest.strip_prefix(written) {
            Some(after) => (true, CHANGED, after),
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (false, rest[..end].trim(), &rest[end..])
            }
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("The column {name} is not understood."));
        }
        columns.push((name.to_ascii_lowercase(), written_out));
        rest = after.trim_start_matches([',', ' ']);
    }
    Ok(columns)
}

/// What stands between the quotes of `start'…'`.
fn quoted<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let found = text.get(..start.len()).filter(|head| head.eq_ignore_ascii_case(start))?;
    text[found.len()..].strip_prefix('\'')?.strip_suffix('\'')
}

fn condition_of(text: &str) -> Result<Condition, String> {
    let problem = || format!("The condition {text} is not understood.");
    let date = |start: &str| {
        let inside =
            text.strip_prefix(start)?.strip_prefix("TO_DATE('")?.strip_suffix("', 'YYYY-MM-DD HH24:MI:SS')")?;
        DateTime::strptime("%Y-%m-%d %H:%M:%S", inside).ok()
    };
    if let Some(time) = date("lastmodifieddate >= ") {
        return Ok(Condition::Since(time));
    }
    if let Some(time) = date("lastmodifieddate <= ") {
        return Ok(Condition::Until(time));
    }
    let number = text.strip_prefix("id > COALESCE(TO_NUMBER('").and_then(|rest| rest.strip_suffix("'), 0)"));
    match number {
        // An empty text is null to Oracle.
        Some("") => Ok(Condition::Behind(0)),
        Some(number) => number.parse().map(Condition::Behind).map_err(|_| problem()),
        None => Err(problem()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_query_is_understood() {
        let text = "SELECT id, TO_CHAR(lastmodifieddate, 'YYYY-MM-DD HH24:MI:SS') AS lastmodifieddate, email FROM transaction \
                    WHERE type = 'SalesOrd' AND lastmodifieddate >= TO_DATE('2026-07-01 00:00:00', 'YYYY-MM-DD HH24:MI:SS') \
                    AND id > COALESCE(TO_NUMBER(''), 0) ORDER BY id";
        let query = parse(text).unwrap();
        assert_eq!(query.kind, "salesOrder");
        let columns = [("id", false), (CHANGED, true), ("email", false)];
        assert_eq!(query.columns, columns.map(|(name, written)| (name.to_owned(), written)));
        assert_eq!(query.conditions[1], Condition::Behind(0));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "DELETE FROM customer ORDER BY id",
            "SELECT id FROM customer",
            "SELECT id FROM customer ORDER BY email",
            "SELECT id FROM nothing ORDER BY id",
            "SELECT a b FROM customer ORDER BY id",
            "SELECT id FROM customer WHERE email LIKE 'x' ORDER BY id",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
