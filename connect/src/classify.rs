//! The classification layer: what an answer, or its absence, says about the call. One place decides whether a call may have taken effect.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use crosstie_engine::plan::{ErrorRule, Meaning};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;
use tower::Service;

use crate::{
    call::{Answer, Break, Call, Cause, Pending, Reached, Reply, Setback},
    clock::{self, Clock},
    failure::{CallFailure, FailureKind},
    guard,
    meaning::{self, Asked, Said},
    response,
    signals::{self, LONGEST_RETRY_AFTER},
};

/// What classification knows of a system.
pub struct Classifier {
    pub host: String,
    /// What answers mean where HTTP alone does not say it.
    pub rules: Vec<ErrorRule>,
    pub request_id_header: Option<String>,
    pub clock: Arc<dyn Clock>,
}

impl Classifier {
    /// What an answer says: by the system's own rules, or else by HTTP.
    pub fn answer(&self, asked: Asked, answer: Answer) -> Result<Reply, Setback> {
        match meaning::said(&self.rules, asked, &answer) {
            Said::Nothing => self.by_status(asked.name, answer),
            Said::Unclear => {
                let meaning = "its body could not be read, or holds more values than are read, and only that says whether the call went well";
                let told = Told { kind: FailureKind::Malformed, reached: Reached::Perhaps, meaning, code: None };
                Err(self.setback(asked.name, &answer, &told, None))
            }
            Said::Rule(rule, document) => self.by_rule(asked.name, answer, rule, document.as_ref()),
        }
    }

    fn by_rule(
        &self,
        name: &str,
        mut answer: Answer,
        rule: &ErrorRule,
        document: Option<&Value>,
    ) -> Result<Reply, Setback> {
        use FailureKind::{CredentialsRejected, RateLimited, ServerError, Unsupported};
        use Reached::{Never, Perhaps};
        let code = meaning::code(rule, document);
        let (kind, reached, meaning) = match rule.means {
            Meaning::Success => return Ok(Reply::Success(answer)),
            Meaning::Ignore => return Ok(Reply::Ignored(answer)),
            Meaning::RecordFailure => {
                answer.code = code;
                return Ok(Reply::Refusal(answer));
            }
            Meaning::CredentialsRejected => (CredentialsRejected, Never, "the credentials are refused"),
            Meaning::RateLimited => (RateLimited, Never, "the vendor admits no more requests now"),
            Meaning::Retry => (ServerError, Never, "the vendor does not take it now"),
            Meaning::SystemFailure => (ServerError, Perhaps, "the vendor is unwell"),
            Meaning::Unsupported => (
                Unsupported,
                Never,
                "the vendor does not serve this version of its API any more: set another apiVersion in the Connector",
            ),
        };
        let asked = rule.retry_after.as_ref().and_then(|retry_after| {
            let text = meaning::wait_text(retry_after, &answer.headers, document)?;
            signals::wait(&text, retry_after.format, self.vendors_present(&answer))
        });
        Err(self.setback(name, &answer, &Told { kind, reached, meaning, code }, asked))
    }

    fn by_status(&self, name: &str, answer: Answer) -> Result<Reply, Setback> {
        use FailureKind::{CredentialsRejected, Malformed, RateLimited, Refused, ServerError, TimedOut};
        use Reached::{Never, Perhaps};
        let (kind, reached, meaning) = match answer.status.as_u16() {
            401 => (CredentialsRejected, Never, "the credentials are refused"),
            200..=299 => return Ok(Reply::Success(answer)),
            300..=399 => return Ok(Reply::Redirect(answer)),
            405 | 406 | 415 | 421 | 426 => {
                (Refused, Never, "nobody may ask like this: check method and path in the Connector")
            }
            // Some gateways send 408 when what lies behind them did not answer.
            408 => (TimedOut, Perhaps, "the vendor gave up waiting"),
            425 | 429 => (RateLimited, Never, "the vendor admits no more requests now"),
            400..=499 => return Ok(Reply::Refusal(answer)),
            500..=599 => (ServerError, Perhaps, "the vendor is unwell"),
            _ => (Malformed, Perhaps, "this is no status of an answer"),
        };
        Err(self.setback(name, &answer, &Told { kind, reached, meaning, code: None }, None))
    }

    /// A failure by an answer. `asked` is the wait that a rule found; without one the answer's headers say it.
    fn setback(&self, name: &str, answer: &Answer, told: &Told, asked: Option<Duration>) -> Setback {
        let waits = matches!(told.kind, FailureKind::RateLimited | FailureKind::ServerError);
        let by_header = || signals::retry_after(&answer.headers, self.vendors_present(answer));
        let asked = if waits { asked.or_else(by_header) } else { None };
        let wait = asked.map(|asked| asked.min(LONGEST_RETRY_AFTER));
        let (status, meaning) = (answer.status.as_u16(), told.meaning);
        let code = told.code.as_deref().map(|code| format!(" (`{code}`)")).unwrap_or_default();
        let beyond = asked.filter(|asked| *asked > LONGEST_RETRY_AFTER).map(signals::beyond).unwrap_or_default();
        let detail = format!("`{}` of `{name}` answered {status}: {meaning}{code}{beyond}", self.host);
        let request_id = response::header(&answer.headers, self.request_id_header.as_deref());
        let failure = CallFailure::new(told.kind, detail).answered(status, request_id).after(wait);
        Setback { failure, reached: told.reached }
    }

