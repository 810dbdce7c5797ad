//! The answers to Shopify's paths, once a request is known to be good.

use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::filter;
use super::{JSON, Resource, Route, error, listing, not_found, shop_time};
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::store::{RecordId, State};
use crate::wire::Settings;

/// Records made through the API get ids above this, so that they do not meet seeded ones.
const FIRST_OWN_ID: u64 = 9_000_000_000;

/// Answers one request.
pub(super) fn answer(route: &Route, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
    match (&call.method, route) {
        (&Method::GET, Route::List(resource)) => list(resource, call, settings, state),
        (&Method::GET, Route::Count(resource)) => count(resource, call, settings, state),
        (&Method::GET, Route::One(resource, id)) => one(resource, id, call, state),
        (&Method::GET, Route::Refunds(id)) => refunds(id, state),
        (&Method::GET, Route::Shop) => shop(state),
        (&Method::POST, Route::List(resource)) => create(resource, call, settings, state),
        (&Method::PUT, Route::One(resource, id)) => update(resource, id, call, settings, state),
        (&Method::DELETE, Route::One(resource, id)) => delete(resource, id, state),
        (_, Route::List(_) | Route::Count(_) | Route::One(..) | Route::Refunds(_) | Route::Shop | Route::GraphQl) => {
            error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        }
    }
}

fn list(resource: &Resource, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
    let listing = match listing::parse(resource, call, settings) {
        Ok(listing) => listing,
        Err(refusal) => return refusal,
    };
    let page = hold(state).collection(resource.plural).map(|collection| listing.find(collection));
    page.map_or_else(not_found, |page| listing.reply(resource, call, &page))
}

fn count(resource: &Resource, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
    let filters = match filter::filters(resource, call, settings) {
        Ok(filters) => filters,
        Err(refusal) => return refusal,
    };
    let count = hold(state).collection(resource.plural).map_or(0, |collection| filters.count(collection));
    Reply::json(StatusCode::OK, JSON, &json!({"count": count}))
}

fn find(resource: &str, id: &RecordId, state: &Mutex<State>) -> Option<std::sync::Arc<str>> {
    hold(state).collection(resource)?.get(id).map(|record| record.text.clone())
}

fn one(resource: &Resource, id: &RecordId, call: &Call, state: &Mutex<State>) -> Reply {
    let Some(text) = find(resource.plural, id, state) else {
        return not_found();
    };
    let fields =
        call.param("fields").map(|list| list.split(',').map(|field| field.trim().to_owned()).collect::<Vec<_>>());
    let shown = fields.map_or_else(|| text.to_string(), |fields| listing::select(&text, &fields).to_string());
    Reply::with_body(StatusCode::OK, JSON, format!("{{\"{}\":{shown}}}", resource.singular))
}

fn refunds(id: &RecordId, state: &Mutex<State>) -> Reply {
    let Some(text) = find("orders", id, state) else {
        return not_found();
    };
    let order: Value = serde_json::from_str(&text).unwrap_or_default();
    let refunds = order.get("refunds").cloned().unwrap_or_else(|| json!([]));
    Reply::json(StatusCode::OK, JSON, &json!({"refunds": refunds}))
}

fn shop(state: &Mutex<State>) -> Reply {
    let first = hold(state).collection("shop").and_then(|shops| shops.iter().next().map(|(_, shop)| shop.text.clone()));
    first.map_or_else(not_found, |text| Reply::with_body(StatusCode::OK, JSON, format!("{{\"shop\":{text}}}")))
}

/// The fields inside `{"order": {…}}`.
fn fields(resource: &Resource, call: &Call) -> Result<Map<String, Value>, Reply> {
    let body: Value = serde_json::from_slice(&call.body)
        .map_err(|_| error(StatusCode::BAD_REQUEST, json!({resource.singular: "the body is not JSON"})))?;
    match body {
        Value::Object(mut body) => match body.remove(resource.singular) {
            Some(Value::Object(fields)) => Ok(fields),
            _ => {
                Err(error(StatusCode::BAD_REQUEST, json!({resource.singular: "Required parameter missing or invalid"})))
            }
        },
        _ => Err(error(StatusCode::BAD_REQUEST, json!({resource.singular: "Required parameter missing or invalid"}))),
    }
}

fn create(resource: &Resource, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
    let mut record = match fields(resource, call) {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    if let Some(problem) = incomplete(resource, &record) {
        return error(StatusCode::UNPROCESSABLE_ENTITY, json!({resource.singular: [problem]}));
    }
    let now = shop_time(call.now, settings);
    record.insert("created_at".to_owned(), json!(now));
    record.insert("updated_at".to_owned(), json!(now));
    let mut state = hold(state);
    let Some(collection) = state.collection(resource.plural) else {
        return not_found();
    };
    let id = RecordId::Number(collection.fresh_id(FIRST_OWN_ID));
    commit(&mut state, resource, &id, Value::Object(record), StatusCode::CREATED)
}

fn incomplete(resource: &Resource, record: &Map<String, Value>) -> Option<&'static str> {
    let filled =
        |field: &str| record.get(field).is_some_and(|value| value.as_str().is_some_and(|text| !text.is_empty()));
    let has_lines = || record.get("line_items").and_then(Value::as_array).is_some_and(|lines| !lines.is_empty());
    match resource.plural {
        "orders" if !has_lines() => Some("Line items must have at least one line item"),
        "customers" if !["first_name", "last_name", "phone", "email"].into_iter().any(filled) => {
            Some("Customer must have a name, phone number or email address")
        }
        "locations" => Some("Locations cannot be made through this API"),
        _ => None,
    }
}

fn update(resource: &Resource, id: &RecordId, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
    let changes = match fields(resource, call) {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    let mut state = hold(state);
    let current =
        state.collection(resource.plural).and_then(|collection| collection.get(id)).map(crate::store::Record::value);
    let Some(Value::Object(mut record)) = current else {
        return not_found();
    };
    record.extend(changes.into_iter().filter(|(name, _)| !matches!(name.as_str(), "id" | "created_at")));
    record.insert("updated_at".to_owned(), json!(shop_time(call.now, settings)));
    commit(&mut state, resource, id, Value::Object(record), StatusCode::OK)
}

fn delete(resource: &Resource, id: &RecordId, state: &Mutex<State>) -> Reply {
    if resource.plural == "locations" {
        return error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    }
    let effect = hold(state).erase(resource.plural, id);
    effect.map_or_else(not_found, |effect| Reply::with_body(StatusCode::OK, JSON, "{}").effect(effect))
}

fn commit(state: &mut State, resource: &Resource, id: &RecordId, record: Value, status: StatusCode) -> Reply {
    let Some(Ok(effect)) = state.commit(resource.plural, id, record) else {
        return not_found();
    };
    let text =
        state.collection(resource.plural).and_then(|collection| collection.get(id)).map(|record| record.text.clone());
    let text = text.as_deref().unwrap_or("null");
    Reply::with_body(status, JSON, format!("{{\"{}\":{text}}}", resource.singular)).effect(effect)
}
