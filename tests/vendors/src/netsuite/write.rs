//! NetSuite's writes: create, update, upsert by external id, delete. Runs under the state's lock, so that looking a
//! record up and writing it are one step.

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::validate::{self, Invalid};
use super::{Reference, Route, error, job, no_record, no_type, not_allowed, record_url, utc_time};
use crate::message::{Call, Effect, Reply};
use crate::store::{Conflict, Record, RecordId, State};

/// Internal ids made by the account are above this.
const FIRST_ID: u64 = 1_000;

/// Answers one write, at once or as a job.
pub(super) fn answer(route: &Route, call: &Call, state: &mut State) -> Reply {
    let wants_job = call.header("prefer").is_some_and(|prefer| prefer.to_ascii_lowercase().contains("respond-async"));
    if wants_job { job::submit(call, state, |state| perform(route, call, state)) } else { perform(route, call, state) }
}

fn perform(route: &Route, call: &Call, state: &mut State) -> Reply {
    let result = match (&call.method, route) {
        (&Method::POST, Route::Collection { kind }) => {
            body(call).and_then(|body| create(kind, None, body, call, state))
        }
        (&Method::PUT, Route::Record { kind, reference: Reference::External(external) }) => {
            body(call).and_then(|body| upsert(kind, external, body, call, state))
        }
        (&Method::PUT, Route::Record { .. }) => Err(error(
            StatusCode::BAD_REQUEST,
            "INVALID_REQUEST",
            "PUT creates or updates by external id: use the path …/eid:EXTERNALID, or PATCH with an internal id.",
            None,
        )),
        (&Method::PATCH, Route::Record { kind, reference }) => body(call).and_then(|body| {
            let id = state.collection(kind).and_then(|collection| reference.find(collection)).ok_or_else(no_record)?;
            update(kind, &id, body, call, state)
        }),
        (&Method::DELETE, Route::Record { kind, reference }) => {
            let id = state.collection(kind).and_then(|collection| reference.find(collection));
            let effect = id.and_then(|id| state.erase(kind, &id));
            effect.map(|effect| Reply::empty(StatusCode::NO_CONTENT).effect(effect)).ok_or_else(no_record)
        }
        (
            _,
            Route::Collection { .. }
            | Route::Record { .. }
            | Route::Sublist { .. }
            | Route::Job(_)
            | Route::JobTasks(_)
            | Route::JobResult(_)
            | Route::SuiteQl,
        ) => Err(not_allowed()),
    };
    result.unwrap_or_else(|refusal| refusal)
}

fn body(call: &Call) -> Result<Map<String, Value>, Reply> {
    let kind = call.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/json") && !kind.starts_with("application/vnd.oracle.resource+json") {
        let detail = "Send the body as application/json.";
        return Err(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail, None));
    }
    match serde_json::from_slice(&call.body) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(content("The body must be a JSON object.", None)),
        Err(problem) => Err(content(&format!("The body is not JSON: {problem}."), None)),
    }
}

fn content(detail: &str, path: Option<&str>) -> Reply {
    error(StatusCode::BAD_REQUEST, "INVALID_CONTENT", detail, path)
}

fn invalid(problem: &Invalid) -> Reply {
    let Invalid { path, detail } = problem;
    content(&format!("Error while accessing a resource. {path}: {detail}."), Some(path))
}

fn upsert(
    kind: &str,
    external: &str,
    body: Map<String, Value>,
    call: &Call,
    state: &mut State,
) -> Result<Reply, Reply> {
    if external.is_empty() {
        return Err(content("The external id in the path is empty.", None));
    }
    if body.get("externalId").is_some_and(|given| given.as_str() != Some(external)) {
        return Err(content("externalId differs from the external id in the path.", Some("externalId")));
    }
    let found = state.collection(kind).and_then(|collection| collection.by_external(external).cloned());
    match found {
        Some(id) => update(kind, &id, body, call, state),
        None => create(kind, Some(external), body, call, state),
    }
}

fn create(
    kind: &str,
    external: Option<&str>,
    mut body: Map<String, Value>,
    call: &Call,
    state: &mut State,
) -> Result<Reply, Reply> {
    validate::check(kind, &body, true).map_err(|problem| invalid(&problem))?;
    let id = state.collection(kind).map(|collection| collection.fresh_id(FIRST_ID)).ok_or_else(|| no_type(kind))?;
    if let Some(external) = external {
        body.insert("externalId".to_owned(), json!(external));
    }
    body.retain(|_, value| !value.is_null());
    if validate::TRANSACTIONS.contains(&kind) && !body.contains_key("tranDate") {
        body.insert("tranDate".to_owned(), json!(call.now.strftime("%Y-%m-%d").to_string()));
    }
    for sublist in body.values_mut().filter_map(lines_of) {
        number(sublist);
    }
    body.insert("createdDate".to_owned(), json!(utc_time(call.now)));
    store(kind, &RecordId::Number(id), body, call, state)
}

