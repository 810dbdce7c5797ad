//! Salesforce's writes: update, upsert by external id, delete, and collections of upserts, each record for itself. Runs under the state's
//! lock, so that looking a record up and writing it are one step.

use std::collections::HashMap;

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{CUSTOM_PREFIX, EXTERNAL_ID, JSON, Reference, error, no_field, not_found, standard, written};
use crate::message::{Call, Effect, Reply};
use crate::store::{Record, RecordId, State};
use crate::wire::WriteKind;

/// Most records that a collection takes.
const MOST_RECORDS: usize = 200;

/// Why one record is not written.
struct Refused {
    code: &'static str,
    message: String,
    fields: Vec<String>,
}

fn refused(code: &'static str, message: impl Into<String>, fields: &[&str]) -> Refused {
    Refused { code, message: message.into(), fields: fields.iter().map(|field| (*field).to_owned()).collect() }
}

/// One record that was written.
struct Done {
    id: RecordId,
    effect: Effect,
}

/// Updates, upserts or deletes one record.
pub(super) fn record(object: &str, reference: &Reference, call: &Call, state: &mut State) -> Reply {
    if let Err(refusal) = reference.check() {
        return refusal;
    }
    let found = state.collection(object).and_then(|collection| reference.find(collection));
    if call.method == Method::DELETE {
        let effect = found.and_then(|id| state.erase(object, &id));
        return effect.map_or_else(not_found, |effect| Reply::empty(StatusCode::NO_CONTENT).effect(effect));
    }
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&call.body) else {
        return error(StatusCode::BAD_REQUEST, "JSON_PARSER_ERROR", "The body must be a JSON object");
    };
    let external = match (reference, &found) {
        (Reference::Id(_), None) => return not_found(),
        (Reference::Id(_), Some(_)) => None,
        (Reference::External { .. }, _) if fields.contains_key(EXTERNAL_ID) => {
            let message = format!("The {EXTERNAL_ID} field should not be specified in the sobject data.");
            return error(StatusCode::BAD_REQUEST, "INVALID_FIELD", &message);
        }
        (Reference::External { value, .. }, _) => Some(value.as_str()),
    };
    fields.shift_remove("attributes");
    match write(object, found, external, fields, call, state) {
        Ok(done) => single(&done),
        Err(Refused { code, message, fields }) => {
            let body = json!([{"message": message, "errorCode": code, "fields": fields}]);
            Reply::json(StatusCode::BAD_REQUEST, JSON, &body)
        }
    }
}

fn single(done: &Done) -> Reply {
    let created = done.effect.kind == WriteKind::Created;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let body = json!({"id": done.id.to_string(), "success": true, "errors": [], "created": created});
    Reply::json(status, JSON, &body).effect(done.effect.clone())
}

/// `PATCH …/composite/sobjects/{object}/{field}`: each record is upserted for itself, or all are if the request says so.
pub(super) fn collection(object: &str, field: &str, call: &Call, state: &mut State) -> Reply {
    if field != EXTERNAL_ID {
        return no_field(field);
    }
    let bad = |message: &str| error(StatusCode::BAD_REQUEST, "JSON_PARSER_ERROR", message);
    let Ok(Value::Object(body)) = serde_json::from_slice(&call.body) else {
        return bad("The body must be a JSON object");
    };
    let all_or_none = body.get("allOrNone").and_then(Value::as_bool).unwrap_or(false);
    let Some(records) = body.get("records").and_then(Value::as_array) else {
        return bad("The body needs a list named records");
    };
    if records.len() > MOST_RECORDS {
        let message = format!("At most {MOST_RECORDS} records are allowed in one request");
        return error(StatusCode::BAD_REQUEST, "LIMIT_EXCEEDED", &message);
    }
    if records.iter().any(|record| record.pointer("/attributes/type").and_then(Value::as_str) != Some(object)) {
        return bad(&format!("Each record needs attributes with the type {object}"));
    }
    let mut problems = problems(object, records, call, state);
    if all_or_none && problems.iter().any(Option::is_some) {
        let rolled_back =
            || refused("ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because another failed", &[]);
        problems = problems.into_iter().map(|problem| Some(problem.unwrap_or_else(rolled_back))).collect();
    }
    let results = records.iter().zip(problems).map(|(record, problem)| match problem {
        Some(problem) => Err(problem),
        None => row(object, record, call, state),
    });
    let results: Vec<Result<Done, Refused>> = results.collect();
    let rows = results.iter().map(|result| match result {
        Ok(done) => {
            let created = done.effect.kind == WriteKind::Created;
            json!({"id": done.id.to_string(), "success": true, "errors": [], "created": created})
        }
        Err(Refused { code, message, fields }) => {
            json!({"success": false, "errors": [{"statusCode": code, "message": message, "fields": fields}]})
        }
    });
    let mut reply = Reply::json(StatusCode::OK, JSON, &rows.collect());
    reply.effects = results.into_iter().flatten().map(|done| done.effect).collect();
    reply
}

