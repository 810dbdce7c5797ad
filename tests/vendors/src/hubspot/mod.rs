//! HubSpot's CRM objects: paths, versions, errors and headers. Contacts, companies and deals behave alike. Searches are in `search`, writes
//! in `write`.
//!
//! From HubSpot's published OpenAPI documents of version 2026-09 (paths, parameters, shapes) and its guides on usage limits and search (limits).
//! Each object has one unique property, [`UNIQUE`]; a real account has those that its people made, and contacts have `email` beside it.

mod search;
mod write;

use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::dialect::{self, json, utc_millis};
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::random::Stream;
use crate::store::{Collection, Layout, Record, RecordId, State};
use crate::vendor::{Finish, Refusal, Vendor, Versions};
use crate::wire::{SeedRequest, Settings};

/// The property that clients find records by.
const UNIQUE: &str = "external_id";
const OBJECTS: &[&str] = &["contacts", "companies", "deals"];
/// Requests in ten seconds that a private app of the larger editions has.
const TEN_SECONDLY: u32 = 190;

/// The vendor.
pub(crate) struct HubSpot;

/// What a path below `/crm/objects` means.
enum Route<'a> {
    List,
    Search,
    Upsert,
    One(&'a str),
}

fn layout(object: &str) -> Option<Layout> {
    OBJECTS.contains(&object).then_some(Layout {
        numeric_id: false,
        created_field: Some("createdAt"),
        updated_field: Some("updatedAt"),
        external_field: Some("/properties/external_id"),
        ..dialect::LAYOUT
    })
}

/// An error in HubSpot's form.
fn error(status: StatusCode, category: &str, message: &str, call: Option<&Call>) -> Reply {
    let id = call.map_or("00000000-0000-4000-8000-000000000000", |call| call.request_id.as_str());
    json(status, &json!({"status": "error", "message": message, "correlationId": id, "category": category}))
}

fn invalid(message: &str, call: &Call) -> Reply {
    error(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message, Some(call))
}

fn not_found(call: &Call) -> Reply {
    error(StatusCode::NOT_FOUND, "OBJECT_NOT_FOUND", "resource not found", Some(call))
}

/// The name of the property that has the time of a record's last change.
fn modified(object: &str) -> &'static str {
    if object == "contacts" { "lastmodifieddate" } else { "hs_lastmodifieddate" }
}

/// A record as it is answered: the properties that a request may ask for always have those that HubSpot itself keeps.
fn shown(object: &str, mut record: Value) -> Value {
    let own = [
        ("hs_object_id", record["id"].clone()),
        ("createdate", record["createdAt"].clone()),
        (modified(object), record["updatedAt"].clone()),
    ];
    for (name, value) in own {
        record["properties"][name] = value;
    }
    record
}

/// The record that a path names, by its id or by a unique property.
fn find(collection: &Collection, id: &str, property: Option<&str>) -> Option<RecordId> {
    match property {
        None => collection.get(&RecordId::parse(id)).map(|_| RecordId::parse(id)),
        Some(UNIQUE) => collection.by_external(id).cloned(),
        Some(other) => {
            let has = |record: &Record| record.value()["properties"][other] == id;
            collection.iter().find(|(_, record)| has(record)).map(|(id, _)| id.clone())
        }
    }
}

