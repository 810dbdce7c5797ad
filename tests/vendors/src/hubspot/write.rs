//! HubSpot's writes: create, update, delete, and batches of upserts by a unique property. Runs under the state's lock.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{UNIQUE, error, find, invalid, not_found, shown, texts};
use crate::dialect::{self, json, utc_millis};
use crate::message::{Call, Effect, Reply};
use crate::store::{Record, RecordId, State};
use crate::wire::WriteKind;

/// Most records that a batch takes.
const MOST_INPUTS: usize = 100;
const FIRST_ID: u64 = 90_000_000;

/// `POST …/{object}`.
pub(super) fn create(object: &str, call: &Call, state: &mut State) -> Reply {
    let body = dialect::object(call).map(Value::Object).unwrap_or_default();
    let Some(properties) = texts(&body["properties"]) else {
        return invalid("properties must be an object of texts, numbers and booleans", call);
    };
    match write(object, None, properties, call, state) {
        Ok((record, effect)) => json(StatusCode::CREATED, &record).effect(effect),
        Err(message) => error(StatusCode::CONFLICT, "CONFLICT", &message, Some(call)),
    }
}

/// `PATCH` and `DELETE …/{object}/{id}`.
pub(super) fn change(object: &str, id: &str, call: &Call, state: &mut State) -> Reply {
    let Some(collection) = state.collection(object) else { return not_found(call) };
    let found = find(collection, id, call.param("idProperty"));
    if call.method == Method::DELETE {
        // An archived record can be archived again.
        let effect = found.and_then(|id| state.erase(object, &id));
        let reply = Reply::empty(StatusCode::NO_CONTENT);
        return match effect {
            Some(effect) => reply.effect(effect),
            None => reply,
        };
    }
    let Some(id) = found else { return not_found(call) };
    let body = dialect::object(call).map(Value::Object).unwrap_or_default();
    let Some(properties) = texts(&body["properties"]) else {
        return invalid("properties must be an object of texts, numbers and booleans", call);
    };
    match write(object, Some(id), properties, call, state) {
        Ok((record, effect)) => json(StatusCode::OK, &record).effect(effect),
        Err(message) => error(StatusCode::CONFLICT, "CONFLICT", &message, Some(call)),
    }
}

/// `POST …/{object}/batch/upsert`. Results come in no promised order: here in the reverse one. Errors of single rows are told only when every
/// row has an `objectWriteTraceId`; otherwise one error refuses the whole batch.
pub(super) fn upsert(object: &str, call: &Call, state: &mut State) -> Reply {
    let body = dialect::object(call).map(Value::Object).unwrap_or_default();
    let Some(inputs) = body["inputs"].as_array().filter(|inputs| !inputs.is_empty()) else {
        return invalid("inputs must be a list", call);
    };
    if inputs.len() > MOST_INPUTS {
        return invalid("at most 100 inputs are allowed", call);
    }
    let ids: BTreeSet<&str> = inputs.iter().filter_map(|input| input["id"].as_str()).collect();
    if ids.len() != inputs.len() {
        return invalid("each input needs an id of its own, as text", call);
    }
    let traced = inputs.iter().all(|input| input["objectWriteTraceId"].is_string());
    let problems: Vec<Option<String>> =
        inputs.iter().enumerate().map(|(row, input)| problem(row, input, call)).collect();
    if let Some(problem) = problems.iter().flatten().next().filter(|_| !traced) {
        return invalid(problem, call);
    }
    let (mut results, mut errors, mut effects) = (Vec::new(), Vec::new(), Vec::new());
    for (input, problem) in inputs.iter().zip(problems) {
        match problem.map_or_else(|| row(object, input, call, state), Err) {
            Ok((record, effect)) => {
                results.insert(0, record);
                effects.push(effect);
            }
            Err(message) => errors.push(json!({
                "status": "error", "category": "VALIDATION_ERROR", "message": message, "links": {}, "errors": [],
                "context": {"objectWriteTraceId": [input["objectWriteTraceId"]], "id": [input["id"]]},
            })),
        }
    }
    let now = utc_millis(call.now);
    let mut answer = json!({"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now});
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::MULTI_STATUS };
    if !errors.is_empty() {
        answer["numErrors"] = json!(errors.len());
        answer["errors"] = Value::Array(errors);
    }
    let mut reply = json(status, &answer);
    reply.effects = effects;
    reply
}

fn problem(row: usize, input: &Value, call: &Call) -> Option<String> {
    if call.refused_rows.as_ref().is_some_and(|rows| rows.strike(&call.request_id, row, input)) {
        return Some("Property values were not valid".to_owned());
    }
    if input["idProperty"] != UNIQUE {
        return Some(format!("{} is not a unique property", input["idProperty"]));
    }
    texts(&input["properties"]).is_none().then(|| "properties must be an object of texts".to_owned())
}

fn row(object: &str, input: &Value, call: &Call, state: &mut State) -> Result<(Value, Effect), String> {
    let external = input["id"].as_str().unwrap_or_default();
    let found = state.collection(object).and_then(|collection| collection.by_external(external).cloned());
    let mut properties = texts(&input["properties"]).unwrap_or_default();
    properties.insert(UNIQUE.to_owned(), external.into());
    let (mut record, effect) = write(object, found, properties, call, state)?;
    record["new"] = json!(effect.kind == WriteKind::Created);
    if !input["objectWriteTraceId"].is_null() {
        record["objectWriteTraceId"] = input["objectWriteTraceId"].clone();
    }
    Ok((record, effect))
}

fn write(
    object: &str,
    found: Option<RecordId>,
    properties: Map<String, Value>,
    call: &Call,
    state: &mut State,
) -> Result<(Value, Effect), String> {
    let collection = state.collection(object).ok_or("no such object type")?;
    let now = utc_millis(call.now);
    let before = found.as_ref().and_then(|id| collection.get(id)).map(Record::value);
    let id = found.unwrap_or_else(|| RecordId::Number(collection.fresh_id(FIRST_ID)));
    let mut record = before.unwrap_or_else(|| json!({"properties": {}, "createdAt": now, "archived": false}));
    for (name, value) in properties {
        record["properties"][name] = value;
    }
    record["updatedAt"] = json!(now);
    record["id"] = json!(id.to_string());
    match state.commit(object, &id, record.clone()) {
        Some(Ok(effect)) => Ok((shown(object, record), effect)),
        Some(Err(conflict)) => Err(conflict.to_string()),
        None => Err("no such object type".to_owned()),
    }
}
