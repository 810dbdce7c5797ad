//! Shopify's Admin API: paths, credentials, versions, errors and headers.
//!
//! REST listings are in `listing` and `filter`, the answers to each REST path in `answer`, GraphQL in `graphql`, generated records in `seed`.

mod answer;
mod filter;
mod graphql;
mod listing;
mod seed;
mod version;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::message::{Call, Reply};
use crate::store::{Layout, RecordId, State};
use crate::tokens::{Identity, Tokens};
use crate::vendor::{Finish, Refusal, Vendor, Versions};
use crate::wire::{SeedRequest, Settings};

const JSON: &str = "application/json; charset=utf-8";
const DEFAULT_BUCKET: u32 = 40;
/// Set in [`crate::store::Record::flags`] for a cancelled order.
const CANCELLED: u8 = 1;
/// Set in [`crate::store::Record::flags`] for a closed order.
const CLOSED: u8 = 2;

/// The vendor.
pub(crate) struct Shopify;

/// What a path below `/admin/api/{version}` means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    List(&'static Resource),
    Count(&'static Resource),
    One(&'static Resource, RecordId),
    Refunds(RecordId),
    Shop,
    GraphQl,
}

/// A kind of record and its two names.
#[derive(Debug, PartialEq, Eq)]
struct Resource {
    plural: &'static str,
    singular: &'static str,
}

const RESOURCES: &[Resource] = &[
    Resource { plural: "orders", singular: "order" },
    Resource { plural: "customers", singular: "customer" },
    Resource { plural: "locations", singular: "location" },
    Resource { plural: "products", singular: "product" },
    Resource { plural: "webhooks", singular: "webhook" },
];

/// The version asked for and the rest of the path; none for a path outside the Admin API.
fn split(call: &Call) -> Option<(String, Option<Route>)> {
    let segments = call.segments();
    let ["admin", "api", version, rest @ ..] = &segments.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] else {
        return None;
    };
    Some(((*version).to_owned(), route(rest)))
}

fn route(rest: &[&str]) -> Option<Route> {
    let named = |plural: &str| RESOURCES.iter().find(|resource| resource.plural == plural);
    match rest {
        ["shop.json"] => Some(Route::Shop),
        ["graphql.json"] => Some(Route::GraphQl),
        [list] => named(list.strip_suffix(".json")?).map(Route::List),
        [plural, "count.json"] => named(plural).map(Route::Count),
        [plural, one] => Some(Route::One(named(plural)?, RecordId::parse(one.strip_suffix(".json")?))),
        ["orders", id, "refunds.json"] => Some(Route::Refunds(RecordId::parse(id))),
        _ => None,
    }
}

fn layout(resource: &str) -> Option<Layout> {
    let known = resource == "shop" || RESOURCES.iter().any(|known| known.plural == resource);
    known.then_some(Layout {
        id_field: "id",
        numeric_id: true,
        created_field: Some("created_at"),
        updated_field: Some("updated_at"),
        external_field: None,
        flags: |record| {
            let set = |field: &str| record.get(field).is_some_and(|value| !value.is_null());
            u8::from(set("cancelled_at")) * CANCELLED + u8::from(set("closed_at")) * CLOSED
        },
    })
}

/// An error in Shopify's form; `errors` is a text or an object by field.
fn error(status: StatusCode, errors: impl Into<Value>) -> Reply {
    Reply::json(status, JSON, &json!({"errors": errors.into()}))
}

fn not_found() -> Reply {
    error(StatusCode::NOT_FOUND, "Not Found")
}

fn zone(settings: &Settings) -> TimeZone {
    TimeZone::get(&settings.time_zone).unwrap_or(TimeZone::UTC)
}

