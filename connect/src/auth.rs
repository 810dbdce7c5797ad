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
        let detail = format!(
            "the credentials of Connector `{}`, version {}, cannot be used: {problem}",
            self.connector, version.id
        );
        CallFailure::new(FailureKind::CredentialsRejected, detail)
    }
}

fn fill(template: &Template, version: &Version) -> Result<Zeroizing<String>, String> {
    let value = |name: &str| version.value(name).filter(|value| !value.is_empty()).map(str::to_owned);
    template.fill(value).map(Zeroizing::new).map_err(|_| {
        let missing: Vec<&str> =
            template.names().filter(|name| version.value(name).is_none_or(str::is_empty)).collect();
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
        let mut failures: Vec<CallFailure> = Vec::new();
        for _ in 0..TRIES {
            let Some(attempt) = self.store.pick(&refused) else { break };
            match self.attempt(call.clone(), &attempt).await {
                Err(rejection) if rejection.failure.kind == FailureKind::CredentialsRejected => {
                    let (connector, version) = (self.scheme.connector.as_str(), &*attempt.version.id);
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

    async fn attempt(&self, mut call: Call, attempt: &Attempt) -> Result<Reply, Setback> {
        let value = self.scheme.value(&attempt.version);
        let value = value.map_err(|problem| Setback::never(self.scheme.unusable(&attempt.version, &problem)))?;
        call.headers.insert(self.scheme.header.clone(), value);
        call.credential_version = Some(Arc::clone(&attempt.version.id));
        self.inner.clone().oneshot(call).await
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
            self.scheme.connector,
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
mod tests {
    use std::sync::Mutex;

    use tower::service_fn;

    use super::*;
    use crate::{
        call::Reached,
        testing::{answer, call, document},
    };

    fn bearer() -> Authentication {
        Authentication::Bearer { token: template("{token}") }
    }

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    /// Sends one call to a vendor that accepts some values of the authentication header; gives those it saw.
    async fn sent(
        authentication: &Authentication,
        store: &CredentialStore,
        accepted: &[&str],
    ) -> (Result<Reply, Setback>, Vec<String>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let accepted: Vec<String> = accepted.iter().map(ToString::to_string).collect();
        let scheme = Arc::new(Scheme::new("shop", authentication).unwrap());
        let (notes, header) = (Arc::clone(&seen), scheme.header.clone());
        let vendor = service_fn(move |call: Call| {
            let value = call.headers[&header].clone();
            assert!(value.is_sensitive());
            let text = value.to_str().unwrap().to_owned();
            let accepts = accepted.contains(&text);
            notes.lock().unwrap().push(text);
            async move {
                if accepts {
                    return Ok(Reply::Success(answer(200, &[], "")));
                }
                let failure = CallFailure::new(FailureKind::CredentialsRejected, "answered 401").answered(401, None);
                Err(Setback::never(failure))
            }
        });
        let outcome = Auth::new(vendor, scheme, store.clone()).oneshot(call("orders")).await;
        let seen = seen.lock().unwrap().clone();
        (outcome, seen)
    }

    #[tokio::test]
    async fn each_scheme_writes_its_header() {
        let mut document = document("v1", None);
        document.current.values.insert("email".into(), "ops@example.com".into());
        let store = CredentialStore::new(&document);
        let header = Authentication::Header { name: "X-Access-Token".into(), value: template("Key {token}") };
        let basic = Authentication::Basic { username: template("{email}/token"), password: template("{token}") };
        for (authentication, value) in [
            (bearer(), "Bearer secret-of-v1"),
            (header, "Key secret-of-v1"),
            (basic, "Basic b3BzQGV4YW1wbGUuY29tL3Rva2VuOnNlY3JldC1vZi12MQ=="),
        ] {
            assert_eq!(sent(&authentication, &store, &[value]).await.1, [value]);
        }
    }

    #[tokio::test]
    async fn a_request_refused_with_the_current_version_is_sent_again_with_the_previous() {
        let store = CredentialStore::new(&document("v2", Some("v1")));
        let (outcome, seen) = sent(&bearer(), &store, &["Bearer secret-of-v1"]).await;
        assert!(outcome.is_ok());
        assert_eq!(seen, ["Bearer secret-of-v2", "Bearer secret-of-v1"]);
        let (_, seen) = sent(&bearer(), &store, &["Bearer secret-of-v1"]).await;
        assert_eq!(seen, ["Bearer secret-of-v1"], "the next one does not try the refused version again");
    }

    #[tokio::test]
    async fn when_every_version_is_refused_the_failure_names_them_and_shows_no_value() {
        let store = CredentialStore::new(&document("v2", Some("v1")));
        let Err(setback) = sent(&bearer(), &store, &[]).await.0 else { panic!("accepted") };
        assert_eq!((setback.failure.kind, setback.reached), (FailureKind::CredentialsRejected, Reached::Never));
        let detail = setback.failure.detail;
        assert!(detail.contains("v1") && detail.contains("v2") && !detail.contains("secret-of"), "{detail}");
        assert_eq!(setback.failure.status, Some(401));
    }

    #[tokio::test]
    async fn a_missing_key_is_named_and_nothing_is_sent() {
        let store = CredentialStore::new(&document("v1", None));
        let authentication = Authentication::Bearer { token: template("{accessToken}") };
        let (Err(setback), seen) = sent(&authentication, &store, &[]).await else { panic!("sent") };
        assert_eq!((setback.failure.kind, seen.len()), (FailureKind::CredentialsRejected, 0));
        assert!(setback.failure.detail.contains("`accessToken`"), "{}", setback.failure.detail);
    }

    #[tokio::test]
    async fn a_current_version_that_lacks_a_key_gives_way_to_the_previous_one() {
        let mut document = document("v2", Some("v1"));
        document.current.values.clear();
        let store = CredentialStore::new(&document);
        assert!(sent(&bearer(), &store, &["Bearer secret-of-v1"]).await.0.is_ok());
        assert_eq!(store.report().rejected_version_id.as_deref(), Some("v2"));
    }

    #[tokio::test]
    async fn a_value_that_no_header_can_carry_is_told_by_its_key() {
        let mut document = document("v1", None);
        document.current.values.insert("token".into(), "hush\n".into());
        let (Err(setback), _) = sent(&bearer(), &CredentialStore::new(&document), &[]).await else { panic!("sent") };
        let detail = setback.failure.detail;
        assert!(detail.contains("`token`") && !detail.contains("hush"), "{detail}");
    }

    #[test]
    fn a_header_name_that_is_none_is_refused_when_the_client_is_built() {
        let authentication = Authentication::Header { name: "X Token".into(), value: template("{token}") };
        assert_eq!(Scheme::new("shop", &authentication).unwrap_err(), "X Token");
    }
}
