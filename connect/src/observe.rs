//! The observation layer: sees every request that really goes out, and its answer. It keeps the vendor's clock and its word of drift, and tells an observer;
//! it changes nothing. Traces hold names, statuses and durations, never URLs, headers or bodies.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, Method};
use tokio::time::Instant;
use tower::Service;

use crate::{
    call::{Answer, Break, Call, Pending},
    clock::VendorClock,
    failure::FailureKind,
    lifecycle::{Answered, Headers, Heard},
    response,
};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// A page of a stream.
    ReadPage,
    /// A single record of a stream.
    ReadOne,
    /// The vendor's time, by a stream's first page.
    ReadTime,
    /// A write by an operation, of one record or of several.
    Write,
    /// A look-up for an operation.
    LookUp,
    /// A single record of a stream for a mapping; it may be a while old.
    Consult,
    /// A call to log in.
    LogIn,
}

impl Purpose {
    /// The purpose as a word, for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadPage => "ReadPage",
            Self::ReadOne => "ReadOne",
            Self::ReadTime => "ReadTime",
            Self::Write => "Write",
            Self::LookUp => "LookUp",
            Self::Consult => "Consult",
            Self::LogIn => "LogIn",
        }
    }
}

/// One request that went out, and what came back. A call that was sent again with other credentials makes two of them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallRecord<'a> {
    /// What it was for.
    pub purpose: Purpose,
    /// Name of the stream or operation.
    pub name: &'a str,
    /// The vendor's status; none when no answer came.
    pub status: Option<u16>,
    /// From sending to the end of the answer.
    pub duration: Duration,
    /// The vendor's id of the request.
    pub request_id: Option<&'a str>,
    /// The API version that was really served.
    pub served_version: Option<&'a str>,
    /// Id of the credentials it went out with.
    pub credential_version: Option<&'a str>,
    /// The answer's headers; not for logs.
    pub headers: Option<&'a HeaderMap>,
}

/// One request that went out, and what it came to by what its answer means: beside [`CallRecord`], which does not know that. Of what was sent and
/// answered it holds the path alone.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct JudgedCall<'a> {
    /// Name of the Connector.
    pub connector: &'a str,
    /// What it was for.
    pub purpose: Purpose,
    /// Name of the stream or operation.
    pub name: &'a str,
    /// How it was asked.
    pub method: &'a Method,
    /// The path of its URL, without the query, which can hold a key. A path can name a record.
    pub path: &'a str,
    /// The vendor's status; none when no answer came.
    pub status: Option<u16>,
    /// The vendor's id of the request.
    pub request_id: Option<&'a str>,
    /// From sending to the end of the answer.
    pub duration: Duration,
    /// What it came to.
    pub judgement: Judgement,
}

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Judgement {
    /// The vendor did what was asked.
    Done,
    /// The vendor refers to another place.
    Redirected,
    /// The vendor refuses what was asked.
    Refused,
    /// The vendor did not do it, and the Connector's rules say that it need not be done.
    Ignored,
    /// The system did not do its part.
    Failed(FailureKind),
}

impl Judgement {
    /// What it came to as a word: of a failure, its kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::Redirected => "Redirected",
            Self::Refused => "Refused",
            Self::Ignored => "Ignored",
            Self::Failed(kind) => kind.as_str(),
        }
    }

    /// Whether what was asked was not done and should have been.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Refused | Self::Failed(_) => true,
            Self::Done | Self::Redirected | Self::Ignored => false,
        }
    }
}

/// Whoever wants to know of requests. Called on the request's own way: it must return at once.
pub trait Observer: Send + Sync {
    /// A request is over.
    fn called(&self, record: &CallRecord<'_>);

    /// It is known what a request came to. Called in the task that made it, right after [`called`](Self::called).
    fn judged(&self, call: &JudgedCall<'_>) {
        let _ = call;
    }

    /// An answer that may be kept was wanted of a stream.
    fn cached(&self, name: &str, cache_use: CacheUse) {
        let _ = (name, cache_use);
    }
}

/// Where an answer came from that may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheUse {
    /// From what is kept: no request was made.
    Hit,
    /// From what is kept, after the vendor said that it still holds.
    Revalidated,
    /// From the vendor.
    Miss,
}

impl CacheUse {
    /// Where it came from as a word, for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
        }
    }
}

/// An observer that wants to know nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn called(&self, _: &CallRecord<'_>) {}
}

/// What observation knows of a system.
pub struct Watch {
    pub connector: String,
    pub request_id_header: Option<String>,
    pub lifecycle_headers: Headers,
    pub heard: Arc<Heard>,
    pub vendor_clock: Arc<VendorClock>,
    pub observer: Arc<dyn Observer>,
}