impl Vendor for HubSpot {
    fn name(&self) -> &'static str {
        "hubspot"
    }

    fn settings(&self) -> Settings {
        let api_versions = ["2025-09", "2026-03", "2026-09"].map(ToOwned::to_owned).to_vec();
        Settings { page_size_default: 10, api_versions, ..dialect::settings(200) }
    }

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    fn versions(&self, call: &Call, settings: &Settings) -> Option<Versions> {
        let requested = call.segments().get(2)?.to_string();
        settings.api_versions.contains(&requested).then(|| Versions { served: requested.clone(), requested })
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Unauthorized => {
                error(StatusCode::UNAUTHORIZED, "INVALID_AUTHENTICATION", "Authentication credentials not found.", None)
            }
            Refusal::TooConcurrent => self.refuse(Refusal::TooFast { retry_after_seconds: None }),
            Refusal::TooFast { retry_after_seconds } => {
                let message = "You have reached your ten_secondly_rolling limit.";
                let body = json!({
                    "status": "error", "message": message, "errorType": "RATE_LIMIT", "category": "RATE_LIMITS",
                    "policyName": "TEN_SECONDLY_ROLLING",
                });
                let reply = json(StatusCode::TOO_MANY_REQUESTS, &body);
                match retry_after_seconds {
                    Some(seconds) => reply.header("Retry-After", seconds.to_string()),
                    None => reply,
                }
            }
        }
    }

    fn answer(&self, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
        let segments = call.segments();
        let words: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let ["crm", "objects", _, object, rest @ ..] = &words[..] else { return not_found(call) };
        let route = match rest {
            [] => Route::List,
            ["search"] => Route::Search,
            ["batch", "upsert"] => Route::Upsert,
            [id] => Route::One(id),
            _ => return not_found(call),
        };
        if self.versions(call, settings).is_none() || layout(object).is_none() {
            return not_found(call);
        }
        match (&call.method, route) {
            (&Method::GET, Route::List) => list(object, call, &mut hold(state)),
            (&Method::POST, Route::List) => write::create(object, call, &mut hold(state)),
            (&Method::POST, Route::Search) => search::search(object, call, settings, &mut hold(state)),
            (&Method::POST, Route::Upsert) => write::upsert(object, call, &mut hold(state)),
            (&Method::GET, Route::One(id)) => one(object, id, call, &mut hold(state)),
            (&Method::PATCH | &Method::DELETE, Route::One(id)) => write::change(object, id, call, &mut hold(state)),
            (_, Route::List | Route::Search | Route::Upsert | Route::One(_)) => {
                error(StatusCode::METHOD_NOT_ALLOWED, "VALIDATION_ERROR", "method not allowed", Some(call))
            }
        }
    }

    fn finish(&self, reply: Reply, call: &Call, finish: Finish<'_>) -> Reply {
        let remaining = TEN_SECONDLY.saturating_sub(finish.bucket_used);
        reply
            .header("X-HubSpot-Correlation-Id", call.request_id.clone())
            .header("X-HubSpot-RateLimit-Interval-Milliseconds", "10000")
            .header("X-HubSpot-RateLimit-Max", TEN_SECONDLY.to_string())
            .header("X-HubSpot-RateLimit-Remaining", remaining.to_string())
    }

    fn generate(&self, request: &SeedRequest, _: &Settings, id: u64, at: Timestamp) -> Option<Value> {
        let mut random = Stream::new(request.seed, id);
        let properties = match request.resource.as_str() {
            "deals" => json!({
                "dealname": format!("Deal {id}"), "amount": format!("{}.00", 100 + random.below(9_900)),
                "dealstage": "closedwon", "pipeline": "default",
            }),
            "contacts" => {
                json!({"email": format!("contact{id}@example.com"), "firstname": "Ada", "lastname": format!("L{id}")})
            }
            "companies" => json!({"name": format!("Company {id}"), "domain": format!("c{id}.example.com")}),
            _ => return None,
        };
        let at = utc_millis(at);
        Some(
            json!({"id": id.to_string(), "properties": properties, "createdAt": at, "updatedAt": at, "archived": false}),
        )
    }

    fn format_time(&self, time: Timestamp, _: &Settings) -> Value {
        utc_millis(time).into()
    }
}

/// `GET …/{object}`: by id, up to 100 a page.
fn list(object: &str, call: &Call, state: &mut State) -> Reply {
    let limit = call.param("limit").map_or(Some(10), |text| text.parse::<usize>().ok());
    let Some(limit) = limit.filter(|limit| (1..=100).contains(limit)) else {
        return invalid("limit must be between 1 and 100", call);
    };
    let Some(offset) = call.param("after").map_or(Some(0), |text| text.parse().ok()) else {
        return invalid("after is not a cursor of this list", call);
    };
    let Some(collection) = state.collection(object) else { return not_found(call) };
    let page = dialect::page(dialect::all(collection), offset, limit);
    let results: Vec<Value> = page.items.into_iter().map(|record| shown(object, record)).collect();
    json(StatusCode::OK, &paged(json!({"results": results}), page.next))
}

/// Adds where the next page is, if there is one.
fn paged(mut body: Value, next: Option<usize>) -> Value {
    if let Some(next) = next {
        body["paging"] = json!({"next": {"after": next.to_string()}});
    }
    body
}

/// `GET …/{object}/{id}`.
fn one(object: &str, id: &str, call: &Call, state: &mut State) -> Reply {
    let Some(collection) = state.collection(object) else { return not_found(call) };
    let found = find(collection, id, call.param("idProperty")).and_then(|id| collection.get(&id).map(Record::value));
    found.map_or_else(|| not_found(call), |record| json(StatusCode::OK, &shown(object, record)))
}

/// Properties as HubSpot keeps them: texts, whatever was sent.
fn texts(properties: &Value) -> Option<Map<String, Value>> {
    let text = |value: &Value| match value {
        Value::Null => Some(Value::Null),
        Value::String(text) => Some(Value::from(text.as_str())),
        Value::Number(number) => Some(Value::from(number.to_string())),
        Value::Bool(flag) => Some(Value::from(flag.to_string())),
        Value::Array(_) | Value::Object(_) => None,
    };
    properties.as_object()?.iter().map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}
