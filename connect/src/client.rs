//! The client: each method builds a call, sends it through the layers, and reads the answer as the worker needs it. Decisions live in the
//! modules it asks.

use std::sync::Arc;

use crosstie_engine::{
    lifecycle::Observed,
    plan::{Allowance, LookUp, Operation, Stream, System},
    window::{Bounds, Position},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;
use tower::ServiceExt;
use url::Url;

use crate::{
    batch,
    call::{Answer, BodyFailure, Call, Reading, Reply, Setback},
    classify,
    clock::{Clock, VendorClock},
    credentials::CredentialStore,
    egress::{EgressRefusal, Rules},
    failure::{BuildError, CallFailure, FailureKind},
    guard,
    lifecycle::Heard,
    look_up,
    observe::Purpose,
    one,
    outcome::{LookedUp, Outgoing, Page, Written, WrittenBatch},
    page::Arrived,
    response,
    stack::{self, Shared, Stack},
    surroundings::Surroundings,
    target::{self, Filling},
    throttle::Pace,
    write,
};

/// Redirects that a read follows, at most.
const MOST_REDIRECTS: u32 = 3;

/// The client of one system. Clones share connections, credentials and pace.
#[derive(Clone)]
pub struct VendorClient(Arc<Inner>);

struct Inner {
    system: System,
    shared: Shared,
    clock: Arc<dyn Clock>,
    stack: Stack,
}

impl VendorClient {
    /// The client of a system, with the machine's clock and names, and nobody observing.
    ///
    /// # Errors
    /// [`BuildError`] when the system is not one that can be called.
    pub fn new(system: &System, credentials: CredentialStore, share: Allowance) -> Result<Self, BuildError> {
        Self::surrounded(system, credentials, share, &Surroundings::default())
    }

    /// The client of a system in surroundings of one's own.
    ///
    /// # Errors
    /// [`BuildError`] when the system is not one that can be called.
    pub fn surrounded(
        system: &System,
        credentials: CredentialStore,
        share: Allowance,
        surroundings: &Surroundings,
    ) -> Result<Self, BuildError> {
        let shared = Shared {
            rules: Arc::new(Rules::new(system)?),
            pace: Arc::new(Pace::new(share)),
            vendor_clock: Arc::<VendorClock>::default(),
            heard: Arc::new(Heard::new(system.api_version.clone())),
            credentials,
        };
        let stack = stack::stack(system, &shared, surroundings)?;
        Ok(Self(Arc::new(Inner { system: system.clone(), shared, clock: Arc::clone(&surroundings.clock), stack })))
    }

    /// Takes on another share of the vendor's allowance, at once and also for calls that wait already.
    pub fn set_share(&self, share: Allowance) {
        self.0.shared.pace.set_share(share);
    }

    /// The credentials in use.
    pub fn credentials(&self) -> &CredentialStore {
        &self.0.shared.credentials
    }

    /// What the vendor's answers say of its API's version: those to these streams, and to streams and operations that are asked only now and then. None
    /// while too little was heard to say anything.
    pub fn heard(&self, streams: &[String], others: &[String]) -> Option<Observed> {
        self.0.shared.heard.of(streams, others)
    }

    /// Reads a page of a stream.
    ///
    /// # Errors
    /// [`CallFailure`]; of kind [`FailureKind::PageExpired`] when the window is to start again from its first page.
    pub async fn read_page(
        &self,
        stream: &Stream,
        bounds: Option<&Bounds>,
        position: &Position,
    ) -> Result<Page, CallFailure> {
        let url = target::page(&self.0.system.base_url, stream, bounds, position)?;
        if matches!(position, Position::Url(_)) && self.0.shared.rules.admit(&url).is_err() {
            // It was admitted when it was stored, so the Connector was changed since: a new first page leads to pages that are admitted.
            let detail =
                format!("the page of `{}` to read next lies outside of what the Connector allows now", stream.name);
            return Err(CallFailure::new(FailureKind::PageExpired, detail));
        }
        let (url, reply) = self.read(read_call(Purpose::ReadPage, &stream.name, url)).await?;
        match reply {
            Reply::Success(answer) => {
                let body = answer.body.as_ref().map_err(|failure| self.without_body(&stream.name, &answer, failure))?;
                let arrived = Arrived { stream, position, url: &url, headers: &answer.headers, body };
                let opened = arrived.open(&self.0.shared.rules);
                let (records, next) =
                    opened.map_err(|failure| failure.answered(answer.status.as_u16(), self.request_id(&answer)))?;
                let served_version = response::header(&answer.headers, self.0.system.served_version_header.as_deref());
                Ok(Page { records, next, request_id: self.request_id(&answer), served_version })
            }
            Reply::Refusal(answer) if has_expired(position, answer.status) => {
                let detail = format!("a page of `{}` is no longer known: its window starts again", stream.name);
                Err(CallFailure::new(FailureKind::PageExpired, detail)
                    .answered(answer.status.as_u16(), self.request_id(&answer)))
            }
            Reply::Refusal(answer) | Reply::Redirect(answer) => {
                if answer.status == StatusCode::GONE {
                    self.0.shared.heard.gone(&stream.name);
                }
                Err(self.refused(&stream.name, &answer))
            }
        }
    }

    /// The vendor's present in whole seconds, from the `Date` of its answers; never ahead of it. Only before the first answer in this process
    /// is a request made for it, the smallest first page of the stream. Where the vendor tells no time, or one more than a day ahead, the
    /// local clock stands in.
    ///
    /// # Errors
    /// [`CallFailure`] when that request got no answer that could be believed.
    pub async fn source_time(&self, stream: &Stream) -> Result<Timestamp, CallFailure> {
        if let Some(time) = self.told_time() {
            return Ok(time);
        }
        let url = target::smallest_page(&self.0.system.base_url, stream, self.0.clock.now());
        let call = Call { reading: Reading::Head, ..read_call(Purpose::ReadTime, &stream.name, url) };
        // A refusal tells the time as well: not every vendor likes an empty window.
        self.read(call).await?;
        Ok(self.told_time().unwrap_or_else(|| crate::clock::whole_seconds(self.0.clock.now())))
    }

    /// Reads a single record of a stream. None is a record that the source does not have: it answered 404 or 410, or the key is one that no
    /// record can have (empty, or dots that would lead to another path).
    ///
    /// # Errors
    /// [`CallFailure`] when that could not be found out: also when the stream says nothing of single records, and when the answer holds no
    /// record or another one.
    pub async fn read_one(&self, stream: &Stream, key: &str) -> Result<Option<Value>, CallFailure> {
        let Some(one) = &stream.one else {
            let detail = format!(
                "the Connector does not say how to read a single record of `{0}`: set `one` on `{0}`",
                stream.name
            );
            return Err(CallFailure::new(FailureKind::Refused, detail));
        };
        let Some(url) = target::one(&self.0.system.base_url, one, key) else { return Ok(None) };
        let (_, reply) = self.read(read_call(Purpose::ReadOne, &stream.name, url)).await?;
        match reply {
            Reply::Success(answer) => {
                let failed = |failure: CallFailure| failure.answered(answer.status.as_u16(), self.request_id(&answer));
                let body = answer.body.as_ref().map_err(|failure| self.without_body(&stream.name, &answer, failure))?;
                one::record(stream, one, key, body).map(Some).map_err(failed)
            }
            Reply::Refusal(answer) if write::is_gone(&answer) => Ok(None),
            Reply::Refusal(answer) | Reply::Redirect(answer) => Err(self.refused(&stream.name, &answer)),
        }
    }

    /// Writes a record.
    pub async fn write(&self, operation: &Operation, outgoing: Outgoing<'_>) -> Written {
        let system = &self.0.system;
        match write::call(&system.base_url, operation, outgoing) {
            Ok(call) => {
                let outcome = self.0.stack.clone().oneshot(call).await;
                write::judge(self.0.shared.rules.host(), operation, system.request_id_header.as_deref(), outcome)
            }
            Err(written) => written,
        }
    }

    /// Writes several records by one call. What is too many or too large for the vendor is refused whole; splitting is the caller's.
    pub async fn write_batch(
        &self,
        operation: &Operation,
        bodies: &[&Value],
        idempotency_key: Option<&str>,
    ) -> WrittenBatch {
        let Some(batch) = &operation.batch else {
            return WrittenBatch::NotSent { failure: write::not_called(operation, "it has no `batch`") };
        };
        if bodies.is_empty() {
            return WrittenBatch::Answered { rows: Vec::new(), request_id: None };
        }
        let system = &self.0.system;
        match batch::call(&system.base_url, operation, batch, bodies, idempotency_key) {
            Ok(call) => {
                let judge = batch::Judge {
                    host: self.0.shared.rules.host(),
                    request_id_header: system.request_id_header.as_deref(),
                    operation,
                    batch,
                    records: bodies.len(),
                };
                judge.judge(self.0.stack.clone().oneshot(call).await)
            }
            Err(failure) => WrittenBatch::NotSent { failure },
        }
    }

    /// Looks up whether a record is at the vendor's, by the body that was or would be written.
    ///
    /// # Errors
    /// [`CallFailure`] when nothing was found out.
    pub async fn look_up(&self, operation: &Operation, lookup: &LookUp, body: &Value) -> Result<LookedUp, CallFailure> {
        let unable = |problem: String| {
            CallFailure::new(FailureKind::Refused, format!("`{}` cannot be looked up: {problem}", operation.name))
        };
        let wanted = body.get(&lookup.key_field).and_then(response::key_text);
        let wanted = wanted.ok_or_else(|| unable(format!("the body has no text or number `{}`", lookup.key_field)))?;
        let url =
            target::filled(&self.0.system.base_url, &lookup.path, &lookup.query, Filling { body, identifier: None });
        let url = url.map_err(|unfilled| unable(unfilled.to_string()))?;
        let (_, reply) = self.read(read_call(Purpose::LookUp, &operation.name, url)).await?;
        match reply {
            Reply::Success(answer) => {
                let body =
                    answer.body.as_ref().map_err(|failure| self.without_body(&operation.name, &answer, failure))?;
                let document: Value = serde_json::from_slice(body).map_err(|error| {
                    let detail = format!("the look-up of `{}` was answered with no JSON", operation.name);
                    let failure =
                        CallFailure::new(FailureKind::Malformed, detail).because(response::without_content(&error));
                    failure.answered(answer.status.as_u16(), self.request_id(&answer))
                })?;
                Ok(look_up::judge(document, &lookup.key, &wanted))
            }
            Reply::Refusal(answer) if answer.status == StatusCode::NOT_FOUND => Ok(LookedUp::Absent),
            Reply::Refusal(answer) | Reply::Redirect(answer) => Err(self.refused(&operation.name, &answer)),
        }
    }

    /// Sends a read and follows a few redirects to the same origin. Gives the URL that answered at last.
    async fn read(&self, mut call: Call) -> Result<(Url, Reply), CallFailure> {
        let mut redirects = 0;
        loop {
            let outcome = self.0.stack.clone().oneshot(call.clone()).await;
            let reply = outcome.map_err(|Setback { failure, reached: _ }| failure)?;
            match reply {
                Reply::Redirect(answer) if redirects < MOST_REDIRECTS => {
                    let Some(url) = redirected(&call.url, &answer) else {
                        return Ok((call.url, Reply::Redirect(answer)));
                    };
                    if url.origin() != call.url.origin() {
                        let host = url.host_str().unwrap_or_default().to_owned();
                        let failure = guard::refused(&call.name, EgressRefusal::Redirect { host });
                        return Err(failure.answered(answer.status.as_u16(), self.request_id(&answer)));
                    }
                    redirects += 1;
                    call.url = url;
                }
                Reply::Success(_) | Reply::Refusal(_) | Reply::Redirect(_) => return Ok((call.url, reply)),
            }
        }
    }

    fn told_time(&self) -> Option<Timestamp> {
        self.0.shared.vendor_clock.now(self.0.clock.now())
    }

    fn request_id(&self, answer: &Answer) -> Option<String> {
        response::header(&answer.headers, self.0.system.request_id_header.as_deref())
    }

    fn refused(&self, name: &str, answer: &Answer) -> CallFailure {
        classify::refused(self.0.shared.rules.host(), name, answer.status, self.request_id(answer))
    }

    fn without_body(&self, name: &str, answer: &Answer, failure: &BodyFailure) -> CallFailure {
        let kind = match failure {
            BodyFailure::TooLarge { .. } => FailureKind::BodyTooLarge,
            BodyFailure::TimedOut(_) => FailureKind::TimedOut,
            BodyFailure::Lost(_) => FailureKind::Unreachable,
        };
        let host = self.0.shared.rules.host();
        let detail = format!("`{host}` answered {} to `{name}`, but {failure}", answer.status.as_u16());
        CallFailure::new(kind, detail).answered(answer.status.as_u16(), self.request_id(answer))
    }
}

impl std::fmt::Debug for VendorClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VendorClient").field("connector", &self.0.system.connector).finish_non_exhaustive()
    }
}

fn read_call(purpose: Purpose, name: &str, url: Url) -> Call {
    let accept = (header::ACCEPT, HeaderValue::from_static("application/json"));
    Call {
        purpose,
        name: name.into(),
        method: http::Method::GET,
        url,
        headers: HeaderMap::from_iter([accept]),
        body: None,
        reading: Reading::Whole,
        credential_version: None,
    }
}

/// Where a redirect leads; none when it is none that can be followed.
fn redirected(from: &Url, answer: &Answer) -> Option<Url> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers.get(header::LOCATION)?.to_str().ok()?;
    from.join(location).ok()
}

/// Whether a refusal says that the vendor no longer knows a page: only of pages that the vendor itself named.
fn has_expired(position: &Position, status: StatusCode) -> bool {
    let named_by_vendor = match position {
        Position::Url(_) | Position::Cursor(_) => true,
        Position::First | Position::Offset(_) => false,
    };
    named_by_vendor && matches!(status.as_u16(), 400 | 404 | 410)
}
