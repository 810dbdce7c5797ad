//! Why a call came to nothing, in terms the worker decides by. Nothing here ever holds a credential, a record's value, a URL or an address:
//! details are shown in status and logs.

use std::{error::Error, time::Duration};

/// Longest detail, in characters.
const LONGEST_DETAIL: usize = 512;

/// A system failure: the call came to nothing for a reason that is not the record's own.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct CallFailure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// The vendor's status, if it answered.
    pub status: Option<u16>,
    /// The vendor's id of the request, if it gave one.
    pub request_id: Option<String>,
    /// How long the vendor, or the throttle, asks to wait; at most a day.
    pub retry_after: Option<Duration>,
    /// A sentence for people: what failed, on what, and what to do. At most 512 characters.
    pub detail: String,
    /// What lies beneath.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// Kinds of system failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection, or it broke.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The vendor answered 5xx.
    ServerError,
    /// The vendor, or our own share of its allowance, admits no more requests now.
    RateLimited,
    /// Every version of the credentials was refused, or they lack a key that the authentication names.
    CredentialsRejected,
    /// The vendor refuses what the configuration makes us ask, such as a path that does not exist.
    Refused,
    /// The vendor no longer knows this page: the window starts again from its first page.
    PageExpired,
    /// The answer is not of the shape that the configuration says.
    Malformed,
    /// The request would have gone where it may not go; nothing was sent.
    EgressRefused,
    /// The answer is larger than is read.
    BodyTooLarge,
    /// The vendor does not serve the API version any more.
    Unsupported,
}

impl FailureKind {
    /// The kind as a word, for metrics and reasons.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::TimedOut => "TimedOut",
            Self::ServerError => "ServerError",
            Self::RateLimited => "RateLimited",
            Self::CredentialsRejected => "CredentialsRejected",
            Self::Refused => "Refused",
            Self::PageExpired => "PageExpired",
            Self::Malformed => "Malformed",
            Self::EgressRefused => "EgressRefused",
            Self::BodyTooLarge => "BodyTooLarge",
            Self::Unsupported => "Unsupported",
        }
    }
}

impl CallFailure {
    /// A failure with a detail, which is cut to 512 characters.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        let detail = match detail.char_indices().nth(LONGEST_DETAIL) {
            Some((end, _)) => detail[..end].to_owned(),
            None => detail,
        };
        Self { kind, status: None, request_id: None, retry_after: None, detail, source: None }
    }

    /// The failure with what lies beneath.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The failure with a time to wait.
    #[must_use]
    pub fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The failure with the status and id of the vendor's answer.
    #[must_use]
    pub fn answered(mut self, status: u16, request_id: Option<String>) -> Self {
        self.status = Some(status);
        self.request_id = request_id;
        self
    }
}

/// Why no client can be built for a system. All of them are mistakes in a Connector or in the operator's configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Not http or https, or without a host, or with a user name in it.
    #[error("the base URL of Connector `{connector}` {problem}: write one such as https://api.example.com")]
    BaseUrl {
        /// The Connector.
        connector: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Not the name of a host.
    #[error(
        "`{host}` in the allowed hosts of Connector `{connector}` is no host name: write it without scheme, port and path"
    )]
    AllowedHost {
        /// The Connector.
        connector: String,
        /// What is written there.
        host: String,
    },
    /// Not an address range.
    #[error("`{range}` in the allowed address ranges is no CIDR notation: write a range such as 10.0.0.0/8")]
    AllowedRange {
        /// What is written there.
        range: String,
        /// Why it is none.
        #[source]
        source: ipnet::AddrParseError,
    },
    /// The name of the header that carries the credentials is none.
    #[error("the authentication of Connector `{connector}` names the header `{header}`, which is no header name")]
    HeaderName {
        /// The Connector.
        connector: String,
        /// What is written there.
        header: String,
    },
    /// TLS or the HTTP client cannot be set up on this machine.
    #[error("the HTTP client of Connector `{connector}` cannot be set up")]
    Client {
        /// The Connector.
        connector: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_never_longer_than_its_bound() {
        let failure = CallFailure::new(FailureKind::Malformed, "ü".repeat(2000));
        assert_eq!(failure.detail.chars().count(), LONGEST_DETAIL);
    }

    #[test]
    fn a_failure_prints_its_detail_and_chains_its_source() {
        let failure = CallFailure::new(FailureKind::Unreachable, "no connection").because("reset");
        assert_eq!(failure.to_string(), "no connection");
        assert_eq!(failure.source().map(ToString::to_string).as_deref(), Some("reset"));
    }
}