    /// The vendor's own present as the answer tells it, so that a clock that is off does not matter; or else ours.
    fn vendors_present(&self, answer: &Answer) -> Timestamp {
        crate::clock::date(&answer.headers).unwrap_or_else(|| self.clock.now())
    }

    /// What the absence of an answer says.
    pub fn without_answer(&self, name: &str, broken: Break) -> Setback {
        use FailureKind::{BodyTooLarge, CredentialsRejected, Malformed, Refused, TimedOut, Unreachable};
        use Reached::{Never, Perhaps};
        let is_of_the_head = matches!(broken.cause, Cause::HeadTooLarge | Cause::HeadUnreadable);
        let (kind, reached, meaning) = match broken.cause {
            Cause::Egress(refusal) => return Setback::never(guard::refused(name, refusal)),
            Cause::NoRequest => (Refused, Never, "no request can be made of what the Connector says"),
            Cause::NoName => (Unreachable, Never, "its name cannot be resolved"),
            Cause::NoConnection => (Unreachable, Never, "no connection can be made"),
            Cause::NoPassage => (
                Unreachable,
                Never,
                "no connection can be made through the proxy of the operator's configuration: it cannot be reached or does \
                 not let this host pass",
            ),
            Cause::NoAuthority => (
                Unreachable,
                Never,
                "its certificate cannot be verified, because this machine knows no certificate authorities: install \
                 /etc/ssl/certs/ca-certificates.crt or set SSL_CERT_FILE",
            ),
            Cause::NoTrust => (
                Unreachable,
                Never,
                "no TLS session can be made: its certificate is not trusted or the protocols differ",
            ),
            Cause::NotKnown => (
                CredentialsRejected,
                Never,
                "it does not accept the client certificate, or wants one and was given none: check spec.tls",
            ),
            Cause::NoConnectionInTime => (TimedOut, Never, "no connection was made in time"),
            Cause::ConnectionLost => (Unreachable, Perhaps, "the connection broke before the answer"),
            Cause::NoAnswerInTime => (TimedOut, Perhaps, "no answer came in time"),
            Cause::HeadTooLarge => {
                (BodyTooLarge, Perhaps, "its answer has more headers than are read, 100 of them and 400 KiB in all")
            }
            Cause::HeadUnreadable => (
                Malformed,
                Perhaps,
                "its answer has more headers than are read, 400 KiB in all, or breaks the rules of HTTP/2",
            ),
        };
        let mut meaning = meaning.to_owned();
        if is_of_the_head {
            // The library gives headers all or none.
            let at = clock::whole_seconds(self.clock.now());
            let seen = "; none was looked at, so that neither its status nor its id of the request is known, and it was cut off at";
            meaning = format!("{meaning}{seen} {at}: ask the vendor, or whoever runs a proxy between, what answers so");
        }
        let mut failure = CallFailure::new(kind, format!("`{}` was called for `{name}`: {meaning}", self.host));
        failure.source = broken.source;
        Setback { failure, reached }
    }
}

/// What an answer came to that is a failure.
struct Told {
    kind: FailureKind,
    reached: Reached,
    meaning: &'static str,
    /// The vendor's own code.
    code: Option<String>,
}

/// The failure of a call whose answer says no, for those who take that as the configuration's fault.
pub fn refused(host: &str, name: &str, status: StatusCode, request_id: Option<String>) -> CallFailure {
    let meaning = match status.as_u16() {
        403 => "the credentials lack a permission",
        404 | 410 => "there is nothing at this path: check path and API version in the Connector",
        300..=399 => "it leads elsewhere: check the base URL and the path in the Connector",
        _ => "it refuses what is asked: check the query in the Connector",
    };
    let detail = format!("`{host}` answered {} to `{name}`: {meaning}", status.as_u16());
    CallFailure::new(FailureKind::Refused, detail).answered(status.as_u16(), request_id)
}

/// The failure of looking for one record under a path that is not its own, which `path` says in words, and to which the vendor says that there is nothing.
pub fn unfound(host: &str, name: &str, path: &str, status: StatusCode, request_id: Option<String>) -> CallFailure {
    let status = status.as_u16();
    let detail = format!(
        "`{host}` answered {status} to the look for a record of `{name}`, {path}, so that it does not say that this one is absent: check path and \
         API version in the Connector; if it is how the system says so, say it by a rule under `errors` that means Ignore"
    );
    CallFailure::new(FailureKind::Refused, detail).answered(status, request_id)
}

