//! The token against forged requests that every write to some systems has to carry, with the cookies of its session. Fetched once, by one request
//! however many writes wait for it, and anew when the vendor wants another.

use std::sync::{Arc, Mutex, PoisonError};

use crosstie_engine::plan::Csrf;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use url::Url;

use crate::{
    call::{Answer, Call, Reading, Reply, Setback},
    failure::{CallFailure, FailureKind},
    observe::Purpose,
    target,
};

/// The longest cookies that are sent back, in bytes.
const LONGEST_COOKIES: usize = 8192;

/// The token of one system.
pub struct Tokens {
    name: HeaderName,
    ask: HeaderValue,
    url: Url,
    held: Mutex<Option<Arc<Token>>>,
    /// One request fetches; the others wait here.
    turn: tokio::sync::Mutex<()>,
}

/// A token. It prints nothing of itself.
pub struct Token {
    value: HeaderValue,
    cookies: Option<HeaderValue>,
}

impl Tokens {
    /// The token of a system; none where header or value are none.
    pub fn new(base: &Url, csrf: &Csrf) -> Option<Self> {
        Some(Self {
            name: HeaderName::from_bytes(csrf.header.as_bytes()).ok()?,
            ask: HeaderValue::from_str(&csrf.fetch_value).ok()?,
            url: target::plain(base, &csrf.path),
            held: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// The token to use now; another one than `refused`. `send` sends a call through the layers.
    pub async fn token<F>(
        &self,
        refused: Option<&Arc<Token>>,
        send: impl FnOnce(Call) -> F,
    ) -> Result<Arc<Token>, CallFailure>
    where
        F: Future<Output = Result<Reply, Setback>>,
    {
        let _turn = self.turn.lock().await;
        let held = self.held();
        if let Some(held) = held.filter(|held| refused.is_none_or(|refused| !Arc::ptr_eq(refused, held))) {
            return Ok(held);
        }
        let token = Arc::new(self.read(send(self.call()).await)?);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&token));
        Ok(token)
    }

    fn held(&self) -> Option<Arc<Token>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn call(&self) -> Call {
        let accept = (header::ACCEPT, HeaderValue::from_static("application/json"));
        Call {
            purpose: Purpose::LookUp,
            name: "csrf".into(),
            method: http::Method::GET,
            url: self.url.clone(),
            headers: HeaderMap::from_iter([accept, (self.name.clone(), self.ask.clone())]),
            body: None,
            reading: Reading::Head,
            credential_version: None,
            identity: None,
        }
    }

    fn read(&self, outcome: Result<Reply, Setback>) -> Result<Token, CallFailure> {
        // Systems answer a fetch with a token whatever they think of the path.
        let answer = match outcome.map_err(|setback| setback.failure)? {
            Reply::Success(answer) | Reply::Refusal(answer) | Reply::Redirect(answer) | Reply::Ignored(answer) => {
                answer
            }
        };
        let mut value = answer.headers.get(&self.name).filter(|value| !wants_another(value)).cloned().ok_or_else(|| {
            let detail = format!(
                "the token that writes have to carry was not in the header `{}` of an answer {}: check `csrf` in the Connector",
                self.name,
                answer.status.as_u16()
            );
            CallFailure::new(FailureKind::Malformed, detail).answered(answer.status.as_u16(), None)
        })?;
        value.set_sensitive(true);
        Ok(Token { value, cookies: cookies(&answer.headers) })
    }

    /// Puts a token on a call.
    pub fn put(&self, token: &Token, call: &mut Call) {
        call.headers.insert(self.name.clone(), token.value.clone());
        if let Some(cookies) = &token.cookies {
            call.headers.insert(header::COOKIE, cookies.clone());
        }
    }

    /// Whether a write was turned away for its token: it was not looked at.
    pub fn is_refused(&self, answer: &Answer) -> bool {
        answer.status == StatusCode::FORBIDDEN && answer.headers.get(&self.name).is_some_and(wants_another)
    }
}

fn wants_another(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"required")
}

/// The cookies that an answer sets, as they are sent back; none beyond what a header should hold.
fn cookies(headers: &HeaderMap) -> Option<HeaderValue> {
    let pairs = headers.get_all(header::SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    let cookies: Vec<&str> = pairs.map(str::trim).filter(|pair| pair.contains('=')).collect();
    let mut value = HeaderValue::from_str(&cookies.join("; ")).ok()?;
    value.set_sensitive(true);
    (!value.is_empty() && value.len() <= LONGEST_COOKIES).then_some(value)
}
