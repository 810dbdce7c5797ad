//! What a vendor's answers mean where HTTP alone does not say it. Pointers are JSON pointers (RFC 6901) in which `*` stands for every item of a
//! list and every member of an object.

use serde::{Deserialize, Serialize};

/// What one kind of answer means. Of a system's rules the first that matches decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorRule {
    /// Which answers.
    pub when: Condition,
    /// What they mean.
    pub means: Meaning,
    /// Pointer to the vendor's own code of what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Where they say how long to wait; `Retry-After` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<RetryAfter>,
}

/// Which answers: everything that is there has to be true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Statuses; any when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u16>,
    /// Something in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyTest>,
    /// A header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderTest>,
    /// Operations whose writes and look-ups it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// Streams whose reads it is for. With neither these nor operations it is for every call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<String>,
}

/// Something in an answer's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BodyTest {
    /// Where.
    pub pointer: String,
    /// What.
    pub test: Test,
}

/// What stands at a pointer. Scalars are compared as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Test {
    /// One of these.
    In(Vec<String>),
    /// Anything, or nothing: null and empty texts, lists and objects are nothing.
    Exists(bool),
    /// A text that contains this.
    Contains(String),
}

/// A header of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderTest {
    /// Its name.
    pub name: String,
    /// What its value contains, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

/// What an answer means. Of a write all but `Success` and `SystemFailure` say that it surely was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Meaning {
    /// It is good.
    Success,
    /// Nothing is to be done.
    Ignore,
    /// Not now.
    Retry,
    /// Too many requests.
    RateLimited,
    /// The credentials are refused.
    CredentialsRejected,
    /// The record is refused.
    RecordFailure,
    /// The system failed: a write is in doubt.
    SystemFailure,
    /// The API version is not served any more.
    Unsupported,
}

/// Where an answer says how long to wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryAfter {
    /// The place.
    pub at: Place,
    /// How it is written there.
    pub format: WaitFormat,
}

/// A place in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// A header of this name.
    Header(String),
    /// A pointer into the body.
    Pointer(String),
}

/// How a wait, or the time it ends at, is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitFormat {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Milliseconds,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMilliseconds,
    /// RFC 9110's.
    HttpDate,
    /// RFC 3339.
    Rfc3339,
}
