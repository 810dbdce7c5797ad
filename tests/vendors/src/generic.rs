//! A system of nobody's in particular, as warehouse tools and internal analytics are: JSON collections under `/v{version}/{collection}`,
//! bearer tokens, pages by cursor, RFC 9457 errors, `Idempotency-Key`, and the `RateLimit-*` headers of the IETF's draft.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::pages::{EVERYTHING, Wanted, cursor, placed};
use crate::random::seed_of;
use crate::store::{Layout, Record, RecordId, Sort, State};
use crate::vendor::{Finish, Refusal, Vendor, Versions, settings};
use crate::wire::{SeedRequest, Settings, WriteKind};

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const COLLECTIONS: &[&str] = &["customers", "events", "menus", "orders", "products", "shipments", "stock"];
/// Answers that were given under an idempotency key.
const ANSWERS: &str = "idempotency";
/// How long an idempotency key is remembered.
const REMEMBERED_SECONDS: i64 = 24 * 3600;
/// Most records of a batch.
const MOST_RECORDS: usize = 100;

/// The vendor.
pub(crate) struct Generic;

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    List(&'static str),
    Batch(&'static str),
    One(&'static str, RecordId),
}

fn route(call: &Call) -> Option<(String, Route)> {
    let segments = call.segments();
    let [version, collection, rest @ ..] = &segments.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] else {
        return None;
    };
    let collection = COLLECTIONS.iter().copied().find(|known| known == collection)?;
    let route = match rest {
        [] => Route::List(collection),
        ["batch"] => Route::Batch(collection),
        [id] => Route::One(collection, RecordId::parse(id)),
        _ => return None,
    };
    Some((version.strip_prefix('v')?.to_owned(), route))
}

fn layout(collection: &str) -> Option<Layout> {
    let answers = collection == ANSWERS;
    (answers || COLLECTIONS.contains(&collection)).then_some(Layout {
        id_field: "id",
        numeric_id: false,
        created_field: Some("created_at"),
        updated_field: Some("updated_at"),
        external_field: answers.then_some("key"),
        flags: |_| 0,
    })
}

fn problem(status: StatusCode, detail: &str) -> Reply {
    let title = status.canonical_reason().unwrap_or_default();
    Reply::json(
        status,
        PROBLEM,
        &json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail}),
    )
}

fn not_found() -> Reply {
    problem(StatusCode::NOT_FOUND, "There is nothing here.")
}

fn micros(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

fn list(collection: &'static str, call: &Call, settings: &Settings, state: &mut State) -> Reply {
    let time = |name: &str| match call.param(name).map(micros) {
        None => Ok(Bound::Unbounded),
        Some(Some(time)) => Ok(Bound::Included(time)),
        Some(None) => Err(problem(StatusCode::BAD_REQUEST, "times are RFC 3339")),
    };
    let (low, high) = match (time("updated_since"), time("updated_until")) {
        (Ok(low), Ok(high)) => (low, high),
        (Err(refusal), _) | (_, Err(refusal)) => return refusal,
    };
    let after = call.param("cursor").map(placed);
    if after == Some(None) {
        return problem(StatusCode::BAD_REQUEST, "this cursor is not one of ours");
    }
    let limit = call.number("limit", settings.page_size_default).unwrap_or(0);
    if limit == 0 || limit > settings.page_size_max {
        return problem(StatusCode::BAD_REQUEST, "limit is out of range");
    }
    let wanted = Wanted { sort: Sort::Updated, range: (low, high), after: after.flatten(), limit, ..EVERYTHING };
    let Some(collection) = state.collection(collection) else { return not_found() };
    let page = wanted.page(collection);
    let next = page.last.filter(|_| page.more).map(|place| cursor(&place));
    Reply::json(StatusCode::OK, JSON, &json!({"data": page.records, "next": next}))
}

/// Writes one record: a new one, or over the one with its id.
fn put(collection: &str, id: &RecordId, mut fields: Map<String, Value>, call: &Call, state: &mut State) -> Reply {
    if fields.get("quantity").is_some_and(|quantity| quantity.as_f64().is_none_or(|quantity| quantity < 0.0)) {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "quantity must be a number of 0 or more");
    }
    let now = Generic.format_time(call.now, &Generic.settings());
    let current = state.collection(collection).and_then(|collection| collection.get(id)).map(Record::value);
    let made = current.as_ref().map_or(&now, |current| &current["created_at"]).clone();
    fields.insert("created_at".to_owned(), made);
    fields.insert("updated_at".to_owned(), now);
    let Some(Ok(effect)) = state.commit(collection, id, Value::Object(fields)) else { return not_found() };
    let status = if effect.kind == WriteKind::Created { StatusCode::CREATED } else { StatusCode::OK };
    let shown = state.collection(collection).and_then(|collection| collection.get(id)).map(Record::value);
    Reply::json(status, JSON, &shown.unwrap_or_default()).effect(effect)
}

