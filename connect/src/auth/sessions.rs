//! Sessions: tokens that a call to log in gives, one for each version of the credentials. Whoever needs one while it is being got waits for
//! the same call.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use crosstie_engine::plan::Session;
use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use super::scheme;
use crate::{
    call::{Answer, Call, Reading, Reply, Setback},
    classify,
    credentials::Version,
    document,
    failure::{CallFailure, FailureKind},
    observe::Purpose,
    response, target,
};

/// Versions of the credentials whose sessions are kept: as many as there are.
const KEPT: usize = 2;

/// The sessions of one system.
#[derive(Debug)]
pub struct Sessions {
    login: Session,
    base: Url,
    connector: String,
    slots: Mutex<Vec<Slot>>,
}

#[derive(Clone, Debug)]
struct Slot {
    version: Arc<Version>,
    session: Arc<tokio::sync::Mutex<Option<Token>>>,
}

/// A session's token.
#[derive(Clone, Debug)]
pub struct Token {
    text: Arc<SecretString>,
    begun: Instant,
}

impl Token {
    pub fn text(&self) -> &str {
        self.text.expose_secret()
    }

    /// Whether the session was begun before a moment.
    pub fn is_older_than(&self, moment: Instant) -> bool {
        self.begun < moment
    }

    /// Whether both are the token of the same session.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }
}

impl Sessions {
    pub fn new(login: Session, base: Url, connector: String) -> Self {
        Self { login, base, connector, slots: Mutex::default() }
    }

    /// The session of a version, other than one that was refused. `send` is asked to log in where there is none; until it is answered, everyone
    /// else waits.
    pub async fn get<F>(
        &self,
        version: &Arc<Version>,
        refused: Option<&Token>,
        send: impl FnOnce(Call) -> F,
    ) -> Result<Token, Setback>
    where
        F: Future<Output = Result<Reply, Setback>>,
    {
        let slot = self.slot(version);
        let mut session = slot.session.lock().await;
        if let Some(token) = &*session
            && refused.is_none_or(|refused| !refused.is(token))
            && !self.is_over(token)
        {
            return Ok(token.clone());
        }
        *session = None;
        let call = self.call(version).map_err(|problem| self.failed(FailureKind::CredentialsRejected, &problem))?;
        let text = self.token(send(call).await?)?;
        let token = Token { text: Arc::new(text), begun: Instant::now() };
        *session = Some(token.clone());
        Ok(token)
    }

    fn is_over(&self, token: &Token) -> bool {
        let lifetime = self.login.lifetime_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        lifetime.is_some_and(|lifetime| token.begun.elapsed() >= lifetime)
    }

    fn slot(&self, version: &Arc<Version>) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.iter().find(|slot| Arc::ptr_eq(&slot.version, version)) {
            return slot.clone();
        }
        if slots.len() >= KEPT {
            slots.remove(0);
        }
        let slot = Slot { version: Arc::clone(version), session: Arc::default() };
        slots.push(slot.clone());
        slot
    }

    fn call(&self, version: &Version) -> Result<Call, String> {
        let login = &self.login;
        let mut members = Vec::with_capacity(login.body.len());
        for (name, template) in &login.body {
            members.push((name.as_str(), scheme::fill(template, version)?));
        }
        let (kind, body) = if login.form {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, value) in &members {
                form.append_pair(name, value);
            }
            ("application/x-www-form-urlencoded", form.finish())
        } else {
            let members = members.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
            ("application/json", Value::Object(members.collect::<Map<_, _>>()).to_string())
        };
        let headers = [
            (header::ACCEPT, HeaderValue::from_static("application/json")),
            (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        ];
        Ok(Call {
            purpose: Purpose::LogIn,
            name: "logIn".into(),
            method: Method::POST,
            url: target::below(&self.base, &login.path, &std::collections::BTreeMap::new()),
            headers: headers.into_iter().collect::<HeaderMap>(),
            body: Some(Bytes::from(body)),
            reading: Reading::Whole,
            credential_version: Some(Arc::clone(&version.id)),
            identity: None,
        })
    }

    fn token(&self, reply: Reply) -> Result<SecretString, Setback> {
        let answer = match reply {
            Reply::Success(answer) => answer,
            Reply::Redirect(answer) => {
                return Err(Setback::never(classify::refused(&self.connector, "logIn", answer.status, None)));
            }
            Reply::Refusal(answer) | Reply::Ignored(answer) => return Err(self.refused(&answer)),
        };
        let body = answer.body.as_ref().map_err(|failure| self.failed(FailureKind::Malformed, &failure.to_string()))?;
        let document = document::value(body).map_err(|_| {
            self.failed(FailureKind::Malformed, "the answer to the log-in is no JSON of a readable size")
        })?;
        let token = document.pointer(&self.login.token).and_then(response::key_text);
        let problem = || format!("the answer to the log-in has no token at `{}`", self.login.token);
        token.map(SecretString::from).ok_or_else(|| self.failed(FailureKind::Malformed, &problem()))
    }

    fn refused(&self, answer: &Answer) -> Setback {
        let status = answer.status.as_u16();
        let Setback { failure, reached } =
            self.failed(FailureKind::CredentialsRejected, &format!("the log-in was refused with status {status}"));
        Setback { failure: failure.answered(status, None), reached }
    }

    /// A failure before the request itself was made.
    fn failed(&self, kind: FailureKind, problem: &str) -> Setback {
        let detail =
            format!("no session of Connector `{}`: {problem}; check auth.session and the credentials", self.connector);
        Setback::never(CallFailure::new(kind, detail))
    }
}
