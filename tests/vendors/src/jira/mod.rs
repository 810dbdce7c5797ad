//! Jira Cloud's issues: paths, credentials (bearer, or a user's email and API token as basic), errors and headers. The query language is in
//! `jql`.
//!
//! From Atlassian's reference "The Jira Cloud platform REST API" (v3), groups "Issue search" and "Issues", and "Rate limiting". There is no
//! idempotency: the same POST twice makes two issues.

mod jql;

use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::dialect::{self, json};
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::random::Stream;
use crate::store::{Collection, Layout, Record, RecordId, State, field, set_field};
use crate::tokens::{Identity, Tokens};
use crate::vendor::{Finish, Refusal, Vendor};
use crate::wire::{SeedRequest, Settings};

const ISSUES: &str = "issues";
const FIRST_ID: u64 = 10_000;

/// The vendor.
pub(crate) struct Jira;

fn layout(resource: &str) -> Option<Layout> {
    (resource == ISSUES).then_some(Layout {
        numeric_id: false,
        created_field: Some("/fields/created"),
        updated_field: Some("/fields/updated"),
        ..dialect::LAYOUT
    })
}

/// Errors in Jira's form: of the whole request, or of its fields.
fn errors(status: StatusCode, messages: &[&str], fields: &[(&str, &str)]) -> Reply {
    let fields: Map<String, Value> = fields.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
    json(status, &json!({"errorMessages": messages, "errors": fields}))
}

fn not_found() -> Reply {
    let message = "Issue does not exist or you do not have permission to see it.";
    errors(StatusCode::NOT_FOUND, &[message], &[])
}

/// Jira writes milliseconds and an offset without a colon.
fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

impl Vendor for Jira {
    fn name(&self) -> &'static str {
        "jira"
    }

    fn settings(&self) -> Settings {
        Settings { page_size_default: 50, ..dialect::settings(5_000) }
    }

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    fn identify(&self, call: &Call, tokens: &mut Tokens) -> Identity {
        let basic = call.header("authorization").and_then(|value| value.strip_prefix("Basic ")).and_then(|encoded| {
            let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
            decoded.split_once(':').map(|(_, token)| token.to_owned())
        });
        basic.map_or_else(|| dialect::bearer(call, tokens), |token| tokens.identify(&token))
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Unauthorized => {
                let message = "Client must be authenticated to access this resource.";
                json(StatusCode::UNAUTHORIZED, &json!({"message": message, "status-code": 401}))
            }
            Refusal::TooConcurrent => self.refuse(Refusal::TooFast { retry_after_seconds: None }),
            Refusal::TooFast { retry_after_seconds } => {
                errors(StatusCode::TOO_MANY_REQUESTS, &["Rate limit exceeded."], &[])
                    .header("Retry-After", retry_after_seconds.unwrap_or(1.0).to_string())
                    .header("RateLimit-Reason", "jira-burst-based")
            }
        }
    }

    fn answer(&self, call: &Call, settings: &Settings, state: &Mutex<State>) -> Reply {
        let segments = call.segments();
        let words: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let ["rest", "api", "3", path @ ..] = &words[..] else { return not_found() };
        let mut state = hold(state);
        match (&call.method, path) {
            (&Method::GET, ["myself"]) => json(StatusCode::OK, &json!({"accountId": "5b10", "active": true})),
            (&Method::GET, ["search", "jql"]) => search(call, settings, &mut state),
            (&Method::POST, ["issue"]) => create(call, &mut state),
            (&Method::GET, ["issue", id]) => {
                let found = find(&mut state, id).map(|(_, issue)| json(StatusCode::OK, &issue));
                found.unwrap_or_else(not_found)
            }
            (&Method::PUT, ["issue", id]) => update(id, call, &mut state),
            (&Method::DELETE, ["issue", id]) => {
                let erased = find(&mut state, id).and_then(|(id, _)| state.erase(ISSUES, &id));
                erased.map_or_else(not_found, |effect| Reply::empty(StatusCode::NO_CONTENT).effect(effect))
            }
            // The search before `nextPageToken` came is gone.
            (_, ["search"]) => errors(StatusCode::GONE, &["The requested API has been removed."], &[]),
            _ => not_found(),
        }
    }

    fn finish(&self, reply: Reply, call: &Call, _: Finish<'_>) -> Reply {
        reply.header("ATL-TraceId", call.request_id.replace('-', ""))
    }

    fn generate(&self, request: &SeedRequest, _: &Settings, id: u64, at: Timestamp) -> Option<Value> {
        let mut random = Stream::new(request.seed, id);
        let kind = random.pick(&["Task", "Bug"]);
        let at = written(at);
        let fields = json!({
            "summary": format!("Issue {id}"), "project": {"key": "SHOP"}, "issuetype": {"name": kind}, "labels": [],
            "status": {"name": "To Do"}, "created": at, "updated": at,
        });
        (request.resource == ISSUES)
            .then(|| json!({"id": id.to_string(), "key": format!("SHOP-{id}"), "fields": fields}))
    }

    fn format_time(&self, time: Timestamp, _: &Settings) -> Value {
        written(time).into()
    }
}

fn find(state: &mut State, id_or_key: &str) -> Option<(RecordId, Value)> {
    let collection: &Collection = state.collection(ISSUES)?;
    let by_id = collection.get(&RecordId::parse(id_or_key)).map(|record| (RecordId::parse(id_or_key), record));
    let by_key = || collection.iter().find(|(_, record)| record.value()["key"] == id_or_key);
    let found = by_id.or_else(|| by_key().map(|(id, record)| (id.clone(), record)));
    found.map(|(id, record)| (id, Record::value(record)))
}

