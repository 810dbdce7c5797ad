//! Stripe's writes: forms, idempotency keys, and an event for everything that changes. Runs under the state's lock.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{EVENTS, JSON, KEYS, Resource, error, invalid, missing};
use crate::merge::merge;
use crate::message::{Call, Reply};
use crate::random::seed_of;
use crate::store::{Record, RecordId, State};

/// Runs `work` once for an idempotency key: the same request again is answered as before, another one with the same key is refused.
pub(super) fn once(call: &Call, state: &mut State, work: impl FnOnce(&mut State) -> Reply) -> Reply {
    let Some(key) = call.header("idempotency-key") else { return work(state) };
    let request = format!("{} {} {:x}", call.method, call.path, seed_of(&String::from_utf8_lossy(&call.body)));
    let earlier = state.collection(KEYS).and_then(|keys| keys.get(keys.by_external(key)?).map(Record::value));
    if let Some(earlier) = earlier {
        if earlier["request"] != json!(request) {
            let message =
                "Keys for idempotent requests can only be used with the same parameters they were first used with.";
            return error(StatusCode::BAD_REQUEST, "idempotency_error", None, message, None);
        }
        return Reply::json(StatusCode::OK, JSON, &earlier["answer"]).header("Idempotent-Replayed", "true");
    }
    let reply = work(state);
    if let Some(keys) = state.collection(KEYS).filter(|_| reply.status.is_success()) {
        let id = RecordId::Number(keys.fresh_id(0));
        let answer = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
        // The key was looked up under the same lock, so it is free.
        let _no_conflict = keys.put(&id, json!({"key": key, "request": request, "answer": answer}));
    }
    reply.header("Idempotency-Key", key)
}

/// The parameters of a request.
fn parameters(call: &Call) -> Result<Map<String, Value>, Reply> {
    let form = call.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if !form && !call.body.is_empty() {
        let message = "Invalid request (check that your POST content type is application/x-www-form-urlencoded).";
        return Err(invalid(message, None));
    }
    super::form::parse(&String::from_utf8_lossy(&call.body))
        .map_err(|name| invalid(&format!("Invalid value for parameter: {name}"), Some(&name)))
}

/// `POST /v1/{resource}`.
pub(super) fn create(resource: &'static Resource, call: &Call, state: &mut State) -> Reply {
    let mut fields = match parameters(call) {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    if let Err(refusal) = check(resource, &mut fields, state) {
        return refusal;
    }
    let Some(collection) = state.collection(resource.plural) else { return missing(resource, "") };
    let id = RecordId::Text(format!("{}{:012}", resource.prefix, collection.fresh_id(900_000_000)).into());
    let mut record = json!({"id": id.to_string(), "object": resource.singular, "created": call.now.as_second(), "livemode": false, "metadata": {}});
    merge(&mut record, Value::Object(fields));
    commit(resource, &id, &record, "created", call, state)
}

/// What each kind of record needs, and what Stripe adds.
fn check(resource: &Resource, fields: &mut Map<String, Value>, state: &mut State) -> Result<(), Reply> {
    let required: &[&str] = match resource.plural {
        "payment_intents" => &["amount", "currency"],
        "products" => &["name"],
        _ => &[],
    };
    if let Some(absent) = required.iter().find(|name| !fields.contains_key(**name)) {
        return Err(invalid(&format!("Missing required param: {absent}."), Some(absent)));
    }
    match resource.plural {
        "customers" | "products" => Ok(()),
        "payment_intents" => {
            fields.insert("status".to_owned(), json!("requires_payment_method"));
            Ok(())
        }
        "refunds" => refund(fields, state),
        _ => Err(invalid("Unrecognized request URL (POST).", None)),
    }
}

/// A refund needs a charge that exists and is not worth less.
fn refund(fields: &mut Map<String, Value>, state: &mut State) -> Result<(), Reply> {
    let Some(charge) = fields.get("charge").and_then(Value::as_str).map(RecordId::parse) else {
        return Err(invalid(
            "One of the following params should be provided for this request: payment_intent or charge.",
            None,
        ));
    };
    let found = state.collection("charges").and_then(|charges| charges.get(&charge)).map(Record::value);
    let Some(mut found) = found else {
        return Err(invalid(&format!("No such charge: '{charge}'"), Some("charge")));
    };
    let whole = found["amount"].as_i64().unwrap_or(0);
    let before = found["amount_refunded"].as_i64().unwrap_or(0);
    let amount = fields.get("amount").and_then(Value::as_i64).unwrap_or(whole - before);
    if amount <= 0 || before + amount > whole {
        let message =
            format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({})", whole - before);
        return Err(invalid(&message, Some("amount")));
    }
    fields.insert("amount".to_owned(), json!(amount));
    fields.insert("currency".to_owned(), found["currency"].clone());
    fields.insert("status".to_owned(), json!("succeeded"));
    found["amount_refunded"] = json!(before + amount);
    found["refunded"] = json!(before + amount == whole);
    if let Some(charges) = state.collection("charges") {
        // Charges have no external ids.
        let _no_conflict = charges.put(&charge, found);
    }
    Ok(())
}

/// `POST /v1/{resource}/{id}`: named fields change, metadata is merged, an empty text takes one away.
pub(super) fn update(resource: &'static Resource, id: &RecordId, call: &Call, state: &mut State) -> Reply {
    let fields = match parameters(call) {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    let current = state.collection(resource.plural).and_then(|collection| collection.get(id)).map(Record::value);
    let Some(mut record) = current else { return missing(resource, &id.to_string()) };
    merge(&mut record, unset(Value::Object(fields)));
    commit(resource, id, &record, "updated", call, state)
}

/// Empty texts as nulls, which a merge takes away.
fn unset(value: Value) -> Value {
    match value {
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, unset(value))).collect(),
        other => other,
    }
}

/// `DELETE /v1/{resource}/{id}`.
pub(super) fn delete(resource: &'static Resource, id: &RecordId, call: &Call, state: &mut State) -> Reply {
    let current = state.collection(resource.plural).and_then(|collection| collection.get(id)).map(Record::value);
    let (Some(record), Some(effect)) = (current, state.erase(resource.plural, id)) else {
        return missing(resource, &id.to_string());
    };
    happened(resource, &record, "deleted", call, state);
    let body = json!({"id": id.to_string(), "object": resource.singular, "deleted": true});
    Reply::json(StatusCode::OK, JSON, &body).effect(effect)
}

fn commit(
    resource: &'static Resource,
    id: &RecordId,
    record: &Value,
    what: &str,
    call: &Call,
    state: &mut State,
) -> Reply {
    let Some(Ok(effect)) = state.commit(resource.plural, id, record.clone()) else {
        return missing(resource, &id.to_string());
    };
    happened(resource, record, what, call, state);
    Reply::json(StatusCode::OK, JSON, record).effect(effect)
}

/// Tells of a change in the list of events.
fn happened(resource: &Resource, record: &Value, what: &str, call: &Call, state: &mut State) {
    let Some(events) = state.collection(EVENTS) else { return };
    let id = format!("evt_{:012}", events.fresh_id(900_000_000));
    let event = json!({
        "id": id, "object": "event", "created": call.now.as_second(), "livemode": false, "pending_webhooks": 0,
        "type": format!("{}.{what}", resource.singular), "data": {"object": record},
    });
    // Events have no external ids.
    let _no_conflict = events.put(&RecordId::Text(id.into()), event);
}
