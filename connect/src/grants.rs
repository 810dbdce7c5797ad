//! Access tokens by OAuth 2.0 grants (RFC 6749, RFC 7523): client credentials, refresh tokens, and signed assertions. Only the operator's broker
//! and the command line may get tokens so: a worker is handed access tokens and never what they are got with. Hence this module is there only
//! with the feature `grants`, which the worker does not have (`tests/pure`).
//!
//! One request is made for each call of [`TokenSource::fetch`], and nothing is repeated: a refresh token that rotates may be used up by a
//! request whose answer was lost, and only the caller, who keeps the tokens, can tell what to do then.

mod assertion;
mod exchange;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use crosstie_engine::plan::System;
use http::{HeaderMap, HeaderValue, Method, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tower::ServiceExt;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::{
    call::{Answer, Call, Reached, Reading},
    classify::Classifier,
    clock::Clock,
    document,
    egress::Rules,
    failure::{BuildError, CallFailure, FailureKind},
    guard,
    meaning::Asked,
    observe::Purpose,
    response,
    surroundings::Surroundings,
    transport::Transport,
};

pub use assertion::{Assertion, AssertionAlgorithm};
pub use exchange::{Unasked, handed_out, replaced, request};

/// Longest lifetime of a token that is believed.
const LONGEST_LIFETIME: Duration = Duration::from_hours(24 * 365);

/// Types of tokens that requests carry as they are. The last two are what Slack calls its own, by whom they stand for.
const CARRIED: [&str; 3] = ["bearer", "bot", "user"];

/// What stands in for the end user's consent.
#[derive(Clone, Debug)]
pub enum Grant {
    /// The client acts for itself (RFC 6749, section 4.4).
    ClientCredentials,
    /// A refresh token, which may be replaced by each use (RFC 6749, section 6).
    RefreshToken(SecretString),
    /// A signed assertion (RFC 7523, section 2.1).
    JwtBearer(Assertion),
}

/// How the client says who it is.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// Id and secret in the `Authorization` header (RFC 6749, section 2.3.1).
    Basic(SecretString),
    /// Id and secret in the body.
    Body(SecretString),
    /// A signed assertion in the body (RFC 7523, section 2.2).
    Assertion(Assertion),
    /// The id alone, in the body; with a signed assertion as the grant not even that is needed.
    Public,
}

/// A request for an access token.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// Where tokens are got. https, or http to an address that the operator's configuration allows; its host is the base URL's or one of the
    /// allowed hosts.
    pub token_url: Url,
    /// The client's id; empty for none.
    pub client_id: String,
    /// How the client says who it is.
    pub client: ClientAuthentication,
    /// What stands in for consent.
    pub grant: Grant,
    /// Scopes asked for; the server's choice without any.
    pub scopes: Vec<String>,
}

/// What a server granted.
#[derive(Debug)]
pub struct Granted {
    /// The access token.
    pub access_token: SecretString,
    /// How long it is valid from when the request was made; unknown without. At most a year.
    pub lifetime: Option<Duration>,
    /// The refresh token that replaces the one that was used. It has to be stored before anything else is done: the old one may be used up.
    pub refresh_token: Option<SecretString>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct GrantFailure {
    /// What happened. [`FailureKind::CredentialsRejected`] means that nothing but other credentials will help.
    pub failure: CallFailure,
    /// What became of the refresh token; [`Remains::Intact`] for what is none.
    pub remains: Remains,
}

/// What a request that failed leaves of the refresh token it was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// It is as good as before.
    Intact,
    /// One that rotates may be used up: the request may have been carried out, and its answer is not known.
    PerhapsUsedUp,
    /// The server says that it is not valid (`invalid_grant`; RFC 6749, section 5.2).
    Invalid,
}

impl From<Reached> for Remains {
    fn from(reached: Reached) -> Self {
        match reached {
            Reached::Never => Self::Intact,
            Reached::Perhaps => Self::PerhapsUsedUp,
        }
    }
}

/// A text that never came before, for [`TokenSource::fetch`]: 128 bits at random, as hexadecimal digits.
pub fn nonce() -> String {
    crate::auth::nonce()
}

/// Gets access tokens for one system.
#[derive(Clone)]
pub struct TokenSource {
    rules: Arc<Rules>,
    transport: Transport,
    clock: Arc<dyn Clock>,
}

