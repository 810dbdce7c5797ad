//! SAP S/4HANA's OData services: sales orders in version 4, business partners in version 2. Tokens against forgery, ETags, pages the
//! server cuts. Filters are in `filter`, writes in `write`.

mod filter;
mod write;

use std::borrow::Cow;
use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use self::filter::Filter;
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::pages::{EVERYTHING, Wanted, cursor, placed};
use crate::random::seed_of;
use crate::store::{Layout, Record, RecordId, Sort, State};
use crate::tokens::{Identity, Tokens};
use crate::vendor::{Finish, Refusal, Vendor, settings};
use crate::wire::{SeedRequest, Settings};

const JSON: &str = "application/json";
/// Where every record keeps the time of its last change, whatever its service shows.
const CHANGED: &str = "LastChangeDateTime";
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The vendor.
pub(crate) struct Sap;

/// One entity set of one service.
#[derive(Debug, PartialEq, Eq)]
struct Set {
    /// Path of the service.
    root: &'static [&'static str],
    name: &'static str,
    key: &'static str,
    /// Whether the service speaks version 2 of OData.
    v2: bool,
    /// Fields that a new record needs.
    needed: &'static [&'static str],
}

const SETS: &[Set] = &[
    Set {
        root: &["sap", "opu", "odata4", "sap", "api_salesorder", "srvd_a2x", "sap", "salesorder", "0001"],
        name: "SalesOrder",
        key: "SalesOrder",
        v2: false,
        needed: &["SalesOrderType", "SoldToParty"],
    },
    Set {
        root: &["sap", "opu", "odata", "sap", "API_BUSINESS_PARTNER"],
        name: "A_BusinessPartner",
        key: "BusinessPartner",
        v2: true,
        needed: &["BusinessPartnerCategory"],
    },
];

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    /// The service itself, where a token is fetched.
    Service(&'static Set),
    List(&'static Set),
    One(&'static Set, RecordId),
}

fn route(call: &Call) -> Option<Route> {
    let segments = call.segments();
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    SETS.iter().find_map(|set| match segments.strip_prefix(set.root)? {
        [] => Some(Route::Service(set)),
        [name] if *name == set.name => Some(Route::List(set)),
        [name] => one(set, name),
        [name, key] if *name == set.name && !set.v2 => Some(Route::One(set, RecordId::parse(key))),
        _ => None,
    })
}

/// `Set('1')` and `Set(Key='1')`.
fn one(set: &'static Set, segment: &str) -> Option<Route> {
    let inside = segment.strip_prefix(set.name)?.strip_prefix('(')?.strip_suffix(')')?;
    let value = inside.strip_prefix(set.key).and_then(|rest| rest.strip_prefix('=')).unwrap_or(inside);
    let key = value.strip_prefix('\'')?.strip_suffix('\'')?;
    Some(Route::One(set, RecordId::parse(key)))
}

fn layout(resource: &str) -> Option<Layout> {
    let set = SETS.iter().find(|set| set.name == resource)?;
    Some(Layout {
        id_field: set.key,
        numeric_id: false,
        created_field: None,
        updated_field: Some(CHANGED),
        external_field: None,
        flags: |_| 0,
    })
}

/// An error in the form of the service's version.
fn error(v2: bool, status: StatusCode, code: &str, message: &str) -> Reply {
    let message = if v2 { json!({"lang": "en", "value": message}) } else { json!(message) };
    Reply::json(status, JSON, &json!({"error": {"code": code, "message": message}}))
}

fn not_found(v2: bool) -> Reply {
    error(v2, StatusCode::NOT_FOUND, "/IWBEP/CM_MGW_RT/020", "Resource not found for the segment")
}

/// What stands for a record's state.
fn etag(record: &Value) -> String {
    format!("W/\"{:016x}\"", seed_of(&record.to_string()))
}

/// A record as its service shows it.
fn shown(set: &Set, mut record: Value, base: &str) -> Value {
    let (tag, key) = (etag(&record), record[set.key].clone());
    let changed = record[CHANGED].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let Value::Object(fields) = &mut record else { return record };
    if set.v2 {
        fields.shift_remove(CHANGED);
        if let Some(changed) = changed {
            let day = changed.as_microsecond().div_euclid(DAY) * DAY / 1_000;
            fields.insert("LastChangeDate".to_owned(), json!(format!("/Date({day})/")));
            fields.insert("LastChangeTime".to_owned(), json!(changed.strftime("PT%HH%MM%SS").to_string()));
        }
        let uri = format!("{base}/{}/{}('{}')", set.root.join("/"), set.name, key.as_str().unwrap_or_default());
        fields.shift_insert(0, "__metadata".to_owned(), json!({"id": uri, "uri": uri, "etag": tag}));
    } else {
        fields.shift_insert(0, "@odata.etag".to_owned(), json!(tag));
    }
    record
}

/// One record as an answer.
fn entity(set: &Set, record: &Value, base: &str, status: StatusCode) -> Reply {
    let shown = shown(set, record.clone(), base);
    let body = if set.v2 { json!({"d": shown}) } else { shown };
    Reply::json(status, JSON, &body).header("ETag", etag(record))
}

fn list(set: &'static Set, call: &Call, settings: &Settings, state: &mut State) -> Reply {
    let bad = |message: &str| error(set.v2, StatusCode::BAD_REQUEST, "/IWBEP/CM_MGW_RT/000", message);
    let times: &[&str] = if set.v2 { &["LastChangeDate"] } else { &[CHANGED] };
    let filter = match Filter::parse(call.param("$filter").unwrap_or_default(), times) {
        Ok(filter) => filter,
        Err(message) => return bad(&message),
    };
    let after = call.param("$skiptoken").map(placed);
    let (Some(top), Some(skip)) = (call.number("$top", usize::MAX), call.number("$skip", 0)) else {
        return bad("$top and $skip must be whole numbers");
    };
    if after == Some(None) {
        return bad("The skip token is not valid");
    }
    let preferred = call.header("prefer").and_then(|prefer| prefer.strip_prefix("odata.maxpagesize=")?.parse().ok());
    let size = preferred.unwrap_or(settings.page_size_default).clamp(1, settings.page_size_max);
    let keep = |record: &Value| filter.holds(record);
    let by_time = !set.v2 && call.param("$orderby").is_some_and(|order| order.starts_with(CHANGED));
    let sort = if by_time { Sort::Updated } else { Sort::Id };
    let range = filter.range();
    // A filter by time is a filter in any order. Version 2 knows the day alone.
    let within = |record: &Value| {
        let at =
            record[CHANGED].as_str().and_then(|text| text.parse::<Timestamp>().ok()).map(Timestamp::as_microsecond);
        let at = at.map(|at| if set.v2 { at.div_euclid(DAY) * DAY } else { at });
        keep(record) && (by_time || at.is_none_or(|at| std::ops::RangeBounds::contains(&range, &at)))
    };
    let wanted =
        Wanted { sort, range, after: after.flatten(), skip, limit: size.min(top), keep: &within, ..EVERYTHING };
    let Some(collection) = state.collection(set.name) else { return not_found(set.v2) };
    let page = wanted.page(collection);
    let next = page.last.filter(|_| page.more && top > size).map(|last| next_link(set, call, &cursor(&last)));
    let records: Vec<Value> = page.records.into_iter().map(|record| shown(set, record, &call.base)).collect();
    let mut body = if set.v2 {
        json!({"d": {"results": records}})
    } else {
        json!({"@odata.context": "$metadata", "value": records})
    };
    match (next, set.v2) {
        (None, _) => {}
        (Some(next), true) => body["d"]["__next"] = json!(format!("{}/{}/{next}", call.base, set.root.join("/"))),
        (Some(next), false) => body["@odata.nextLink"] = json!(next),
    }
    Reply::json(StatusCode::OK, JSON, &body)
}

/// The request again behind a place, relative to the service.
fn next_link(set: &Set, call: &Call, token: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let kept = call.query.iter().filter(|(name, _)| !matches!(name.as_str(), "$skiptoken" | "$skip"));
    let mut query: Vec<String> = kept.map(|(name, value)| format!("{name}={}", encode(value))).collect();
    query.push(format!("$skiptoken={token}"));
    format!("{}?{}", set.name, query.join("&"))
}

impl Vendor for Sap {
    fn name(&self) -> &'static str {
        "sap"
    }

    fn settings(&self) -> Settings {
        settings(1_000, 5_000)
    }

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    fn route(&self, call: &Call) -> Cow<'static, str> {
        match route(call) {
            None => "{unknown}".into(),
            Some(Route::Service(set)) => format!("/{}/", set.root.join("/")).into(),
            Some(Route::List(set)) => set.name.into(),
            Some(Route::One(set, _)) => format!("{}({{key}})", set.name).into(),
        }
    }

    /// A communication user's password, or a token of OAuth 2.
    fn identify(&self, call: &Call, tokens: &mut Tokens) -> Identity {
        match (call.basic(), call.header("authorization").and_then(|value| value.split_once(' '))) {
            (Some((_, password)), _) => tokens.identify(&password),
            (None, Some((scheme, token))) if scheme.eq_ignore_ascii_case("bearer") => tokens.identify(token.trim()),
            (None, Some(_) | None) => Identity::ANONYMOUS,
        }
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Unauthorized => {
                Reply::with_body(StatusCode::UNAUTHORIZED, "text/html", "<html>Logon failed</html>")
                    .header("WWW-Authenticate", "Basic realm=\"SAP NetWeaver\"")
            }
            Refusal::TooFast { retry_after_seconds } => {
                error(false, StatusCode::TOO_MANY_REQUESTS, "429", "Too many requests")
                    .header("Retry-After", format!("{:.0}", retry_after_seconds.unwrap_or(1.0).ceil()))
            }
            Refusal::TooConcurrent => error(false, StatusCode::SERVICE_UNAVAILABLE, "503", "Service unavailable"),
        }
    }

    fn answer(&self, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
        let Some(route) = route(call) else { return not_found(true) };
        let state = &mut *hold(state);
        let reply = match (&call.method, &route) {
            (&Method::GET | &Method::HEAD, Route::Service(_)) => {
                Reply::json(StatusCode::OK, JSON, &json!({"value": []}))
            }
            (&Method::GET, Route::List(set) | Route::One(set, _)) if set.v2 && !write::wants_json(call) => {
                Reply::with_body(
                    StatusCode::OK,
                    "application/atom+xml",
                    "<feed xmlns=\"http://www.w3.org/2005/Atom\"/>",
                )
            }
            (&Method::GET, Route::List(set)) => list(set, call, settings, state),
            (&Method::GET, Route::One(set, id)) => {
                let found = state.collection(set.name).and_then(|found| found.get(id)).map(Record::value);
                found.map_or_else(|| not_found(set.v2), |found| entity(set, &found, &call.base, StatusCode::OK))
            }
            (_, Route::Service(_) | Route::List(_) | Route::One(..)) if !write::is_genuine(call) => {
                let reply = Reply::with_body(StatusCode::FORBIDDEN, "text/plain", "CSRF token validation failed");
                return reply.header("X-CSRF-Token", "Required");
            }
            (&Method::POST, Route::List(set)) => write::create(set, call, state),
            (&Method::PATCH, Route::One(set, id)) => write::change(set, id, call, state),
            (&Method::DELETE, Route::One(set, id)) => write::delete(set, id, call, state),
            (_, Route::Service(set) | Route::List(set) | Route::One(set, _)) => {
                error(set.v2, StatusCode::METHOD_NOT_ALLOWED, "405", "Method not allowed")
            }
        };
        write::with_token(reply, call)
    }

    fn finish(&self, reply: Reply, call: &Call, _: Finish<'_>) -> Reply {
        reply.header("sap-message-id", call.request_id.as_str())
    }

    fn generate(&self, request: &SeedRequest, settings: &Settings, id: u64, at: Timestamp) -> Option<Value> {
        let changed = self.format_time(at, settings);
        match request.resource.as_str() {
            "SalesOrder" => Some(json!({
                "SalesOrder": id.to_string(), "SalesOrderType": "OR", "SoldToParty": "17100001", CHANGED: changed,
                "PurchaseOrderByCustomer": format!("seed-{id}"), "TotalNetAmount": "12.50", "TransactionCurrency": "EUR",
            })),
            "A_BusinessPartner" => Some(json!({
                "BusinessPartner": id.to_string(), "BusinessPartnerCategory": "2", "BusinessPartnerFullName": format!("Beispiel GmbH {id}"),
                CHANGED: changed,
            })),
            _ => None,
        }
    }
}
