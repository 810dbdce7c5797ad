//! Intercom: contacts by external id, and conversations found by a search. The version stands in a header, and answers tell the one that was
//! served.
//!
//! From Intercom's published OpenAPI documents of versions 2.14 and 2.15 (paths, parameters, shapes) and its pages on rate limits and errors.

use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::dialect::{self, json};
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::random::Stream;
use crate::store::{Layout, Record, RecordId, State, field};
use crate::vendor::{Finish, Refusal, Vendor, Versions};
use crate::wire::{SeedRequest, Settings};

const VERSION: &str = "intercom-version";
/// Requests a minute of an app.
const PER_MINUTE: u32 = 10_000;

/// The vendor.
pub(crate) struct Intercom;

fn layout(resource: &str) -> Option<Layout> {
    let layout = Layout {
        numeric_id: false,
        created_field: Some("created_at"),
        updated_field: Some("updated_at"),
        ..dialect::LAYOUT
    };
    match resource {
        "contacts" => Some(Layout { external_field: Some("external_id"), ..layout }),
        "conversations" => Some(layout),
        _ => None,
    }
}

fn error(status: StatusCode, code: &str, message: &str) -> Reply {
    let errors = json!([{"code": code, "message": message}]);
    json(status, &json!({"type": "error.list", "request_id": null, "errors": errors}))
}

fn not_found() -> Reply {
    error(StatusCode::NOT_FOUND, "not_found", "Resource Not Found")
}

fn invalid(message: &str) -> Reply {
    error(StatusCode::BAD_REQUEST, "parameter_invalid", message)
}

impl Vendor for Intercom {
    fn name(&self) -> &'static str {
        "intercom"
    }

    fn settings(&self) -> Settings {
        let api_versions = ["2.13", "2.14", "2.15"].map(ToOwned::to_owned).to_vec();
        Settings { page_size_default: 20, api_versions, ..dialect::settings(150) }
    }

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    /// Without a header the app's own version is served: here the oldest that is supported.
    fn versions(&self, call: &Call, settings: &Settings) -> Option<Versions> {
        let requested =
            call.header(VERSION).map(ToOwned::to_owned).or_else(|| settings.api_versions.first().cloned())?;
        Some(Versions { served: requested.clone(), requested })
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Unauthorized => error(StatusCode::UNAUTHORIZED, "unauthorized", "Access Token Invalid"),
            Refusal::TooConcurrent => self.refuse(Refusal::TooFast { retry_after_seconds: None }),
            Refusal::TooFast { retry_after_seconds } => {
                let message = "You have exceeded the rate limit of your app.";
                let reply = error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message);
                match retry_after_seconds {
                    Some(seconds) => reply.header("Retry-After", seconds.to_string()),
                    None => reply,
                }
            }
        }
    }

    fn answer(&self, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
        let known = |versions: Versions| settings.api_versions.contains(&versions.requested);
        if !self.versions(call, settings).is_some_and(known) {
            return error(
                StatusCode::BAD_REQUEST,
                "intercom_version_invalid",
                "The requested version could not be found",
            );
        }
        let segments = call.segments();
        let mut state = hold(state);
        match (&call.method, &segments.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..]) {
            (&Method::GET, ["me"]) => json(StatusCode::OK, &json!({"type": "admin", "id": "1"})),
            (&Method::POST, [resource @ ("contacts" | "conversations"), "search"]) => {
                search(resource, call, &mut state)
            }
            (&Method::POST, ["contacts"]) => create(call, &mut state),
            (&Method::GET, ["contacts", "find_by_external_id", external]) => {
                let found = state.collection("contacts").and_then(|all| all.get(all.by_external(external)?));
                found.map_or_else(not_found, |contact| json(StatusCode::OK, &contact.value()))
            }
            (&Method::GET, [resource @ ("contacts" | "conversations"), id]) => {
                let found = state.collection(resource).and_then(|all| all.get(&RecordId::parse(id)));
                found.map_or_else(not_found, |record| json(StatusCode::OK, &record.value()))
            }
            (&Method::PUT, ["contacts", id]) => update(id, call, &mut state),
            (&Method::DELETE, ["contacts", id]) => match state.erase("contacts", &RecordId::parse(id)) {
                Some(effect) => {
                    let deleted = json!({"type": "contact", "id": id, "deleted": true});
                    json(StatusCode::OK, &deleted).effect(effect)
                }
                None => not_found(),
            },
            _ => not_found(),
        }
    }

    fn finish(&self, reply: Reply, call: &Call, finish: Finish<'_>) -> Reply {
        let reply = match finish.versions {
            Some(versions) => reply.header("Intercom-Version", versions.served.clone()),
            None => reply,
        };
        reply
            .header("X-Request-Id", call.request_id.clone())
            .header("X-RateLimit-Limit", PER_MINUTE.to_string())
            .header("X-RateLimit-Remaining", PER_MINUTE.saturating_sub(finish.bucket_used).to_string())
            .header("X-RateLimit-Reset", (call.now.as_second() + 10).to_string())
    }

    fn generate(&self, request: &SeedRequest, _: &Settings, id: u64, at: Timestamp) -> Option<Value> {
        let mut random = Stream::new(request.seed, id);
        let at = at.as_second();
        match request.resource.as_str() {
            "conversations" => {
                let state = random.pick(&["open", "closed", "snoozed"]);
                let source =
                    json!({"type": "conversation", "subject": format!("Question {id}"), "body": "<p>Hello</p>"});
                Some(json!({
                    "type": "conversation", "id": id.to_string(), "title": null, "created_at": at, "updated_at": at,
                    "open": state == "open", "state": state, "source": source,
                }))
            }
            "contacts" => {
                let email = format!("contact{id}@example.com");
                Some(json!({
                    "type": "contact", "id": id.to_string(), "external_id": null, "role": "user", "email": email,
                    "created_at": at, "updated_at": at,
                }))
            }
            _ => None,
        }
    }

    fn format_time(&self, time: Timestamp, _: &Settings) -> Value {
        time.as_second().into()
    }
}

