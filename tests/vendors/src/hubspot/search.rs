//! HubSpot's search: groups of filters, any of which must hold, one sort, up to 200 a page, and nothing beyond the ten thousandth match.

use std::cmp::Ordering;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{invalid, modified, not_found, paged, shown};
use crate::dialect::{self, json};
use crate::message::{Call, Reply};
use crate::store::State;
use crate::wire::Settings;

/// `POST …/{object}/search`. It reaches as many matches as there are on fifty of the largest pages: 10,000, unless a test has smaller ones.
pub(super) fn search(object: &str, call: &Call, settings: &Settings, state: &mut State) -> Reply {
    let Some(request) = dialect::object(call).map(Value::Object) else {
        return invalid("the body must be a JSON object", call);
    };
    let limit = request["limit"].as_u64().unwrap_or(10);
    if !(1..=200).contains(&limit) {
        return invalid("limit must be between 1 and 200", call);
    }
    let after = match &request["after"] {
        Value::Null => Some(0),
        after => after.as_str().and_then(|text| if text.is_empty() { Some(0) } else { text.parse::<usize>().ok() }),
    };
    let Some(after) = after else { return invalid("after is not a cursor of this search", call) };
    let limit = usize::try_from(limit).unwrap_or(200);
    if after.saturating_add(limit) > settings.page_size_max * 50 {
        return invalid("a search cannot go beyond its first 10,000 results", call);
    }
    let Some(collection) = state.collection(object) else { return not_found(call) };
    let mut found = Vec::new();
    for record in dialect::changed(collection, None, None) {
        let record = shown(object, record);
        match matches(&record, &request["filterGroups"]) {
            Ok(true) => found.push(record),
            Ok(false) => {}
            Err(problem) => return invalid(&problem, call),
        }
    }
    // `changed` gives the oldest change first already.
    match sort_of(&request["sorts"]) {
        None => found.sort_by(|a, b| compare(&a["properties"]["createdate"], &b["properties"]["createdate"])),
        Some((property, descending)) => {
            if property != modified(object) {
                found.sort_by(|a, b| compare(&a["properties"][&property], &b["properties"][&property]));
            }
            if descending {
                found.reverse();
            }
        }
    }
    let page = dialect::page(found, after, limit);
    // The page behind the deepest is named, and refused.
    json(StatusCode::OK, &paged(json!({"total": page.total, "results": page.items}), page.next))
}

fn sort_of(sorts: &Value) -> Option<(String, bool)> {
    match sorts.get(0)? {
        Value::String(name) => Some((name.trim_start_matches('-').to_owned(), name.starts_with('-'))),
        sort => Some((sort["propertyName"].as_str()?.to_owned(), sort["direction"] == "DESCENDING")),
    }
}

fn matches(record: &Value, groups: &Value) -> Result<bool, String> {
    let Some(groups) = groups.as_array().filter(|groups| !groups.is_empty()) else { return Ok(true) };
    if groups.len() > 5 {
        return Err("at most 5 filterGroups are allowed".to_owned());
    }
    for group in groups {
        let filters = group["filters"].as_array().ok_or("a filterGroup needs filters")?;
        let mut all = true;
        for filter in filters {
            all = all && holds(record, filter)?;
        }
        if all {
            return Ok(true);
        }
    }
    Ok(false)
}

fn holds(record: &Value, filter: &Value) -> Result<bool, String> {
    let name = filter["propertyName"].as_str().ok_or("a filter needs a propertyName")?;
    let (value, wanted) = (&record["properties"][name], &filter["value"]);
    let operator = filter["operator"].as_str().ok_or("a filter needs an operator")?;
    if !value.is_null() && wanted.is_null() && !operator.ends_with("HAS_PROPERTY") {
        return Err(format!("{operator} needs a value"));
    }
    let order = compare(value, wanted);
    Ok(match operator {
        "HAS_PROPERTY" => !value.is_null(),
        "NOT_HAS_PROPERTY" => value.is_null(),
        "EQ" => order == Ordering::Equal,
        "NEQ" => order != Ordering::Equal,
        "GT" => order == Ordering::Greater,
        "GTE" => order != Ordering::Less,
        "LT" => order == Ordering::Less,
        "LTE" => order != Ordering::Greater,
        other => return Err(format!("the operator {other} is not known")),
    })
}

/// Times (RFC 3339, or milliseconds since 1970) and numbers are compared as such, anything else as text.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => text(a).cmp(&text(b)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of our time are exact in a double")]
fn number(value: &Value) -> Option<f64> {
    let text = text(value);
    let time = text.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond() as f64);
    time.or_else(|| text.parse().ok())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, ToOwned::to_owned)
}