impl TokenSource {
    /// A source of tokens for a system, in surroundings of one's own.
    ///
    /// # Errors
    /// [`BuildError`] when the system is not one that can be called.
    pub fn new(system: &System, surroundings: &Surroundings) -> Result<Self, BuildError> {
        let rules = Arc::new(Rules::new(system)?);
        let transport = Transport::new(&rules, surroundings)
            .map_err(|source| BuildError::Client { connector: system.connector.clone(), source })?;
        Ok(Self { rules, transport, clock: Arc::clone(&surroundings.clock) })
    }

    /// Asks for a token, once. `nonce` makes assertions different from each other; it must never come twice.
    ///
    /// # Errors
    /// [`GrantFailure`]. Redirects are not followed.
    pub async fn fetch(&self, request: &TokenRequest, nonce: &str) -> Result<Granted, GrantFailure> {
        let spends = matches!(request.grant, Grant::RefreshToken(_));
        let kept = |failure: GrantFailure| GrantFailure { remains: Remains::Intact, ..failure };
        self.ask(request, nonce).await.map_err(|failure| if spends { failure } else { kept(failure) })
    }

    async fn ask(&self, request: &TokenRequest, nonce: &str) -> Result<Granted, GrantFailure> {
        let never = |failure| GrantFailure { failure, remains: Remains::Intact };
        let url = self.rules.admit(&request.token_url).map_err(|refusal| never(guard::refused("token", refusal)))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let call = call(request, url, self.clock.now(), nonce)
            .map_err(|problem| never(CallFailure::new(FailureKind::CredentialsRejected, problem)))?;
        let answer = self.transport.clone().oneshot(call).await.map_err(|broken| {
            let classifier = self.classifier(&host);
            let setback = classifier.without_answer("token", broken);
            GrantFailure { failure: setback.failure, remains: setback.reached.into() }
        })?;
        let grants = answer.status.is_success() && !says_no(&answer);
        if grants { granted(&answer, &host) } else { Err(self.refused(request, answer, &host)) }
    }

    fn classifier(&self, host: &str) -> Classifier {
        let (rules, request_id_header) = (Vec::new(), None);
        Classifier { host: host.to_owned(), rules, request_id_header, clock: Arc::clone(&self.clock) }
    }

    /// What a refusal means (RFC 6749, section 5.2). Slack refuses with status 200 and codes of its own.
    fn refused(&self, request: &TokenRequest, answer: Answer, host: &str) -> GrantFailure {
        let status = answer.status.as_u16();
        let code = answer.body.as_ref().ok().and_then(response::error_code).unwrap_or_default();
        let told = |kind, meaning: &str| {
            let code = if code.is_empty() { String::new() } else { format!(" `{code}`") };
            let detail = format!("`{host}` answered {status}{code} to the request for a token: {meaning}");
            let failure = CallFailure::new(kind, detail).answered(status, None);
            GrantFailure { failure, remains: Remains::Intact }
        };
        match (status, code.as_str()) {
            (200..=299 | 400 | 401 | 403, "invalid_grant" | "invalid_refresh_token") => {
                let refused = told(FailureKind::CredentialsRejected, not_granted(&request.grant));
                GrantFailure { remains: Remains::Invalid, ..refused }
            }
            (401, _)
            | (
                200..=299 | 400 | 403,
                "invalid_client" | "unauthorized_client" | "access_denied" | "invalid_client_id" | "bad_client_secret",
            ) => told(FailureKind::CredentialsRejected, "it does not know the client, or its secret is another one"),
            (200..=299 | 400 | 403, "temporarily_unavailable" | "slow_down" | "ratelimited") => {
                told(FailureKind::RateLimited, "it asks to wait")
            }
            (200..=299, "fatal_error" | "internal_error" | "service_unavailable" | "request_timeout") => {
                let failed = told(FailureKind::ServerError, "it is unwell, and part of it may have been done");
                GrantFailure { remains: Remains::PerhapsUsedUp, ..failed }
            }
            (300..=399, _) => told(FailureKind::Refused, "it leads elsewhere: check the token URL"),
            (200..=299 | 400..=407 | 409..=424 | 426..=428 | 430..=499, _) => {
                told(FailureKind::Refused, "it refuses what is asked: check token URL, grant and scopes")
            }
            _ => match self.classifier(host).answer(Asked { purpose: Purpose::LogIn, name: "token" }, answer) {
                Err(setback) => GrantFailure { failure: setback.failure, remains: setback.reached.into() },
                Ok(_) => told(FailureKind::Malformed, "this is no answer to such a request"),
            },
        }
    }
}