/// `POST /{resource}/search`: nested filters joined by AND or OR, by the time of the last change.
fn search(resource: &str, call: &Call, state: &mut State) -> Reply {
    let body = dialect::object(call).map(Value::Object).unwrap_or_default();
    let size = body["pagination"]["per_page"].as_u64().unwrap_or(20);
    if !(1..=150).contains(&size) {
        return invalid("per_page must be 1 to 150");
    }
    let size = usize::try_from(size).unwrap_or(150);
    let after = match &body["pagination"]["starting_after"] {
        Value::Null => Some(0),
        after => after.as_str().and_then(|text| text.strip_prefix("after-")?.parse::<usize>().ok()),
    };
    let Some(after) = after else { return invalid("starting_after is not a cursor of this search") };
    let Some(collection) = state.collection(resource) else { return not_found() };
    let mut found = Vec::new();
    for record in dialect::changed(collection, None, None) {
        match holds(&record, &body["query"]) {
            Ok(true) => found.push(record),
            Ok(false) => {}
            Err(message) => return invalid(&message),
        }
    }
    if body["sort"]["order"] != "ascending" {
        found.reverse();
    }
    let page = dialect::page(found, after, size);
    let mut pages = json!({
        "type": "pages", "page": after / size + 1, "per_page": size, "total_pages": page.total.div_ceil(size),
    });
    if let Some(next) = page.next {
        pages["next"] = json!({"page": next / size + 1, "starting_after": format!("after-{next}")});
    }
    let kind = if resource == "contacts" { "list" } else { "conversation.list" };
    let name = if resource == "contacts" { "data" } else { "conversations" };
    json(StatusCode::OK, &json!({"type": kind, name: page.items, "total_count": page.total, "pages": pages}))
}

fn holds(record: &Value, query: &Value) -> Result<bool, String> {
    let operator = query["operator"].as_str().ok_or("a query needs an operator")?;
    if let "AND" | "OR" = operator {
        let parts = query["value"].as_array().ok_or("AND and OR need a list")?;
        let parts = parts.iter().map(|part| holds(record, part)).collect::<Result<Vec<bool>, _>>()?;
        return Ok(if operator == "AND" { parts.iter().all(|part| *part) } else { parts.contains(&true) });
    }
    let name = query["field"].as_str().ok_or("a filter needs a field")?;
    let (value, wanted) = (field(record, name).unwrap_or(&Value::Null), &query["value"]);
    if name.ends_with("_at") {
        // Dates take these alone.
        let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        let wanted = number(wanted).ok_or_else(|| format!("{name} needs seconds since 1970"))?;
        let value = number(value).unwrap_or(0);
        return match operator {
            "=" => Ok(value == wanted),
            ">" => Ok(value > wanted),
            "<" => Ok(value < wanted),
            other => Err(format!("{other} is not supported for dates")),
        };
    }
    match operator {
        "=" => Ok(value == wanted),
        "!=" => Ok(value != wanted),
        other => Err(format!("{other} is not supported here")),
    }
}

/// `POST /contacts`: an external id or email that a contact has already is a conflict.
fn create(call: &Call, state: &mut State) -> Reply {
    let body = dialect::object(call).map(Value::Object).unwrap_or_default();
    if body["email"].is_null() && body["external_id"].is_null() && body["phone"].is_null() {
        return invalid("one of email, external_id and phone is needed");
    }
    let Some(collection) = state.collection("contacts") else { return not_found() };
    let by_external = body["external_id"].as_str().and_then(|external| collection.by_external(external).cloned());
    let by_email = || {
        let email = body["email"].as_str()?;
        collection.iter().find(|(_, contact)| contact.value()["email"] == email).map(|(id, _)| id.clone())
    };
    if let Some(id) = by_external.or_else(by_email) {
        let message = format!("A contact matching those details already exists with id={id}");
        return error(StatusCode::CONFLICT, "conflict", &message);
    }
    let id = RecordId::parse(&format!("{:024x}", collection.fresh_id(0x6000)));
    let contact = json!({"type": "contact", "role": "user", "external_id": null, "created_at": call.now.as_second()});
    write(&id, contact, body, call, state)
}

/// `PUT /contacts/{id}`.
fn update(id: &str, call: &Call, state: &mut State) -> Reply {
    let id = RecordId::parse(id);
    let before = state.collection("contacts").and_then(|all| all.get(&id)).map(Record::value);
    let Some(before) = before else { return not_found() };
    let body = dialect::object(call).map(Value::Object).unwrap_or_default();
    write(&id, before, body, call, state)
}

fn write(id: &RecordId, mut contact: Value, body: Value, call: &Call, state: &mut State) -> Reply {
    if let Value::Object(fields) = body {
        for (name, value) in fields {
            contact[name] = value;
        }
    }
    contact["updated_at"] = json!(call.now.as_second());
    match state.commit("contacts", id, contact) {
        Some(Ok(effect)) => {
            let contact = state.collection("contacts").and_then(|all| all.get(id)).map(Record::value);
            json(StatusCode::OK, &json!(contact)).effect(effect)
        }
        Some(Err(conflict)) => error(StatusCode::CONFLICT, "conflict", &conflict.to_string()),
        None => not_found(),
    }
}
