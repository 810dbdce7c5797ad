//! The accounting layer: tells an observer what each request that went out came to, as soon as it is known what its answer means. It changes nothing.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Method;
use tokio::time::Instant;
use tower::Service;

use crate::{
    call::{Answer, Call, Pending, Reply, Setback},
    observe::{JudgedCall, Judgement, Observer, Purpose},
    response,
};

/// What accounting knows of a system.
pub struct Accountant {
    pub connector: String,
    pub request_id_header: Option<String>,
    pub observer: Arc<dyn Observer>,
}

/// What is kept of a call while it is under way.
struct Made {
    purpose: Purpose,
    name: Arc<str>,
    method: Method,
    path: String,
}

impl Accountant {
    fn over(&self, made: &Made, outcome: &Result<Reply, Setback>, duration: Duration) {
        let (judgement, status, request_id) = match outcome {
            Ok(reply) => {
                let (judgement, answer) = judged(reply);
                let request_id = response::header(&answer.headers, self.request_id_header.as_deref());
                (judgement, Some(answer.status.as_u16()), request_id)
            }
            Err(Setback { failure, .. }) => {
                (Judgement::Failed(failure.kind), failure.status, failure.request_id.clone())
            }
        };
        self.observer.judged(&JudgedCall {
            connector: &self.connector,
            purpose: made.purpose,
            name: &made.name,
            method: &made.method,
            path: &made.path,
            status,
            request_id: request_id.as_deref(),
            duration,
            judgement,
        });
    }
}

fn judged(reply: &Reply) -> (Judgement, &Answer) {
    let (judgement, answer) = match reply {
        Reply::Success(answer) => (Judgement::Done, answer),
        Reply::Redirect(answer) => (Judgement::Redirected, answer),
        Reply::Refusal(answer) => (Judgement::Refused, answer),
        Reply::Ignored(answer) => (Judgement::Ignored, answer),
    };
    // Of what was not done the status says enough.
    if let (Err(failure), Judgement::Done) = (&answer.body, judgement) {
        return (Judgement::Failed(failure.kind()), answer);
    }
    (judgement, answer)
}

/// Accounts for calls.
#[derive(Clone)]
pub struct Account<S> {
    inner: S,
    own: Arc<Accountant>,
}

impl<S> Account<S> {
    pub fn new(inner: S, own: Arc<Accountant>) -> Self {
        Self { inner, own }
    }
}

impl<S> Service<Call> for Account<S>
where
    S: Service<Call, Response = Reply, Error = Setback, Future: Send + 'static>,
{
    type Response = Reply;
    type Error = Setback;
    type Future = Pending<Reply, Setback>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Setback>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let own = Arc::clone(&self.own);
        let made = Made {
            purpose: call.purpose,
            name: Arc::clone(&call.name),
            method: call.method.clone(),
            path: call.url.path().to_owned(),
        };
        let answering = self.inner.call(call);
        Box::pin(async move {
            let start = Instant::now();
            let outcome = answering.await;
            own.over(&made, &outcome, start.elapsed());
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
        call::BodyFailure,
        failure::{CallFailure, FailureKind},
        observe::CallRecord,
        testing::{answer, call},
    };

    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Observer for Notes {
        fn called(&self, _: &CallRecord<'_>) {}

        fn judged(&self, call: &JudgedCall<'_>) {
            let JudgedCall { connector, name, method, path, status, request_id, judgement, .. } = call;
            let (outcome, failed) = (judgement.as_str(), judgement.is_failure());
            let line = format!("{connector} {name} {method} {path} {status:?} {request_id:?} {outcome} {failed}");
            self.0.lock().unwrap().push(line);
        }
    }

    async fn told(reply: impl Fn() -> Result<Reply, Setback> + Clone + Send + 'static) -> String {
        let notes = Arc::new(Notes::default());
        let own = Accountant {
            connector: "shop".into(),
            request_id_header: Some("X-Request-Id".into()),
            observer: Arc::<Notes>::clone(&notes),
        };
        let vendor = service_fn(move |_| {
            let reply = reply();
            async move { reply }
        });
        let mut sent = call("orders");
        sent.url.set_query(Some("api_key=hush&since=1"));
        let _outcome = Account::new(vendor, Arc::new(own)).oneshot(sent).await;
        let [line] = notes.0.lock().unwrap().clone().try_into().unwrap();
        line
    }

    fn answered(status: u16) -> Answer {
        answer(status, &[("x-request-id", "r-7")], "")
    }

    #[tokio::test]
    async fn a_call_is_told_with_what_it_came_to_and_without_its_query() {
        let done = told(|| Ok(Reply::Success(answered(201)))).await;
        assert_eq!(done, r#"shop orders GET /orders Some(201) Some("r-7") Done false"#);
        let refused = told(|| Ok(Reply::Refusal(answered(200)))).await;
        assert!(refused.ends_with(r#"Some(200) Some("r-7") Refused true"#), "{refused}");
        let ignored = told(|| Ok(Reply::Ignored(answered(409)))).await;
        assert!(ignored.ends_with("Ignored false"), "{ignored}");
        let redirected = told(|| Ok(Reply::Redirect(answered(302)))).await;
        assert!(redirected.ends_with("Redirected false"), "{redirected}");
    }

    #[tokio::test]
    async fn a_call_that_came_to_nothing_is_told_by_its_kind() {
        let limited = || {
            let failure = CallFailure::new(FailureKind::RateLimited, "slow").answered(429, Some("r-8".into()));
            Err(Setback::never(failure))
        };
        let limited = told(limited).await;
        assert!(limited.ends_with(r#"Some(429) Some("r-8") RateLimited true"#), "{limited}");
        let lost = told(|| Err(Setback::never(CallFailure::new(FailureKind::Unreachable, "gone")))).await;
        assert!(lost.ends_with("None None Unreachable true"), "{lost}");
        let large = || {
            let body = Err(BodyFailure::TooLarge { limit: 1 });
            Ok(Reply::Success(Answer { body, ..answered(200) }))
        };
        let large = told(large).await;
        assert!(large.ends_with("BodyTooLarge true"), "{large}");
    }
}
