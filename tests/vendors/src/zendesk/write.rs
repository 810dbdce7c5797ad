//! Zendesk's writes: tickets, created once for each idempotency key, and users by external id or email. Runs under the state's lock.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{ANSWERS, bad, invalid, not_found};
use crate::dialect::{self, json, utc};
use crate::message::{Call, Effect, Reply};
use crate::store::{Record, RecordId, State};
use crate::wire::WriteKind;

/// `POST /api/v2/tickets`. The same key with the same body is answered as before; with another body it is refused.
pub(super) fn create_ticket(call: &Call, state: &mut State) -> Reply {
    let key = call.header("idempotency-key");
    let sent = String::from_utf8_lossy(&call.body).into_owned();
    if let Some(kept) = key.and_then(|key| kept(key, state)) {
        if kept["sent"] != sent {
            return bad("IdempotentRequestError", "Request parameters do not match those of the first request");
        }
        return json(StatusCode::CREATED, &kept["answer"]).header("x-idempotency-lookup", "hit");
    }
    let fields = match ticket_of(call) {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    if fields.get("comment").and_then(|comment| comment.get("body").or_else(|| comment.get("html_body"))).is_none() {
        return invalid("base", "Description: cannot be blank");
    }
    let Some((ticket, effect)) = write_ticket(None, fields, call, state) else { return not_found() };
    let answer = json!({"ticket": ticket, "audit": {"id": 1, "events": []}});
    let reply = json(StatusCode::CREATED, &answer).effect(effect);
    let Some(key) = key else { return reply };
    if let Some(collection) = state.collection(ANSWERS) {
        let id = RecordId::Number(collection.fresh_id(0));
        // The key is new, so no other record has it.
        let _kept = collection.put(&id, json!({"key": key, "sent": sent, "answer": answer}));
    }
    reply.header("x-idempotency-lookup", "miss")
}

fn kept(key: &str, state: &mut State) -> Option<Value> {
    let collection = state.collection(ANSWERS)?;
    collection.by_external(key).and_then(|id| collection.get(id)).map(Record::value)
}

/// `PUT /api/v2/tickets/{id}`.
pub(super) fn update_ticket(id: &str, call: &Call, state: &mut State) -> Reply {
    let id = RecordId::parse(id);
    if state.collection("tickets").is_none_or(|collection| collection.get(&id).is_none()) {
        return not_found();
    }
    let fields = match ticket_of(call) {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    let Some((ticket, effect)) = write_ticket(Some(id), fields, call, state) else { return not_found() };
    json(StatusCode::OK, &json!({"ticket": ticket, "audit": {"id": 1, "events": []}})).effect(effect)
}

/// `DELETE /api/v2/tickets/{id}`.
pub(super) fn delete_ticket(id: &str, state: &mut State) -> Reply {
    let effect = state.erase("tickets", &RecordId::parse(id));
    effect.map_or_else(not_found, |effect| Reply::empty(StatusCode::NO_CONTENT).effect(effect))
}

/// `POST /api/v2/users/create_or_update`: 201 for a new user, 200 for one with the external id or email.
pub(super) fn create_or_update_user(call: &Call, state: &mut State) -> Reply {
    let body = dialect::object(call).map(Value::Object).unwrap_or_default();
    let Some(fields) = body["user"].as_object() else {
        return bad("InvalidValue", "the body needs an object named user");
    };
    let Some(collection) = state.collection("users") else { return not_found() };
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let by_external = text("external_id").and_then(|external| collection.by_external(external).cloned());
    let by_email = || {
        let email = text("email")?;
        collection.iter().find(|(_, record)| record.value()["email"] == email).map(|(id, _)| id.clone())
    };
    let found = by_external.or_else(by_email);
    if found.is_none() && text("name").is_none_or(str::is_empty) {
        return invalid("name", "Name: is too short (minimum one character)");
    }
    let before = found.as_ref().and_then(|id| collection.get(id)).map(Record::value);
    let id = found.unwrap_or_else(|| RecordId::Number(collection.fresh_id(1_000)));
    let mut user = before.unwrap_or_else(|| json!({"created_at": utc(call.now), "role": "end-user"}));
    stamp(&mut user, fields.clone(), call);
    match state.commit("users", &id, user) {
        Some(Ok(effect)) => {
            let user = state.collection("users").and_then(|collection| collection.get(&id)).map(Record::value);
            let created = effect.kind == WriteKind::Created;
            let status = if created { StatusCode::CREATED } else { StatusCode::OK };
            json(status, &json!({"user": user})).effect(effect)
        }
        Some(Err(conflict)) => invalid("external_id", &conflict.to_string()),
        None => not_found(),
    }
}

fn ticket_of(call: &Call) -> Result<Map<String, Value>, Reply> {
    let body = dialect::object(call).map(Value::Object).unwrap_or_default();
    let fields =
        body["ticket"].as_object().ok_or_else(|| bad("InvalidValue", "the body needs an object named ticket"))?;
    let status = fields.get("status").and_then(Value::as_str).unwrap_or("open");
    if !["new", "open", "pending", "hold", "solved", "closed"].contains(&status) {
        return Err(invalid("status", "Status: is not included in the list"));
    }
    Ok(fields.clone())
}

fn write_ticket(
    found: Option<RecordId>,
    mut fields: Map<String, Value>,
    call: &Call,
    state: &mut State,
) -> Option<(Value, Effect)> {
    let collection = state.collection("tickets")?;
    let before = found.as_ref().and_then(|id| collection.get(id)).map(Record::value);
    let id = found.unwrap_or_else(|| RecordId::Number(collection.fresh_id(10_000)));
    if let Some(comment) = fields.shift_remove("comment").filter(|_| before.is_none()) {
        fields.insert("description".to_owned(), comment["body"].clone());
    }
    let mut ticket =
        before.unwrap_or_else(|| json!({"created_at": utc(call.now), "status": "open", "external_id": null}));
    stamp(&mut ticket, fields, call);
    let effect = state.commit("tickets", &id, ticket)?.ok()?;
    let ticket = state.collection("tickets")?.get(&id).map(Record::value)?;
    Some((ticket, effect))
}

fn stamp(record: &mut Value, fields: Map<String, Value>, call: &Call) {
    for (name, value) in fields {
        record[name] = value;
    }
    record["updated_at"] = json!(utc(call.now));
}