/// `GET /rest/api/3/search/jql`. Without `fields` an issue has nothing but its id.
fn search(call: &Call, settings: &Settings, state: &mut State) -> Reply {
    let query = match jql::Query::parse(call.param("jql").unwrap_or_default()) {
        Ok(query) => query,
        Err(problem) => return errors(StatusCode::BAD_REQUEST, &[problem.as_str()], &[]),
    };
    let size = call.param("maxResults").map_or(Some(settings.page_size_default), |text| text.parse().ok());
    let after = call.param("nextPageToken").map_or(Some(0), |token| token.strip_prefix("page-")?.parse().ok());
    let (Some(size), Some(after)) = (size, after) else {
        return errors(StatusCode::BAD_REQUEST, &["maxResults or nextPageToken cannot be used"], &[]);
    };
    let Some(collection) = state.collection(ISSUES) else { return not_found() };
    let mut found: Vec<Value> = dialect::changed(collection, None, None);
    found.retain(|issue| query.holds(issue));
    if query.newest_first {
        found.reverse();
    }
    let page = dialect::page(found, after, size.clamp(1, settings.page_size_max));
    let wanted: Vec<&str> =
        call.param("fields").unwrap_or_default().split(',').filter(|name| !name.is_empty()).collect();
    let issues: Vec<Value> = page.items.iter().map(|issue| chosen(issue, &wanted)).collect();
    let mut body = json!({"issues": issues, "isLast": page.next.is_none()});
    if let Some(next) = page.next {
        body["nextPageToken"] = json!(format!("page-{next}"));
    }
    json(StatusCode::OK, &body)
}

fn chosen(issue: &Value, wanted: &[&str]) -> Value {
    if wanted.is_empty() {
        return json!({"id": issue["id"]});
    }
    let all = wanted.contains(&"*all");
    let fields = issue["fields"].as_object().into_iter().flatten();
    let kept: Map<String, Value> = fields
        .filter(|(name, _)| all || wanted.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    json!({"id": issue["id"], "key": issue["key"], "fields": kept})
}

/// `POST /rest/api/3/issue`.
fn create(call: &Call, state: &mut State) -> Reply {
    let body = dialect::object(call).map(Value::Object).unwrap_or_default();
    let fields = body["fields"].clone();
    let mut problems = problems(&fields);
    for (name, at) in [("project", "/project/key"), ("issuetype", "/issuetype/name"), ("summary", "/summary")] {
        if fields.pointer(at).and_then(Value::as_str).is_none_or(str::is_empty) {
            problems.push((name, "Specify a valid value for this field"));
        }
    }
    if !problems.is_empty() {
        return errors(StatusCode::BAD_REQUEST, &[], &problems);
    }
    let Some(collection) = state.collection(ISSUES) else { return not_found() };
    let number = collection.fresh_id(FIRST_ID);
    let key = format!("{}-{}", fields["project"]["key"].as_str().unwrap_or_default(), number - FIRST_ID);
    let now = json!(written(call.now));
    let mut issue = json!({"key": key, "fields": {"labels": [], "status": {"name": "To Do"}}});
    for (name, value) in fields.as_object().into_iter().flatten() {
        issue["fields"][name] = value.clone();
    }
    set_field(&mut issue, "/fields/created", now.clone());
    set_field(&mut issue, "/fields/updated", now);
    let link = format!("{}/rest/api/3/issue/{number}", call.base);
    match state.commit(ISSUES, &RecordId::Number(number), issue) {
        Some(Ok(effect)) => {
            let made = json!({"id": number.to_string(), "key": key, "self": link});
            json(StatusCode::CREATED, &made).effect(effect)
        }
        Some(Err(_)) | None => not_found(),
    }
}

/// `PUT /rest/api/3/issue/{id}`: the named fields; answered without a body.
fn update(id: &str, call: &Call, state: &mut State) -> Reply {
    let Some((id, mut issue)) = find(state, id) else { return not_found() };
    let body = dialect::object(call).map(Value::Object).unwrap_or_default();
    let problems = problems(&body["fields"]);
    if !problems.is_empty() {
        return errors(StatusCode::BAD_REQUEST, &[], &problems);
    }
    for (name, value) in body["fields"].as_object().into_iter().flatten() {
        issue["fields"][name] = value.clone();
    }
    set_field(&mut issue, "/fields/updated", json!(written(call.now)));
    match state.commit(ISSUES, &id, issue) {
        Some(Ok(effect)) => Reply::empty(StatusCode::NO_CONTENT).effect(effect),
        Some(Err(_)) | None => not_found(),
    }
}

fn problems(fields: &Value) -> Vec<(&'static str, &'static str)> {
    let mut problems = Vec::new();
    let description = &fields["description"];
    if !description.is_null() && (description["type"] != "doc" || description["version"] != 1) {
        problems
            .push(("description", "Operation value must be an Atlassian Document (see the Atlassian Document Format)"));
    }
    let labels = field(fields, "labels").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if labels
        .iter()
        .any(|label| label.as_str().is_none_or(|text| text.is_empty() || text.contains(char::is_whitespace)))
    {
        problems.push(("labels", "The label can't contain spaces."));
    }
    problems
}
