//! What can be written to a system: operations, and how the outcome of a call is known.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    stream::Text,
    write::{Asynchronous, BodyFormat, Find, Follow, IfMatch},
};

/// One kind of write. In path and query, `{apiVersion}` is the API version, `{body.FIELD}` a top-level field of the mapped body, and
/// `{identifier}`, for deletes, what the system called the record when it was written.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.xmlRoot) == (has(self.bodyFormat) && self.bodyFormat == 'Xml')").message("bodyFormat Xml and xmlRoot go together"))]
#[x_kube(validation = Rule::new("(has(self.create) || has(self.update)) ? has(self.create) && has(self.update) : true").message("set create and update together: which one follows depends on what find shows"))]
pub struct Operation {
    /// Name that Integrations use, for example `upsertSalesOrder`. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z][A-Za-z0-9_-]*$"))]
    pub name: String,

    /// HTTP method. DELETE is sent without a body, and a record that is not there any more (status 404 or 410, where the path names something
    /// of the record) counts as deleted. Needed unless the preset has an operation of this name, or `find` says what to look for first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<OperationMethod>,

    /// Path below baseURL, for example `/services/rest/record/v1/salesOrder/eid:{body.externalId}`. Values are percent-encoded.
    /// Needed unless the preset has an operation of this name, or `find` says what to look for first. At most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: Option<String>,

    /// Query parameters. At most 32, names up to 128 and values up to 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 128 && self[name].size() <= 1024)").message("keep names in query to 128 characters and values to 1024"))]
    pub query: BTreeMap<String, Text>,

    /// Request headers beside those of auth. At most 16, names up to 128 and values up to 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 128 && self[name].size() <= 1024)").message("keep names in headers to 128 characters and values to 1024"))]
    pub headers: BTreeMap<String, Text>,

    /// Top-level fields of the mapped body that are left out of the request's body, because they stand in the path and the system minds
    /// them in both. A batch carries them. At most 16, each at most 128 characters; none when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub omit: Vec<String>,

    /// Whether a write replaces the record as a whole: a field that is left out of the request is then removed, and flows cannot leave fields
    /// out of updates (`ownership`). What is not sent stays as it is when this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<bool>,

    /// Whether a write makes a record that is not there. Set it to false for one that only changes records, and is answered 404 or 410 where there
    /// is none, under a path that names something of the record: flows with write.mode `Update` then need no look before they write. Taken to make
    /// records when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<bool>,

    /// Format of the request's body. Json when it is left out. Batches are JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_format: Option<BodyFormat>,

    /// Name of the root element of an XML body. 1 to 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z_][A-Za-z0-9_.:-]*$"))]
    pub xml_root: Option<String>,

    /// JSON pointer to where the mapped body goes in a single write's request, for example `/properties` or `/data/attributes`. The mapped body is
    /// the request's body when it is left out. A batch has `recordWrap`. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^(/.*)?$"))]
    pub wrap: Option<String>,

    /// Members of a single write's request beside what is mapped, for example `data: {type: profile}`. In texts `{apiVersion}`, `{body.FIELD}` and
    /// `{identifier}` are replaced, and a text that is nothing but one of them takes its type; other braces stay, so a GraphQL document may stand
    /// here. What is mapped wins. Of any type; none when left out. At most 16 and 4096 characters of JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "fields_schema")]
    pub fields: BTreeMap<String, Value>,

    /// How a record is looked for before it is written, for systems that cannot upsert; `create` and `update` then say what follows, in place of
    /// method and path. It is also the look-up of `outcome`, unless that names another. A record whose identifier is known from an earlier write is
    /// updated at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub find: Option<Find>,

    /// What is sent when `find` shows no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<Follow>,

    /// What is sent when `find` shows the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Follow>,

    /// Write only over the state that was looked at. Whatever is there is written over when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<IfMatch>,

    /// How a write that is answered 202 is followed to its end. A 202 means that it was applied when this is left out.
    #[serde(default, rename = "async", skip_serializing_if = "Option::is_none")]
    pub asynchronous: Option<Asynchronous>,

