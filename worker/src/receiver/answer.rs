//! What callers are answered. Nothing of what is stored is in it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::Full;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// A status alone.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// A status with a sentence.
    pub fn text(status: StatusCode, text: &str) -> Self {
        let headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
            // What a caller sent is never run by a browser.
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        Self { status, headers, body: Bytes::copy_from_slice(text.as_bytes()) }
    }

    /// A refusal that ends.
    pub fn later(status: StatusCode, wait: Duration) -> Self {
        let headers = vec![(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))];
        Self { headers, ..Self::empty(status) }
    }

    /// A challenge, met.
    pub fn challenge(text: &str, longest: usize) -> Self {
        if text.len() > longest {
            return Self::text(StatusCode::BAD_REQUEST, "the challenge is too long\n");
        }
        Self::text(StatusCode::OK, text)
    }

    /// The handshake of CloudEvents' webhooks: whoever asks may send. What is sent is verified all the same.
    pub fn allowed_origin(asked: &HeaderMap) -> Self {
        let mut headers = vec![(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"))];
        if let Some(origin) = asked.get("webhook-request-origin") {
            headers.push((HeaderName::from_static("webhook-allowed-origin"), origin.clone()));
            headers.push((HeaderName::from_static("webhook-allowed-rate"), HeaderValue::from_static("*")));
        }
        Self { headers, ..Self::empty(StatusCode::OK) }
    }
}

impl From<Answer> for http::Response<Full<Bytes>> {
    fn from(answer: Answer) -> Self {
        let mut response = Self::new(Full::new(answer.body));
        *response.status_mut() = answer.status;
        response.headers_mut().extend(answer.headers);
        response
    }
}
