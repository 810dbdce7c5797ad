//! Klaviyo's API (JSON:API): private keys, dated revisions in a header, profiles and events. Filters are in `filter`.

mod filter;

use std::borrow::Cow;
use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use self::filter::Filter;
use crate::instance::hold;
use crate::merge::merge;
use crate::message::{Call, Reply};
use crate::pages::{EVERYTHING, Wanted, cursor, placed};
use crate::store::{Layout, Record, RecordId, Sort, State};
use crate::tokens::{Identity, Tokens};
use crate::vendor::{Finish, Refusal, Vendor, Versions, settings};
use crate::wire::{SeedRequest, Settings, WriteKind};

const JSON: &str = "application/vnd.api+json";

/// The vendor.
pub(crate) struct Klaviyo;

/// A kind of record.
#[derive(Debug, PartialEq, Eq)]
struct Resource {
    plural: &'static str,
    singular: &'static str,
    /// The time that lists are filtered and sorted by.
    time: &'static str,
    page_size_default: usize,
    page_size_max: usize,
}

const PROFILES: &Resource =
    &Resource { plural: "profiles", singular: "profile", time: "updated", page_size_default: 20, page_size_max: 100 };
const EVENTS: &Resource =
    &Resource { plural: "events", singular: "event", time: "datetime", page_size_default: 200, page_size_max: 1_000 };

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    List(&'static Resource),
    One(&'static Resource, RecordId),
    Import,
}

fn route(call: &Call) -> Option<Route> {
    let segments = call.segments();
    match &segments.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        ["api", "profiles"] => Some(Route::List(PROFILES)),
        ["api", "events"] => Some(Route::List(EVENTS)),
        ["api", "profiles", id] => Some(Route::One(PROFILES, RecordId::parse(id))),
        ["api", "events", id] => Some(Route::One(EVENTS, RecordId::parse(id))),
        ["api", "profile-import"] => Some(Route::Import),
        _ => None,
    }
}

fn layout(resource: &str) -> Option<Layout> {
    let kind = [PROFILES, EVENTS].into_iter().find(|known| known.plural == resource)?;
    Some(Layout {
        id_field: "id",
        numeric_id: false,
        created_field: Some("created"),
        updated_field: Some(kind.time),
        external_field: (kind == PROFILES).then_some("external_id"),
        flags: |_| 0,
    })
}

fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// An error in JSON:API's form.
fn error(status: StatusCode, code: &str, detail: &str, pointer: &str) -> Reply {
    let title = status.canonical_reason().unwrap_or_default();
    let one = json!({"id": "00000000-0000-4000-8000-000000000000", "status": status.as_u16(), "code": code, "title": title,
        "detail": detail, "source": {"pointer": pointer}, "links": {}, "meta": {}});
    Reply::json(status, JSON, &json!({"errors": [one]}))
}

fn not_found() -> Reply {
    error(StatusCode::NOT_FOUND, "not_found", "A resource with this id does not exist.", "/data/id")
}

/// A record as JSON:API shows it.
fn shown(kind: &Resource, mut record: Value, base: &str) -> Value {
    let id = record.as_object_mut().and_then(|fields| fields.shift_remove("id")).unwrap_or_default();
    let link = format!("{base}/api/{}/{}/", kind.plural, id.as_str().unwrap_or_default());
    json!({"type": kind.singular, "id": id, "attributes": record, "links": {"self": link}})
}

fn list(kind: &'static Resource, call: &Call, state: &mut State) -> Reply {
    let bad = |detail: &str| error(StatusCode::BAD_REQUEST, "invalid", detail, "/");
    let filter = match Filter::parse(call.param("filter").unwrap_or_default(), kind.time, kind == EVENTS) {
        Ok(filter) => filter,
        Err(detail) => return bad(&detail),
    };
    let size = call.number("page[size]", kind.page_size_default).unwrap_or(0);
    if size == 0 || size > kind.page_size_max {
        return bad("Page size is out of range");
    }
    let descending = match call.param("sort") {
        None => true,
        Some(sort) if sort.trim_start_matches('-') == kind.time => sort.starts_with('-'),
        Some(_) => return bad("This cannot be sorted by"),
    };
    let after = call.param("page[cursor]").map(placed);
    if after == Some(None) {
        return bad("The cursor is not valid");
    }
    let keep = |record: &Value| filter.holds(record);
    let range = filter.range();
    let wanted = Wanted {
        sort: Sort::Updated,
        descending,
        range,
        after: after.flatten(),
        limit: size,
        keep: &keep,
        ..EVERYTHING
    };
    let Some(collection) = state.collection(kind.plural) else { return not_found() };
    let page = wanted.page(collection);
    let next = page.last.filter(|_| page.more).map(|last| next_link(call, &cursor(&last)));
    let data: Vec<Value> = page.records.into_iter().map(|record| shown(kind, record, &call.base)).collect();
    let links = json!({"self": format!("{}{}", call.base, call.target()), "next": next, "prev": null});
    Reply::json(StatusCode::OK, JSON, &json!({"data": data, "links": links}))
}

