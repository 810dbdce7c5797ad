//! Stripe's API: bearer or basic keys, dated versions in a header, lists newest first, events. Forms are in `form`, writes in `write`.

mod form;
mod write;

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::pages::{EVERYTHING, Wanted, place};
use crate::store::{Layout, Record, RecordId, Sort, State};
use crate::tokens::{Identity, Tokens};
use crate::vendor::{Finish, Refusal, Vendor, Versions, settings};
use crate::wire::{SeedRequest, Settings};

const JSON: &str = "application/json";
const EVENTS: &str = "events";
/// Idempotency keys and what was answered under them.
const KEYS: &str = "idempotencyKeys";

/// The vendor.
pub(crate) struct Stripe;

/// A kind of record.
#[derive(Debug, PartialEq, Eq)]
struct Resource {
    plural: &'static str,
    singular: &'static str,
    prefix: &'static str,
}

const RESOURCES: &[Resource] = &[
    Resource { plural: "charges", singular: "charge", prefix: "ch_" },
    Resource { plural: "customers", singular: "customer", prefix: "cus_" },
    Resource { plural: EVENTS, singular: "event", prefix: "evt_" },
    Resource { plural: "payment_intents", singular: "payment_intent", prefix: "pi_" },
    Resource { plural: "products", singular: "product", prefix: "prod_" },
    Resource { plural: "refunds", singular: "refund", prefix: "re_" },
];

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    List(&'static Resource),
    One(&'static Resource, RecordId),
}

fn route(call: &Call) -> Option<Route> {
    let segments = call.segments();
    let named = |plural: &str| RESOURCES.iter().find(|resource| resource.plural == plural);
    match &segments.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        ["v1", plural] => named(plural).map(Route::List),
        ["v1", plural, id] => named(plural).map(|resource| Route::One(resource, RecordId::parse(id))),
        _ => None,
    }
}

fn layout(resource: &str) -> Option<Layout> {
    let keys = resource == KEYS;
    (keys || RESOURCES.iter().any(|known| known.plural == resource)).then_some(Layout {
        id_field: "id",
        numeric_id: false,
        created_field: Some("created"),
        updated_field: None,
        external_field: keys.then_some("key"),
        flags: |_| 0,
    })
}

/// An error in Stripe's form.
fn error(status: StatusCode, kind: &str, code: Option<&str>, message: &str, param: Option<&str>) -> Reply {
    let mut said = json!({"message": message, "type": kind});
    for (name, value) in [("code", code), ("param", param)] {
        if let Some(value) = value {
            said[name] = json!(value);
        }
    }
    Reply::json(status, JSON, &json!({"error": said}))
}

fn invalid(message: &str, param: Option<&str>) -> Reply {
    error(StatusCode::BAD_REQUEST, "invalid_request_error", None, message, param)
}

fn missing(resource: &Resource, id: &str) -> Reply {
    let message = format!("No such {}: '{id}'", resource.singular);
    error(StatusCode::NOT_FOUND, "invalid_request_error", Some("resource_missing"), &message, Some("id"))
}

/// The range of `created[gte]` and its kin, which are seconds since the epoch; or an exact `created`.
fn range(call: &Call) -> Result<(Bound<i64>, Bound<i64>), Reply> {
    let second = |name: &str| match call.param(name).map(str::parse::<i64>) {
        None => Ok(None),
        Some(Ok(second)) => Ok(Some(second * 1_000_000)),
        Some(Err(_)) => Err(invalid(&format!("Invalid integer: {name}"), Some(name))),
    };
    if let Some(exact) = second("created")? {
        return Ok((Bound::Included(exact), Bound::Included(exact)));
    }
    let low = match (second("created[gte]")?, second("created[gt]")?) {
        (Some(time), _) => Bound::Included(time),
        (None, Some(time)) => Bound::Excluded(time),
        (None, None) => Bound::Unbounded,
    };
    let high = match (second("created[lte]")?, second("created[lt]")?) {
        (Some(time), _) => Bound::Included(time),
        (None, Some(time)) => Bound::Excluded(time),
        (None, None) => Bound::Unbounded,
    };
    Ok((low, high))
}

/// `GET /v1/{resource}`: the newest first.
fn list(resource: &'static Resource, call: &Call, settings: &Settings, state: &mut State) -> Reply {
    let range = match range(call) {
        Ok(range) => range,
        Err(refusal) => return refusal,
    };
    let limit = call.number("limit", settings.page_size_default).unwrap_or(0);
    if limit == 0 || limit > settings.page_size_max {
        return invalid("Invalid limit: must be between 1 and 100", Some("limit"));
    }
    let Some(collection) = state.collection(resource.plural) else { return missing(resource, "") };
    let after = match call.param("starting_after") {
        None => None,
        Some(id) => match place(collection, Sort::Created, &RecordId::parse(id)) {
            Some(place) => Some(place),
            None => return invalid(&format!("No such {}: '{id}'", resource.singular), Some("starting_after")),
        },
    };
    let types: Vec<&str> =
        call.query.iter().filter(|(name, _)| name.starts_with("types[")).map(|(_, value)| value.as_str()).collect();
    let customer = call.param("customer");
    let keep = |record: &Value| {
        let kind = record["type"].as_str().unwrap_or_default();
        (types.is_empty() || types.contains(&kind)) && customer.is_none_or(|customer| record["customer"] == customer)
    };
    let wanted = Wanted { sort: Sort::Created, descending: true, range, after, limit, keep: &keep, ..EVERYTHING };
    let page = wanted.page(collection);
    let body = json!({"object": "list", "url": call.path, "has_more": page.more, "data": page.records});
    Reply::json(StatusCode::OK, JSON, &body)
}

