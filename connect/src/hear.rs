//! The hearing layer: keeps note of a request that was refused because the vendor does not serve the version any more, where a rule of the system says
//! that an answer means that. What else answers say of versions is read where they are observed.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use crate::{
    call::{Call, Pending, Reply, Setback},
    failure::FailureKind,
    lifecycle::Heard,
};

/// Hears refusals of the version.
#[derive(Clone)]
pub struct Hear<S> {
    inner: S,
    heard: Arc<Heard>,
}

impl<S> Hear<S> {
    pub fn new(inner: S, heard: Arc<Heard>) -> Self {
        Self { inner, heard }
    }
}

impl<S> Service<Call> for Hear<S>
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
        let heard = Arc::clone(&self.heard);
        let (purpose, name) = (call.purpose, Arc::clone(&call.name));
        let answering = self.inner.call(call);
        Box::pin(async move {
            let outcome = answering.await;
            if outcome.as_ref().is_err_and(|setback| setback.failure.kind == FailureKind::Unsupported) {
                heard.refused(purpose, &name);
            }
            outcome
        })
    }
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::testing::{call, setback};

    #[tokio::test]
    async fn a_refusal_of_the_version_is_heard_and_other_failures_are_not() {
        for (kind, unsupported) in [(FailureKind::Unsupported, true), (FailureKind::ServerError, false)] {
            let heard = Arc::<Heard>::default();
            let vendor = service_fn(move |_| async move { Err::<Reply, _>(setback(kind, None)) });
            assert!(Hear::new(vendor, Arc::clone(&heard)).oneshot(call("orders")).await.is_err());
            let told = heard.of(&["orders".to_owned()], &[]).is_some_and(|observed| observed.unsupported);
            assert_eq!(told, unsupported, "{}", kind.as_str());
        }
    }
}
