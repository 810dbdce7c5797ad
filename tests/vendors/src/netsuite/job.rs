//! Asynchronous requests: `Prefer: respond-async` makes a job, and an idempotency key makes at most one.
//!
//! A job is a record of the account, its idempotency key its external id, and it is done the moment it is submitted.
//! Without `Prefer: respond-async` NetSuite ignores the idempotency key, and so does this.

use std::sync::Mutex;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{PROBLEM, SINGULAR, error, link, no_record, utc_time};
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::store::{Record, RecordId, State};

/// The collection that holds jobs.
pub(super) const JOBS: &str = "asyncJob";

fn job_path(id: &RecordId) -> String {
    format!("/services/rest/async/v1/job/{id}")
}

/// Runs `work` as a job, unless one with the same idempotency key exists.
pub(super) fn submit(call: &Call, state: &mut State, work: impl FnOnce(&mut State) -> Reply) -> Reply {
    let key = call.header("x-netsuite-idempotency-key").filter(|key| !key.is_empty());
    let existing = key.and_then(|key| state.collection(JOBS)?.by_external(key).cloned());
    if let Some(id) = existing {
        let detail = "A request with the same idempotency key is already submitted. \
                      See the \"Location\" header for a link to the previously submitted job";
        return error(StatusCode::BAD_REQUEST, "IDEMPOTENCY_ERROR", detail, None)
            .header("Preference-Applied", "respond-async")
            .header("Location", format!("{}{}", call.base, job_path(&id)));
    }
    let outcome = work(state);
    let Some(jobs) = state.collection(JOBS) else {
        return no_record();
    };
    let id = RecordId::Number(jobs.fresh_id(0));
    let location = outcome.headers.iter().find(|(name, _)| name == "Location").map(|(_, value)| value.clone());
    let job = json!({
        "idempotencyKey": key,
        "progress": if outcome.status.is_success() { "succeeded" } else { "failed" },
        "status": outcome.status.as_u16(),
        "location": location,
        "answer": serde_json::from_slice::<Value>(&outcome.body).unwrap_or_default(),
        "createdDate": utc_time(call.now),
        "lastModifiedDate": utc_time(call.now),
    });
    // The key was looked up under the same lock, so it is free.
    let _no_conflict = jobs.put(&id, job);
    let accepted = Reply::empty(StatusCode::ACCEPTED)
        .header("Preference-Applied", "respond-async")
        .header("Location", format!("{}{}", call.base, job_path(&id)));
    Reply { effects: outcome.effects, ..accepted }
}

fn find(id: &RecordId, state: &Mutex<State>) -> Option<Value> {
    hold(state).collection(JOBS)?.get(id).map(Record::value)
}

/// `GET …/job/{id}`.
pub(super) fn status(id: &RecordId, call: &Call, state: &Mutex<State>) -> Reply {
    let Some(job) = find(id, state) else {
        return no_record();
    };
    let href = format!("{}{}", call.base, job_path(id));
    let body = json!({
        "links": [link("self", &href)],
        "completed": true,
        "id": id.to_string(),
        "progress": job["progress"],
        "task": {"links": [link("self", &format!("{href}/task"))]},
    });
    Reply::json(StatusCode::OK, SINGULAR, &body)
}

/// `GET …/job/{id}/task`: each job has one task.
pub(super) fn tasks(id: &RecordId, call: &Call, state: &Mutex<State>) -> Reply {
    if find(id, state).is_none() {
        return no_record();
    }
    let href = format!("{}{}/task", call.base, job_path(id));
    let task =
        json!({"id": "1", "links": [link("self", &format!("{href}/1")), link("result", &format!("{href}/1/result"))]});
    let body =
        json!({"links": [link("self", &href)], "count": 1, "hasMore": false, "items": [task], "totalResults": 1});
    Reply::json(StatusCode::OK, super::COLLECTION, &body)
}

/// `GET …/job/{id}/task/{task}/result`: what the request would have been answered without a job.
pub(super) fn result(id: &RecordId, state: &Mutex<State>) -> Reply {
    let Some(job) = find(id, state) else {
        return no_record();
    };
    let code = job["status"].as_u64().and_then(|code| u16::try_from(code).ok());
    let status = code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK);
    let reply = match &job["answer"] {
        Value::Null => Reply::empty(status),
        answer => Reply::json(status, PROBLEM, answer),
    };
    match job["location"].as_str() {
        Some(location) => reply.header("Location", location),
        None => reply,
    }
}
