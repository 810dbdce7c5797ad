//! What travels through the layers: a call downwards, an answer or a break upwards, and what classification makes of those. Types only.

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::{
    egress::EgressRefusal,
    failure::{CallFailure, FailureKind},
    identity::Identity,
    observe::Purpose,
};

/// A request on its way. It prints nothing of itself: URL, headers and body hold credentials and values.
#[derive(Clone)]
pub struct Call {
    /// What it is for.
    pub purpose: Purpose,
    /// Name of the stream or operation.
    pub name: Arc<str>,
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// How much of the answer is wanted.
    pub reading: Reading,
    /// Id of the credentials it carries; the authentication layer sets it.
    pub credential_version: Option<Arc<str>>,
    /// The client certificate of its connection; the authentication layer sets it.
    pub identity: Option<Arc<Identity>>,
}

/// How much of an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Whole,
    /// Status and headers only; the body is not waited for.
    Head,
}

/// A vendor's answer: its head came, and its body came or not.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Result<Bytes, BodyFailure>,
    /// The vendor's own code of what is wrong, where one of the system's rules found it.
    pub code: Option<String>,
    /// Number of the version of the credentials that it is an answer to; the authentication layer sets it.
    pub asked_as: Option<u64>,
}

impl Answer {
    /// Whether it says that there is nothing at the path.
    pub fn finds_nothing(&self) -> bool {
        matches!(self.status, StatusCode::NOT_FOUND | StatusCode::GONE)
    }
}

/// Why there is a head of an answer without its body.
#[derive(Debug, thiserror::Error)]
pub enum BodyFailure {
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the answer did not arrive in time")]
    TimedOut(#[source] reqwest::Error),
    #[error("the connection broke within the answer, or its compression is damaged")]
    Lost(#[source] reqwest::Error),
}

impl BodyFailure {
    /// What kind of failure it is.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::TooLarge { .. } => FailureKind::BodyTooLarge,
            Self::TimedOut(_) => FailureKind::TimedOut,
            Self::Lost(_) => FailureKind::Unreachable,
        }
    }
}

/// No answer came.
pub struct Break {
    pub cause: Cause,
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// How far a call came that got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The resolver refused the host's addresses; nothing was sent.
    Egress(EgressRefusal),
    /// No request could be made of it; nothing was sent.
    NoRequest,
    /// The name has no address; nothing was sent.
    NoName,
    /// No connection; nothing was sent.
    NoConnection,
    /// The proxy cannot be reached, or makes no connection; nothing was sent.
    NoPassage,
    /// No TLS session, because nothing is known to verify certificates by; nothing was sent.
    NoAuthority,
    /// No TLS session, because the two ends do not agree; nothing was sent.
    NoTrust,
    /// No TLS session, because the vendor does not accept our certificate or wants one that we did not give; nothing was looked at.
    NotKnown,
    /// No connection, or no TLS session on it, in time; nothing was sent.
    NoConnectionInTime,
    /// The connection broke after the request was begun.
    ConnectionLost,
    /// The time was over after the request was begun.
    NoAnswerInTime,
    /// More headers came than are read, and so none of them is known.
    HeadTooLarge,
    /// The same by HTTP/2, or headers that are none: which of the two it was is not told.
    HeadUnreadable,
}

/// An answer that says something of the call itself.
pub enum Reply {
    /// 2xx.
    Success(Answer),
    /// 3xx.
    Redirect(Answer),
    /// 4xx for what was asked, or what the system's rules take for that.
    Refusal(Answer),
    /// The call was not carried out and need not be.
    Ignored(Answer),
}

impl Reply {
    /// The same answer, to a version of the credentials.
    pub fn to(mut self, version: u64) -> Self {
        let (Self::Success(answer) | Self::Redirect(answer) | Self::Refusal(answer) | Self::Ignored(answer)) =
            &mut self;
        answer.asked_as = Some(version);
        self
    }
}

/// The system did not do its part.
pub struct Setback {
    pub failure: CallFailure,
    pub reached: Reached,
}

/// Whether a call may have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Surely not.
    Never,
    /// Nobody knows.
    Perhaps,
}

impl Setback {
    /// A setback of a call that surely took no effect.
    pub fn never(failure: CallFailure) -> Self {
        Self { failure, reached: Reached::Never }
    }
}

/// A layer's future.
pub type Pending<T, E> = std::pin::Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;