/// Sorts answers.
#[derive(Clone)]
pub struct Classify<S> {
    inner: S,
    classifier: Arc<Classifier>,
}

impl<S> Classify<S> {
    pub fn new(inner: S, classifier: Arc<Classifier>) -> Self {
        Self { inner, classifier }
    }
}

impl<S> Service<Call> for Classify<S>
where
    S: Service<Call, Response = Answer, Error = Break, Future: Send + 'static>,
{
    type Response = Reply;
    type Error = Setback;
    type Future = Pending<Reply, Setback>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Setback>> {
        self.inner.poll_ready(cx).map_err(|broken| self.classifier.without_answer("request", broken))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let classifier = Arc::clone(&self.classifier);
        let (name, purpose) = (Arc::clone(&call.name), call.purpose);
        let answering = self.inner.call(call);
        Box::pin(async move {
            match answering.await {
                Ok(answer) => classifier.answer(Asked { purpose, name: &name }, answer),
                Err(broken) => Err(classifier.without_answer(&name, broken)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{SystemClock, testing::answer};

    const ORDERS: Asked = Asked { purpose: crate::Purpose::ReadPage, name: "orders" };

    fn classifier() -> Classifier {
        Classifier {
            host: "api.example.com".into(),
            rules: Vec::new(),
            request_id_header: Some("x-request-id".into()),
            clock: Arc::new(SystemClock),
        }
    }

    fn sorted(status: u16) -> String {
        match classifier().answer(ORDERS, answer(status, &[], "")) {
            Ok(Reply::Success(_)) => "success".into(),
            Ok(Reply::Ignored(_)) => "ignored".into(),
            Ok(Reply::Redirect(_)) => "redirect".into(),
            Ok(Reply::Refusal(_)) => "refusal".into(),
            Err(Setback { failure, reached }) => format!("{} {reached:?}", failure.kind.as_str()),
        }
    }

    #[test]
    fn every_status_has_its_meaning() {
        for (statuses, meaning) in [
            (&[200, 201, 202, 204, 207, 299][..], "success"),
            (&[300, 301, 302, 303, 304, 307, 308, 399], "redirect"),
            (&[400, 402, 403, 404, 409, 410, 412, 413, 422, 423, 428, 451, 499], "refusal"),
            (&[401], "CredentialsRejected Never"),
            (&[405, 406, 415, 421, 426], "Refused Never"),
            (&[408], "TimedOut Perhaps"),
            (&[425, 429], "RateLimited Never"),
            (&[500, 501, 502, 503, 504, 511, 599], "ServerError Perhaps"),
            (&[101, 600, 999], "Malformed Perhaps"),
        ] {
            for status in statuses {
                assert_eq!(sorted(*status), meaning, "{status}");
            }
        }
    }

    #[test]
    fn every_break_says_whether_the_call_may_have_taken_effect() {
        for (cause, kind, reached) in [
            (
                Cause::Egress(crate::EgressRefusal::Plaintext { host: "x".into() }),
                FailureKind::EgressRefused,
                Reached::Never,
            ),
            (Cause::NoRequest, FailureKind::Refused, Reached::Never),
            (Cause::NoName, FailureKind::Unreachable, Reached::Never),
            (Cause::NoConnection, FailureKind::Unreachable, Reached::Never),
            (Cause::NoPassage, FailureKind::Unreachable, Reached::Never),
            (Cause::NoAuthority, FailureKind::Unreachable, Reached::Never),
            (Cause::NoTrust, FailureKind::Unreachable, Reached::Never),
            (Cause::NoConnectionInTime, FailureKind::TimedOut, Reached::Never),
            (Cause::ConnectionLost, FailureKind::Unreachable, Reached::Perhaps),
            (Cause::NoAnswerInTime, FailureKind::TimedOut, Reached::Perhaps),
            (Cause::HeadTooLarge, FailureKind::BodyTooLarge, Reached::Perhaps),
            (Cause::HeadUnreadable, FailureKind::Malformed, Reached::Perhaps),
        ] {
            let setback = classifier().without_answer("orders", Break { cause: cause.clone(), source: None });
            assert_eq!((setback.failure.kind, setback.reached), (kind, reached), "{cause:?}");
        }
    }

    #[test]
    fn a_failure_carries_the_vendors_request_id_and_wait() {
        let limited = answer(429, &[("retry-after", "7"), ("x-request-id", "r-1")], "body with jane@example.com");
        let Err(setback) = classifier().answer(ORDERS, limited) else { panic!("sorted as well") };
        assert_eq!(setback.failure.status, Some(429));
        assert_eq!(setback.failure.request_id.as_deref(), Some("r-1"));
        assert_eq!(setback.failure.retry_after, Some(Duration::from_secs(7)));
        assert!(!setback.failure.detail.contains("jane"));
    }
}
