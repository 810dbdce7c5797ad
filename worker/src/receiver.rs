//! The receiver of webhooks: verifies what comes in, stores what it brings, and only then says that it was taken. It shows nothing of what is
//! stored. What a webhook is worth is decided by the engine (`webhook`); how connections are served is in `serve`.
//!
//! Order matters: of a caller that keeps failing no more is read than costs little to verify; nothing is parsed before it is verified; nothing is
//! acknowledged before it is durable.

mod answer;
mod body;
mod caller;
mod limit;
mod serve;
mod subscribe;
mod take;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use crosstie_connect::{Clock, CredentialStore};
use crosstie_engine::{
    json::Json,
    plan::{Challenge, Receiver as Rules},
    webhook::{NotVerified, Received, Secret, verify},
};
use http::{HeaderMap, Method, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};

use self::{
    answer::Answer,
    body::{Room, SMALL, Unread},
    caller::caller,
    limit::{Bucket, Buckets},
    take::taken,
};
pub use self::{serve::serve, subscribe::keep_subscribed, take::brings_again};
use crate::{
    board::{Board, CrewView},
    metrics::{Metrics, Refused},
    store::EventFate,
    trouble::StoreTrouble,
};

/// How many webhooks that are not verified a caller may send before it is spent, and how fast that is forgiven.
const FAILURES: Bucket = Bucket { burst: 20, per_seconds: 60 };
/// How many small webhooks of a spent caller are verified all the same: where no proxy says who calls, it is the vendor's address too.
const SECOND_LOOKS: Bucket = Bucket { burst: 200, per_seconds: 1 };
/// Longest text that a challenge is answered with, in bytes.
const LONGEST_CHALLENGE: usize = 1024;

/// How webhooks are received under the plan at work.
#[derive(Debug)]
pub struct Reception {
    /// The rules.
    pub rules: Rules,
    /// Name of the source's Connector.
    pub source: String,
    /// The source's credentials.
    pub credentials: CredentialStore,
    /// Why the vendor does not send events here, if it does not.
    unsubscribed: Mutex<Option<String>>,
}

impl Reception {
    /// By a plan's rules.
    pub fn new(rules: Rules, source: String, credentials: CredentialStore) -> Self {
        Self { rules, source, credentials, unsubscribed: Mutex::default() }
    }