/// What is wrong with each record before any is written.
fn problems(object: &str, records: &[Value], call: &Call, state: &mut State) -> Vec<Option<Refused>> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for external in records.iter().filter_map(external_id) {
        *counts.entry(external).or_default() += 1;
    }
    let struck = |row: usize, record: &Value| {
        call.refused_rows.as_ref().is_some_and(|rows| rows.strike(&call.request_id, row, record))
    };
    let problem = |(index, record): (usize, &Value)| {
        let Some(external) = external_id(record) else {
            return Some(refused("MISSING_ARGUMENT", format!("{EXTERNAL_ID} not specified"), &[]));
        };
        if struck(index, record) {
            return Some(refused("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record", &[]));
        }
        if counts.get(external).is_some_and(|count| *count > 1) {
            let message = format!("Duplicate external id specified: {external}");
            return Some(refused("DUPLICATE_VALUE", message, &[EXTERNAL_ID]));
        }
        let is_new = state.collection(object).is_some_and(|collection| collection.by_external(external).is_none());
        let fields = record.as_object()?;
        missing(object, fields).filter(|_| is_new)
    };
    records.iter().enumerate().map(problem).collect()
}

fn external_id(record: &Value) -> Option<&str> {
    record.get(EXTERNAL_ID).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn row(object: &str, record: &Value, call: &Call, state: &mut State) -> Result<Done, Refused> {
    let external = external_id(record).unwrap_or_default();
    let mut fields = record.as_object().cloned().unwrap_or_default();
    fields.retain(|name, _| name != "attributes" && name != EXTERNAL_ID);
    let found = state.collection(object).and_then(|collection| collection.by_external(external).cloned());
    write(object, found, Some(external), fields, call, state)
}

fn missing(object: &str, fields: &Map<String, Value>) -> Option<Refused> {
    let needed = standard(object).and_then(|(.., needed)| *needed)?;
    let there = fields.get(needed).is_some_and(|value| !value.is_null());
    (!there).then(|| refused("REQUIRED_FIELD_MISSING", format!("Required fields are missing: [{needed}]"), &[needed]))
}

fn write(
    object: &str,
    found: Option<RecordId>,
    external: Option<&str>,
    fields: Map<String, Value>,
    call: &Call,
    state: &mut State,
) -> Result<Done, Refused> {
    if let Some(field) = ["Id", "CreatedDate", "LastModifiedDate"].into_iter().find(|field| fields.contains_key(*field))
    {
        let message = format!("The {field} field should not be specified in the sobject data.");
        return Err(refused("INVALID_FIELD", message, &[field]));
    }
    let unknown = || refused("NOT_FOUND", "The requested resource does not exist", &[]);
    let collection = state.collection(object).ok_or_else(unknown)?;
    let (id, mut record) =
        match found.and_then(|id| collection.get(&id).map(|record| (id.clone(), Record::value(record)))) {
            Some((id, Value::Object(record))) => (id, record),
            Some(_) | None => {
                if let Some(problem) = missing(object, &fields) {
                    return Err(problem);
                }
                let prefix = standard(object).map_or(CUSTOM_PREFIX, |(_, prefix, _)| *prefix);
                let id = RecordId::parse(&format!("{prefix}{:012}AAA", collection.fresh_id(0)));
                let mut record = Map::new();
                record.insert("CreatedDate".to_owned(), json!(written(call.now)));
                if let Some(external) = external {
                    record.insert(EXTERNAL_ID.to_owned(), json!(external));
                }
                (id, record)
            }
        };
    record.extend(fields);
    record.insert("LastModifiedDate".to_owned(), json!(written(call.now)));
    match state.commit(object, &id, Value::Object(record)) {
        Some(Ok(effect)) => Ok(Done { id, effect }),
        Some(Err(conflict)) => Err(refused("DUPLICATE_VALUE", conflict.to_string(), &[EXTERNAL_ID])),
        None => Err(unknown()),
    }
}
