//! What can be read from a system: streams, their cursors and their pagination.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One list of records that can be read.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Name that Integrations use, for example `orders`. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z][A-Za-z0-9_-]*$"))]
    pub name: String,

    /// Path below baseURL; `{apiVersion}` is replaced. Needed unless the preset has a stream of this name. At most 1024
    /// characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: Option<String>,

    /// Query parameters of the first page's request; `{apiVersion}` is replaced in values. At most 32, names up to 128 and
    /// values up to 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 128 && self[name].size() <= 1024)").message("keep names in query to 128 characters and values to 1024"))]
    pub query: BTreeMap<String, Text>,

    /// JSON pointer (RFC 6901) to the list of records in the response, for example `/orders`. The whole response is the list
    /// when it is empty. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^(/.*)?$"))]
    pub records: Option<String>,

    /// JSON pointer, within a record, to what identifies it, for example `/id`. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub key: Option<String>,

    /// JSON pointer, within a record, to the source's own order of that record's states: a time (RFC 3339) or a counter, for
    /// example `/updated_at`. An older state never overwrites a newer one. It may be left out only where `one` is set: what is read then
    /// only says that a record may have changed, and the record is fetched anew before it is delivered. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub version: Option<String>,

    /// JSON pointer, within a record, to what says that the record was deleted at its source, for example `/deleted_at`: it was if there
    /// is anything but null and false. No record says so when it is left out. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub deleted: Option<String>,

    /// How to read a single record by its key. With it, mappings can `lookup` records of this stream, and a record whose states cannot be
    /// told apart is fetched anew. Single records are never read when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one: Option<ReadOne>,

    /// How to ask only for what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,

    /// How to get the next page. One page holds everything when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
}

/// How to read a single record of a stream by its key.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.path.contains('{key}') || (has(self.query) && self.query.exists(name, self.query[name].contains('{key}')))").message("put {key} into the path or the query of one, for example /orders/{key}.json"))]
pub struct ReadOne {
    /// Path below baseURL of a GET request; `{key}` is replaced by the record's key, percent-encoded, and `{apiVersion}` by the API
    /// version. Status 404 and 410 mean that the source no longer has the record. At most 1024 characters.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: String,
    /// Query parameters of that request, with the same replacements. At most 16, names up to 128 and values up to 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 128 && self[name].size() <= 1024)").message("keep names in query to 128 characters and values to 1024"))]
    pub query: BTreeMap<String, Text>,
    /// JSON pointer to the record in the response, for example `/order`. The whole response is the record when it is left out. At most
    /// 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^(/.*)?$"))]
    pub record: Option<String>,
}

/// A short text, at most 1024 characters.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct Text(#[schemars(length(max = 1024))] pub String);

/// How to ask a stream only for records that changed within a window of time.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    /// JSON pointer, within a record, to the time it last changed (RFC 3339), for example `/updated_at`. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub field: String,
    /// Query parameter that takes the window's lower bound, for example `updated_at_min`. At most 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub param: String,
    /// Query parameter that takes the window's upper bound, for example `updated_at_max`. Without one, later records
    /// are read early, and recognised in the next window. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub until_param: Option<String>,
    /// How far each window reaches back before the last one's end, in seconds, because systems commit records late. 0 to 604800;
    /// 300 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub lookback_seconds: Option<u32>,
}

/// How to get the next page: exactly one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.linkHeader), has(self.cursor), has(self.offset), has(self.nextURL)].filter(set, set).size() == 1").message("set exactly one of linkHeader, cursor, offset and nextURL under pagination"))]
pub struct Pagination {
    /// The response's `Link` header with `rel="next"` (RFC 8288) holds the next page's URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_header: Option<LinkHeaderPagination>,
    /// The response's body holds a cursor that goes into a query parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<CursorPagination>,
    /// Pages are positions counted in records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<OffsetPagination>,
    /// The response's body holds the next page's URL.
    #[serde(default, rename = "nextURL", skip_serializing_if = "Option::is_none")]
    pub next_url: Option<NextUrlPagination>,
}

/// Pagination by the `Link` header. It has no settings.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
pub struct LinkHeaderPagination {}

/// Pagination by a cursor in the response's body.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CursorPagination {
    /// JSON pointer to the cursor in the response, for example `/paging/next/after`; absent or null on the last page. At most 256
    /// characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub pointer: String,
    /// Query parameter that takes the cursor, for example `after`. At most 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub param: String,
}

/// Pagination by position, counted in records.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OffsetPagination {
    /// Query parameter that takes the position of the first record, for example `offset`. At most 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub param: String,
    /// Query parameter that takes the number of records a page, for example `limit`. At most 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub limit_param: String,
    /// Records a page. 2 to 10000, because a page overlaps the one before by one record.
    #[schemars(range(min = 2, max = 10_000))]
    pub limit: u32,
}

/// Pagination by a URL in the response's body.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NextUrlPagination {
    /// JSON pointer to the next page's URL in the response, for example `/links/next`; absent or null on the last page. At most 256
    /// characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub pointer: String,
}