impl Vendor for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn settings(&self) -> Settings {
        let api_versions = ["2026-03-25.dahlia", "2026-09-30.endive"].map(ToOwned::to_owned).to_vec();
        Settings { api_versions, ..settings(10, 100) }
    }

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    fn route(&self, call: &Call) -> Cow<'static, str> {
        match route(call) {
            None => "{unknown}".into(),
            Some(Route::List(resource)) => format!("/v1/{}", resource.plural).into(),
            Some(Route::One(resource, _)) => format!("/v1/{}/{{id}}", resource.plural).into(),
        }
    }

    /// Without a header, the account's own version answers: the newest.
    fn versions(&self, call: &Call, settings: &Settings) -> Option<Versions> {
        let requested = call.header("stripe-version").or(settings.api_versions.last().map(String::as_str))?.to_owned();
        settings.api_versions.contains(&requested).then(|| Versions { served: requested.clone(), requested })
    }

    /// A key is a bearer token, or the user name of basic authentication.
    fn identify(&self, call: &Call, tokens: &mut Tokens) -> Identity {
        match (call.basic(), call.header("authorization").and_then(|value| value.split_once(' '))) {
            (Some((key, _)), _) => tokens.identify(&key),
            (None, Some((scheme, token))) if scheme.eq_ignore_ascii_case("bearer") => tokens.identify(token.trim()),
            (None, Some(_) | None) => Identity::ANONYMOUS,
        }
    }

    fn idempotency_key<'a>(&self, call: &'a Call) -> Option<&'a str> {
        call.header("idempotency-key")
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        let kind = "invalid_request_error";
        match refusal {
            Refusal::Unauthorized => {
                error(StatusCode::UNAUTHORIZED, kind, None, "Invalid API Key provided: sk_test_****", None)
            }
            Refusal::TooFast { retry_after_seconds } => {
                let message = "Request rate limit exceeded. Learn more about rate limits.";
                let reply = error(StatusCode::TOO_MANY_REQUESTS, kind, Some("rate_limit"), message, None)
                    .header("Stripe-Rate-Limited-Reason", "global-rate");
                match retry_after_seconds {
                    Some(seconds) => reply.header("Retry-After", format!("{:.0}", seconds.ceil())),
                    None => reply,
                }
            }
            Refusal::TooConcurrent => {
                error(StatusCode::TOO_MANY_REQUESTS, kind, Some("rate_limit"), "Too many concurrent requests.", None)
                    .header("Stripe-Rate-Limited-Reason", "global-concurrency")
            }
        }
    }

    fn answer(&self, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
        if self.versions(call, settings).is_none() {
            return invalid("Invalid Stripe API version", None);
        }
        let state = &mut *hold(state);
        match (&call.method, route(call)) {
            (_, None) => {
                let message = format!("Unrecognized request URL ({}: {}).", call.method, call.path);
                error(StatusCode::NOT_FOUND, "invalid_request_error", None, &message, None)
            }
            (&Method::GET, Some(Route::List(resource))) => list(resource, call, settings, state),
            (&Method::GET, Some(Route::One(resource, id))) => {
                let found = state.collection(resource.plural).and_then(|found| found.get(&id)).map(Record::value);
                let missing = || missing(resource, &id.to_string());
                found.map_or_else(missing, |found| Reply::json(StatusCode::OK, JSON, &found))
            }
            (&Method::POST, Some(Route::List(resource))) => {
                write::once(call, state, |state| write::create(resource, call, state))
            }
            (&Method::POST, Some(Route::One(resource, id))) => {
                write::once(call, state, |state| write::update(resource, &id, call, state))
            }
            (&Method::DELETE, Some(Route::One(resource, id)))
                if matches!(resource.plural, "customers" | "products") =>
            {
                write::delete(resource, &id, call, state)
            }
            (_, Some(Route::List(_) | Route::One(..))) => invalid("Unrecognized request URL.", None),
        }
    }

    fn finish(&self, reply: Reply, call: &Call, finish: Finish<'_>) -> Reply {
        let reply = reply.header("Request-Id", format!("req_{}", call.request_id));
        match finish.versions {
            Some(versions) => reply.header("Stripe-Version", versions.served.as_str()),
            None => reply,
        }
    }

    fn generate(&self, request: &SeedRequest, _: &Settings, id: u64, at: Timestamp) -> Option<Value> {
        let charge = json!({
            "id": format!("ch_{id:012}"), "object": "charge", "amount": 500 + (id % 97) * 25, "amount_refunded": 0,
            "currency": if id.is_multiple_of(5) { "eur" } else { "usd" }, "created": at.as_second(), "status": "succeeded",
            "paid": true, "refunded": false, "customer": null, "metadata": {}, "livemode": false,
            "billing_details": {"email": format!("buyer{id}@example.com"), "name": format!("Käufer {id}")},
        });
        match request.resource.as_str() {
            "charges" => Some(charge),
            EVENTS => Some(json!({
                "id": format!("evt_{id:012}"), "object": "event", "type": "charge.succeeded", "created": at.as_second(),
                "livemode": false, "pending_webhooks": 0, "data": {"object": charge},
            })),
            "customers" => Some(json!({
                "id": format!("cus_{id:012}"), "object": "customer", "email": format!("buyer{id}@example.com"),
                "created": at.as_second(), "metadata": {}, "livemode": false,
            })),
            _ => None,
        }
    }

    fn format_time(&self, time: Timestamp, _: &Settings) -> Value {
        Value::from(time.as_second())
    }
}
