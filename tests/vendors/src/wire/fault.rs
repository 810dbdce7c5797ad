//! Faults and when they strike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A fault and when it strikes: `POST …/faults`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    /// Which requests; absent means all.
    #[serde(default, rename = "match")]
    pub matching: FaultMatch,
    /// What happens to them.
    pub fault: Fault,
    /// How often it strikes; absent or null means until cleared.
    #[serde(default)]
    pub count: Option<u64>,
    /// The share of matching requests it strikes, 1 to 100; absent means all.
    #[serde(default)]
    pub percent: Option<u8>,
    /// Chooses which of the matching requests are struck when `percent` is given.
    #[serde(default)]
    pub seed: u64,
}

/// Which requests a fault strikes; every given part must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultMatch {
    /// The method, in upper case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// A part of the path below the instance, with its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_contains: Option<String>,
    /// A part of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_contains: Option<String>,
}

/// What can go wrong. Those that act after the commit, or on the answer's body, strike successful answers only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// Answers this, without looking at the request.
    Status {
        /// The status code.
        code: u16,
        /// Headers of the answer.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body: a string is sent as it is, anything else as JSON.
        #[serde(default)]
        body: Value,
    },
    /// Answers as the vendor does to a client that is too fast.
    RateLimited {
        /// Seconds in `Retry-After`; absent means what the vendor sends by itself, which may be no such header.
        #[serde(default)]
        retry_after_seconds: Option<f64>,
    },
    /// Applies the request, then never answers: the connection is closed when the client gives up, or after 120 s.
    TimeoutAfterCommit {},
    /// Applies the request, then answers this status.
    ErrorAfterCommit {
        /// The status code.
        code: u16,
    },
    /// Closes the connection without a byte of an answer and without applying the request.
    DropConnection {},
    /// Waits, then goes on as usual. What the request writes carries the time at which it arrived: a late commit.
    Slow {
        /// Milliseconds.
        millis: u64,
    },
    /// Never answers, and applies the request only after the client has given up: a commit that comes later than anybody would believe.
    /// It is logged when it is applied.
    CommitAfterTimeout {
        /// Milliseconds after the connection was closed, or after 120 s.
        millis: u64,
    },
    /// Refuses rows of a batch in the vendor's words and applies the others. Strikes requests that the vendor takes as a batch.
    RefuseRows {
        /// The share of rows, 1 to 100; absent means all.
        #[serde(default = "all")]
        percent: u8,
        /// Only rows whose JSON contains this; absent means any.
        #[serde(default)]
        containing: Option<String>,
        /// Chooses which rows when `percent` is given.
        #[serde(default)]
        seed: u64,
    },
    /// Applies the request and answers success with a body that is not JSON.
    MalformedBody {},
    /// Applies the request and closes the connection in the middle of the answer's body.
    TruncatedBody {},
}

fn all() -> u8 {
    100
}

impl Fault {
    /// The fault's name on the wire, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::RateLimited { .. } => "rateLimited",
            Self::TimeoutAfterCommit {} => "timeoutAfterCommit",
            Self::ErrorAfterCommit { .. } => "errorAfterCommit",
            Self::DropConnection {} => "dropConnection",
            Self::Slow { .. } => "slow",
            Self::CommitAfterTimeout { .. } => "commitAfterTimeout",
            Self::RefuseRows { .. } => "refuseRows",
            Self::MalformedBody {} => "malformedBody",
            Self::TruncatedBody {} => "truncatedBody",
        }
    }
}

impl FaultRule {
    /// Strikes every request until cleared; narrow it with the methods below.
    pub fn new(fault: Fault) -> Self {
        Self { matching: FaultMatch::default(), fault, count: None, percent: None, seed: 0 }
    }

    /// Only requests with this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.matching.method = Some(method.to_owned());
        self
    }

    /// Only requests whose path or query contains this.
    #[must_use]
    pub fn path_contains(mut self, part: &str) -> Self {
        self.matching.path_contains = Some(part.to_owned());
        self
    }

    /// Only requests whose body contains this.
    #[must_use]
    pub fn body_contains(mut self, part: &str) -> Self {
        self.matching.body_contains = Some(part.to_owned());
        self
    }

    /// Strikes this often, then is spent.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Strikes this share of the matching requests, chosen by `seed`.
    #[must_use]
    pub fn percent(mut self, percent: u8, seed: u64) -> Self {
        self.percent = Some(percent);
        self.seed = seed;
        self
    }
}

/// What `POST …/faults` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultId {
    /// For `DELETE …/faults/{id}`.
    pub id: u64,
}

/// One entry of `GET …/faults`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultState {
    /// For `DELETE …/faults/{id}`.
    pub id: u64,
    /// As it was posted.
    pub rule: FaultRule,
    /// How many requests matched so far.
    pub matched: u64,
    /// How many of them were struck.
    pub applied: u64,
}
