//! The egress guard layer: asks the rules for each request's URL before credentials are put on it.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use crate::{
    call::{Call, Pending, Reply, Setback},
    egress::{EgressRefusal, Rules},
    failure::{CallFailure, FailureKind},
};

/// Lets only such requests pass as may go where they would.
#[derive(Clone)]
pub struct Guard<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> Guard<S> {
    pub fn new(inner: S, rules: Arc<Rules>) -> Self {
        Self { inner, rules }
    }
}

/// A refusal as a failure of the call.
pub fn refused(name: &str, refusal: EgressRefusal) -> CallFailure {
    let detail = format!("`{name}` was not called: {refusal}");
    CallFailure::new(FailureKind::EgressRefused, detail).because(refusal)
}

impl<S> Service<Call> for Guard<S>
where
    S: Service<Call, Response = Reply, Error = Setback, Future: Send + 'static>,
{
    type Response = Reply;
    type Error = Setback;
    type Future = Pending<Reply, Setback>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Setback>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        match self.rules.admit(&call.url) {
            Ok(admitted) => {
                call.url = admitted;
                Box::pin(self.inner.call(call))
            }
            Err(refusal) => Box::pin(std::future::ready(Err(Setback::never(refused(&call.name, refusal))))),
        }
    }
}