/// Shopify writes times in the shop's zone, to the second.
fn shop_time(time: Timestamp, settings: &Settings) -> String {
    time.to_zoned(zone(settings)).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

impl Vendor for Shopify {
    fn name(&self) -> &'static str {
        "shopify"
    }

    fn settings(&self) -> Settings {
        Settings {
            page_size_default: 50,
            page_size_max: 250,
            rate_limit: None,
            concurrency_limit: None,
            api_versions: ["2026-01", "2026-04", "2026-07", "2026-10"].map(ToOwned::to_owned).to_vec(),
            deprecated_reasons: BTreeMap::new(),
            extra_headers: BTreeMap::new(),
            clock_offset_millis: 0,
            time_zone: "America/New_York".to_owned(),
        }
    }

    fn furnish(&self, state: &mut State, settings: &Settings) {
        seed::furnish(state, settings);
    }

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    fn route(&self, call: &Call) -> Cow<'static, str> {
        let rest = match split(call) {
            None => return Cow::Borrowed("{unknown}"),
            Some((_, None)) => "{unknown}".to_owned(),
            Some((_, Some(Route::GraphQl))) => "graphql.json".to_owned(),
            Some((_, Some(Route::Shop))) => "shop.json".to_owned(),
            Some((_, Some(Route::List(resource)))) => format!("{}.json", resource.plural),
            Some((_, Some(Route::Count(resource)))) => format!("{}/count.json", resource.plural),
            Some((_, Some(Route::One(resource, _)))) => format!("{}/{{id}}.json", resource.plural),
            Some((_, Some(Route::Refunds(_)))) => "orders/{id}/refunds.json".to_owned(),
        };
        Cow::Owned(format!("/admin/api/{{version}}/{rest}"))
    }

    fn versions(&self, call: &Call, settings: &Settings) -> Option<Versions> {
        let (requested, _) = split(call)?;
        let served = version::served(&requested, &settings.api_versions)?;
        Some(Versions { requested, served })
    }

    fn identify(&self, call: &Call, tokens: &mut Tokens) -> Identity {
        call.header("x-shopify-access-token").map_or(Identity::ANONYMOUS, |token| tokens.identify(token))
    }

    fn idempotency_key<'a>(&self, _: &'a Call) -> Option<&'a str> {
        None
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Unauthorized => error(
                StatusCode::UNAUTHORIZED,
                "[API] Invalid API key or access token (unrecognized login or wrong password)",
            ),
            Refusal::TooFast { retry_after_seconds } => error(
                StatusCode::TOO_MANY_REQUESTS,
                "Exceeded 2 calls per second for api client. Reduce request rates to resume uninterrupted service.",
            )
            .header("Retry-After", format!("{:.1}", retry_after_seconds.unwrap_or(2.0))),
            Refusal::TooConcurrent => {
                error(StatusCode::TOO_MANY_REQUESTS, "Too many concurrent requests").header("Retry-After", "2.0")
            }
        }
    }

    fn answer(&self, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
        match (self.versions(call, settings), split(call)) {
            (Some(_), Some((_, Some(Route::GraphQl)))) => graphql::answer(call, state),
            (Some(_), Some((_, Some(route)))) => answer::answer(&route, call, settings, state),
            _ => not_found(),
        }
    }

    fn finish(&self, mut reply: Reply, call: &Call, finish: Finish<'_>) -> Reply {
        let graphql = matches!(split(call), Some((_, Some(Route::GraphQl))));
        // GraphQL says in the body that a client is too fast, and has no calls to count.
        if graphql && reply.status == StatusCode::TOO_MANY_REQUESTS {
            reply = graphql::throttled();
        }
        let size = finish.settings.rate_limit.map_or(DEFAULT_BUCKET, |limit| limit.bucket_size);
        reply = reply.header("X-Request-Id", call.request_id.as_str());
        if !graphql {
            reply = reply.header("X-Shopify-Shop-Api-Call-Limit", format!("{}/{size}", finish.bucket_used));
        }
        if let Some(versions) = finish.versions {
            reply = reply.header("X-Shopify-API-Version", versions.served.as_str());
            if let Some(reason) = finish.settings.deprecated_reasons.get(&versions.served) {
                reply = reply.header("X-Shopify-API-Deprecated-Reason", reason.as_str());
            }
        }
        reply
    }

    fn generate(&self, request: &SeedRequest, settings: &Settings, id: u64, at: Timestamp) -> Option<Value> {
        seed::generate(request, settings, id, at)
    }

    fn format_time(&self, time: Timestamp, settings: &Settings) -> Value {
        shop_time(time, settings).into()
    }
}
