//! Shopify's GraphQL Admin API, as far as orders, customers, products and locations are read by it: connections, search filters by time,
//! costs in points, and errors that are answered with status 200. Documents are read in `document`, records shaped in `shape`.

mod document;
mod shape;

use std::ops::Bound;
use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::document::Field;
use super::{JSON, error};
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::pages::{EVERYTHING, Wanted, cursor, placed};
use crate::store::{Sort, State};

/// Points of an account of the standard plan: how many, and how many come back a second.
const POINTS: (u64, u64) = (2_000, 100);
const RESOURCES: &[&str] = &["customers", "locations", "orders", "products"];

/// Answers one request.
pub(super) fn answer(call: &Call, state: &Mutex<State>) -> Reply {
    if call.method != Method::POST {
        return error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    }
    let Some(body) = call.object() else {
        return error(StatusCode::BAD_REQUEST, "Required parameter missing or invalid");
    };
    let variables = body.get("variables").cloned().unwrap_or_default();
    let text = body.get("query").and_then(Value::as_str).unwrap_or_default();
    let fields = match document::parse(text, &variables) {
        Ok(fields) => fields,
        Err(problem) => return refused(&format!("syntax error: {problem}"), "undefinedSyntax"),
    };
    let mut data = Map::new();
    let mut points = 1;
    let state = &mut *hold(state);
    for field in &fields {
        points += field.arguments.get("first").and_then(Value::as_u64).unwrap_or(0) / 10;
        match connection(field, state).and_then(|value| project(&value, &field.fields, "QueryRoot")) {
            Ok(value) => data.insert(field.name.clone(), value),
            Err(problem) => return refused(&problem, "undefinedField"),
        };
    }
    let status =
        json!({"maximumAvailable": POINTS.0, "currentlyAvailable": POINTS.0 - points, "restoreRate": POINTS.1});
    let cost = json!({"requestedQueryCost": points, "actualQueryCost": points, "throttleStatus": status});
    Reply::json(StatusCode::OK, JSON, &json!({"data": data, "extensions": {"cost": cost}}))
}

/// An error: its status is 200.
fn refused(message: &str, code: &str) -> Reply {
    let one = json!({"message": message, "locations": [{"line": 1, "column": 1}], "extensions": {"code": code}});
    Reply::json(StatusCode::OK, JSON, &json!({"errors": [one]}))
}

/// What a client that has used its points gets: status 200 as well.
pub(super) fn throttled() -> Reply {
    let status = json!({"maximumAvailable": POINTS.0, "currentlyAvailable": 0, "restoreRate": POINTS.1});
    let one = json!({"message": "Throttled", "extensions": {"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits"}});
    let cost = json!({"requestedQueryCost": 27, "actualQueryCost": null, "throttleStatus": status});
    Reply::json(StatusCode::OK, JSON, &json!({"errors": [one], "extensions": {"cost": cost}}))
}

/// A page of one kind of record.
fn connection(field: &Field, state: &mut State) -> Result<Value, String> {
    let Some(resource) = RESOURCES.iter().find(|known| **known == field.name) else {
        return Err(format!("Field '{}' doesn't exist on type 'QueryRoot'", field.name));
    };
    let text = |name: &str| field.arguments.get(name).and_then(Value::as_str);
    let first = field.arguments.get("first").and_then(Value::as_u64).filter(|first| (1..=250).contains(first));
    let first = first.ok_or("you must provide one of first or last, between 1 and 250")?;
    let after = text("after").map(|after| placed(after).ok_or("Invalid cursor for current pagination sort."));
    let after = after.transpose()?;
    let range = range(text("query").unwrap_or_default())?;
    let sort = match text("sortKey") {
        Some("UPDATED_AT") => Sort::Updated,
        Some("CREATED_AT") => Sort::Created,
        Some("ID") | None => Sort::Id,
        Some(other) => return Err(format!("Argument 'sortKey' has an invalid value ({other})")),
    };
    let updated = |record: &Value| record["updated_at"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let keep =
        |record: &Value| updated(record).is_none_or(|at| std::ops::RangeBounds::contains(&range, &at.as_microsecond()));
    let descending = field.arguments.get("reverse") == Some(&json!(true));
    let limit = usize::try_from(first).unwrap_or(1);
    let wanted = Wanted { sort, descending, after, limit, keep: &keep, ..EVERYTHING };
    let page =
        state.collection(resource).map(|collection| wanted.page(collection)).ok_or("there is no such connection")?;
    let nodes: Vec<Value> = page.records.iter().map(|record| shape::node(resource, record)).collect();
    let end = page.last.as_ref().map(cursor);
    let edges: Vec<Value> = nodes.iter().map(|node| json!({"node": node, "cursor": end})).collect();
    let info = json!({"hasNextPage": page.more, "hasPreviousPage": false, "startCursor": null, "endCursor": end});
    Ok(json!({"edges": edges, "nodes": nodes, "pageInfo": info}))
}

/// The times of `updated_at:>='…' AND updated_at:<='…'`.
fn range(text: &str) -> Result<(Bound<i64>, Bound<i64>), String> {
    let mut range = (Bound::Unbounded, Bound::Unbounded);
    for condition in text.split(" AND ").map(str::trim).filter(|condition| !condition.is_empty()) {
        let problem = || format!("the filter {condition} is not supported here");
        let rest = condition.strip_prefix("updated_at:").ok_or_else(problem)?;
        let value = rest.trim_start_matches(['>', '<', '=']);
        let time = value.trim_matches('\'').parse::<Timestamp>().map_err(|_| problem())?.as_microsecond();
        match &rest[..rest.len() - value.len()] {
            ">=" => range.0 = Bound::Included(time),
            ">" => range.0 = Bound::Excluded(time),
            "<=" => range.1 = Bound::Included(time),
            "<" => range.1 = Bound::Excluded(time),
            _ => return Err(problem()),
        }
    }
    Ok(range)
}

/// The fields that were asked for. One that there is not is an error; a value without fields must not be asked for some, nor one with none.
fn project(value: &Value, fields: &[Field], kind: &str) -> Result<Value, String> {
    match value {
        Value::Array(items) => items.iter().map(|item| project(item, fields, kind)).collect(),
        Value::Object(members) if !fields.is_empty() => {
            let pick = |field: &Field| match members.get(&field.name) {
                None => Err(format!("Field '{}' doesn't exist on type '{kind}'", field.name)),
                Some(value) => project(value, &field.fields, &field.name).map(|value| (field.name.clone(), value)),
            };
            fields.iter().map(pick).collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        Value::Object(_) => Err(format!("Field must have selections (field '{kind}')")),
        Value::Null => Ok(Value::Null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) if fields.is_empty() => Ok(value.clone()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(format!("Selections can't be made on scalars (field '{kind}')"))
        }
    }
}
