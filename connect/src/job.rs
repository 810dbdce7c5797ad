//! Writes that are carried out later: where an answer with status 202 says the job is, and what its state says. Pure; reading it again and again is
//! in `client`.

use crosstie_engine::plan::{Job, Operation, Place};
use http::StatusCode;
use serde_json::Value;
use url::Url;

use crate::{
    call::Answer,
    document,
    failure::{CallFailure, FailureKind},
    outcome::{RecordFault, Written},
    response,
};

/// How far a job is.
pub enum State {
    /// Not at its end, or it does not say.
    UnderWay,
    /// It is over.
    Ended(Written),
}

/// Whether an answer only says that a write will be carried out.
pub fn is_accepted(answer: &Answer) -> bool {
    answer.status == StatusCode::ACCEPTED
}

/// The URL of a job.
pub fn location(job: &Job, asked: &Url, answer: &Answer) -> Option<Url> {
    let text = match &job.location {
        Place::Header(name) => answer.headers.get(name)?.to_str().ok()?.to_owned(),
        Place::Pointer(pointer) => {
            let document = document::value(answer.body.as_ref().ok()?).ok()?;
            document.pointer(pointer).and_then(response::key_text)?
        }
    };
    asked.join(text.trim()).ok()
}

/// What a job's state says.
pub fn state(host: &str, operation: &Operation, job: &Job, request_id: Option<String>, answer: &Answer) -> State {
    let document = answer.body.as_ref().ok().and_then(|body| document::value(body).ok());
    let Some(document) = document else { return State::UnderWay };
    let word = match document.pointer(&job.done) {
        Some(Value::Bool(truth)) => truth.to_string(),
        Some(value) => response::key_text(value).unwrap_or_default(),
        None => String::new(),
    };
    if job.done_values.contains(&word) {
        let identifier = job.identifier.as_ref().and_then(|pointer| document.pointer(pointer));
        return State::Ended(Written::Applied { identifier: identifier.and_then(response::key_text), request_id });
    }
    if !job.failed_values.contains(&word) {
        return State::UnderWay;
    }
    let code = response::error_code_in(&document);
    let shown = code.as_deref().map(|code| format!(" (`{code}`)")).unwrap_or_default();
    let fault = RecordFault {
        status: Some(answer.status.as_u16()),
        request_id,
        detail: format!("`{host}` took the record of `{}` on and then refused it{shown}", operation.name),
        excerpt: answer.body.as_ref().map(response::excerpt).unwrap_or_default(),
        code,
    };
    State::Ended(Written::Refused { fault })
}

/// The failure of a job whose end nobody saw: it may be applied, or be so later.
pub fn lost(host: &str, operation: &Operation, kind: FailureKind, problem: &str) -> CallFailure {
    CallFailure::new(kind, format!("`{host}` took the record of `{}` on, but {problem}", operation.name))
}
