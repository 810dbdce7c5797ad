//! The authentication layer: puts the credentials on each request, and sends a request that the vendor refused for them once more with the
//! other version. That is safe for writes too: what was refused so was not applied.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use crosstie_engine::{plan::Authentication, template::Template};
use http::{HeaderName, HeaderValue, header};
use tower::{Service, ServiceExt};
use zeroize::Zeroizing;

use crate::{
    call::{Call, Pending, Reply, Setback},
    credentials::{Attempt, CredentialStore, Version},
    failure::{CallFailure, FailureKind},
};

/// Times a request is sent, at most: there are two versions.
pub const TRIES: u32 = 2;

/// How the requests of a system are authenticated, with the header's name checked.
#[derive(Debug)]
pub struct Scheme {
    pub connector: String,
    pub header: HeaderName,
    pub authentication: Authentication,
}

impl Scheme {
    /// Checks the header's name; gives it back when it is none.
    pub fn new(connector: &str, authentication: &Authentication) -> Result<Self, String> {
        let header = match authentication {
            Authentication::Header { name, .. } => HeaderName::from_bytes(name.as_bytes()).map_err(|_| name.clone())?,
            Authentication::Bearer { .. } | Authentication::Basic { .. } => header::AUTHORIZATION,
        };
        Ok(Self { connector: connector.to_owned(), header, authentication: authentication.clone() })
    }

    /// The header's value with one version of the credentials; or what is wrong with that version, without its values.
    fn value(&self, version: &Version) -> Result<HeaderValue, String> {
        let text = Zeroizing::new(match &self.authentication {
            Authentication::Header { name: _, value } => fill(value, version)?.to_string(),
            Authentication::Bearer { token } => format!("Bearer {}", *fill(token, version)?),
            Authentication::Basic { username, password } => {
                let pair = Zeroizing::new(format!("{}:{}", *fill(username, version)?, *fill(password, version)?));
                format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes()))
            }
        });
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            let keys = self.authentication.keys().join("`, `");
            format!("`{keys}` holds a character that no header can carry, such as a line break at its end")
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn unusable(&self, version: &Version, problem: &str) -> CallFailure {
        let detail = format!("the credentials of Connector `{}`, version {}, cannot be used: {problem}", self.connector, version.id);
        CallFailure::new(FailureKind::CredentialsRejected, detail)
    }
}

fn fill(template: &Template, version: &Version) -> Result<Zeroizing<String>, String> {
    let value = |name: &str| version.value(name).filter(|value| !value.is_empty()).map(str::to_owned);
    template.fill(value).map(Zeroizing::new).map_err(|_| {
        let missing: Vec<&str> = template.names().filter(|name| version.value(name).is_none_or(str::is_empty)).collect();
        format!("they have no value for the key `{}`", missing.join("`, `"))
    })
}

/// Puts credentials on requests.
#[derive(Clone)]
pub struct Auth<S> {
    inner: S,
    scheme: Arc<Scheme>,
    store: CredentialStore,
}

impl<S> Auth<S>
where
    S: Service<Call, Response = Reply, Error = Setback, Future: Send> + Clone + Send + 'static,
{
    pub fn new(inner: S, scheme: Arc<Scheme>, store: CredentialStore) -> Self {
        Self { inner, scheme, store }
    }

    async fn send(self, call: Call) -> Result<Reply, Setback> {
        let mut refused: Vec<Attempt> = Vec::new();
        let mut setback = None;
        for _ in 0..TRIES {
            let Some(attempt) = self.store.pick(&refused) else { break };
            match self.attempt(call.clone(), &attempt).await {
                Err(rejection) if rejection.failure.kind == FailureKind::CredentialsRejected => {
                    tracing::debug!(connector = self.scheme.connector, version = &*attempt.version.id, "credentials refused");
                    self.store.refused(&attempt);
                    setback = Some(rejection);
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
        Err(self.every_version_refused(&refused, setback))
    }

    async fn attempt(&self, mut call: Call, attempt: &Attempt) -> Result<Reply, Setback> {
        let value = self.scheme.value(&attempt.version);
        let value = value.map_err(|problem| Setback::never(self.scheme.unusable(&attempt.version, &problem)))?;
        call.headers.insert(self.scheme.header.clone(), value);
        call.credential_version = Some(Arc::clone(&attempt.version.id));
        self.inner.clone().oneshot(call).await
    }

    fn every_version_refused(&self, refused: &[Attempt], last: Option<Setback>) -> Setback {
        let (status, request_id, problem) = match (refused, last) {
            ([_], Some(only)) => return only,
            (_, Some(last)) => (last.failure.status, last.failure.request_id, last.failure.detail),
            (_, None) => (None, None, "there is none".to_owned()),
        };
        let ids: Vec<&str> = refused.iter().map(|attempt| &*attempt.version.id).collect();
        let detail = format!(
            "every version of the credentials of Connector `{}` was refused ({}): store working ones. The last: {problem}",
            self.scheme.connector,
            ids.join(", ")
        );
        Setback::never(CallFailure { status, request_id, ..CallFailure::new(FailureKind::CredentialsRejected, detail) })
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
