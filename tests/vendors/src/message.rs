//! A request and an answer as vendors see them: complete, decoded, and free of any HTTP framework.

use std::borrow::Cow;

use axum::http::{HeaderMap, Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::random::{Stream, seed_of};
use crate::wire::WriteKind;

/// One request to one instance.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The method.
    pub(crate) method: Method,
    /// Scheme, host and the instance's prefix, as the client sees them: what links in answers start with.
    pub(crate) base: String,
    /// The path below the instance, still percent-encoded.
    pub(crate) path: String,
    /// The query, still percent-encoded, without the question mark; empty when there is none.
    pub(crate) raw_query: String,
    /// The parameters of the query, decoded, in their order.
    pub(crate) query: Vec<(String, String)>,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
    /// The vendor's time.
    pub(crate) now: Timestamp,
    /// Given by the instance; no two calls share one.
    pub(crate) request_id: String,
    /// Which rows of a batch a fault wants refused; vendors without batches do not look at it.
    pub(crate) refused_rows: Option<RefusedRows>,
}

impl Call {
    /// The first value of a query parameter.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header's value, when it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body, when it is a JSON object.
    pub(crate) fn object(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.body).ok()
    }

    /// A query parameter as a number, or what stands for it when it is left out; none when it is no number.
    pub(crate) fn number(&self, name: &str, otherwise: usize) -> Option<usize> {
        self.param(name).map_or(Some(otherwise), |text| text.parse().ok())
    }

    /// The user name and password of basic authentication (RFC 7617).
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let (scheme, encoded) = self.header("authorization")?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let text = String::from_utf8(decoded).ok()?;
        text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
    }

    /// The decoded segments of the path.
    pub(crate) fn segments(&self) -> Vec<Cow<'_, str>> {
        self.path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy())
            .collect()
    }

    /// Path and query, as a log shows them.
    pub(crate) fn target(&self) -> String {
        if self.raw_query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.raw_query) }
    }
}

/// Which rows of a batch are refused.
#[derive(Debug, Clone)]
pub(crate) struct RefusedRows {
    /// Only rows whose JSON contains this.
    pub(crate) containing: Option<String>,
    /// The share of those, 1 to 100.
    pub(crate) percent: u8,
    /// Chooses them.
    pub(crate) seed: u64,
}

impl RefusedRows {
    /// Whether a row is refused. The same row of a later request has another chance, unless the share is all.
    pub(crate) fn strike(&self, request_id: &str, row: usize, record: &Value) -> bool {
        let meant = self.containing.as_ref().is_none_or(|part| record.to_string().contains(part.as_str()));
        let chance = Stream::new(self.seed ^ seed_of(request_id), row as u64).below(100);
        meant && chance < u64::from(self.percent)
    }
}

/// What a write did, for the log and the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    /// `resource/externalId`, or `resource/id:ID`.
    pub(crate) key: String,
    /// What happened to the record.
    pub(crate) kind: WriteKind,
    /// The write's place in the order of writes.
    pub(crate) commit: u64,
    /// What the record is named since, by its member `Name`.
    pub(crate) name: Option<String>,
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: StatusCode,
    /// Headers in their order. A value that HTTP does not allow is left out when sending.
    pub(crate) headers: Vec<(Cow<'static, str>, String)>,
    /// The body; may be empty.
    pub(crate) body: Bytes,
    /// The writes that the request caused; more than one only for a batch.
    pub(crate) effects: Vec<Effect>,
}

impl Reply {
    /// An answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), effects: Vec::new() }
    }

    /// An answer with a body of this content type.
    pub(crate) fn with_body(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::empty(status) }.header("Content-Type", content_type)
    }

    /// An answer with a JSON body of this content type.
    pub(crate) fn json(status: StatusCode, content_type: &'static str, body: &Value) -> Self {
        Self::with_body(status, content_type, body.to_string())
    }

    /// Adds a header.
    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((Cow::Borrowed(name), value.into()));
        self
    }

    /// Says what the request wrote.
    #[must_use]
    pub(crate) fn effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

/// Decodes a query string: `+` is a space, and percent sequences are UTF-8.
pub(crate) fn parse_query(raw: &str) -> Vec<(String, String)> {
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_keeps_its_order() {
        let query = parse_query("order=updated_at+asc&q=externalId%20IS%20%22a%26b%22&flag");
        let expected = [("order", "updated_at asc"), ("q", "externalId IS \"a&b\""), ("flag", "")];
        assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