/// What `invalid_grant` means for what was offered, and what is to be done.
fn not_granted(grant: &Grant) -> &'static str {
    match grant {
        Grant::RefreshToken(_) => "the refresh token is not valid any more: authorise the client again",
        Grant::JwtBearer(_) => {
            "it does not take the signed assertion: check issuer, subject, audience and private key, and that the vendor lets the client act for the subject"
        }
        Grant::ClientCredentials => "it grants the client nothing: check at the vendor what the client may do",
    }
}

/// Whether an answer with a status of success refuses all the same, as Slack's do: it names an error, and no token.
fn says_no(answer: &Answer) -> bool {
    let document = answer.body.as_ref().ok().and_then(|body| document::value(body).ok());
    document.is_some_and(|document| document.get("access_token").is_none() && document["error"].is_string())
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TokenSource").field("host", &self.rules.host()).finish_non_exhaustive()
    }
}

/// The request for a token; or what is wrong with what it is made of, without values.
fn call(request: &TokenRequest, url: Url, now: Timestamp, nonce: &str) -> Result<Call, String> {
    let json = HeaderValue::from_static("application/json");
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    let mut headers: HeaderMap = [(header::ACCEPT, json), (header::CONTENT_TYPE, kind)].into_iter().collect();
    let mut form: BTreeMap<&str, Zeroizing<String>> = BTreeMap::new();
    let mut put = |name, value: &str| form.insert(name, Zeroizing::new(value.to_owned()));
    match &request.grant {
        Grant::ClientCredentials => {
            put("grant_type", "client_credentials");
        }
        Grant::RefreshToken(token) => {
            put("grant_type", "refresh_token");
            put("refresh_token", token.expose_secret());
        }
        Grant::JwtBearer(assertion) => {
            put("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
            put("assertion", &assertion.signed(now, nonce)?);
        }
    }
    if !request.scopes.is_empty() {
        put("scope", &request.scopes.join(" "));
    }
    match &request.client {
        ClientAuthentication::Basic(secret) => {
            headers.insert(header::AUTHORIZATION, basic(&request.client_id, secret)?);
        }
        ClientAuthentication::Body(secret) => {
            put("client_id", &request.client_id);
            put("client_secret", secret.expose_secret());
        }
        ClientAuthentication::Assertion(assertion) => {
            put("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            put("client_assertion", &assertion.signed(now, nonce)?);
        }
        ClientAuthentication::Public if request.client_id.is_empty() => {}
        ClientAuthentication::Public => {
            put("client_id", &request.client_id);
        }
    }
    let mut body = form_urlencoded::Serializer::new(String::new());
    for (name, value) in &form {
        body.append_pair(name, value);
    }
    Ok(Call {
        purpose: Purpose::LogIn,
        name: "token".into(),
        method: Method::POST,
        url,
        headers,
        body: Some(Bytes::from(body.finish())),
        reading: Reading::Whole,
        credential_version: None,
        identity: None,
    })
}

/// Id and secret, each encoded as in a form first (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &SecretString) -> Result<HeaderValue, String> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret.expose_secret())));
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())))
        .map_err(|_| "the client's id or secret cannot be put into a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads what was granted (RFC 6749, section 5.1).
fn granted(answer: &Answer, host: &str) -> Result<Granted, GrantFailure> {
    #[derive(Deserialize)]
    struct Body {
        access_token: String,
        #[serde(default)]
        token_type: Option<String>,
        #[serde(default)]
        expires_in: Option<serde_json::Value>,
        #[serde(default)]
        refresh_token: Option<String>,
    }
    // It was granted: what it was, nobody will ever know.
    let lost = |problem: &str| {
        let detail = format!("`{host}` answered to the request for a token, but {problem}");
        let failure = CallFailure::new(FailureKind::Malformed, detail).answered(answer.status.as_u16(), None);
        GrantFailure { failure, remains: Remains::PerhapsUsedUp }
    };
    let body = answer.body.as_ref().map_err(|failure| lost(&failure.to_string()))?;
    let body: Body = serde_json::from_slice(body).map_err(|_| lost("what it says holds no access token"))?;
    if body.access_token.is_empty() {
        return Err(lost("what it says holds no access token"));
    }
    if body.token_type.is_some_and(|kind| !CARRIED.iter().any(|carried| kind.eq_ignore_ascii_case(carried))) {
        return Err(lost("the token is no bearer token"));
    }
    // Some servers write the number as a text.
    let seconds = body.expires_in.as_ref().and_then(response::key_text).and_then(|text| text.parse().ok());
    Ok(Granted {
        access_token: body.access_token.into(),
        lifetime: seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_LIFETIME)),
        refresh_token: body.refresh_token.filter(|token| !token.is_empty()).map(SecretString::from),
    })
}
