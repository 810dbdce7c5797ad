//! SAP's writes, and what they need: a token that was fetched with the session it belongs to, and the ETag of the state to be changed.

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{CHANGED, Sap, Set, entity, error, etag, not_found};
use crate::merge::merge;
use crate::message::{Call, Reply};
use crate::random::{Stream, seed_of};
use crate::store::{Record, RecordId, State};
use crate::vendor::Vendor as _;

const SESSION: &str = "SAP_SESSIONID_X01_100";

/// The token that belongs to a session.
fn token_of(session: &str) -> String {
    Stream::new(seed_of(session), 1).uuid()
}

fn session(call: &Call) -> Option<&str> {
    let cookies = call.headers.get_all("cookie").into_iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(SESSION)?.strip_prefix('='))
}

/// Gives a token and its session to a reading request that asks for one.
pub(super) fn with_token(reply: Reply, call: &Call) -> Reply {
    let asks = call.header("x-csrf-token").is_some_and(|value| value.eq_ignore_ascii_case("fetch"));
    if !asks || !matches!(call.method, Method::GET | Method::HEAD) {
        return reply;
    }
    let session = &call.request_id;
    reply
        .header("X-CSRF-Token", token_of(session))
        .header("Set-Cookie", format!("{SESSION}={session}; path=/; HttpOnly"))
        .header("Set-Cookie", "sap-usercontext=sap-client=100; path=/")
}

/// Whether a writing request carries the token of its session.
pub(super) fn is_genuine(call: &Call) -> bool {
    let (token, session) = (call.header("x-csrf-token"), session(call));
    session.is_some_and(|session| token == Some(token_of(session).as_str()))
}

/// Version 2 answers in XML unless it is asked otherwise.
pub(super) fn wants_json(call: &Call) -> bool {
    call.param("$format") == Some("json")
        || call.header("accept").is_some_and(|accept| accept.contains("application/json"))
}

fn body(set: &Set, call: &Call) -> Result<Map<String, Value>, Reply> {
    let bad =
        || error(set.v2, StatusCode::BAD_REQUEST, "/IWCOR/CX_DS_EDM_INPUT_ERR", "The request body cannot be parsed");
    let fields = call.object().ok_or_else(bad)?;
    let unknown = fields
        .keys()
        .find(|name| !name.starts_with(|first: char| first.is_ascii_uppercase() || first == '_' || first == 't'));
    match unknown {
        Some(name) => {
            let message = format!("Property '{name}' is invalid");
            Err(error(set.v2, StatusCode::BAD_REQUEST, "/IWBEP/CM_MGW_RT/176", &message))
        }
        None => Ok(fields),
    }
}

/// `POST Set`: the number is given by the system.
pub(super) fn create(set: &'static Set, call: &Call, state: &mut State) -> Reply {
    let fields = match body(set, call) {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    if let Some(absent) =
        set.needed.iter().find(|name| fields.get(**name).and_then(Value::as_str).is_none_or(str::is_empty))
    {
        return error(set.v2, StatusCode::BAD_REQUEST, "V1/301", &format!("Enter a value for {absent}"));
    }
    let Some(collection) = state.collection(set.name) else { return not_found(set.v2) };
    let id = RecordId::Number(collection.fresh_id(60_000_000));
    commit(set, &id, Value::Object(fields), StatusCode::CREATED, call, state)
}

/// The record to be changed, if the request knows its state.
fn current(set: &Set, id: &RecordId, call: &Call, state: &mut State) -> Result<Value, Reply> {
    let found = state.collection(set.name).and_then(|found| found.get(id)).map(Record::value);
    let found = found.ok_or_else(|| not_found(set.v2))?;
    match call.header("if-match") {
        None => Err(error(set.v2, StatusCode::PRECONDITION_REQUIRED, "428", "An If-Match header is required")),
        Some(tag) if tag == "*" || tag == etag(&found) => Ok(found),
        Some(_) => {
            Err(error(set.v2, StatusCode::PRECONDITION_FAILED, "412", "The resource has been changed meanwhile"))
        }
    }
}

/// `PATCH Set(key)`.
pub(super) fn change(set: &'static Set, id: &RecordId, call: &Call, state: &mut State) -> Reply {
    let mut record = match current(set, id, call, state) {
        Ok(record) => record,
        Err(refusal) => return refusal,
    };
    match body(set, call) {
        Ok(fields) => merge(&mut record, Value::Object(fields)),
        Err(refusal) => return refusal,
    }
    commit(set, id, record, StatusCode::NO_CONTENT, call, state)
}

/// `DELETE Set(key)`.
pub(super) fn delete(set: &'static Set, id: &RecordId, call: &Call, state: &mut State) -> Reply {
    match current(set, id, call, state) {
        Ok(_) => {
            let effect = state.erase(set.name, id);
            effect.map_or_else(|| not_found(set.v2), |effect| Reply::empty(StatusCode::NO_CONTENT).effect(effect))
        }
        Err(refusal) => refusal,
    }
}

fn commit(
    set: &'static Set,
    id: &RecordId,
    mut record: Value,
    status: StatusCode,
    call: &Call,
    state: &mut State,
) -> Reply {
    let settings = Sap.settings();
    record[CHANGED] = json!(Sap.format_time(call.now, &settings));
    let Some(Ok(effect)) = state.commit(set.name, id, record) else { return not_found(set.v2) };
    let stored = state.collection(set.name).and_then(|found| found.get(id)).map(Record::value).unwrap_or_default();
    if status == StatusCode::NO_CONTENT {
        return Reply::empty(status).header("ETag", etag(&stored)).effect(effect);
    }
    entity(set, &stored, &call.base, status).effect(effect)
}
