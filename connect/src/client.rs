//! The client: each method builds a call, sends it through the layers, and reads the answer as the worker needs it. Decisions live in the
//! modules it asks.

use std::sync::Arc;

use crosstie_engine::{
    body::Body,
    lifecycle::Observed,
    plan::{Allowance, Authentication, Operation, Stream, System},
};
use http::{HeaderMap, HeaderValue, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tower::ServiceExt;
use url::Url;

use crate::{
    ask::{self, Ask},
    auth, batch,
    call::{Answer, BodyFailure, Call, Reading, Reply, Setback},
    classify,
    clock::{Clock, VendorClock},
    credentials::CredentialStore,
    csrf::Tokens,
    egress::{EgressRefusal, Rules},
    failure::{BuildError, CallFailure, FailureKind},
    guard,
    lifecycle::Heard,
    observe::Purpose,
    one,
    outcome::{Outgoing, Written, WrittenBatch},
    pace::Paces,
    response,
    stack::{self, Shared, Stack},
    surroundings::Surroundings,
    target, write,
};

/// Redirects that a read follows, at most.
const MOST_REDIRECTS: u32 = 3;
/// By how much look-ups reach back before their write was decided: clocks differ, and are set.
const LOOK_BACK: SignedDuration = SignedDuration::from_mins(15);

/// The client of one system. Clones share connections, credentials and pace.
#[derive(Clone)]
pub struct VendorClient(pub(crate) Arc<Inner>);

pub struct Inner {
    pub system: System,
    pub shared: Shared,
    pub clock: Arc<dyn Clock>,
    pub stack: Stack,
    /// The token that writes carry, where the system wants one.
    pub tokens: Option<Tokens>,
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
        Self::build(system, credentials, share, surroundings, None)
    }

    /// The client of a system that was described otherwise before: what was sent today counts on.
    ///
    /// # Errors
    /// [`BuildError`] when the system is not one that can be called.
    pub fn succeeding(
        &self,
        system: &System,
        credentials: CredentialStore,
        share: Allowance,
        surroundings: &Surroundings,
    ) -> Result<Self, BuildError> {
        Self::build(system, credentials, share, surroundings, Some(&self.0.shared.paces))
    }

    fn build(
        system: &System,
        credentials: CredentialStore,
        share: Allowance,
        surroundings: &Surroundings,
        before: Option<&Arc<Paces>>,
    ) -> Result<Self, BuildError> {
        let clock = Arc::clone(&surroundings.clock);
        let shared = Shared {
            rules: Arc::new(Rules::new(system)?),
            paces: Arc::new(Paces::new(system, share, clock, before.map(AsRef::as_ref))),
            vendor_clock: Arc::<VendorClock>::default(),
            heard: Arc::new(Heard::new(system.api_version.clone())),
            credentials,
        };
        let stack = stack::stack(system, &shared, surroundings)?;
        let tokens = system.csrf.as_ref().map(|csrf| {
            Tokens::new(&system.base_url, csrf).ok_or_else(|| BuildError::HeaderName {
                connector: system.connector.clone(),
                header: csrf.header.clone(),
            })
        });
        let (system, tokens) = (system.clone(), tokens.transpose()?);
        Ok(Self(Arc::new(Inner { system, shared, clock: Arc::clone(&surroundings.clock), stack, tokens })))
    }

    /// Takes on another share of the vendor's allowance, at once and also for calls that wait already.
    pub fn set_share(&self, share: Allowance) {
        self.0.shared.paces.set_share(share);
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
        let ask = ask::smallest_page(&self.0.system.base_url, stream, self.0.clock.now())?;
        let call = Call { reading: Reading::Head, ..page_call(Purpose::ReadTime, stream, ask) };
        // A refusal tells the time as well: not every vendor likes an empty window.
        self.read(call).await?;
        Ok(self.told_time().unwrap_or_else(|| crate::clock::whole_seconds(self.0.clock.now())))
    }

    /// Reads a single record of a stream. None is a record that the source does not have: it answered 404 or 410 under a path that has the key in
    /// it, or the key is one that no record can have (empty, or dots that would lead to another path).
    ///
    /// # Errors
    /// [`CallFailure`] when that could not be found out: also when the stream says nothing of single records, and when the answer holds no
    /// record or another one.
    pub async fn read_one(&self, stream: &Stream, key: &str) -> Result<Option<Value>, CallFailure> {
        self.single(Purpose::ReadOne, stream, key).await
    }

    /// The same for a mapping, for which it may be as old as the Connector's cache says.
    ///
    /// # Errors
    /// As of [`read_one`](Self::read_one).
    pub async fn consult(&self, stream: &Stream, key: &str) -> Result<Option<Value>, CallFailure> {
        self.single(Purpose::Consult, stream, key).await
    }

    async fn single(&self, purpose: Purpose, stream: &Stream, key: &str) -> Result<Option<Value>, CallFailure> {
        let Some(one) = &stream.one else {
            let detail = format!(
                "the Connector does not say how to read a single record of `{0}`: set `one` on `{0}`",
                stream.name
            );
            return Err(CallFailure::new(FailureKind::Refused, detail));
        };
        let Some(url) = target::one(&self.0.system.base_url, one, key) else { return Ok(None) };
        let headers = ask::headers(stream, false)?;
        let (_, reply) = self.read(Call { headers, ..read_call(purpose, &stream.name, url) }).await?;
        match reply {
            Reply::Success(answer) => {
                let failed = |failure: CallFailure| failure.answered(answer.status.as_u16(), self.request_id(&answer));
                let body = answer.body.as_ref().map_err(|failure| self.without_body(&stream.name, &answer, failure))?;
                one::record(stream, one, key, body).map(Some).map_err(failed)
            }
            Reply::Ignored(_) => Ok(None),
            Reply::Refusal(answer) if write::is_gone(&one.path, &answer) => Ok(None),
            Reply::Refusal(answer) if answer.finds_nothing() => {
                Err(self.unfound(&stream.name, "whose path is the same for every record", &answer))
            }
            Reply::Refusal(answer) | Reply::Redirect(answer) => Err(self.refused(&stream.name, &answer)),
        }
    }

    /// Writes a record: by one request, or by what the operation says has to go before and after it.
    pub async fn write(&self, operation: &Operation, outgoing: Outgoing<'_>) -> Written {
        self.put(operation, outgoing).await
    }

    /// Writes several records by one call. What is too many or too large for the vendor is refused whole; splitting is the caller's.
    pub async fn write_batch(
        &self,
        operation: &Operation,
        bodies: &[&Body],
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
                    bodies,
                };
                judge.judge(self.submit(call).await)
            }
            Err(failure) => WrittenBatch::NotSent { failure },
        }
    }

    /// Sends a read and follows a few redirects to the same origin. Gives the URL that answered at last.
    pub(crate) async fn read(&self, mut call: Call) -> Result<(Url, Reply), CallFailure> {
        let mut redirects = 0;
        loop {
            let outcome = self.0.stack.clone().oneshot(call.clone()).await;
            let reply = outcome.map_err(|Setback { failure, reached: _ }| failure)?;
            match reply {
                Reply::Redirect(answer) if redirects < MOST_REDIRECTS => {
                    let Some(url) = redirected(&call, &answer) else {
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
                Reply::Success(_) | Reply::Refusal(_) | Reply::Redirect(_) | Reply::Ignored(_) => {
                    return Ok((call.url, reply));
                }
            }
        }
    }

    /// A time of the local clock as the vendor's clock had it, earlier by what those may be apart.
    pub(crate) fn told_time_of(&self, local: Timestamp) -> Timestamp {
        let now = self.0.clock.now();
        let ahead = self.told_time().map_or(SignedDuration::ZERO, |told| told.duration_since(now));
        local.checked_add(ahead).and_then(|time| time.checked_sub(LOOK_BACK)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Takes an API key out of the next page's URL, in which vendors repeat what they were asked with: where reading stands is stored.
    pub(crate) fn without_key(&self, text: &mut String) {
        let Authentication::Query { name, .. } = &self.0.system.authentication else { return };
        if let Ok(mut url) = Url::parse(text) {
            auth::strip(&mut url, name);
            *text = url.into();
        }
    }

    fn told_time(&self) -> Option<Timestamp> {
        self.0.shared.vendor_clock.now(self.0.clock.now())
    }

    pub(crate) fn request_id(&self, answer: &Answer) -> Option<String> {
        response::header(&answer.headers, self.0.system.request_id_header.as_deref())
    }

    pub(crate) fn refused(&self, name: &str, answer: &Answer) -> CallFailure {
        classify::refused(self.0.shared.rules.host(), name, answer.status, self.request_id(answer))
    }

    pub(crate) fn unfound(&self, name: &str, path: &str, answer: &Answer) -> CallFailure {
        classify::unfound(self.0.shared.rules.host(), name, path, answer.status, self.request_id(answer))
    }

    pub(crate) fn without_body(&self, name: &str, answer: &Answer, failure: &BodyFailure) -> CallFailure {
        let host = self.0.shared.rules.host();
        let detail = format!("`{host}` answered {} to `{name}`, but {failure}", answer.status.as_u16());
        CallFailure::new(failure.kind(), detail).answered(answer.status.as_u16(), self.request_id(answer))
    }
}

impl std::fmt::Debug for VendorClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VendorClient").field("connector", &self.0.system.connector).finish_non_exhaustive()
    }
}

pub fn read_call(purpose: Purpose, name: &str, url: Url) -> Call {
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
        identity: None,
    }
}

pub fn page_call(purpose: Purpose, stream: &Stream, ask: Ask) -> Call {
    let Ask { method, url, headers, body } = ask;
    Call { method, headers, body, ..read_call(purpose, &stream.name, url) }
}

/// Where a redirect leads; none when it is none that can be followed.
fn redirected(call: &Call, answer: &Answer) -> Option<Url> {
    let followed = match answer.status.as_u16() {
        307 | 308 => true,
        // The others ask for a GET, which is not the same as what was asked by POST.
        301..=303 => call.method == http::Method::GET,
        _ => false,
    };
    let location = answer.headers.get(header::LOCATION).filter(|_| followed)?.to_str().ok()?;
    call.url.join(location).ok()
}
