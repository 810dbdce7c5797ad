//! The throttle layer: keeps to the worker's share of the vendor's allowance, and to what the vendor's answers ask of our pace.
//!
//! A request waits for a place among those under way, then for the bucket. No wait is longer than [`LONGEST_WAIT`]; a request that would wait
//! longer fails without having left, and says when to come back. Nothing is reserved while waiting, so a call that is given up costs nothing.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower::{Service, ServiceExt};

use crate::{
    call::{Call, Pending, Reply, Setback},
    failure::{CallFailure, FailureKind},
    pace::Paces,
};

/// The longest a request waits for its turn.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How long nothing leaves after a 429 that does not say how long to wait.
pub const PAUSE: Duration = Duration::from_secs(1);

/// Lets requests leave at the system's pace.
#[derive(Clone)]
pub struct Throttle<S> {
    inner: S,
    paces: Arc<Paces>,
}

impl<S> Throttle<S> {
    pub fn new(inner: S, paces: Arc<Paces>) -> Self {
        Self { inner, paces }
    }
}

impl<S> Service<Call> for Throttle<S>
where
    S: Service<Call, Response = Reply, Error = Setback, Future: Send> + Clone + Send + 'static,
{
    type Response = Reply;
    type Error = Setback;
    type Future = Pending<Reply, Setback>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Setback>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (paces, inner) = (Arc::clone(&self.paces), self.inner.clone());
        Box::pin(async move {
            let (method, path) = (call.method.clone(), call.url.path().to_owned());
            let _places = paces.leave(&method, &path).await.map_err(|wait| {
                let detail = format!(
                    "`{}` was not called: requests are held back for another {} s",
                    call.name,
                    wait.as_secs().max(1)
                );
                Setback::never(CallFailure::new(FailureKind::RateLimited, detail).after(Some(wait)))
            })?;
            let outcome = inner.oneshot(call).await;
            if let Err(Setback { failure, .. }) = &outcome {
                let unspecified = (failure.kind == FailureKind::RateLimited).then_some(PAUSE);
                if let Some(pause) = failure.retry_after.or(unspecified) {
                    paces.hold(&method, &path, pause);
                }
            }
            outcome
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crosstie_engine::plan::{Allowance, RateRules};
    use futures::{FutureExt, future::join_all};
    use http::Method;
    use tokio::time::Instant;
    use tower::service_fn;

    use super::*;
    use crate::testing::{answer, call, setback};

    fn share(requests: u32, per_seconds: u32, concurrency: u32) -> Allowance {
        Allowance { requests, per_seconds, concurrency }
    }

    fn paces(share: Allowance) -> Arc<Paces> {
        Arc::new(Paces::of(share, &RateRules::default(), share, Arc::new(crate::SystemClock), None))
    }

    const GET: Method = Method::GET;

    /// A vendor that counts, takes a second to answer, and gives what it is told to.
    fn vendor(
        count: Arc<AtomicUsize>,
        reply: impl Fn(usize) -> Result<Reply, Setback> + Clone + Send + 'static,
    ) -> impl Service<Call, Response = Reply, Error = Setback, Future: Send> + Clone + Send + 'static {
        service_fn(move |_| {
            let (number, reply) = (count.fetch_add(1, Ordering::SeqCst), reply.clone());
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                reply(number)
            }
        })
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands where other vendors fail")]
    fn well(_: usize) -> Result<Reply, Setback> {
        Ok(Reply::Success(answer(200, &[], "")))
    }

    #[tokio::test(start_paused = true)]
    async fn requests_beyond_the_concurrency_wait_for_a_place() {
        let count = Arc::new(AtomicUsize::new(0));
        let throttle = Throttle::new(vendor(Arc::clone(&count), well), paces(share(1000, 1, 2)));
        let mut calls = Box::pin(join_all((0..4).map(|_| throttle.clone().oneshot(call("orders")))));
        assert!(calls.as_mut().now_or_never().is_none());
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(calls.as_mut().now_or_never().is_none());
        assert_eq!(count.load(Ordering::SeqCst), 2);
        assert!(calls.await.iter().all(Result::is_ok));
        assert_eq!(count.load(Ordering::SeqCst), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_pauses_every_request() {
        let count = Arc::new(AtomicUsize::new(0));
        let first_is_limited =
            |number| if number == 0 { Err(setback(FailureKind::RateLimited, Some(20))) } else { well(number) };
        let throttle = Throttle::new(vendor(Arc::clone(&count), first_is_limited), paces(share(1000, 1, 4)));
        assert!(throttle.clone().oneshot(call("orders")).await.is_err());
        let start = Instant::now();
        assert!(throttle.oneshot(call("customers")).await.is_ok());
        assert_eq!(start.elapsed().as_secs(), 21, "20 s of pause, 1 s of answering");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_begins_while_a_request_waits_holds_for_it_too() {
        let pace = paces(share(1, 10, 4));
        assert!(pace.leave(&GET, "/x").await.is_ok());
        let start = Instant::now();
        let waiting = pace.leave(&GET, "/x");
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        pace.hold(&GET, "/x", Duration::from_secs(30));
        assert!(waiting.await.is_ok());
        assert_eq!(start.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_would_wait_too_long_fails_at_once_and_says_when_to_come_back() {
        let pace = paces(share(1000, 1, 4));
        pace.hold(&GET, "/x", Duration::from_hours(1));
        let count = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let Err(refused) = Throttle::new(vendor(Arc::clone(&count), well), pace).oneshot(call("orders")).await else {
            panic!("it left");
        };
        assert_eq!(refused.reached, crate::call::Reached::Never);
        assert_eq!(refused.failure.kind, FailureKind::RateLimited);
        assert_eq!(refused.failure.retry_after, Some(Duration::from_hours(1)));
        assert_eq!((count.load(Ordering::SeqCst), start.elapsed()), (0, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_larger_share_wakes_a_request_that_waits() {
        let pace = paces(share(1, 50, 4));
        assert!(pace.leave(&GET, "/x").await.is_ok());
        let start = Instant::now();
        let waiting = pace.leave(&GET, "/x");
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        pace.set_share(share(10, 10, 4));
        assert!(waiting.await.is_ok());
        assert_eq!(start.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_given_up_while_waiting_takes_nothing_from_the_next() {
        let pace = paces(share(1, 10, 1));
        drop(pace.leave(&GET, "/x").await);
        let start = Instant::now();
        assert!(pace.leave(&GET, "/x").now_or_never().is_none());
        assert!(pace.leave(&GET, "/x").now_or_never().is_none());
        assert!(pace.leave(&GET, "/x").await.is_ok());
        assert_eq!(start.elapsed().as_millis(), 10_250, "a fortieth more than the span");
    }
}
