//! What can be read from a system: streams of records, and single ones. Cursors and pagination have files of their own.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{cursor::Cursor, pagination::Pagination};

/// One list of records that can be read. In path, query and body, `{apiVersion}` is replaced, and where the cursor says so `{since}`,
/// `{until}`, `{cursor}` and `{pageSize}`; in headers `{apiVersion}`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Name that Integrations use, for example `orders`. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z][A-Za-z0-9_-]*$"))]
    pub name: String,

    /// HTTP method: GET or POST; GET when left out. Reading by POST must change nothing at the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<StreamMethod>,

    /// Path below baseURL, for example `/admin/api/{apiVersion}/orders.json`. Needed unless the preset has a stream of this name. At most
    /// 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: Option<String>,

    /// Query parameters of the first page's request, and of every page's unless the system gives the next page's URL. At most 32, names up
    /// to 128 and values up to 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 128 && self[name].size() <= 1024)").message("keep names in query to 128 characters and values to 1024"))]
    pub query: BTreeMap<String, Text>,

    /// Request headers beside those of auth, also of single reads. `Accept` is application/json, and with a body `Content-Type` too, unless
    /// they are set here. At most 16, names up to 128 and values up to 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 128 && self[name].size() <= 1024)").message("keep names in headers to 128 characters and values to 1024"))]
    pub headers: BTreeMap<String, Text>,

    /// Body of a POST request, sent as JSON; every text in it is a template. A text is sent as it is. At most 16384 characters of JSON. None
    /// when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_schema")]
    pub body: Option<Value>,

    /// What responses are written in: Json when left out. Bodies packed by gzip are unpacked, whether the response says so or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<StreamFormat>,

    /// How CSV is written, where format is Csv.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<Csv>,

    /// JSON pointer (RFC 6901) to the list of records in the response, for example `/orders`. The whole response is the list when it is
    /// empty. A `*` goes through all items of a list, for example `/data/orders/edges/*/node`. At most 256 characters.
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

    /// Read once for each record of another stream that changed, for example the refunds of each order. Path, query and body then name what
    /// they need of that record: `{parent.key}`, and `{parent.FIELD}` for a field of it, with dots for one within another. The cursor stands
    /// on the parent's stream and not here. Read by itself when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentStream>,

    /// How to ask only for what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,

    /// How to get the next page. One page holds everything when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
}

/// HTTP method of a read (RFC 9110): GET when left out. Reading by POST must change nothing at the system.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamMethod {
    /// Without a body.
    #[serde(rename = "GET")]
    Get,
    /// With a body, as searches and GraphQL want it.
    #[serde(rename = "POST")]
    Post,
}

/// What responses are written in: Json when left out. Whatever it is, records are JSON afterwards, and pointers lead into that. Bodies packed
/// by gzip are unpacked, whether the response says so or not.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum StreamFormat {
    /// JSON (RFC 8259).
    #[default]
    Json,
    /// One JSON value a line; the response is the list of them.
    JsonLines,
    /// Comma-separated values (RFC 4180); the response is the list of rows, each an object of texts.
    Csv,
    /// XML. An element is an object of its children and of its attributes, whose names begin with `@`; one that holds only text is that text,
    /// and one that says that it is nil is null. Children of the same name are a list; where `records` leads to a list, a single one is one
    /// too. Prefixes of namespaces are left out, and so are document types: a response that has one is not read.
    Xml,
}

/// How CSV is written.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Csv {
    /// What separates the values of a row: one ASCII character, for example `;`. A comma when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1))]
    pub delimiter: Option<String>,
    /// Names of the columns, where the first row does not have them. At most 256, each at most 128 characters. The first row's when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 128)))]
    pub columns: Vec<String>,
}

/// A value of any type.
fn any_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// The stream whose records are another one's parents.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ParentStream {
    /// Name of the stream, of this Connector; it has no parent itself. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub stream: String,
    /// JSON pointer, within a record of that stream, to what `{parent.key}` stands for. That stream's own key when left out. At most 256
    /// characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub key: Option<String>,
}

/// How to read a single record of a stream by its key.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.path.contains('{key}') || (has(self.query) && self.query.exists(name, self.query[name].contains('{key}')))").message("put {key} into the path or the query of one, for example /orders/{key}.json"))]
pub struct ReadOne {
    /// Path below baseURL of a GET request; `{key}` is replaced by the record's key, percent-encoded, and `{apiVersion}` by the API
    /// version. Status 404 and 410 mean that the source no longer has the record, where `{key}` stands in the path itself; with `{key}` in the
    /// query alone they are a failure. At most 1024 characters.
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
    /// JSON pointer to where the record belongs in one of the list, where the list has it in an envelope. A list of events is an example, whose
    /// `/data/object` is the record as it was: the record that is read stands there too, so that `key` and mappings find it, and the rest of the
    /// envelope is missing. It is a record as the list has them when this is left out. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub into: Option<String>,
}

/// A short text, at most 1024 characters.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct Text(#[schemars(length(max = 1024))] pub String);
