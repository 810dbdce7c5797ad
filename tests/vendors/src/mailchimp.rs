//! Mailchimp's Marketing API: audiences ("lists") and their members, who are known by the MD5 of their address in lower case.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};

use crate::instance::hold;
use crate::merge::merge;
use crate::message::{Call, Reply};
use crate::pages::{EVERYTHING, Wanted};
use crate::store::{Layout, Record, RecordId, Sort, State};
use crate::tokens::{Identity, Tokens};
use crate::vendor::{Refusal, Vendor, settings};
use crate::wire::{SeedRequest, Settings};

const JSON: &str = "application/json; charset=utf-8";
const PROBLEM: &str = "application/problem+json; charset=utf-8";
/// The audience every account has.
const AUDIENCE: &str = "57afe96172";
const STATUSES: &[&str] = &["subscribed", "unsubscribed", "cleaned", "pending", "transactional"];

/// The vendor.
pub(crate) struct Mailchimp;

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    Ping,
    Lists,
    Members { list: String },
    Member { list: String, hash: String },
}

fn route(call: &Call) -> Option<Route> {
    let segments = call.segments();
    match &segments.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        ["3.0", "ping"] => Some(Route::Ping),
        ["3.0", "lists"] => Some(Route::Lists),
        ["3.0", "lists", list, "members"] => Some(Route::Members { list: (*list).to_owned() }),
        ["3.0", "lists", list, "members", hash] => {
            // Where a hash is expected, an address does as well.
            let hash = if hash.contains('@') { hash_of(hash) } else { (*hash).to_owned() };
            Some(Route::Member { list: (*list).to_owned(), hash })
        }
        _ => None,
    }
}

fn layout(resource: &str) -> Option<Layout> {
    matches!(resource, "lists" | "members").then_some(Layout {
        id_field: if resource == "members" { "key" } else { "id" },
        numeric_id: false,
        created_field: None,
        updated_field: Some("last_changed"),
        external_field: None,
        flags: |_| 0,
    })
}

/// The name of a member's record: a member belongs to one audience.
fn key(list: &str, hash: &str) -> RecordId {
    RecordId::Text(format!("{list}-{hash}").into())
}