    /// Where the response says which identifier the system gave the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Identifier>,

    /// How it is known whether a call took effect when its answer never came. Needed unless the preset says it; an empty object
    /// means there is no way to know, and flows then choose with onUnknownOutcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,

    /// How several records are written by one call. Records are written one by one when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
}

/// HTTP method of an operation (RFC 9110, RFC 5789).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationMethod {
    /// Create, or whatever the vendor makes of it.
    #[serde(rename = "POST")]
    Post,
    /// Create or replace.
    #[serde(rename = "PUT")]
    Put,
    /// Change parts.
    #[serde(rename = "PATCH")]
    Patch,
    /// Remove.
    #[serde(rename = "DELETE")]
    Delete,
}

/// How several records are written by one call. The operation's headers and its idempotency header go with the call.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.method) || self.method != 'DELETE'").message("set batch.method to POST, PUT or PATCH: the records are the request's body, which DELETE has none of"))]
pub struct Batch {
    /// Records that one call takes, at most. 2 to 10000.
    #[schemars(range(min = 2, max = 10_000))]
    pub max_records: u32,
    /// HTTP method: POST, PUT or PATCH. The operation's own when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<OperationMethod>,
    /// Path below baseURL; `{apiVersion}` is replaced. At most 1024 characters.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: String,
    /// Query parameters; `{apiVersion}` is replaced in values. At most 16, names up to 128 and values up to 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 128 && self[name].size() <= 1024)").message("keep names in query to 128 characters and values to 1024"))]
    pub query: BTreeMap<String, Text>,
    /// JSON pointer to where the list of mapped bodies goes in the request, for example `/records`. The request is the list when it is
    /// left out. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^(/.*)?$"))]
    pub records: Option<String>,
    /// Other members of the request's top level, the same in every call, for example `allOrNone: false`. Of any type; none when left out.
    /// At most 16 and 4096 characters of JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "fields_schema")]
    pub fields: BTreeMap<String, Value>,
    /// JSON pointer to where each mapped body goes in its item of the list, for example `/properties`. The item is the mapped body when it is left
    /// out. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^(/.*)?$"))]
    pub record_wrap: Option<String>,
    /// Members of each record beside its mapped body, for example `attributes: {type: Account}` or `id: "{body.email}"`, with the same replacements
    /// as in the operation's `fields`. What the body has itself stays. Of any type; none when left out. At most 16 and 4096 characters of JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "fields_schema")]
    pub record_fields: BTreeMap<String, Value>,
    /// Where the response says what came of each record. A status of 2xx means that all were applied when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<BatchResults>,
}

/// Where the response to a batch says what came of each record: a list with one result for each record, in the request's order, or in any order
/// with a key in each.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.key) == has(self.keyField)").message("set results.key and results.keyField together"))]
#[x_kube(validation = Rule::new("has(self.succeeded) || has(self.key)").message("set results.succeeded, or results.key for systems whose list holds only what was applied"))]
#[x_kube(validation = Rule::new("!has(self.failed) || has(self.key)").message("results.failed goes with results.key"))]
pub struct BatchResults {
    /// JSON pointer to the list of results in the response. The whole response is the list when it is left out. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^(/.*)?$"))]
    pub records: Option<String>,
    /// JSON pointer, within a result, to what says that the record was applied: `true`, or a status from 200 to 299. For example
    /// `/success`. Being in the list says it when this is left out, which needs `key`. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub succeeded: Option<String>,
    /// JSON pointer, within a result, to what must equal a mapped body's field of keyField, for systems that answer in any order. Results are in
    /// the request's order when it is left out. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub key: Option<String>,
    /// Top-level field of the mapped body that identifies the record in results. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub key_field: Option<String>,
    /// A list of its own for the records that were refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedRows>,
    /// JSON pointer, within a result, to the identifier the system gave the record, for example `/id`. None is known when it is left out.
    /// At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub identifier: Option<String>,
    /// JSON pointer, within a result, to what was wrong, for example `/errors`. It goes into the record's dead letter. The whole result does
    /// when it is left out. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub error: Option<String>,
}

