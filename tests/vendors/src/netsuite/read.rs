//! NetSuite's reads: one record, a sublist of it, a page of a collection.

use std::sync::Mutex;

use axum::http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::filter::Filter;
use super::{COLLECTION, RECORDS, Reference, SINGULAR, bad_parameter, link, no_record, no_type, record_url};
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::store::{Collection, Record, RecordId, State};
use crate::wire::Settings;

fn find(kind: &str, reference: &Reference, state: &Mutex<State>) -> Option<(RecordId, Record)> {
    let mut state = hold(state);
    let collection = state.collection(kind)?;
    let id = reference.find(collection)?;
    let record = collection.get(&id)?.clone();
    Some((id, record))
}

/// `GET …/{recordType}/{id}`: sublists are links, unless `expandSubResources=true`.
pub(super) fn record(kind: &str, reference: &Reference, call: &Call, state: &Mutex<State>) -> Reply {
    let Some((id, record)) = find(kind, reference, state) else {
        return no_record();
    };
    let Value::Object(fields) = record.value() else {
        return no_record();
    };
    let href = record_url(call, kind, &id);
    let expand = call.param("expandSubResources") == Some("true");
    let wanted: Option<Vec<&str>> = call.param("fields").map(|list| list.split(',').map(str::trim).collect());
    let mut body = Map::new();
    body.insert("links".to_owned(), json!([link("self", &href)]));
    for (name, value) in fields {
        if name != "id" && wanted.as_ref().is_some_and(|wanted| !wanted.contains(&name.as_str())) {
            continue;
        }
        let shown = if is_sublist(&value) {
            let self_link = json!([link("self", &format!("{href}/{name}"))]);
            if expand { expanded(&value, &self_link) } else { json!({"links": self_link}) }
        } else {
            value
        };
        body.insert(name, shown);
    }
    Reply::json(StatusCode::OK, SINGULAR, &Value::Object(body))
}

fn is_sublist(value: &Value) -> bool {
    value.get("items").is_some_and(Value::is_array)
}

fn expanded(sublist: &Value, links: &Value) -> Value {
    let items = sublist.get("items").cloned().unwrap_or_default();
    let count = items.as_array().map_or(0, Vec::len);
    json!({"links": links, "items": items, "totalResults": count})
}

/// `GET …/{recordType}/{id}/{sublist}`.
pub(super) fn sublist(kind: &str, reference: &Reference, name: &str, call: &Call, state: &Mutex<State>) -> Reply {
    let Some((id, record)) = find(kind, reference, state) else {
        return no_record();
    };
    let Some(value) = record.value().get(name).filter(|value| is_sublist(value)).cloned() else {
        return no_record();
    };
    let items = value["items"].clone();
    let count = items.as_array().map_or(0, Vec::len);
    let links = json!([link("self", &format!("{}/{name}", record_url(call, kind, &id)))]);
    let body =
        json!({"links": links, "items": items, "count": count, "hasMore": false, "offset": 0, "totalResults": count});
    Reply::json(StatusCode::OK, COLLECTION, &body)
}

/// Where a page lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) limit: usize,
    pub(super) offset: usize,
}

/// Reads `limit` and `offset`.
///
/// # Errors
/// The answer to a place that cannot be used.
pub(super) fn window(call: &Call, settings: &Settings) -> Result<Window, Reply> {
    let number = |name: &str, default: usize| match call.param(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| bad_parameter(&format!("{name} must be a whole number, not '{text}'."))),
    };
    let (limit, offset) = (number("limit", settings.page_size_default)?, number("offset", 0)?);
    if limit == 0 || limit > settings.page_size_max {
        return Err(bad_parameter(&format!("limit must be between 1 and {}.", settings.page_size_max)));
    }
    if offset % limit != 0 {
        return Err(bad_parameter(&format!("offset {offset} must be divisible by limit {limit}.")));
    }
    Ok(Window { limit, offset })
}

/// `GET …/{recordType}`: ids and links only, in the order of the ids.
pub(super) fn collection(kind: &str, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
    let window = match window(call, settings) {
        Ok(window) => window,
        Err(refusal) => return refusal,
    };
    let filter = match call.param("q").map(|text| Filter::parse(text, &settings.time_zone)).transpose() {
        Ok(filter) => filter,
        Err(detail) => return bad_parameter(&detail),
    };
    let (ids, total) = {
        let mut state = hold(state);
        let Some(collection) = state.collection(kind) else {
            return no_type(kind);
        };
        select(collection, filter.as_ref(), window)
    };
    page(kind, call, window, &ids, total)
}

fn select(collection: &Collection, filter: Option<&Filter>, window: Window) -> (Vec<RecordId>, usize) {
    let cut = |ids: &mut dyn Iterator<Item = RecordId>| ids.skip(window.offset).take(window.limit).collect();
    let Some(filter) = filter else {
        return (cut(&mut collection.iter().map(|(id, _)| id.clone())), collection.len());
    };
    let matching: Vec<RecordId> = if let Some(external) = filter.external_id() {
        let id = collection.by_external(external);
        let found = id.and_then(|id| collection.get(id).map(|record| (id, record)));
        let found = found.filter(|(_, record)| filter.holds(&record.value()));
        found.map(|(id, _)| id.clone()).into_iter().collect()
    } else {
        let found = collection.iter().filter(|(_, record)| filter.holds(&record.value()));
        found.map(|(id, _)| id.clone()).collect()
    };
    let total = matching.len();
    (cut(&mut matching.into_iter()), total)
}

fn page(kind: &str, call: &Call, window: Window, ids: &[RecordId], total: usize) -> Reply {
    let Window { limit, offset } = window;
    let has_more = offset + ids.len() < total;
    let query = call.param("q").map(|q| format!("&q={}", utf8_percent_encode(q, NON_ALPHANUMERIC))).unwrap_or_default();
    let at = |offset: usize| format!("{}{RECORDS}/{kind}?limit={limit}&offset={offset}{query}", call.base);
    let mut links = vec![link("self", &at(offset))];
    if offset > 0 {
        links.push(link("first", &at(0)));
        links.push(link("previous", &at(offset - limit)));
    }
    if has_more {
        links.push(link("next", &at(offset + limit)));
        links.push(link("last", &at((total - 1) / limit * limit)));
    }
    let items: Vec<Value> = ids
        .iter()
        .map(|id| json!({"links": [link("self", &record_url(call, kind, id))], "id": id.to_string()}))
        .collect();
    let body = json!({
        "links": links, "count": items.len(), "hasMore": has_more, "items": items, "offset": offset, "totalResults": total,
    });
    Reply::json(StatusCode::OK, COLLECTION, &body)
}