fn hash_of(address: &str) -> String {
    Md5::digest(address.trim().to_lowercase().as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// An error in Mailchimp's form (RFC 7807, with `instance`).
fn problem(status: StatusCode, title: &str, detail: &str, call: Option<&Call>) -> Reply {
    let instance = call.map(|call| call.request_id.as_str()).unwrap_or_default();
    let kind = "https://mailchimp.com/developer/marketing/docs/errors/";
    let body = json!({"type": kind, "title": title, "status": status.as_u16(), "detail": detail, "instance": instance});
    Reply::json(status, PROBLEM, &body)
}

fn not_found(call: &Call) -> Reply {
    problem(StatusCode::NOT_FOUND, "Resource Not Found", "The requested resource could not be found.", Some(call))
}

fn invalid(call: &Call, detail: &str) -> Reply {
    problem(StatusCode::BAD_REQUEST, "Invalid Resource", detail, Some(call))
}

/// A member as it is shown: without the name of its record.
fn shown(mut member: Value) -> Value {
    if let Value::Object(fields) = &mut member {
        fields.shift_remove("key");
    }
    member
}

fn members(list: &str, call: &Call, settings: &Settings, state: &mut State) -> Reply {
    let time = |name: &str| match call.param(name).map(str::parse::<Timestamp>) {
        None => Ok(Bound::Unbounded),
        Some(Ok(time)) => Ok(Bound::Included(time.as_microsecond())),
        Some(Err(_)) => Err(invalid(call, "Schema describes a date-time in ISO 8601.")),
    };
    let range = match (time("since_last_changed"), time("before_last_changed")) {
        (Ok(low), Ok(high)) => (low, high),
        (Err(refusal), _) | (_, Err(refusal)) => return refusal,
    };
    let (Some(limit), Some(skip)) = (call.number("count", settings.page_size_default), call.number("offset", 0)) else {
        return invalid(call, "count and offset must be whole numbers");
    };
    if limit > settings.page_size_max {
        return invalid(call, "count is at most 1000");
    }
    let belongs = |member: &Value| member["list_id"] == list;
    let wanted = Wanted { sort: Sort::Updated, range, skip, limit, keep: &belongs, ..EVERYTHING };
    let Some(collection) = state.collection("members") else { return not_found(call) };
    let members: Vec<Value> = wanted.page(collection).records.into_iter().map(shown).collect();
    let total = wanted.count(collection);
    Reply::json(StatusCode::OK, JSON, &json!({"members": members, "list_id": list, "total_items": total}))
}

/// Adds a member or changes the one there is. `upsert` is PUT, where an address is needed, and `status_if_new` for a new one.
fn write(list: &str, hash: &str, upsert: bool, call: &Call, state: &mut State) -> Reply {
    let Some(mut change) = call.object() else {
        return problem(
            StatusCode::BAD_REQUEST,
            "JSON Parse Error",
            "We encountered an unspecified JSON parsing error.",
            Some(call),
        );
    };
    let id = key(list, hash);
    let current = state.collection("members").and_then(|members| members.get(&id)).map(Record::value);
    if current.is_none() && !upsert {
        return not_found(call);
    }
    let if_new = change.shift_remove("status_if_new");
    if let Err(refusal) = complete(list, hash, &mut change, current.is_none().then_some(if_new).as_ref(), upsert, call)
    {
        return refusal;
    }
    let mut member = current.unwrap_or_else(|| json!({"merge_fields": {}, "tags": [], "vip": false}));
    merge(&mut member, Value::Object(change));
    let Some(Ok(effect)) = state.commit("members", &id, member) else { return not_found(call) };
    let stored =
        state.collection("members").and_then(|members| members.get(&id)).map(Record::value).unwrap_or_default();
    Reply::json(StatusCode::OK, JSON, &shown(stored)).effect(effect)
}

/// Checks a change and adds what Mailchimp itself knows of a member. `new` is there for a member to be added.
fn complete(
    list: &str,
    hash: &str,
    change: &mut Map<String, Value>,
    new: Option<&Option<Value>>,
    upsert: bool,
    call: &Call,
) -> Result<(), Reply> {
    let address = change.get("email_address").and_then(Value::as_str).map(ToOwned::to_owned);
    match &address {
        None if upsert => return Err(invalid(call, "email_address: This value should not be blank.")),
        Some(address) if !address.contains('@') || address.ends_with("@invalid.example") => {
            return Err(invalid(call, "Please provide a valid email address."));
        }
        Some(address) if new.is_some() && hash_of(address) != hash => {
            return Err(invalid(call, "The subscriber hash is not that of the email address."));
        }
        Some(_) | None => {}
    }
    let status = change.get("status").or(new.and_then(Option::as_ref)).cloned();
    match status.as_ref().and_then(Value::as_str) {
        Some(status) if STATUSES.contains(&status) => {
            change.insert("status".to_owned(), json!(status));
        }
        None if new.is_none() => {}
        _ => {
            return Err(invalid(
                call,
                "status: should be one of subscribed, unsubscribed, cleaned, pending, transactional",
            ));
        }
    }
    for (name, value) in [("id", json!(hash)), ("list_id", json!(list)), ("last_changed", json!(written(call.now)))] {
        change.insert(name.to_owned(), value);
    }
    Ok(())
}

impl Vendor for Mailchimp {
    fn name(&self) -> &'static str {
        "mailchimp"
    }

    fn settings(&self) -> Settings {
        Settings { concurrency_limit: Some(10), ..settings(10, 1_000) }
    }

    fn furnish(&self, state: &mut State, _: &Settings) {
        if let Some(lists) = state.collection("lists") {
            let list = json!({"id": AUDIENCE, "name": "Customers", "date_created": "2020-01-01T00:00:00+00:00"});
            // Nothing else is there.
            let _no_conflict = lists.put(&RecordId::parse(AUDIENCE), list);
        }
    }

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    fn route(&self, call: &Call) -> Cow<'static, str> {
        match route(call) {
            None => "{unknown}",
            Some(Route::Ping) => "/3.0/ping",
            Some(Route::Lists) => "/3.0/lists",
            Some(Route::Members { .. }) => "/3.0/lists/{id}/members",
            Some(Route::Member { .. }) => "/3.0/lists/{id}/members/{hash}",
        }
        .into()
    }

    /// The key is the password of basic authentication, with any user name, or an OAuth 2 bearer token.
    fn identify(&self, call: &Call, tokens: &mut Tokens) -> Identity {
        match (call.basic(), call.header("authorization").and_then(|value| value.split_once(' '))) {
            (Some((_, key)), _) => tokens.identify(&key),
            (None, Some((scheme, token))) if scheme.eq_ignore_ascii_case("bearer") => tokens.identify(token.trim()),
            (None, Some(_) | None) => Identity::ANONYMOUS,
        }
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Unauthorized => {
                let detail = "Your API key may be invalid, or you've attempted to access the wrong datacenter.";
                problem(StatusCode::UNAUTHORIZED, "API Key Invalid", detail, None)
            }
            Refusal::TooFast { .. } | Refusal::TooConcurrent => {
                let detail = "You have exceeded the limit of 10 simultaneous connections.";
                problem(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests", detail, None)
            }
        }
    }

    fn answer(&self, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
        let Some(route) = route(call) else { return not_found(call) };
        let state = &mut *hold(state);
        if let Route::Members { list } | Route::Member { list, .. } = &route
            && state.collection("lists").is_none_or(|lists| lists.get(&RecordId::parse(list)).is_none())
        {
            return not_found(call);
        }
        match (&call.method, &route) {
            (&Method::GET, Route::Ping) => {
                Reply::json(StatusCode::OK, JSON, &json!({"health_status": "Everything's Chimpy!"}))
            }
            (&Method::GET, Route::Lists) => {
                let lists = state.collection("lists").map(|lists| EVERYTHING.page(lists).records).unwrap_or_default();
                Reply::json(StatusCode::OK, JSON, &json!({"total_items": lists.len(), "lists": lists}))
            }
            (&Method::GET, Route::Members { list }) => members(list, call, settings, state),
            (&Method::GET, Route::Member { list, hash }) => {
                let found =
                    state.collection("members").and_then(|members| members.get(&key(list, hash))).map(Record::value);
                found.map_or_else(|| not_found(call), |found| Reply::json(StatusCode::OK, JSON, &shown(found)))
            }
            (&Method::PUT, Route::Member { list, hash }) => write(list, hash, true, call, state),
            (&Method::PATCH, Route::Member { list, hash }) => write(list, hash, false, call, state),
            (&Method::DELETE, Route::Member { list, hash }) => {
                let effect = state.erase("members", &key(list, hash));
                effect.map_or_else(|| not_found(call), |effect| Reply::empty(StatusCode::NO_CONTENT).effect(effect))
            }
            (_, Route::Ping | Route::Lists | Route::Members { .. } | Route::Member { .. }) => {
                let detail = "The requested method and resource are not compatible.";
                problem(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", detail, Some(call))
            }
        }
    }

    fn generate(&self, request: &SeedRequest, _: &Settings, id: u64, at: Timestamp) -> Option<Value> {
        let address = format!("Buyer{id}@example.com");
        let hash = hash_of(&address);
        (request.resource == "members").then(|| {
            json!({
                "key": format!("{AUDIENCE}-{hash}"), "id": hash, "email_address": address, "status": "subscribed",
                "merge_fields": {"FNAME": format!("Käufer {id}")}, "tags": [], "vip": false, "last_changed": written(at),
                "list_id": AUDIENCE,
            })
        })
    }

    fn format_time(&self, time: Timestamp, _: &Settings) -> Value {
        Value::from(written(time))
    }
}