impl Watch {
    fn over(&self, call: &Seen, outcome: &Result<Answer, Break>, duration: Duration) {
        let head = outcome.as_ref().ok();
        let headers = head.map(|answer| &answer.headers);
        if let Some(headers) = headers {
            self.vendor_clock.note(headers);
        }
        if let Some(answer) = head {
            let (status, body) = (answer.status, answer.body.as_ref().ok());
            let answered = Answered { purpose: call.purpose, status, headers: &answer.headers, body };
            if let Some(observed) = self.lifecycle_headers.read(&answered) {
                self.heard.note(call.purpose, &call.name, observed);
            }
        }
        let read = |name: &Option<String>| headers.and_then(|headers| response::header(headers, name.as_deref()));
        let (request_id, served_version) =
            (read(&self.request_id_header), read(&self.lifecycle_headers.served_version));
        let record = CallRecord {
            purpose: call.purpose,
            name: &call.name,
            status: head.map(|answer| answer.status.as_u16()),
            duration,
            request_id: request_id.as_deref(),
            served_version: served_version.as_deref(),
            credential_version: call.credential_version.as_deref(),
            headers,
        };
        tracing::debug!(
            connector = self.connector,
            purpose = record.purpose.as_str(),
            name = record.name,
            status = record.status,
            milliseconds = duration.as_millis(),
            request_id = record.request_id,
            served_version = record.served_version,
            credential_version = record.credential_version,
            "called"
        );
        self.observer.called(&record);
    }
}

/// What is kept of a call while it is under way.
struct Seen {
    purpose: Purpose,
    name: Arc<str>,
    credential_version: Option<Arc<str>>,
}

/// Watches requests and answers.
#[derive(Clone)]
pub struct Observe<S> {
    inner: S,
    watch: Arc<Watch>,
}

impl<S> Observe<S> {
    pub fn new(inner: S, watch: Arc<Watch>) -> Self {
        Self { inner, watch }
    }
}

impl<S> Service<Call> for Observe<S>
where
    S: Service<Call, Response = Answer, Error = Break, Future: Send + 'static>,
{
    type Response = Answer;
    type Error = Break;
    type Future = Pending<Answer, Break>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Break>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let watch = Arc::clone(&self.watch);
        let seen = Seen {
            purpose: call.purpose,
            name: Arc::clone(&call.name),
            credential_version: call.credential_version.clone(),
        };
        let answering = self.inner.call(call);
        Box::pin(async move {
            let start = Instant::now();
            let outcome = answering.await;
            watch.over(&seen, &outcome, start.elapsed());
            outcome
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::{
        call::Cause,
        testing::{answer, call},
    };

    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Observer for Notes {
        fn called(&self, record: &CallRecord<'_>) {
            let line = format!(
                "{} {} {:?} {:?} {:?} {:?}",
                record.purpose.as_str(),
                record.name,
                record.status,
                record.request_id,
                record.served_version,
                record.credential_version
            );
            self.0.lock().unwrap().push(line);
        }
    }

    fn watch(notes: &Arc<Notes>) -> Arc<Watch> {
        Arc::new(Watch {
            connector: "shop".into(),
            request_id_header: Some("X-Request-Id".into()),
            lifecycle_headers: Headers { served_version: Some("X-Api-Version".into()), deprecated_reason: None },
            heard: Arc::default(),
            vendor_clock: Arc::default(),
            observer: Arc::<Notes>::clone(notes),
        })
    }

    #[tokio::test]
    async fn an_answer_is_told_with_its_ids_and_versions() {
        let notes = Arc::new(Notes::default());
        let vendor = service_fn(|_| async {
            Ok::<_, Break>(answer(200, &[("x-request-id", "r-7"), ("x-api-version", "2026-07")], ""))
        });
        let mut sent = call("orders");
        sent.credential_version = Some("v1".into());
        assert!(Observe::new(vendor, watch(&notes)).oneshot(sent).await.is_ok());
        let expected = r#"ReadPage orders Some(200) Some("r-7") Some("2026-07") Some("v1")"#;
        assert_eq!(*notes.0.lock().unwrap(), [expected]);
    }

    #[tokio::test]
    async fn a_request_without_an_answer_is_told_too() {
        let notes = Arc::new(Notes::default());
        let vendor = service_fn(|_| async { Err::<Answer, _>(Break { cause: Cause::NoConnection, source: None }) });
        assert!(Observe::new(vendor, watch(&notes)).oneshot(call("orders")).await.is_err());
        assert_eq!(*notes.0.lock().unwrap(), ["ReadPage orders None None None None"]);
    }
}
