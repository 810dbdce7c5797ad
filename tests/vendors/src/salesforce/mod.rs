//! Salesforce's REST API: paths, credentials, errors and headers. Single records by id or by external id, and sObject Collections.
//!
//! Every object has one external id field, [`EXTERNAL_ID`]; a real org has those that its people made. Reads are in `read`, writes in
//! `write`.

mod query;
mod read;
mod write;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::store::{Collection, Layout, RecordId, State};
use crate::vendor::{Finish, Refusal, Vendor, Versions};
use crate::wire::{SeedRequest, Settings};

const JSON: &str = "application/json;charset=UTF-8";
/// The external id field of every object.
const EXTERNAL_ID: &str = "External_Id__c";
/// Standard objects, with the beginning of their ids and the field that a new one needs. Custom objects end in `__c` and need none.
const STANDARD: &[(&str, &str, Option<&str>)] =
    &[("Account", "001", Some("Name")), ("Contact", "003", Some("LastName")), ("Order", "801", Some("AccountId"))];
const CUSTOM_PREFIX: &str = "a00";
/// Requests a day that the account has, and how many it always says it used.
const DAILY: u32 = 100_000;
const USED: u32 = 18;

/// The vendor.
pub(crate) struct Salesforce;

/// How a path names one record.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reference {
    Id(RecordId),
    External { field: String, value: String },
}

impl Reference {
    /// The id of the record it names, if there is one.
    fn find(&self, collection: &Collection) -> Option<RecordId> {
        match self {
            Self::Id(id) => collection.get(id).map(|_| id.clone()),
            Self::External { field: _, value } => collection.by_external(value).cloned(),
        }
    }

    /// A field that is no external id names nothing.
    fn check(&self) -> Result<(), Reply> {
        match self {
            Self::External { field, .. } if field != EXTERNAL_ID => Err(no_field(field)),
            Self::Id(_) | Self::External { .. } => Ok(()),
        }
    }
}

/// What a path below `/services/data` means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    Versions,
    Limits,
    Query { locator: Option<String> },
    Record { object: String, reference: Reference },
    Collection { object: String, field: String },
}

/// The version asked for, where the path has one, and what the path means.
fn route(call: &Call) -> (Option<String>, Option<Route>) {
    let segments = call.segments();
    let version = |text: &str| text.strip_prefix('v').map(str::to_owned);
    match &segments.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        ["services", "data"] => (None, Some(Route::Versions)),
        ["services", "data", number, "limits"] => (version(number), Some(Route::Limits)),
        ["services", "data", number, "query" | "queryAll"] => (version(number), Some(Route::Query { locator: None })),
        ["services", "data", number, "query" | "queryAll", locator] => {
            (version(number), Some(Route::Query { locator: Some((*locator).to_owned()) }))
        }
        ["services", "data", number, "sobjects", object, id] => {
            let reference = Reference::Id(RecordId::parse(id));
            (version(number), Some(Route::Record { object: (*object).to_owned(), reference }))
        }
        ["services", "data", number, "sobjects", object, field, value] => {
            let reference = Reference::External { field: (*field).to_owned(), value: (*value).to_owned() };
            (version(number), Some(Route::Record { object: (*object).to_owned(), reference }))
        }
        ["services", "data", number, "composite", "sobjects", object, field] => {
            let collection = Route::Collection { object: (*object).to_owned(), field: (*field).to_owned() };
            (version(number), Some(collection))
        }
        ["services", "data", number, ..] => (version(number), None),
        _ => (None, None),
    }
}

fn standard(object: &str) -> Option<&'static (&'static str, &'static str, Option<&'static str>)> {
    STANDARD.iter().find(|(name, ..)| *name == object)
}

fn layout(object: &str) -> Option<Layout> {
    (standard(object).is_some() || object.ends_with("__c")).then_some(Layout {
        id_field: "Id",
        numeric_id: false,
        created_field: Some("CreatedDate"),
        updated_field: Some("LastModifiedDate"),
        external_field: Some(EXTERNAL_ID),
        flags: |_| 0,
    })
}

/// An error in Salesforce's form.
fn error(status: StatusCode, code: &str, message: &str) -> Reply {
    Reply::json(status, JSON, &json!([{"message": message, "errorCode": code}]))
}

fn not_found() -> Reply {
    error(StatusCode::NOT_FOUND, "NOT_FOUND", "The requested resource does not exist")
}

fn no_field(field: &str) -> Reply {
    let message = format!("Provided external ID field does not exist or is not accessible: {field}");
    error(StatusCode::NOT_FOUND, "NOT_FOUND", &message)
}