/// The request again, with another cursor.
fn next_link(call: &Call, cursor: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let kept = call.query.iter().filter(|(name, _)| name != "page[cursor]");
    let mut query: Vec<String> = kept.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    query.push(format!("{}={cursor}", encode("page[cursor]")));
    format!("{}{}?{}", call.base, call.path, query.join("&"))
}

/// The attributes of a request for a profile, and the id it may name.
fn attributes(call: &Call) -> Result<(Option<String>, Map<String, Value>), Reply> {
    let invalid = |detail: &str, pointer: &str| error(StatusCode::BAD_REQUEST, "invalid", detail, pointer);
    let mut body = call.object().ok_or_else(|| invalid("Invalid input.", "/data"))?;
    let data = body.get_mut("data").and_then(Value::as_object_mut).ok_or_else(|| invalid("Invalid input.", "/data"))?;
    if data.get("type") != Some(&json!("profile")) {
        return Err(invalid("'type' must be 'profile'.", "/data/type"));
    }
    let id = data.get("id").and_then(Value::as_str).map(ToOwned::to_owned);
    let Some(Value::Object(attributes)) = data.shift_remove("attributes") else {
        return Err(invalid("'attributes' is a required field.", "/data/attributes"));
    };
    if let Some(email) = attributes.get("email").and_then(Value::as_str).filter(|email| !email.contains('@')) {
        return Err(invalid(&format!("Invalid email address: {}", email.len()), "/data/attributes/email"));
    }
    Ok((id, attributes))
}

