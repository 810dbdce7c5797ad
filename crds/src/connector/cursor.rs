//! How a stream is asked only for what changed: where a record says so, how such values are written, and how far a window reaches.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to ask a stream only for records that changed within a window. The window's bounds go into query parameters, `param` and
/// `untilParam`, or stand as `{since}` and `{until}` in the stream's path, query or body: one of the two ways.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.pattern) == (has(self.format) && self.format == 'Pattern')").message("set pattern together with format Pattern, and not otherwise"))]
#[x_kube(validation = Rule::new("!has(self.timeZone) || (has(self.format) && self.format in ['Date', 'Pattern'])").message("set timeZone only with format Date or Pattern: the other formats say their zone themselves"))]
#[x_kube(validation = Rule::new("!(has(self.format) && self.format == 'Counter') || !(has(self.lookbackSeconds) || has(self.windowSeconds))").message("say lookbackCount instead of lookbackSeconds, and leave windowSeconds out, where format is Counter"))]
#[x_kube(validation = Rule::new("!has(self.lookbackCount) || (has(self.format) && self.format == 'Counter')").message("set lookbackCount only with format Counter"))]
pub struct Cursor {
    /// JSON pointer, within a record, to the time it last changed, or to its counter, for example `/updated_at`. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub field: String,
    /// Query parameter that takes the window's lower bound, for example `updated_at_min`. It is not sent while there is no lower bound.
    /// At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub param: Option<String>,
    /// Query parameter that takes the window's upper bound, for example `updated_at_max`. Without one, later records
    /// are read early, and recognised in the next window. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub until_param: Option<String>,
    /// How values are written, in records and requests: Rfc3339 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<CursorFormat>,
    /// How a time is written where format is Pattern: text of strftime, for example `%Y-%m-%d %H:%M`. At most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub pattern: Option<String>,
    /// IANA time zone of dates and of patterns without an offset, for example `America/New_York`. UTC when left out. At most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// How far each window reaches back before the last one's end, in seconds, because systems commit records late. 0 to 604800;
    /// 300 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub lookback_seconds: Option<u32>,
    /// The same where format is Counter: how many numbers each window reaches back before the highest one that was read. 0 to
    /// 1000000000; 1000 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub lookback_count: Option<u32>,
    /// Longest span that one window asks for, in seconds, for systems that refuse longer ones; a long past is then read window by window.
    /// More than lookbackSeconds, and needs an upper bound in the request. 60 to 31536000. A window reaches to the present when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub window_seconds: Option<u32>,
}

/// How values are written, in records and requests: Rfc3339 when left out. A window's bounds are rounded outwards to what a format can say.
/// Where `version` points to the same field, it is read so too.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CursorFormat {
    /// A time such as `2026-07-01T09:00:00Z` (RFC 3339); in records also `/Date(1782896400000)/`, as OData 2 writes it.
    #[default]
    Rfc3339,
    /// A day, such as `2026-07-01`.
    Date,
    /// Seconds since 1970, such as `1782896400`.
    EpochSeconds,
    /// Milliseconds since 1970, such as `1782896400000`.
    EpochMillis,
    /// A whole number that grows with each change. Windows have no upper bound then: the next one begins at the highest number that was
    /// read, less lookbackCount.
    Counter,
    /// A time as `pattern` writes it.
    Pattern,
}