fn update(
    kind: &str,
    id: &RecordId,
    changes: Map<String, Value>,
    call: &Call,
    state: &mut State,
) -> Result<Reply, Reply> {
    validate::check(kind, &changes, false).map_err(|problem| invalid(&problem))?;
    let current = state.collection(kind).and_then(|collection| collection.get(id)).map(Record::value);
    let Some(Value::Object(mut record)) = current else {
        return Err(no_record());
    };
    let replace: Vec<&str> = call.param("replace").unwrap_or_default().split(',').map(str::trim).collect();
    for (name, change) in changes {
        if matches!(name.as_str(), "id" | "links" | "createdDate" | "lastModifiedDate") {
            continue;
        }
        if change.is_null() {
            record.shift_remove(&name);
        } else if replace.contains(&name.as_str()) {
            record.insert(name, change);
        } else {
            apply(record.entry(name).or_insert(Value::Null), change);
        }
    }
    for sublist in record.values_mut().filter_map(lines_of) {
        number(sublist);
    }
    store(kind, id, record, call, state)
}

fn store(
    kind: &str,
    id: &RecordId,
    mut record: Map<String, Value>,
    call: &Call,
    state: &mut State,
) -> Result<Reply, Reply> {
    record.insert("lastModifiedDate".to_owned(), json!(utc_time(call.now)));
    let effect: Effect = match state.commit(kind, id, Value::Object(record)) {
        None => return Err(no_type(kind)),
        Some(Err(Conflict { external, .. })) => {
            let detail =
                format!("Error while accessing a resource. A record with external id {external} already exists.");
            return Err(error(StatusCode::BAD_REQUEST, "USER_ERROR", &detail, Some("externalId")));
        }
        Some(Ok(effect)) => effect,
    };
    Ok(Reply::empty(StatusCode::NO_CONTENT).header("Location", record_url(call, kind, id)).effect(effect))
}

/// The lines of a sublist; none for any other value.
fn lines_of(value: &mut Value) -> Option<&mut Vec<Value>> {
    value.get_mut("items").and_then(Value::as_array_mut)
}

/// Gives each line without a number the next one.
fn number(lines: &mut [Value]) {
    let mut last = lines.iter().filter_map(|line| line.get("line").and_then(Value::as_u64)).max().unwrap_or(0);
    for line in lines {
        if let Value::Object(fields) = line
            && !fields.contains_key("line")
        {
            last += 1;
            fields.insert("line".to_owned(), json!(last));
        }
    }
}

/// One field of an update. Lines with a number change the line that has it, others are added: to replace a sublist, a
/// request must name it in `?replace=`. A reference replaces, a subrecord is merged.
fn apply(target: &mut Value, change: Value) {
    match change {
        Value::Object(mut change) if change.contains_key("items") && target.get("items").is_some() => {
            let (Some(lines), Some(Value::Array(changes))) = (lines_of(target), change.remove("items")) else {
                return;
            };
            for change in changes {
                let wanted = change.get("line").cloned();
                let existing =
                    wanted.and_then(|wanted| lines.iter_mut().find(|line| line.get("line") == Some(&wanted)));
                match existing {
                    Some(line) => apply(line, change),
                    None => lines.push(change),
                }
            }
        }
        Value::Object(change) if target.is_object() && !is_reference(&change) => {
            if let Value::Object(fields) = target {
                for (name, value) in change {
                    if value.is_null() {
                        fields.shift_remove(&name);
                    } else {
                        apply(fields.entry(name).or_insert(Value::Null), value);
                    }
                }
            }
        }
        other => *target = other,
    }
}

fn is_reference(object: &Map<String, Value>) -> bool {
    object.contains_key("id") || object.contains_key("externalId")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_a_number_are_added_and_numbered_ones_change_theirs() {
        let mut sublist = json!({"items": [{"line": 1, "rate": 1}, {"line": 2, "rate": 2}]});
        apply(&mut sublist, json!({"items": [{"line": 2, "rate": 9}, {"rate": 3}]}));
        number(lines_of(&mut sublist).unwrap());
        let expected = json!({"items": [{"line": 1, "rate": 1}, {"line": 2, "rate": 9}, {"rate": 3, "line": 3}]});
        assert_eq!(sublist, expected);
    }

    #[test]
    fn a_reference_is_replaced_and_a_subrecord_is_merged() {
        let mut entity = json!({"id": "1", "refName": "One"});
        apply(&mut entity, json!({"id": "2"}));
        assert_eq!(entity, json!({"id": "2"}));
        let mut address = json!({"city": "A", "zip": "1"});
        apply(&mut address, json!({"city": "B", "zip": null}));
        assert_eq!(address, json!({"city": "B"}));
    }
}