    /// Why the vendor does not send events here, if it does not.
    pub fn unsubscribed(&self) -> Option<String> {
        self.unsubscribed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_unsubscribed(&self, why: Option<String>) {
        *self.unsubscribed.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

/// The receiver. Clones share it.
#[derive(Clone)]
pub struct Receiver {
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    memory: Arc<Mutex<Memory>>,
    room: Arc<Room>,
}

/// What is remembered of callers, for as long as the process lives.
#[derive(Debug, Default)]
struct Memory {
    /// What each caller sent that was not verified.
    failures: Buckets<IpAddr>,
    /// How many of those that are spent are verified all the same.
    second_looks: Buckets<IpAddr>,
    /// What was taken for each of those that the plan counts for.
    taken: Buckets<String>,
}

/// A request without its body.
pub struct Head<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its address.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Where the connection comes from.
    pub peer: IpAddr,
}

/// A request whose body is read.
#[derive(Clone, Copy, Debug)]
pub struct LetIn {
    /// Who calls.
    pub caller: IpAddr,
    /// How many bytes of body are taken at most.
    pub most: usize,
    /// How long to wait until anything larger is read, if the caller keeps failing.
    pub spent: Option<Duration>,
}

impl Receiver {
    /// A receiver for whatever plan is at work.
    pub fn new(board: Arc<Board>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { board, clock, metrics, memory: Arc::default(), room: Arc::default() }
    }

    /// What is held of bodies.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Looks at a request before its body is read: an answer, or who calls and how much is taken.
    pub fn look(&self, head: &Head) -> Result<LetIn, Answer> {
        let reception = self.reception()?;
        let rules = &reception.rules;
        if head.uri.path() != rules.path {
            self.metrics.webhook_refused(Refused::Elsewhere);
            return Err(Answer::text(StatusCode::NOT_FOUND, "there is no receiver here\n"));
        }
        match *head.method {
            Method::POST => {}
            Method::GET | Method::HEAD => return Err(asked(rules, head)),
            Method::OPTIONS if rules.challenge == Some(Challenge::AllowedOrigin) => {
                return Err(Answer::allowed_origin(head.headers));
            }
            _ => return Err(Answer::text(StatusCode::METHOD_NOT_ALLOWED, "send webhooks with POST\n")),
        }
        let (caller, now) = (caller(rules, head), self.clock.now());
        let most = usize::try_from(rules.max_body_bytes).unwrap_or(usize::MAX);
        let mut memory = self.memory();
        let spent = memory.failures.spent(&caller, FAILURES, now);
        if let Some(wait) = spent
            && memory.second_looks.take(caller, SECOND_LOOKS, now).is_some()
        {
            return Err(self.throttled(wait));
        }
        Ok(LetIn { caller, most: if spent.is_some() { most.min(SMALL) } else { most }, spent })
    }

    /// Takes a request with its body, and answers once what it brings is durable.
    pub async fn receive(&self, head: &Head<'_>, let_in: &LetIn, raw: Bytes) -> Answer {
        let reception = match self.reception() {
            Ok(reception) => reception,
            Err(answer) => return answer,
        };
        let now = self.clock.now();
        let from = let_in.caller;
        if let Err(failure) = verified(&reception, head, &raw, now) {
            return self.not_verified(&reception, failure, from, now);
        }
        self.memory().failures.forget(&from);
        let value = match take::body(head.headers, &raw) {
            Ok(value) => value,
            Err(malformed) => return self.malformed(&malformed),
        };
        if let Some(Challenge::Pointer(pointer)) = &reception.rules.challenge
            && let Some(Json::Text(text)) = value.pointer(pointer)
        {
            return Answer::challenge(text, LONGEST_CHALLENGE);
        }
        let posted = self.board.posted();
        let (Some(store), Some(CrewView { lanes, .. })) = (&posted.store, &posted.crew) else { return not_at_work() };
        let events = match taken(&reception, lanes, head.headers, value, now) {
            Ok(events) => events,
            Err(malformed) => return self.malformed(&malformed),
        };
        if let Some(wait) = self.over_limit(&reception.rules, &events.counted_for, now) {
            self.metrics.webhook_refused(Refused::Limited);
            return Answer::later(StatusCode::TOO_MANY_REQUESTS, wait);
        }
        let topics: Vec<bool> = events.events.events.iter().map(|event| event.brings.is_empty()).collect();
        let trouble: &StoreTrouble = self.board.store_trouble();
        let Ok(fates) = trouble.changed(store.take_events(events.events).await) else {
            self.metrics.webhook_refused(Refused::NotStored);
            return Answer::later(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(5));
        };
        for (fate, unrouted) in fates.iter().zip(topics) {
            self.metrics.event(fate, unrouted);
            let EventFate::Taken(scopes) = fate else { continue };
            for lane in lanes.iter().filter(|lane| scopes.iter().any(|(scope, news)| *news && *scope == lane.scope)) {
                lane.wake.notify_one();
            }
        }
        Answer::empty(StatusCode::OK)
    }

    /// Answers a request whose body was not had. It is a failure of its caller's, unless it was others that left no room.
    pub fn unread(&self, let_in: &LetIn, unread: Unread) -> Answer {
        if let Some(wait) = let_in.spent {
            return self.throttled(wait);
        }
        let (refused, answer) = match unread {
            Unread::TooLarge => {
                (Refused::TooLarge, Answer::text(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than is taken\n"))
            }
            Unread::BrokenOff => (Refused::BrokenOff, Answer::text(StatusCode::BAD_REQUEST, "the body broke off\n")),
            Unread::TooSlow => {
                (Refused::TooSlow, Answer::text(StatusCode::REQUEST_TIMEOUT, "the body took too long\n"))
            }
            Unread::NoRoom => {
                self.metrics.webhook_refused(Refused::NoRoom);
                return Answer::later(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(5));
            }
        };
        self.metrics.webhook_refused(refused);
        let now = self.clock.now();
        if self.memory().failures.take(let_in.caller, FAILURES, now).is_none() {
            tracing::warn!(from = %let_in.caller, ?unread, "the body of a webhook was not had");
        }
        answer
    }

    fn reception(&self) -> Result<Arc<Reception>, Answer> {
        let posted = self.board.posted();
        let Some(crew) = &posted.crew else { return Err(not_at_work()) };
        crew.reception.clone().ok_or_else(|| {
            self.metrics.webhook_refused(Refused::Elsewhere);
            Answer::text(StatusCode::NOT_FOUND, "no flow of this Integration takes webhooks\n")
        })
    }

    fn not_verified(&self, reception: &Reception, failure: NotVerified, from: IpAddr, now: Timestamp) -> Answer {
        let reason = match failure {
            NotVerified::Unsigned => Refused::Unsigned,
            NotVerified::Forged => Refused::Forged,
            NotVerified::Stale => Refused::Stale,
            NotVerified::NoSecret => {
                // No fault of the caller's: it is to send again once the credentials are complete.
                self.metrics.webhook_refused(Refused::NoSecret);
                return Answer::later(StatusCode::SERVICE_UNAVAILABLE, Duration::from_mins(1));
            }
        };
        if let Some(wait) = self.memory().failures.take(from, FAILURES, now) {
            return self.throttled(wait);
        }
        self.metrics.webhook_refused(reason);
        tracing::warn!(%from, %failure, "a webhook was refused");
        let status = StatusCode::from_u16(reception.rules.refusal_status).unwrap_or(StatusCode::UNAUTHORIZED);
        Answer::text(status, &format!("the webhook was refused: {failure}\n"))
    }

    fn throttled(&self, wait: Duration) -> Answer {
        self.metrics.webhook_refused(Refused::Throttled);
        Answer::later(StatusCode::TOO_MANY_REQUESTS, wait)
    }

    fn malformed(&self, malformed: &str) -> Answer {
        self.metrics.webhook_refused(Refused::Malformed);
        tracing::warn!(problem = malformed, "a verified webhook cannot be read");
        Answer::text(StatusCode::BAD_REQUEST, &format!("{malformed}\n"))
    }

    /// How long to wait, if one of those that events are counted for has had its share. Otherwise they are counted.
    fn over_limit(&self, rules: &Rules, counted_for: &[String], now: Timestamp) -> Option<Duration> {
        let limit = rules.limit.as_ref()?;
        let bucket = Bucket { burst: limit.requests, per_seconds: limit.per_seconds };
        let mut memory = self.memory();
        // All or none: what is refused is sent again as a whole.
        if let Some(wait) = memory.taken.room_for(counted_for, bucket, now) {
            return Some(wait);
        }
        for key in counted_for {
            let _room = memory.taken.take(key.clone(), bucket, now);
        }
        None
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a request that brings nothing: vendors and people ask whether anything is there.
fn asked(rules: &Rules, head: &Head) -> Answer {
    if let Some(Challenge::Parameter(parameter)) = &rules.challenge
        && let Some(text) = take::parameter(head.uri, parameter)
    {
        return Answer::challenge(&text, LONGEST_CHALLENGE);
    }
    Answer::text(StatusCode::OK, "webhooks are received here, by POST\n")
}

fn not_at_work() -> Answer {
    Answer::later(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(5))
}

fn verified(reception: &Reception, head: &Head, raw: &Bytes, now: Timestamp) -> Result<(), NotVerified> {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let parameter = |name: &str| take::parameter(head.uri, name);
    let id = reception.rules.event_id.as_ref().and_then(|place| take::header_at(place, &header));
    let received = Received {
        method: head.method.as_str(),
        path: head.uri.path_and_query().map_or("/", |path| path.as_str()),
        origin: reception.rules.origin.as_deref(),
        header: &header,
        parameter: &parameter,
        id,
        body: raw,
    };
    let versions = reception.credentials.versions();
    let values: Vec<_> = versions.iter().map(|version| |key: &str| version.secret(key)).collect();
    let secrets: Vec<Secret> = values.iter().map(|value| value as Secret).collect();
    verify(&reception.rules.verification, &received, &secrets, now)
}

/// So many days from now.
fn days_from(now: Timestamp, days: u32) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MAX)
}
