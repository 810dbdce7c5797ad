//! NetSuite's REST record service: paths, credentials, errors and headers.
//!
//! Reads are in `read`, writes in `write` with their checks in `validate`, asynchronous requests in `job`, OAuth 1.0a in
//! `oauth1`, collection filters in `filter`, SuiteQL in `suiteql`, generated records in `seed`.

mod filter;
mod job;
mod oauth1;
mod read;
mod seed;
mod suiteql;
mod validate;
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
use crate::tokens::{Identity, Tokens};
use crate::vendor::{Finish, Refusal, Vendor, Versions};
use crate::wire::{SeedRequest, Settings};

const SINGULAR: &str = "application/vnd.oracle.resource+json; type=singular";
const COLLECTION: &str = "application/vnd.oracle.resource+json; type=collection";
const PROBLEM: &str = "application/vnd.oracle.resource+json; type=error";
const RECORDS: &str = "/services/rest/record/v1";

/// Record types that are not transactions. Those are in [`validate::TRANSACTIONS`].
const OTHER_TYPES: &[&str] = &[
    "account",
    "contact",
    "currency",
    "customer",
    "discountItem",
    "employee",
    "giftCertificateItem",
    "inventoryItem",
    "location",
    "nonInventorySaleItem",
    "serviceSaleItem",
    "subsidiary",
    "vendor",
];

/// The vendor.
pub(crate) struct NetSuite;

/// How a path names one record.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reference {
    Internal(RecordId),
    External(String),
}

impl Reference {
    fn parse(segment: &str) -> Self {
        match segment.strip_prefix("eid:") {
            Some(external) => Self::External(external.to_owned()),
            None => Self::Internal(RecordId::parse(segment)),
        }
    }

    /// The id of the record it names, if there is one.
    fn find(&self, collection: &Collection) -> Option<RecordId> {
        match self {
            Self::Internal(id) => collection.get(id).map(|_| id.clone()),
            Self::External(external) => collection.by_external(external).cloned(),
        }
    }
}

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    Collection { kind: String },
    Record { kind: String, reference: Reference },
    Sublist { kind: String, reference: Reference, sublist: String },
    Job(RecordId),
    JobTasks(RecordId),
    JobResult(RecordId),
    SuiteQl,
}

fn route(call: &Call) -> Option<Route> {
    let segments = call.segments();
    match &segments.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        ["services", "rest", "record", "v1", rest @ ..] => match rest {
            [kind] => Some(Route::Collection { kind: (*kind).to_owned() }),
            [kind, id] => Some(Route::Record { kind: (*kind).to_owned(), reference: Reference::parse(id) }),
            [kind, id, sublist] => Some(Route::Sublist {
                kind: (*kind).to_owned(),
                reference: Reference::parse(id),
                sublist: (*sublist).to_owned(),
            }),
            _ => None,
        },
        ["services", "rest", "query", "v1", "suiteql"] => Some(Route::SuiteQl),
        ["services", "rest", "async", "v1", "job", rest @ ..] => match rest {
            [id] => Some(Route::Job(RecordId::parse(id))),
            [id, "task"] => Some(Route::JobTasks(RecordId::parse(id))),
            [id, "task", _, "result"] => Some(Route::JobResult(RecordId::parse(id))),
            _ => None,
        },
        _ => None,
    }
}

fn is_known(kind: &str) -> bool {
    validate::TRANSACTIONS.contains(&kind) || OTHER_TYPES.contains(&kind) || kind.starts_with("customrecord")
}

fn layout(resource: &str) -> Option<Layout> {
    let external_field = if resource == job::JOBS { "idempotencyKey" } else { "externalId" };
    (is_known(resource) || resource == job::JOBS).then_some(Layout {
        id_field: "id",
        numeric_id: false,
        created_field: Some("createdDate"),
        updated_field: Some("lastModifiedDate"),
        external_field: Some(external_field),
        flags: |_| 0,
    })
}

/// An error in NetSuite's form. `path` points to the part of the body that is meant.
fn error(status: StatusCode, code: &str, detail: &str, path: Option<&str>) -> Reply {
    let section = match status {
        StatusCode::BAD_REQUEST => "rfc9110.html#section-15.5.1",
        StatusCode::UNAUTHORIZED => "rfc9110.html#section-15.5.2",
        StatusCode::NOT_FOUND => "rfc9110.html#section-15.5.5",
        StatusCode::METHOD_NOT_ALLOWED => "rfc9110.html#section-15.5.6",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "rfc9110.html#section-15.5.16",
        StatusCode::TOO_MANY_REQUESTS => "rfc6585.html#section-4",
        _ => "rfc9110.html#section-15",
    };
    let mut details = json!({"detail": detail, "o:errorCode": code});
    if let Some(path) = path {
        details["o:errorPath"] = json!(path);
    }
    let body = json!({
        "type": format!("https://www.rfc-editor.org/rfc/{section}"),
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "o:errorDetails": [details],
    });
    Reply::json(status, PROBLEM, &body)
}

fn bad_parameter(detail: &str) -> Reply {
    error(StatusCode::BAD_REQUEST, "INVALID_PARAMETER", detail, None)
}

fn no_record() -> Reply {
    let detail = "The record instance does not exist. Provide a valid record instance ID.";
    error(StatusCode::NOT_FOUND, "NONEXISTENT_ID", detail, None)
}

fn no_type(kind: &str) -> Reply {
    let detail = format!("Record type '{kind}' does not exist. Names are case-sensitive, for example 'salesOrder'.");
    error(StatusCode::NOT_FOUND, "NONEXISTENT_RECORD_TYPE", &detail, None)
}