/// Where the response to a batch lists the records that were refused.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FailedRows {
    /// JSON pointer to the list in the response, for example `/errors`. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub records: String,
    /// JSON pointer, within a result, to the key of the record, or to a list of keys, for example `/context/ids`. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub key: String,
    /// JSON pointer, within a result, to its status. A record whose status is 408 or 5xx is in doubt; any other was surely not applied. The same as
    /// any other when it is left out. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub status: Option<String>,
}

/// Values of any type: only their number can be bounded here.
pub(super) fn fields_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"x-kubernetes-preserve-unknown-fields": true},
    })
}

/// Where a response says which identifier the system gave the record: exactly one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.pointer) != has(self.header)").message("set exactly one of pointer and header under identifier"))]
pub struct Identifier {
    /// JSON pointer to the identifier in the response's body, for example `/id`. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub pointer: Option<String>,
    /// Response header whose last path segment is the identifier, for example `Location`. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub header: Option<String>,
}

/// How it is known whether a call took effect: a key the system remembers, a look-up, both, or neither.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The system applies requests that carry the same key in this header only once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_header: Option<IdempotencyHeader>,
    /// The record can be read back by something the mapped body holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<LookUp>,
}

/// A request header that makes resending safe.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IdempotencyHeader {
    /// Name of the header, for example `Idempotency-Key`. At most 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// How long the system remembers a key, in seconds. 60 to 2592000. After that, resending is no longer safe.
    #[schemars(range(min = 60, max = 2_592_000))]
    pub window_seconds: u32,
}

/// How to read a record back.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LookUp {
    /// Path below baseURL of a GET request, with the same replacements as the operation's path. In path and query, `{since}` is a time
    /// (RFC 3339), and `{sinceEpoch}` the same in seconds since 1970, a quarter of an hour before the write was decided, by the system's
    /// own clock: for lists that go back further than anybody wants to read. Status 404 means absent where the path carries the field of
    /// keyField; under any other path, such as a search's, it is a failure. At most 1024 characters.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: String,
    /// Query parameters of that request. At most 16, names up to 128 and values up to 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 128 && self[name].size() <= 1024)").message("keep names in query to 128 characters and values to 1024"))]
    pub query: BTreeMap<String, Text>,
    /// JSON pointer, in the response, to the value that must equal the mapped body's field of keyField; otherwise the record found is
    /// a stranger's and is not touched. A list on the way must have one member. With `*` as a segment all members of a list are searched,
    /// for example `/issues/*/fields/labels/*`: one that has the value is the record, none means absent. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub key: String,
    /// Field of the mapped body that identifies the record, for example `externalId`; dots lead into it, as in `labels.0`. At most 128
    /// characters.
    #[schemars(length(min = 1, max = 128))]
    pub key_field: String,
    /// How long after a call could last have left before a look-up is believed, in seconds: commits and indexes lag. 0 to 3600; 5
    /// when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3_600))]
    pub settle_seconds: Option<u32>,
    /// JSON pointer, in the response, to what says that there is more than was answered, for example `/has_more`: anything but null, false
    /// and an empty text. The record is then not believed to be absent; it waits. What is answered is everything when it is left out. At most
    /// 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub more: Option<String>,
    /// JSON pointer, within the response or the one member of a list in it that was found, to where the record's fields stand that are
    /// compared with the mapped body, for example `/properties`. They stand at its top when it is left out. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub record: Option<String>,
    /// JSON pointer, within the same, to the identifier the system gave the record. The operation's identifier.pointer when it is left out. At
    /// most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub identifier: Option<String>,
    /// What shows that the write took effect. When it is left out, Presence for POST and Fields for other methods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<LookUpProof>,
}

/// What shows, of a record that was looked up, that a write took effect.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUpProof {
    /// The record is there: for calls that only create.
    Presence,
    /// It is there and has the fields that were written: for calls that may update what is there already.
    Fields,
}
