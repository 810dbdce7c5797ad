//! The following layer: keeps the pace to what the vendor's own answers say is left of its quota. It sees every answer, also those that are taken
//! for failures above it, and changes none.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use crosstie_engine::{
    json::Json,
    mapping::Part,
    plan::{Cost, RateRules, Restore},
};
use tower::Service;

use crate::{
    call::{Answer, Break, Call, Pending},
    clock::{self, Clock},
    document,
    pace::Paces,
    quota,
};

/// What following knows of a system.
pub struct Followed {
    rules: RateRules,
    /// Where answers tell what they cost: no more of a page is read for it.
    told: Part,
    paces: Arc<Paces>,
    clock: Arc<dyn Clock>,
}

impl Followed {
    /// What is followed by these rules.
    pub fn new(rules: RateRules, paces: Arc<Paces>, clock: Arc<dyn Clock>) -> Self {
        let told = rules.cost.as_ref().map(told).unwrap_or_default();
        Self { rules, told, paces, clock }
    }

    fn heed(&self, method: &http::Method, path: &str, answer: &Answer) {
        let present = || clock::date(&answer.headers).unwrap_or_else(|| self.clock.now());
        if let Some(quota) = quota::read(&answer.headers, self.rules.headers.as_ref(), &present) {
            self.paces.follow(method, path, &quota);
        }
        let wait = self.rules.cost.as_ref().and_then(|cost| points(cost, &self.told, answer));
        if let Some(wait) = wait {
            self.paces.hold(method, path, wait);
        }
    }
}

/// Where an answer tells of points.
fn told(cost: &Cost) -> Part {
    let mut told = Part::default();
    told.add(&cost.requested);
    told.add(&cost.remaining);
    if let Restore::Pointer(pointer) = &cost.restore {
        told.add(pointer);
    }
    told
}

/// How long to wait until there are as many points again as the last request wanted; none when there are enough.
fn points(cost: &Cost, told: &Part, answer: &Answer) -> Option<Duration> {
    let body = answer.body.as_ref().ok()?;
    // Most answers of systems that tell so do not: pages by REST beside GraphQL.
    if document::surely_lacks(body, &cost.requested) {
        return None;
    }
    let document = document::part(body, told).ok()?;
    let number = |pointer: &String| match document.pointer(pointer)? {
        Json::Number(number) => number.as_f64().filter(|number| *number >= 0.0),
        Json::Null | Json::Bool(_) | Json::Text(_) | Json::List(_) | Json::Object(_) => None,
    };
    let restore = match &cost.restore {
        Restore::PerSecond(points) => Some(f64::from(*points)),
        Restore::Pointer(pointer) => number(pointer),
    };
    let missing = number(&cost.requested)? - number(&cost.remaining)?;
    let seconds = missing / restore.filter(|restore| *restore > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero())
}

/// Follows what answers say of quotas.
#[derive(Clone)]
pub struct Follow<S> {
    inner: S,
    followed: Arc<Followed>,
}

impl<S> Follow<S> {
    pub fn new(inner: S, followed: Arc<Followed>) -> Self {
        Self { inner, followed }
    }
}

impl<S> Service<Call> for Follow<S>
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
        let followed = Arc::clone(&self.followed);
        let (method, path) = (call.method.clone(), call.url.path().to_owned());
        let answering = self.inner.call(call);
        Box::pin(async move {
            let outcome = answering.await;
            if let Ok(answer) = &outcome {
                followed.heed(&method, &path, answer);
            }
            outcome
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::answer;

    fn shopify() -> Cost {
        let at = |name: &str| format!("/extensions/cost/{name}");
        Cost {
            requested: at("requestedQueryCost"),
            remaining: at("throttleStatus/currentlyAvailable"),
            restore: Restore::Pointer(at("throttleStatus/restoreRate")),
        }
    }

    fn waits(cost: &Cost, body: &'static str) -> Option<Duration> {
        points(cost, &told(cost), &answer(200, &[], body))
    }

    #[test]
    fn a_query_waits_until_there_are_points_for_it_again() {
        let wait = |body| waits(&shopify(), body).map(|wait| wait.as_millis());
        let body = r#"{"extensions":{"cost":{"requestedQueryCost":300,"throttleStatus":{"currentlyAvailable":50,"restoreRate":100}}}}"#;
        assert_eq!(wait(body), Some(2500));
        let enough = r#"{"extensions":{"cost":{"requestedQueryCost":50,"throttleStatus":{"currentlyAvailable":50,"restoreRate":100}}}}"#;
        assert_eq!(wait(enough), None);
        for garbage in [
            "",
            "{}",
            "[1",
            r#"{"extensions":{"cost":{"requestedQueryCost":"x"}}}"#,
            r#"{"extensions":{"cost":{"requestedQueryCost":300,"throttleStatus":{"currentlyAvailable":-1,"restoreRate":0}}}}"#,
            r#"{"extensions":{"cost":{"requestedQueryCost":300,"throttleStatus":{"currentlyAvailable":1,"restoreRate":0}}}}"#,
        ] {
            assert_eq!(wait(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn a_restore_rate_can_be_known_beforehand() {
        let cost = Cost { restore: Restore::PerSecond(50), ..shopify() };
        let body = r#"{"extensions":{"cost":{"requestedQueryCost":300,"throttleStatus":{"currentlyAvailable":50}}}}"#;
        assert_eq!(waits(&cost, body), Some(Duration::from_secs(5)));
    }
}