fn create(collection: &str, call: &Call, state: &mut State) -> Reply {
    let Some(fields) = call.object() else { return problem(StatusCode::BAD_REQUEST, "the body must be a JSON object") };
    let id = match fields.get("id").and_then(Value::as_str) {
        Some(id) => RecordId::parse(id),
        None => RecordId::Number(state.collection(collection).map_or(1, |collection| collection.fresh_id(1_000_000))),
    };
    if state.collection(collection).is_some_and(|collection| collection.get(&id).is_some()) {
        return problem(StatusCode::CONFLICT, "a record with this id is there already");
    }
    put(collection, &id, fields, call, state)
}

fn batch(collection: &str, call: &Call, state: &mut State) -> Reply {
    let items = call.object().and_then(|mut body| body.remove("items"));
    let Some(Value::Array(items)) =
        items.filter(|items| items.as_array().is_some_and(|items| items.len() <= MOST_RECORDS))
    else {
        return problem(StatusCode::BAD_REQUEST, "items must be a list of at most 100 records");
    };
    let mut effects = Vec::new();
    let mut results = Vec::new();
    for (row, item) in items.into_iter().enumerate() {
        let id = item["id"].as_str().map(RecordId::parse);
        let struck = call.refused_rows.as_ref().is_some_and(|rows| rows.strike(&call.request_id, row, &item));
        let reply = match (id, item) {
            (Some(id), Value::Object(fields)) if !struck => put(collection, &id, fields, call, state),
            _ => problem(StatusCode::UNPROCESSABLE_ENTITY, "this record cannot be taken"),
        };
        let said: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        results.push(json!({"status": reply.status.as_u16(), "id": said["id"], "message": said["detail"]}));
        effects.extend(reply.effects);
    }
    let mut reply = Reply::json(StatusCode::OK, JSON, &json!({"results": results}));
    reply.effects = effects;
    reply
}

/// Does the work once for an idempotency key: the same request again is answered as before for as long as the key is remembered, another one with
/// the same key is refused, and a key that was forgotten is a new one. What failed is not remembered.
fn once(call: &Call, state: &mut State, work: impl FnOnce(&mut State) -> Reply) -> Reply {
    let Some(key) = call.header("idempotency-key") else { return work(state) };
    let request = format!("{} {} {:x}", call.method, call.path, seed_of(&String::from_utf8_lossy(&call.body)));
    let known = state.collection(ANSWERS).and_then(|answers| {
        let id = answers.by_external(key)?.clone();
        let answer = answers.get(&id).map(Record::value)?;
        Some((id, answer))
    });
    let now = call.now.as_second();
    if let Some((_, known)) = &known
        && known["at"].as_i64().is_some_and(|at| now < at + REMEMBERED_SECONDS)
    {
        if known["request"] != json!(request) {
            return problem(StatusCode::UNPROCESSABLE_ENTITY, "this idempotency key was used for another request");
        }
        let code = known["status"].as_u64().and_then(|code| u16::try_from(code).ok());
        let status = code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK);
        return Reply::json(status, JSON, &known["answer"]).header("Idempotency-Replayed", "true");
    }
    let reply = work(state);
    if let Some(answers) = state.collection(ANSWERS).filter(|_| reply.status.is_success()) {
        let id = known.map_or_else(|| RecordId::Number(answers.fresh_id(0)), |(id, _)| id);
        let answer = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
        let status = reply.status.as_u16();
        // The key was looked up under the same lock, so it is free, or this record's own.
        let _no_conflict =
            answers.put(&id, json!({"key": key, "request": request, "at": now, "status": status, "answer": answer}));
    }
    reply
}

