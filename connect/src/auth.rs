//! The authentication layer: puts the credentials on each request, and sends a request that the vendor refused for them once more with the
//! other version. That is safe for writes too: what was refused so was not applied. What is put on a request lives in `scheme`, sessions in
//! `sessions`.

mod scheme;
mod sessions;

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use crosstie_engine::{
    credentials::ALLOWED_HOSTS,
    plan::{Authentication, System},
};
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use self::{
    scheme::{Moment, Scheme},
    sessions::Sessions,
};
use crate::{
    call::{Call, Pending, Reply, Setback},
    clock::Clock,
    credentials::{Attempt, CredentialStore, Version},
    failure::{CallFailure, FailureKind},
    identity::Identity,
    surroundings::LONGEST_REQUEST,
};

pub use scheme::strip;

/// Times a request is sent, at most: there are two versions.
pub const TRIES: u32 = 2;

/// What the authentication layer is given.
pub struct Authenticator {
    pub scheme: Scheme,
    /// Where there are sessions.
    pub sessions: Option<Sessions>,
    pub clock: Arc<dyn Clock>,
    /// Gives a text that it never gave before.
    pub nonce: fn() -> String,
    /// Client certificates of the versions in use.
    identities: Mutex<Vec<(Arc<Version>, Arc<Identity>)>>,
}

impl Authenticator {
    /// Checks what a system says of authentication; gives a header's name back that is none.
    pub fn new(system: &System, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let scheme = Scheme::new(system)?;
        let sessions = match &system.authentication {
            Authentication::Session(session) => {
                Some(Sessions::new(session.clone(), system.base_url.clone(), system.connector.clone()))
            }
            Authentication::Header { .. }
            | Authentication::Bearer { .. }
            | Authentication::Basic { .. }
            | Authentication::Query { .. }
            | Authentication::OAuth1(_)
            | Authentication::AwsSignatureV4(_)
            | Authentication::Hmac(_)
            | Authentication::None => None,
        };
        Ok(Self { scheme, sessions, clock, nonce, identities: Mutex::default() })
    }

    /// The client certificate of a version, parsed once; none where the system has none.
    fn identity(&self, version: &Arc<Version>) -> Result<Option<Arc<Identity>>, String> {
        let mut identities = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, identity)) = identities.iter().find(|(known, _)| Arc::ptr_eq(known, version)) {
            return Ok(Some(Arc::clone(identity)));
        }
        let Some(identity) = self.scheme.identity(version)?.map(Arc::new) else { return Ok(None) };
        if identities.len() >= TRIES as usize {
            identities.remove(0);
        }
        identities.push((Arc::clone(version), Arc::clone(&identity)));
        Ok(Some(identity))
    }

    fn bound_elsewhere(&self, version: &Version, host: &str) -> CallFailure {
        let detail = format!(
            "the credentials of Connector `{}`, version {}, may not be sent to {host}: the secret's {ALLOWED_HOSTS} does not name it",
            self.scheme.connector, version.id
        );
        CallFailure::new(FailureKind::EgressRefused, detail)
    }

    fn unusable(&self, version: &Version, problem: &str) -> CallFailure {
        let detail = format!(
            "the credentials of Connector `{}`, version {}, cannot be used: {problem}",
            self.scheme.connector, version.id
        );
        CallFailure::new(FailureKind::CredentialsRejected, detail)
    }
}

/// 128 bits at random, as hexadecimal digits.
pub fn nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Puts credentials on requests.
#[derive(Clone)]
pub struct Auth<S> {
    inner: S,
    own: Arc<Authenticator>,
    store: CredentialStore,
}