fn not_allowed() -> Reply {
    error(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "This method is not allowed here.", None)
}

fn link(relation: &str, href: &str) -> Value {
    json!({"rel": relation, "href": href})
}

fn record_url(call: &Call, kind: &str, id: &RecordId) -> String {
    format!("{}{RECORDS}/{kind}/{id}", call.base)
}

fn utc_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Vendor for NetSuite {
    fn name(&self) -> &'static str {
        "netsuite"
    }

    fn settings(&self) -> Settings {
        Settings {
            page_size_default: 1_000,
            page_size_max: 1_000,
            rate_limit: None,
            concurrency_limit: Some(5),
            api_versions: Vec::new(),
            deprecated_reasons: BTreeMap::new(),
            extra_headers: BTreeMap::new(),
            clock_offset_millis: 0,
            time_zone: "America/Los_Angeles".to_owned(),
        }
    }

    fn furnish(&self, _: &mut State, _: &Settings) {}

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    fn route(&self, call: &Call) -> Cow<'static, str> {
        let shown = |kind: &str| {
            let listed = validate::TRANSACTIONS.iter().chain(OTHER_TYPES).find(|known| **known == kind);
            listed.copied().unwrap_or("{recordType}")
        };
        let id = |reference: &Reference| match reference {
            Reference::Internal(_) => "{id}",
            Reference::External(_) => "eid:{externalId}",
        };
        match route(call) {
            None => "{unknown}".into(),
            Some(Route::Collection { kind }) => format!("{RECORDS}/{}", shown(&kind)).into(),
            Some(Route::Record { kind, reference }) => format!("{RECORDS}/{}/{}", shown(&kind), id(&reference)).into(),
            Some(Route::Sublist { kind, reference, .. }) => {
                format!("{RECORDS}/{}/{}/{{sublist}}", shown(&kind), id(&reference)).into()
            }
            Some(Route::SuiteQl) => "/services/rest/query/v1/suiteql".into(),
            Some(Route::Job(_)) => "/services/rest/async/v1/job/{id}".into(),
            Some(Route::JobTasks(_)) => "/services/rest/async/v1/job/{id}/task".into(),
            Some(Route::JobResult(_)) => "/services/rest/async/v1/job/{id}/task/{id}/result".into(),
        }
    }

    fn versions(&self, _: &Call, _: &Settings) -> Option<Versions> {
        None
    }

    fn identify(&self, call: &Call, tokens: &mut Tokens) -> Identity {
        match call.header("authorization").map(|value| value.split_once(' ').unwrap_or((value, ""))) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => tokens.identify(token.trim()),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("oauth") => oauth1::identify(call, rest, tokens),
            _ => Identity::ANONYMOUS,
        }
    }

    fn idempotency_key<'a>(&self, call: &'a Call) -> Option<&'a str> {
        call.header("x-netsuite-idempotency-key")
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        let too_many = || {
            let detail =
                "The account's limit of concurrent requests was exceeded. Try again when others have finished.";
            error(StatusCode::TOO_MANY_REQUESTS, "CONCURRENCY_LIMIT_EXCEEDED", detail, None)
        };
        match refusal {
            Refusal::Unauthorized => {
                let detail = "Invalid login attempt. For more details, see the Login Audit Trail in the NetSuite UI.";
                error(StatusCode::UNAUTHORIZED, "INVALID_LOGIN", detail, None)
            }
            Refusal::TooConcurrent | Refusal::TooFast { retry_after_seconds: None } => too_many(),
            Refusal::TooFast { retry_after_seconds: Some(seconds) } => {
                too_many().header("Retry-After", format!("{:.0}", seconds.ceil()))
            }
        }
    }

    fn answer(&self, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
        let Some(route) = route(call) else {
            return error(StatusCode::NOT_FOUND, "NOT_FOUND", "There is nothing at this path.", None);
        };
        if let Route::Collection { kind } | Route::Record { kind, .. } | Route::Sublist { kind, .. } = &route
            && !is_known(kind)
        {
            return no_type(kind);
        }
        match (&call.method, &route) {
            (&Method::GET, Route::Collection { kind }) => read::collection(kind, call, settings, state),
            (&Method::GET, Route::Record { kind, reference }) => read::record(kind, reference, call, state),
            (&Method::GET, Route::Sublist { kind, reference, sublist }) => {
                read::sublist(kind, reference, sublist, call, state)
            }
            (&Method::POST, Route::SuiteQl) => suiteql::answer(call, settings, state),
            (&Method::GET, Route::Job(id)) => job::status(id, call, state),
            (&Method::GET, Route::JobTasks(id)) => job::tasks(id, call, state),
            (&Method::GET, Route::JobResult(id)) => job::result(id, state),
            (_, Route::Collection { .. } | Route::Record { .. }) => write::answer(&route, call, &mut hold(state)),
            (_, Route::SuiteQl | Route::Sublist { .. } | Route::Job(_) | Route::JobTasks(_) | Route::JobResult(_)) => {
                not_allowed()
            }
        }
    }

    fn finish(&self, reply: Reply, call: &Call, _: Finish<'_>) -> Reply {
        reply.header("X-N-OperationId", call.request_id.as_str())
    }

    fn generate(&self, request: &SeedRequest, _: &Settings, id: u64, at: Timestamp) -> Option<Value> {
        seed::generate(request, id, at)
    }

    fn format_time(&self, time: Timestamp, _: &Settings) -> Value {
        utc_time(time).into()
    }
}
