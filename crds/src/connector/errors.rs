//! What a system's answers mean where HTTP alone does not say it: the error language.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one kind of answer means. A Connector's rules are asked first, then its preset's, each in their order; the first that matches decides. An
/// answer that none matches means what its HTTP status says.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.retryAfter) || self.means in ['Retry', 'RateLimited', 'SystemFailure']").message("retryAfter goes with means Retry, RateLimited or SystemFailure: nothing else is waited for"))]
pub struct ErrorRule {
    /// Which answers. Everything that is set here has to be true of one.
    pub when: ErrorCondition,

    /// What such an answer means.
    pub means: ErrorMeaning,

    /// JSON pointer, in the answer's body, to what the system says is wrong, for example `/error`. It is shown in status and logs where it looks
    /// like a code (letters, digits, `_`, `-`, `.` and `:`, at most 64); sentences, which may repeat values of a record, are kept with the record
    /// only. The usual places are looked at when it is left out. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub message: Option<String>,

    /// Where the answer says how long to wait. The header `Retry-After` says it when this is left out. No wait is longer than a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<RetryAfter>,
}

/// Which answers: everything that is set has to be true.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.statuses) || has(self.pointer) || has(self.header)").message("set statuses, pointer or header under when: a rule for every answer would leave none that is good"))]
#[x_kube(validation = Rule::new("[has(self.equals), has(self.__in__), has(self.exists), has(self.contains)].filter(set, set).size() == (has(self.pointer) ? 1 : 0)").message("with pointer set exactly one of equals, in, exists and contains; without it none"))]
pub struct ErrorCondition {
    /// HTTP statuses. Any when they are left out. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(range(min = 200, max = 599)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub statuses: Vec<u16>,

    /// JSON pointer into the answer's body, for example `/ok`; empty for the whole body. A segment `*` stands for every item of a list and every
    /// member of an object, and one that passes is enough. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^(/.*)?$"))]
    pub pointer: Option<String>,

    /// What stands there, as text: `"false"` for false, `"42"` for 42. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub equals: Option<String>,

    /// What stands there is one of these, as text. At most 32, each at most 256 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(length(max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub r#in: Vec<String>,

    /// Whether there is anything: neither nothing, nor null, nor an empty text, list or object. A body that is no JSON is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,

    /// The text that stands there contains this. 1 to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub contains: Option<String>,

    /// A header of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<ErrorHeader>,

    /// Names of operations: the rule is for answers to their writes and look-ups. With neither operations nor streams it is for every call. At
    /// most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub operations: Vec<String>,

    /// Names of streams: the rule is for answers to reading them. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub streams: Vec<String>,
}

/// A header that an answer has.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ErrorHeader {
    /// Its name, in any case. 1 to 128 characters.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// Its value contains this, in any case. Being there is enough when it is left out. 1 to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub contains: Option<String>,
}

/// What an answer means. Of a write, all but Success and SystemFailure promise that it took no effect; where that is not sure, SystemFailure is
/// right, and the operation's `outcome` finds out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorMeaning {
    /// It is good: a write was applied, a read's body is what was asked for.
    Success,
    /// There is nothing to be done. A write was not applied and need not be: the record is settled as left out. A list is empty; a single record
    /// is not there.
    Ignore,
    /// Not now: a write was not applied, and is sent again later. A record that meets this while others pass is set aside in the end.
    Retry,
    /// Too many requests: a write was not applied. Nothing is sent until the wait is over.
    RateLimited,
    /// The credentials are refused: a write was not applied, and is sent once more with the other version of them.
    CredentialsRejected,
    /// The record is refused: a write was not applied. It is retried by policy and then goes to the dead letters.
    RecordFailure,
    /// The system failed: a write may have been applied or not.
    SystemFailure,
    /// The API version is not served any more: a write was not applied. Everything waits for another version in the Connector.
    Unsupported,
}

/// Where an answer says how long to wait: exactly one place.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.header) != has(self.pointer)").message("set exactly one of header and pointer under retryAfter"))]
pub struct RetryAfter {
    /// Name of a header, for example `X-RateLimit-Reset`. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub header: Option<String>,
    /// JSON pointer into the answer's body, for example `/error/retry_after_ms`. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub pointer: Option<String>,
    /// How it is written there.
    pub format: WaitFormat,
}

/// How a wait, or the time it ends at, is written. What cannot be read as that is no wait; a time that is past is none either.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFormat {
    /// So many seconds; fractions are rounded up.
    Seconds,
    /// So many milliseconds.
    Milliseconds,
    /// A time in seconds since 1970.
    EpochSeconds,
    /// A time in milliseconds since 1970.
    EpochMilliseconds,
    /// A time such as `Mon, 01 Mar 2027 12:01:00 GMT` (RFC 9110).
    HttpDate,
    /// A time such as `2027-03-01T12:01:00Z` (RFC 3339).
    Rfc3339,
}