/// `POST /api/profile-import`: the profile with this id, external id or address is changed; else one is made.
fn import(call: &Call, state: &mut State) -> Reply {
    let (id, attributes) = match attributes(call) {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    let text = |name: &str| attributes.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let (external, email) = (text("external_id"), text("email"));
    if id.is_none() && external.is_none() && email.is_none() {
        let detail = "One of id, email, external_id or phone_number is needed.";
        return error(StatusCode::BAD_REQUEST, "invalid", detail, "/data/attributes");
    }
    let Some(profiles) = state.collection(PROFILES.plural) else { return not_found() };
    let by_email = |email: &String| {
        let found = profiles.iter().find(|(_, record)| record.value()["email"].as_str() == Some(email));
        found.map(|(id, _)| id.clone())
    };
    let named = id.as_deref().map(RecordId::parse);
    let found =
        named.or_else(|| profiles.by_external(external.as_deref()?).cloned()).or_else(|| by_email(email.as_ref()?));
    let id = match found {
        Some(id) => id,
        None => RecordId::Text(format!("01KLAVIYO{:017}", profiles.fresh_id(0)).into()),
    };
    write(&id, attributes, call, state)
}

fn write(id: &RecordId, attributes: Map<String, Value>, call: &Call, state: &mut State) -> Reply {
    let current = state.collection(PROFILES.plural).and_then(|profiles| profiles.get(id)).map(Record::value);
    let mut record = current.unwrap_or_else(|| json!({"created": written(call.now), "properties": {}}));
    merge(&mut record, Value::Object(attributes));
    record["updated"] = json!(written(call.now));
    let Some(Ok(effect)) = state.commit(PROFILES.plural, id, record) else {
        let detail = "A profile already exists with one of these identifiers.";
        return error(StatusCode::CONFLICT, "duplicate_profile", detail, "/data/attributes");
    };
    let stored = state.collection(PROFILES.plural).and_then(|profiles| profiles.get(id)).map(Record::value);
    let status = if effect.kind == WriteKind::Created { StatusCode::CREATED } else { StatusCode::OK };
    let data = shown(PROFILES, stored.unwrap_or_default(), &call.base);
    Reply::json(status, JSON, &json!({"data": data})).effect(effect)
}

/// `POST /api/events`: accepted; one with a `unique_id` that was seen is not recorded again.
fn create_event(call: &Call, state: &mut State) -> Reply {
    let data = call.object().and_then(|mut body| body.remove("data")).unwrap_or_default();
    let attributes = data["attributes"].clone();
    let metric = attributes.pointer("/metric/data/attributes/name").and_then(Value::as_str);
    let profile = attributes.pointer("/profile/data/attributes").filter(|profile| profile.is_object());
    let (Some(metric), Some(profile)) = (metric, profile) else {
        return error(StatusCode::BAD_REQUEST, "invalid", "A metric and a profile are needed.", "/data/attributes");
    };
    let Some(events) = state.collection(EVENTS.plural) else { return not_found() };
    let number = events.fresh_id(0);
    let unique = attributes["unique_id"].as_str().map_or_else(|| number.to_string(), ToOwned::to_owned);
    let id = RecordId::Text(format!("{metric}-{unique}").into());
    if events.get(&id).is_some() {
        return Reply::empty(StatusCode::ACCEPTED);
    }
    let at = attributes["time"].as_str().map_or_else(|| written(call.now), ToOwned::to_owned);
    let event =
        json!({"datetime": at, "event_properties": attributes["properties"], "profile": profile, "metric": metric});
    match state.commit(EVENTS.plural, &id, event) {
        Some(Ok(effect)) => Reply::empty(StatusCode::ACCEPTED).effect(effect),
        Some(Err(_)) | None => not_found(),
    }
}

impl Vendor for Klaviyo {
    fn name(&self) -> &'static str {
        "klaviyo"
    }

    fn settings(&self) -> Settings {
        let api_versions = ["2025-01-15", "2026-04-15", "2026-07-15"].map(ToOwned::to_owned).to_vec();
        Settings { api_versions, ..settings(20, 100) }
    }

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    fn route(&self, call: &Call) -> Cow<'static, str> {
        match route(call) {
            None => "{unknown}".into(),
            Some(Route::Import) => "/api/profile-import".into(),
            Some(Route::List(kind)) => format!("/api/{}", kind.plural).into(),
            Some(Route::One(kind, _)) => format!("/api/{}/{{id}}", kind.plural).into(),
        }
    }

    fn versions(&self, call: &Call, settings: &Settings) -> Option<Versions> {
        let requested = call.header("revision")?.to_owned();
        settings.api_versions.contains(&requested).then(|| Versions { served: requested.clone(), requested })
    }

    fn identify(&self, call: &Call, tokens: &mut Tokens) -> Identity {
        match call.header("authorization").and_then(|value| value.split_once(' ')) {
            Some(("Klaviyo-API-Key" | "Bearer", key)) => tokens.identify(key.trim()),
            Some(_) | None => Identity::ANONYMOUS,
        }
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Unauthorized => error(
                StatusCode::UNAUTHORIZED,
                "authentication_failed",
                "Incorrect authentication credentials.",
                "/data/",
            ),
            Refusal::TooFast { .. } | Refusal::TooConcurrent => {
                let seconds = match refusal {
                    Refusal::TooFast { retry_after_seconds: Some(seconds) } => seconds,
                    Refusal::TooFast { retry_after_seconds: None } | Refusal::TooConcurrent | Refusal::Unauthorized => {
                        1.0
                    }
                };
                error(StatusCode::TOO_MANY_REQUESTS, "throttled", "Request was throttled.", "/data/")
                    .header("Retry-After", format!("{:.0}", seconds.ceil()))
            }
        }
    }

    fn answer(&self, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
        if self.versions(call, settings).is_none() {
            return match call.header("revision") {
                None => error(StatusCode::BAD_REQUEST, "invalid", "A revision header is needed.", "/"),
                Some(_) => error(StatusCode::GONE, "gone", "This revision is not served any more.", "/"),
            };
        }
        let Some(route) = route(call) else { return not_found() };
        let state = &mut *hold(state);
        match (&call.method, &route) {
            (&Method::GET, Route::List(kind)) => list(kind, call, state),
            (&Method::GET, Route::One(kind, id)) => {
                let found = state.collection(kind.plural).and_then(|found| found.get(id)).map(Record::value);
                let one = |found| Reply::json(StatusCode::OK, JSON, &json!({"data": shown(kind, found, &call.base)}));
                found.map_or_else(not_found, one)
            }
            (&Method::POST, Route::Import) => import(call, state),
            (&Method::POST, Route::List(kind)) if *kind == EVENTS => create_event(call, state),
            (&Method::PATCH, Route::One(kind, id)) if *kind == PROFILES => match attributes(call) {
                Ok((_, attributes)) if state.collection(kind.plural).is_some_and(|found| found.get(id).is_some()) => {
                    write(id, attributes, call, state)
                }
                Ok(_) => not_found(),
                Err(refusal) => refusal,
            },
            (_, Route::List(_) | Route::One(..) | Route::Import) => {
                error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed.", "/")
            }
        }
    }

    fn finish(&self, reply: Reply, _: &Call, finish: Finish<'_>) -> Reply {
        let limit = finish.settings.rate_limit.map_or(750, |limit| limit.bucket_size);
        let left = limit.saturating_sub(finish.bucket_used);
        reply
            .header("RateLimit-Limit", format!("{limit}, {limit};w=60"))
            .header("RateLimit-Remaining", left.to_string())
            .header("RateLimit-Reset", "60")
    }

    fn generate(&self, request: &SeedRequest, _: &Settings, id: u64, at: Timestamp) -> Option<Value> {
        (request.resource == PROFILES.plural).then(|| {
            json!({
                "id": format!("01KSEED{id:019}"), "email": format!("buyer{id}@example.com"), "external_id": format!("seed-{id}"),
                "first_name": "Käufer", "last_name": id.to_string(), "properties": {}, "created": written(at), "updated": written(at),
            })
        })
    }

    fn format_time(&self, time: Timestamp, _: &Settings) -> Value {
        Value::from(written(time))
    }
}