/// Salesforce writes milliseconds and an offset without a colon.
fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

impl Vendor for Salesforce {
    fn name(&self) -> &'static str {
        "salesforce"
    }

    fn settings(&self) -> Settings {
        Settings {
            page_size_default: 2_000,
            page_size_max: 2_000,
            rate_limit: None,
            concurrency_limit: Some(25),
            api_versions: ["65.0", "66.0", "67.0", "68.0"].map(ToOwned::to_owned).to_vec(),
            deprecated_reasons: BTreeMap::new(),
            extra_headers: BTreeMap::new(),
            clock_offset_millis: 0,
            time_zone: "UTC".to_owned(),
        }
    }

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    fn route(&self, call: &Call) -> Cow<'static, str> {
        let shown = |object: &str| standard(object).map_or("{object}", |(name, ..)| *name);
        let root = "/services/data/v{version}";
        match route(call).1 {
            None => "{unknown}".into(),
            Some(Route::Versions) => "/services/data".into(),
            Some(Route::Limits) => format!("{root}/limits").into(),
            Some(Route::Query { locator: None }) => format!("{root}/query").into(),
            Some(Route::Query { locator: Some(_) }) => format!("{root}/query/{{locator}}").into(),
            Some(Route::Record { object, reference: Reference::Id(_) }) => {
                format!("{root}/sobjects/{}/{{id}}", shown(&object)).into()
            }
            Some(Route::Record { object, reference: Reference::External { .. } }) => {
                format!("{root}/sobjects/{}/{{field}}/{{value}}", shown(&object)).into()
            }
            Some(Route::Collection { object, .. }) => {
                format!("{root}/composite/sobjects/{}/{{field}}", shown(&object)).into()
            }
        }
    }

    fn versions(&self, call: &Call, settings: &Settings) -> Option<Versions> {
        let requested = route(call).0?;
        settings.api_versions.contains(&requested).then(|| Versions { served: requested.clone(), requested })
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Unauthorized => {
                error(StatusCode::UNAUTHORIZED, "INVALID_SESSION_ID", "Session expired or invalid")
            }
            Refusal::TooFast { .. } => {
                error(StatusCode::FORBIDDEN, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            }
            Refusal::TooConcurrent => {
                error(StatusCode::FORBIDDEN, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded.")
            }
        }
    }

    fn answer(&self, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
        let (_, Some(route)) = route(call) else { return not_found() };
        if route == Route::Versions {
            return read::versions(settings);
        }
        let Some(Versions { served, .. }) = self.versions(call, settings) else { return not_found() };
        let object = match &route {
            Route::Record { object, .. } | Route::Collection { object, .. } => object,
            Route::Query { locator } => return query::query(&served, locator.as_deref(), call, state),
            Route::Limits => {
                let limits = json!({"DailyApiRequests": {"Max": DAILY, "Remaining": DAILY - USED}});
                return Reply::json(StatusCode::OK, JSON, &limits);
            }
            Route::Versions => return not_found(),
        };
        if layout(object).is_none() {
            return not_found();
        }
        match (&call.method, &route) {
            (&Method::GET, Route::Record { object, reference }) => read::record(object, reference, call, state),
            (&Method::PATCH | &Method::DELETE, Route::Record { object, reference }) => {
                write::record(object, reference, call, &mut hold(state))
            }
            (&Method::PATCH, Route::Collection { object, field }) => {
                write::collection(object, field, call, &mut hold(state))
            }
            (
                _,
                Route::Versions | Route::Limits | Route::Query { .. } | Route::Record { .. } | Route::Collection { .. },
            ) => {
                let message = format!("HTTP Method '{}' not allowed here", call.method);
                error(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", &message)
            }
        }
    }

    fn finish(&self, reply: Reply, _: &Call, _: Finish<'_>) -> Reply {
        reply.header("Sforce-Limit-Info", format!("api-usage={USED}/{DAILY}"))
    }

    fn generate(&self, request: &SeedRequest, _: &Settings, id: u64, at: Timestamp) -> Option<Value> {
        let at = written(at);
        let account = json!({
            "Id": id.to_string(), "Name": format!("Account {id}"), "CreatedDate": at, "LastModifiedDate": at,
            EXTERNAL_ID: format!("seed-{id}"),
        });
        (request.resource == "Account").then_some(account)
    }

    fn format_time(&self, time: Timestamp, _: &Settings) -> Value {
        written(time).into()
    }
}