impl Vendor for Generic {
    fn name(&self) -> &'static str {
        "rest"
    }

    fn settings(&self) -> Settings {
        Settings { api_versions: vec!["1".to_owned(), "2".to_owned()], ..settings(50, 200) }
    }

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    fn route(&self, call: &Call) -> Cow<'static, str> {
        match route(call) {
            None => "{unknown}".into(),
            Some((_, Route::List(collection))) => format!("/v{{version}}/{collection}").into(),
            Some((_, Route::Batch(collection))) => format!("/v{{version}}/{collection}/batch").into(),
            Some((_, Route::One(collection, _))) => format!("/v{{version}}/{collection}/{{id}}").into(),
        }
    }

    fn versions(&self, call: &Call, settings: &Settings) -> Option<Versions> {
        let requested = route(call)?.0;
        settings.api_versions.contains(&requested).then(|| Versions { served: requested.clone(), requested })
    }

    fn idempotency_key<'a>(&self, call: &'a Call) -> Option<&'a str> {
        call.header("idempotency-key")
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Unauthorized => problem(StatusCode::UNAUTHORIZED, "The token is not accepted."),
            Refusal::TooFast { retry_after_seconds } => problem(StatusCode::TOO_MANY_REQUESTS, "Too many requests.")
                .header("Retry-After", format!("{:.0}", retry_after_seconds.unwrap_or(1.0).ceil())),
            Refusal::TooConcurrent => problem(StatusCode::TOO_MANY_REQUESTS, "Too many requests at once."),
        }
    }

    fn answer(&self, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
        let (Some(_), Some((_, route))) = (self.versions(call, settings), route(call)) else { return not_found() };
        let state = &mut *hold(state);
        match (&call.method, route) {
            (&Method::GET, Route::List(collection)) => list(collection, call, settings, state),
            (&Method::GET, Route::One(collection, id)) => {
                let found = state.collection(collection).and_then(|collection| collection.get(&id)).map(Record::value);
                found.map_or_else(not_found, |found| Reply::json(StatusCode::OK, JSON, &found))
            }
            (&Method::POST, Route::List(collection)) => once(call, state, |state| create(collection, call, state)),
            (&Method::POST, Route::Batch(collection)) => once(call, state, |state| batch(collection, call, state)),
            (&Method::PUT, Route::One(collection, id)) => match call.object() {
                Some(fields) => once(call, state, |state| put(collection, &id, fields, call, state)),
                None => problem(StatusCode::BAD_REQUEST, "the body must be a JSON object"),
            },
            (&Method::DELETE, Route::One(collection, id)) => state
                .erase(collection, &id)
                .map_or_else(not_found, |effect| Reply::empty(StatusCode::NO_CONTENT).effect(effect)),
            (_, Route::List(_) | Route::Batch(_) | Route::One(..)) => {
                problem(StatusCode::METHOD_NOT_ALLOWED, "This method is not allowed here.")
            }
        }
    }

    fn finish(&self, reply: Reply, call: &Call, finish: Finish<'_>) -> Reply {
        let reply = reply.header("X-Request-Id", call.request_id.as_str());
        match finish.settings.rate_limit {
            None => reply,
            Some(limit) => reply
                .header("RateLimit-Limit", limit.bucket_size.to_string())
                .header("RateLimit-Remaining", limit.bucket_size.saturating_sub(finish.bucket_used).to_string())
                .header("RateLimit-Reset", "1"),
        }
    }

    fn generate(&self, request: &SeedRequest, settings: &Settings, id: u64, at: Timestamp) -> Option<Value> {
        let now = self.format_time(at, settings);
        COLLECTIONS.contains(&request.resource.as_str()).then(|| {
            json!({"id": id.to_string(), "number": format!("N-{id}"), "quantity": id % 7, "created_at": now, "updated_at": now})
        })
    }
}
