//! Salesforce's reads: one record, by id or by external id, and the list of versions.

use std::sync::Mutex;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{JSON, Reference, not_found};
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::store::{Record, State};
use crate::wire::Settings;

/// `GET /services/data`.
pub(super) fn versions(settings: &Settings) -> Reply {
    let version =
        |number: &String| json!({"label": number, "url": format!("/services/data/v{number}"), "version": number});
    Reply::json(StatusCode::OK, JSON, &settings.api_versions.iter().map(version).collect())
}

/// `GET …/sobjects/{object}/{id}` and `…/{field}/{value}`.
pub(super) fn record(object: &str, reference: &Reference, call: &Call, state: &Mutex<State>) -> Reply {
    if let Err(refusal) = reference.check() {
        return refusal;
    }
    let found = {
        let mut state = hold(state);
        let Some(collection) = state.collection(object) else { return not_found() };
        reference.find(collection).and_then(|id| collection.get(&id).cloned())
    };
    let Some(Value::Object(fields)) = found.as_ref().map(Record::value) else { return not_found() };
    let id = fields.get("Id").and_then(Value::as_str).unwrap_or_default();
    let version = super::route(call).0.unwrap_or_default();
    let url = format!("/services/data/v{version}/sobjects/{object}/{id}");
    let mut body = Map::new();
    body.insert("attributes".to_owned(), json!({"type": object, "url": url}));
    body.extend(fields);
    // It moves with the system's own changes too, of which there are none here.
    let changed = body.get("LastModifiedDate").cloned().unwrap_or_default();
    body.insert("SystemModstamp".to_owned(), changed);
    Reply::json(StatusCode::OK, JSON, &Value::Object(body))
}