impl<S> Auth<S>
where
    S: Service<Call, Response = Reply, Error = Setback, Future: Send> + Clone + Send + Sync + 'static,
{
    pub fn new(inner: S, own: Arc<Authenticator>, store: CredentialStore) -> Self {
        Self { inner, own, store }
    }

    async fn send(self, call: Call) -> Result<Reply, Setback> {
        let begun = Instant::now();
        let mut refused: Vec<Attempt> = Vec::new();
        let mut failures: Vec<CallFailure> = Vec::new();
        for _ in 0..TRIES {
            let Some(attempt) = self.store.pick(&refused) else { break };
            match self.attempt(&call, &attempt, begun).await {
                Err(rejection) if rejection.failure.kind == FailureKind::CredentialsRejected => {
                    let (connector, version) = (self.own.scheme.connector.as_str(), &*attempt.version.id);
                    tracing::debug!(connector, version, "credentials refused");
                    self.store.refused(&attempt);
                    failures.push(rejection.failure);
                    refused.push(attempt);
                }
                outcome => {
                    if outcome.as_ref().map_or_else(|setback| setback.failure.status.is_some(), |_| true) {
                        self.store.answered(&attempt, matches!(outcome, Ok(Reply::Success(_))));
                    }
                    return outcome;
                }
            }
        }
        Err(Setback::never(self.every_version_refused(&refused, failures)))
    }

    /// Sends a call with one version of the credentials; a call that is refused in a session that was there before once more in a new one.
    async fn attempt(&self, call: &Call, attempt: &Attempt, begun: Instant) -> Result<Reply, Setback> {
        let Some(sessions) = &self.own.sessions else { return self.once(call, attempt, None).await };
        let log_in = move |login: Call| async move {
            let login = self.identified(login, attempt)?;
            self.inner.clone().oneshot(login).await
        };
        let asked = Instant::now();
        let session = sessions.get(&attempt.version, None, log_in).await?;
        self.in_time(begun)?;
        match self.once(call, attempt, Some(session.text())).await {
            Err(rejection)
                if rejection.failure.kind == FailureKind::CredentialsRejected && session.is_older_than(asked) =>
            {
                let again = sessions.get(&attempt.version, Some(&session), log_in).await?;
                self.in_time(begun)?;
                self.once(call, attempt, Some(again.text())).await
            }
            outcome => outcome,
        }
    }

    /// Whether a request that is sent now ends before [`LONGEST_REQUEST`](crate::LONGEST_REQUEST) is over, however long logging in took.
    fn in_time(&self, begun: Instant) -> Result<(), Setback> {
        if begun.elapsed() <= LONGEST_REQUEST.saturating_sub(LONGEST_REQUEST / TRIES) {
            return Ok(());
        }
        let detail =
            format!("logging in to Connector `{}` took so long that the call was not made", self.own.scheme.connector);
        Err(Setback::never(CallFailure::new(FailureKind::TimedOut, detail)))
    }

    async fn once(&self, call: &Call, attempt: &Attempt, session: Option<&str>) -> Result<Reply, Setback> {
        let (version, own) = (&attempt.version, &self.own);
        let mut call = self.identified(call.clone(), attempt)?;
        let nonce = if own.scheme.needs_nonce() { (own.nonce)() } else { String::new() };
        let moment = Moment { now: own.clock.now(), nonce: &nonce, session };
        let put = own.scheme.put(&mut call, version, &moment);
        put.map_err(|problem| Setback::never(own.unusable(version, &problem)))?;
        self.inner.clone().oneshot(call).await.map(|reply| reply.to(version.number))
    }

    /// A call that says whose it is, with the client certificate where there is one; none to a host that the secret does not name, whatever the
    /// plan says of it.
    fn identified(&self, mut call: Call, attempt: &Attempt) -> Result<Call, Setback> {
        let host = call.url.host_str().unwrap_or_default();
        if !attempt.version.may_go_to(host) {
            return Err(Setback::never(self.own.bound_elsewhere(&attempt.version, host)));
        }
        let identity = self.own.identity(&attempt.version);
        call.identity = identity.map_err(|problem| Setback::never(self.own.unusable(&attempt.version, &problem)))?;
        call.credential_version = Some(Arc::clone(&attempt.version.id));
        Ok(call)
    }

    fn every_version_refused(&self, refused: &[Attempt], mut failures: Vec<CallFailure>) -> CallFailure {
        if failures.len() == 1
            && let Some(only) = failures.pop()
        {
            return only;
        }
        let details =
            refused.iter().zip(&failures).map(|(attempt, failure)| format!("{}: {failure}", attempt.version.id));
        let detail = format!(
            "every version of the credentials of Connector `{}` was refused, store working ones; {}",
            self.own.scheme.connector,
            details.collect::<Vec<_>>().join("; ")
        );
        let answered = failures.into_iter().rfind(|failure| failure.status.is_some());
        let (status, request_id) = answered.map_or((None, None), |failure| (failure.status, failure.request_id));
        CallFailure { status, request_id, ..CallFailure::new(FailureKind::CredentialsRejected, detail) }
    }
}

impl<S> Service<Call> for Auth<S>
where
    S: Service<Call, Response = Reply, Error = Setback, Future: Send> + Clone + Send + Sync + 'static,
{
    type Response = Reply;
    type Error = Setback;
    type Future = Pending<Reply, Setback>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Setback>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        Box::pin(self.clone().send(call))
    }
}

#[cfg(test)]
mod tests;
