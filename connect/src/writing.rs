//! Writing one record: looking for it where the operation says so, one request or two, a token with it, a job to its end. In whatever order these
//! come, what is said of the write is only what the request that writes came to.

use std::time::Duration;

use crosstie_engine::{
    body::Body,
    plan::{Job, LookUp, Operation},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;
use url::Url;

use crate::{
    call::{Answer, Call, Reply, Setback},
    client::{VendorClient, read_call},
    csrf::Token,
    document,
    failure::{CallFailure, FailureKind},
    found, guard,
    job::{self, State},
    look_up,
    observe::Purpose,
    outcome::{LookedUp, Outgoing, RecordFault, Written},
    response,
    surroundings::LONGEST_REQUEST,
    target::{self, Filling},
    write,
};

/// How often a record is looked at, at most, before a write that finds it changed each time is left for later.
const MOST_LOOKS: u32 = 3;

/// The longest that is waited within a write for a search to show what was written before.
const MOST_SETTLE_SECONDS: u32 = 60;

/// What stands at the vendor's in a record's place.
enum Before {
    /// It is to be seen what follows by the identifier from an earlier write.
    Known(String),
    /// The record, with what the vendor calls it and its entity tag.
    Present { identifier: Option<String>, tag: Option<String> },
    /// Nothing.
    Absent,
}

impl VendorClient {
    /// Writes a record.
    pub(crate) async fn put(&self, operation: &Operation, outgoing: Outgoing<'_>) -> Written {
        let lookup = operation.find.as_ref().map(|find| &find.lookup).or(operation.outcome.lookup.as_ref());
        match lookup {
            Some(lookup) if operation.find.is_some() || operation.if_match.is_some() => {
                Box::pin(self.look_and_write(operation, lookup, outgoing)).await
            }
            Some(_) | None => self.write_once(operation, outgoing, None).await,
        }
    }

    /// Looks, and writes over what is there or creates what is not. When what was seen is not so any more, it is looked at again.
    async fn look_and_write(&self, operation: &Operation, lookup: &LookUp, outgoing: Outgoing<'_>) -> Written {
        let mut known = outgoing.identifier.filter(|_| operation.if_match.is_none()).map(str::to_owned);
        let deadline = Instant::now() + LONGEST_REQUEST;
        for look in 1..=MOST_LOOKS {
            let before = match known.take() {
                Some(identifier) => Before::Known(identifier),
                None => match self.before(operation, lookup, outgoing.body, deadline).await {
                    Ok(before) => before,
                    Err(written) => return written,
                },
            };
            let by_earlier_write = matches!(before, Before::Known(_));
            let written = self.write_over(operation, outgoing, before).await;
            let Written::Refused { fault } = &written else { return written };
            let again = match fault.status {
                Some(412) => operation.if_match.is_some(),
                // What an earlier write named is gone: whether there is another is looked at.
                Some(404 | 410) => by_earlier_write && lookup.settle_seconds <= MOST_SETTLE_SECONDS,
                _ => false,
            };
            if !again {
                return written;
            }
            if by_earlier_write {
                // It may have been written a moment ago, and be shown nowhere yet: another one must not be made of it.
                sleep(Duration::from_secs(u64::from(lookup.settle_seconds))).await;
            }
            if look == MOST_LOOKS || Instant::now() >= deadline {
                let detail = format!("the record of `{}` changes each time before it is written over", operation.name);
                let failure = CallFailure::new(FailureKind::ServerError, detail);
                return Written::NotSent { failure: failure.answered(412, fault.request_id.clone()) };
            }
        }
        let detail = format!("`{}` was not called: it was looked for too often", operation.name);
        Written::NotSent { failure: CallFailure::new(FailureKind::ServerError, detail) }
    }

    /// What stands in the record's place; or what the write comes to without a request. Looking changes nothing at the vendor's.
    async fn before(
        &self,
        operation: &Operation,
        lookup: &LookUp,
        body: &Value,
        deadline: Instant,
    ) -> Result<Before, Written> {
        let looking = timeout(
            deadline.saturating_duration_since(Instant::now()),
            self.sought(operation, lookup, body, self.0.clock.now()),
        );
        let (found, headers) = match looking.await {
            Ok(Ok(found)) => found,
            Ok(Err(Unsought::Failed(failure))) => return Err(Written::NotSent { failure }),
            Ok(Err(Unsought::Unfilled(detail))) => return Err(Written::Refused { fault: fault(operation, &detail) }),
            Err(_) => {
                let detail = format!("`{}` was not called: looking for the record took too long", operation.name);
                return Err(Written::NotSent { failure: CallFailure::new(FailureKind::TimedOut, detail) });
            }
        };
        let problem = match found {
            LookedUp::Absent => return Ok(Before::Absent),
            LookedUp::Present { body } => {
                let at = |pointer: &String| body.pointer(pointer).and_then(response::key_text);
                let in_record = operation.if_match.as_ref().map(|if_match| if_match.pointer.as_ref());
                let tag = match in_record {
                    None => None,
                    Some(Some(pointer)) => at(pointer),
                    Some(None) => headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned),
                };
                let identifier = lookup.evidence.identifier.as_ref().and_then(at);
                if operation.find.is_some() && identifier.is_none() {
                    "the record that was found does not say what the system calls it: check `find.identifier`"
                } else if operation.if_match.is_some() && tag.is_none() {
                    "the record that was found has no entity tag: check `ifMatch`"
                } else {
                    return Ok(Before::Present { identifier, tag });
                }
            }
            LookedUp::Stranger { .. } => {
                "another record stands where this one was looked for, so nothing is written over it: check how records are found"
            }
            LookedUp::Several => {
                "several records answer to this one's key, so it cannot be told which one it is: merge them there, or identify records by a \
                 field that is unique"
            }
        };
        Err(Written::Refused { fault: fault(operation, problem) })
    }

    async fn write_over(&self, operation: &Operation, outgoing: Outgoing<'_>, before: Before) -> Written {
        let (identifier, tag) = match before {
            Before::Absent if operation.only_there.is_some() => return Written::Missing,
            Before::Absent => {
                let none = (header::IF_NONE_MATCH, "*".to_owned());
                // A create by POST makes a record of its own; only a PUT has a place that must be empty.
                let put = operation.method == crosstie_engine::plan::Method::Put;
                let condition = (operation.if_match.is_some() && put).then_some(none);
                return self.write_once(operation, outgoing, condition).await;
            }
            Before::Known(identifier) => (Some(identifier), None),
            Before::Present { identifier, tag } => (identifier, tag),
        };
        let condition = tag.map(|tag| (header::IF_MATCH, tag));
        // What only a create carries goes over nothing that is there.
        let rest = (!operation.ownership.is_empty()).then(|| Body::from(operation.ownership.rest(outgoing.body)));
        let outgoing = Outgoing { body: rest.as_ref().unwrap_or(outgoing.body), ..outgoing };
        let Some(update) = operation.update() else { return self.write_once(operation, outgoing, condition).await };
        // A key stands for one request: the create that may have had it before is another one.
        let key = outgoing.idempotency_key.map(|key| format!("{key}-u"));
        let outgoing =
            Outgoing { body: outgoing.body, identifier: identifier.as_deref(), idempotency_key: key.as_deref() };
        match self.write_once(&update, outgoing, condition).await {
            Written::Applied { identifier: None, request_id } => Written::Applied { identifier, request_id },
            written => written,
        }
    }

    /// One request that writes, to its end.
    async fn write_once(
        &self,
        operation: &Operation,
        outgoing: Outgoing<'_>,
        condition: Option<(HeaderName, String)>,
    ) -> Written {
        let system = &self.0.system;
        let mut call = match write::call(&system.base_url, operation, outgoing) {
            Ok(call) => call,
            Err(written) => return written,
        };
        if let Some((name, value)) = condition {
            let Ok(value) = HeaderValue::from_str(&value) else {
                let failure = write::not_called(operation, "the record's entity tag is none that a header can carry");
                return Written::NotSent { failure };
            };
            call.headers.insert(name, value);
        }
        let url = call.url.clone();
        let outcome = self.submit(call).await;
        if let (Some(job), Ok(Reply::Success(answer))) = (&operation.job, &outcome)
            && job::is_accepted(answer)
        {
            return self.follow(operation, job, &url, answer).await;
        }
        write::judge(self.0.shared.rules.host(), operation, system.request_id_header.as_deref(), outcome)
    }

    /// Sends a request that writes, with a token where the system wants one.
    pub(crate) async fn submit(&self, call: Call) -> Result<Reply, Setback> {
        let Some(tokens) = &self.0.tokens else { return self.0.stack.clone().oneshot(call).await };
        let fetch = |call| async move { self.0.stack.clone().oneshot(call).await };
        let mut refused: Option<std::sync::Arc<Token>> = None;
        loop {
            let fetching = timeout(LONGEST_REQUEST, tokens.token(refused.as_ref(), fetch)).await;
            let token = fetching.unwrap_or_else(|_| {
                let detail = format!("`{}` was not called: fetching its token took too long", call.name);
                Err(CallFailure::new(FailureKind::TimedOut, detail))
            });
            let token = token.map_err(Setback::never)?;
            let mut with_token = call.clone();
            tokens.put(&token, &mut with_token);
            match self.0.stack.clone().oneshot(with_token).await {
                Ok(Reply::Refusal(answer)) if refused.is_none() && tokens.is_refused(&answer) => refused = Some(token),
                Ok(Reply::Refusal(answer)) if tokens.is_refused(&answer) => {
                    let detail = format!("`{}` was refused with a token that was just fetched", call.name);
                    let failure = CallFailure::new(FailureKind::CredentialsRejected, detail);
                    return Err(Setback::never(failure.answered(answer.status.as_u16(), self.request_id(&answer))));
                }
                outcome => return outcome,
            }
        }
    }

    /// Reads a job until it is over. A read that fails says nothing of the job.
    async fn follow(&self, operation: &Operation, job: &Job, asked: &Url, accepted: &Answer) -> Written {
        let host = self.0.shared.rules.host();
        let lost = |kind, problem: &str| {
            let failure = job::lost(host, operation, kind, problem);
            Written::Unknown { failure: failure.answered(accepted.status.as_u16(), self.request_id(accepted)) }
        };
        let Some(url) = job::location(job, asked, accepted) else {
            return lost(
                FailureKind::Malformed,
                "does not say where its job is: check `async.location` in the Connector",
            );
        };
        if let Err(refusal) = self.0.shared.rules.admit(&url) {
            return Written::Unknown { failure: guard::refused(&operation.name, refusal) };
        }
        let deadline = Instant::now() + Duration::from_secs(u64::from(job.timeout_seconds));
        while Instant::now() < deadline {
            sleep(Duration::from_secs(u64::from(job.every_seconds)).min(deadline - Instant::now())).await;
            let call = read_call(Purpose::LookUp, &operation.name, url.clone());
            let Ok(read) = timeout(deadline.saturating_duration_since(Instant::now()), self.read(call)).await else {
                break;
            };
            if let Ok((_, Reply::Success(answer))) = read
                && let State::Ended(written) = job::state(host, operation, job, self.request_id(&answer), &answer)
            {
                return written;
            }
        }
        lost(FailureKind::TimedOut, "its job did not end in time")
    }

    /// Looks up whether a record is at the vendor's, by the body that was or would be written. `decided` is when the write was decided, by
    /// the local clock.
    ///
    /// # Errors
    /// [`CallFailure`] when nothing was found out.
    pub async fn look_up(
        &self,
        operation: &Operation,
        lookup: &LookUp,
        body: &Value,
        decided: Timestamp,
    ) -> Result<LookedUp, CallFailure> {
        self.sought(operation, lookup, body, decided).await.map(|(found, _)| found).map_err(|unsought| match unsought {
            Unsought::Failed(failure) => failure,
            Unsought::Unfilled(problem) => CallFailure::new(FailureKind::Refused, problem),
        })
    }

    /// Looks a record up: what was found, and the answer's headers.
    pub(crate) async fn sought(
        &self,
        operation: &Operation,
        lookup: &LookUp,
        body: &Value,
        decided: Timestamp,
    ) -> Result<(LookedUp, HeaderMap), Unsought> {
        let unable = |problem: String| format!("`{}` cannot be looked up: {problem}", operation.name);
        let wanted = target::field_text(body, &lookup.key_field);
        let wanted = wanted.ok_or_else(|| {
            Unsought::Unfilled(unable(format!("the body has no text or number `{}`", lookup.key_field)))
        })?;
        let filling = Filling { body, identifier: None, since: Some(self.told_time_of(decided)) };
        let url = target::filled(&self.0.system.base_url, &lookup.path, &lookup.query, filling);
        let url = url.map_err(|unfilled| Unsought::Unfilled(unable(unfilled.to_string())))?;
        let mut call = read_call(Purpose::LookUp, &operation.name, url);
        for (name, value) in looking(operation) {
            call.headers.insert(name, value);
        }
        if let Some(question) = &lookup.body {
            let question = crate::body::filled(question, filling);
            let question = question.map_err(|unfilled| Unsought::Unfilled(unable(unfilled.to_string())))?;
            call.method = http::Method::POST;
            call.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            call.body = Some(crate::body::text(&question));
        }
        let (_, reply) = self.read(call).await.map_err(Unsought::Failed)?;
        match reply {
            Reply::Success(answer) => {
                let bytes = answer.body.as_ref();
                let bytes = bytes.map_err(|failure| self.without_body(&operation.name, &answer, failure));
                let document = document::value(bytes.map_err(Unsought::Failed)?).map_err(|unreadable| {
                    let failure = unreadable.failure(&format!("the answer to the look-up of `{}`", operation.name));
                    Unsought::Failed(failure.answered(answer.status.as_u16(), self.request_id(&answer)))
                })?;
                let found = match &lookup.place {
                    Some(place) => found::judge(document, lookup, place, &wanted),
                    None => look_up::judge(document, lookup, &wanted),
                };
                match found {
                    Ok(found) => Ok((found, answer.headers)),
                    Err(unproven) => {
                        let detail = format!("the look-up of `{}` tells nothing: {unproven}", operation.name);
                        let failure = CallFailure::new(FailureKind::Malformed, detail);
                        Err(Unsought::Failed(failure.answered(answer.status.as_u16(), self.request_id(&answer))))
                    }
                }
            }
            Reply::Ignored(answer) => Ok((LookedUp::Absent, answer.headers)),
            Reply::Refusal(answer) if answer.status == http::StatusCode::NOT_FOUND => {
                // A search that is nowhere, or in what is missing itself, finds nothing of anything: each record would be made again.
                if lookup.is_of_its_record() {
                    Ok((LookedUp::Absent, answer.headers))
                } else {
                    let path = format!("whose path does not carry the record's key (`{{body.{}}}`)", lookup.key_field);
                    Err(Unsought::Failed(self.unfound(&operation.name, &path, &answer)))
                }
            }
            Reply::Refusal(answer) | Reply::Redirect(answer) => {
                Err(Unsought::Failed(self.refused(&operation.name, &answer)))
            }
        }
    }
}

/// Why a record was not looked for.
pub enum Unsought {
    /// The call came to nothing.
    Failed(CallFailure),
    /// The record lacks what the look-up needs.
    Unfilled(String),
}

fn fault(operation: &Operation, problem: &str) -> RecordFault {
    let detail = format!("`{}` was not called: {problem}", operation.name);
    RecordFault { status: None, request_id: None, detail, excerpt: String::new(), code: None }
}

/// The headers that an operation's look-up takes over from its writes, such as a version: not those that speak of a body or of a state.
fn looking(operation: &Operation) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let named = operation.headers.iter().filter_map(|(name, value)| {
        HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok())
    });
    named.filter(|(name, _)| {
        !name.as_str().starts_with("content-") && !name.as_str().starts_with("if-") && !write::FRAMING.contains(name)
    })
}
