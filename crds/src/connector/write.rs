//! How a write is made where one request by one method is not all: the body's shape, looking before writing, versions, tokens, jobs.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    operation::{OperationMethod, fields_schema},
    stream::{StreamMethod, Text},
};

/// Format of a request's body.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// JSON (RFC 8259).
    Json,
    /// A form (`application/x-www-form-urlencoded`), nested by brackets: `address[city]`, `items[0][price]`. Null and empty lists and objects are
    /// empty texts.
    Form,
    /// XML 1.0. Members are elements below xmlRoot, lists are elements of one name one after the other, `@name` is an attribute, `#text` the text
    /// beside attributes.
    Xml,
}

/// How a record is looked for before it is written. In path, query and body, `{apiVersion}` and `{body.FIELD}` are replaced. An empty list, or null, at
/// `record` means that there is none; an answer without either, and without a record, is a failure, and nothing is written. Status 404 means that there
/// is none where the path carries the record's key, as in `/orders/{body.number}` with the keyField `number`. Under any other path, such as a search's, 404
/// is a failure, and nothing is written.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Find {
    /// HTTP method. GET when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<StreamMethod>,
    /// Path below baseURL. At most 1024 characters.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: String,
    /// Query parameters. At most 16, names up to 128 and values up to 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 128 && self[name].size() <= 1024)").message("keep names in query to 128 characters and values to 1024"))]
    pub query: BTreeMap<String, Text>,
    /// Members of the request's body, of any type. None when left out. At most 16 and 4096 characters of JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "fields_schema")]
    pub body: BTreeMap<String, Value>,
    /// JSON pointer to the record, or to the list of records found, in the response, for example `/issues`. The whole response when it is left out.
    /// A response that lacks it is a failure. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^(/.*)?$"))]
    pub record: Option<String>,
    /// JSON pointer, within a record found, to what the system calls it, for example `/id`. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub identifier: String,
    /// JSON pointer, within a record found, to what must equal the mapped body's field of keyField. Records with another key are strangers: with
    /// none but strangers, or with several that have the key, nothing is written. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub key: String,
    /// Field of the mapped body that identifies the record, for example `externalId`; dots lead into it, as in `labels.0`. At most 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub key_field: String,
    /// JSON pointer, in the response, to what says that there is more than was answered, for example `/has_more`: anything but null, false and an
    /// empty text. The record is then not believed to be absent; the write waits. What is answered is everything when it is left out. At most 256
    /// characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub more: Option<String>,
    /// JSON pointer, within a record found, to the object that holds what was written, for example `/properties`. The operation's `wrap` when it is
    /// left out, and without one the record itself. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^(/.*)?$"))]
    pub compare: Option<String>,
    /// How long after a write a search shows it, in seconds. A write whose outcome is unknown is looked for that much later. 0 to 3600; 5 when left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3_600))]
    pub settle_seconds: Option<u32>,
}

/// The request that follows what `find` showed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.method != 'DELETE'").message("create and update write: set POST, PUT or PATCH"))]
pub struct Follow {
    /// HTTP method: POST, PUT or PATCH.
    pub method: OperationMethod,
    /// Path below baseURL, with the same replacements as the operation's path; `{identifier}` is what `find` showed. At most 1024 characters.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: String,
    /// Query parameters beside the operation's. At most 16, names up to 128 and values up to 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 128 && self[name].size() <= 1024)").message("keep names in query to 128 characters and values to 1024"))]
    pub query: BTreeMap<String, Text>,
    /// Constant members of this request's body beside the operation's `fields`. Of any type; none when left out. At most 16 and 4096 characters of
    /// JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "fields_schema")]
    pub fields: BTreeMap<String, Value>,
}

/// Writes only over the state that was looked at: the record's entity tag goes as `If-Match` (RFC 9110); where there is no record yet,
/// `If-None-Match: *` goes. When the system answers 412 the record is looked at again.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct IfMatch {
    /// JSON pointer, within the record that was found, to its entity tag, for example `/@odata.etag`. The response's header `ETag` when it is left
    /// out. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub pointer: Option<String>,
}

/// A write that is answered 202 and carried out later, as a job whose state can be read.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Asynchronous {
    /// Where the answer says under which URL the job is.
    pub location: Location,
    /// JSON pointer, in the job's state, to the word that says how far it is, for example `/status`. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub done: String,
    /// Words that say that it was applied. 1 to 16, each at most 63 characters; `"true"` stands for true.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub done_values: Vec<String>,
    /// Words that say that it failed and nothing was applied. 1 to 16, each at most 63 characters.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub failed_values: Vec<String>,
    /// JSON pointer, in the state of a job that is done, to what the system calls the record. None is known when it is left out. At most 256
    /// characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub identifier: Option<String>,
    /// How often the job is read, in seconds. 1 to 300; 2 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub every_seconds: Option<u32>,
    /// How long it is waited for, in seconds; then the write's outcome is unknown. A job must not be carried out later than `settleSeconds` of the
    /// look-up after that. 1 to 1800; 300 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_800))]
    pub timeout_seconds: Option<u32>,
}

/// Where an answer says under which URL something is: exactly one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.header) != has(self.pointer)").message("set exactly one of header and pointer under location"))]
pub struct Location {
    /// Name of a header, for example `Location`. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub header: Option<String>,
    /// JSON pointer into the body. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub pointer: Option<String>,
}

/// A token against forged requests that every write has to carry. It is fetched with its cookies before the first write, and anew when a write is
/// answered 403 with `Required` in the same header.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Csrf {
    /// Path below baseURL of the GET request that fetches it; `{apiVersion}` is replaced. At most 1024 characters.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: String,
    /// Name of the header that asks for the token, brings it and carries it. `X-CSRF-Token` when it is left out. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub header: Option<String>,
    /// What the header says to ask for a token. `Fetch` when it is left out. At most 63 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub fetch_value: Option<String>,
}
