//! What is written: single records and batches of them, and how the outcome of a call is known. Pointers are JSON pointers (RFC 6901).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Find, IfMatch, Job, KEY, Ownership, Shape, is_default};
use crate::{inlay, template::Template};

/// Name, in an operation's templates, of what the vendor called the record.
pub const IDENTIFIER: &str = "identifier";

/// One kind of write. Paths and queries are templates over `body.FIELD`, a field of the mapped body, and `identifier`, what the vendor
/// called the record when it was written before; the version is filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// HTTP method, upper case.
    pub method: Method,
    /// Path below the base URL.
    pub path: Template,
    /// Query parameters.
    pub query: BTreeMap<String, Template>,
    /// Request headers beside authentication.
    pub headers: BTreeMap<String, String>,
    /// Top-level fields of the mapped body that a single write leaves out of the request's body, because they stand in the path. A batch
    /// carries them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub omit: Vec<String>,
    /// Fields of the mapped body that only the write which makes a record carries.
    #[serde(default, skip_serializing_if = "Ownership::is_empty")]
    pub ownership: Ownership,
    /// Whether it writes only records that are there, and how it is known which are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_there: Option<KnownBy>,
    /// How a single write's body is made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shape: Shape,
    /// How a record is looked for before it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub find: Option<Find>,
    /// Whether it writes only over the state that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<IfMatch>,
    /// How an answer with status 202 is followed to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// Where the response holds the record's identifier.
    pub identifier: Option<Identifier>,
    /// How it is known whether a call took effect.
    pub outcome: Outcome,
    /// How several records are written by one call, where the vendor takes that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
}

/// How it is known whether the destination has a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KnownBy {
    /// It is looked up, by the look-up of the operation's outcome, before each write is stored.
    LookUp,
    /// The operation looks before each write by itself.
    Itself,
    /// A write of one that is not there makes none and is answered 404 or 410, under a path [of the record's own](is_of_one_record).
    Answer,
}

/// How several records are written by one call. The operation's headers and its idempotency header go with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Records that one call takes, at most; at least 2.
    pub max_records: u32,
    /// HTTP method; not DELETE, because the records are the request's body.
    pub method: Method,
    /// Path below the base URL.
    pub path: String,
    /// Query parameters.
    pub query: BTreeMap<String, String>,
    /// Pointer to where the list of bodies goes in the request; empty when the request is the list.
    pub records: String,
    /// Other members of the request's top level, the same in every call, for example `allOrNone: false`.
    pub fields: BTreeMap<String, Value>,
    /// Members of each record beside its mapped body, the same in every one, for example `attributes: {type: Account}`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub record_fields: Map<String, Value>,
    /// Pointer to where each body goes in its item of the list; empty when it is the item.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub record_wrap: String,
    /// Where the response says what came of each record. Without it a 2xx means that all were applied.
    pub results: Option<BatchResults>,
}

/// Where the response to a batch says what came of each record. The results stand in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResults {
    /// Pointer to the list of results; empty for the whole response.
    pub records: String,
    /// Pointer, within a result, to what says that it was applied: `true`, or a status from 200 to 299. Without it being in the list says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<String>,
    /// Pointer, within a result, to the record's key; results are in the request's order without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ResultKey>,
    /// A list of its own for what was refused; only with `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedRows>,
    /// Pointer, within a result, to the identifier the vendor gave the record.
    pub identifier: Option<String>,
    /// Pointer, within a result, to what was wrong.
    pub error: Option<String>,
}

/// How a result is matched to its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultKey {
    /// Pointer, within a result, to the key.
    pub pointer: String,
    /// Top-level field of the body that it equals.
    pub field: String,
}

/// Where a response lists the records of a batch that were refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedRows {
    /// Pointer to the list.
    pub records: String,
    /// Pointer, within a result, to the record's key or a list of keys.
    pub key: String,
    /// Pointer, within a result, to its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// HTTP method of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// RFC 9110.
    Post,
    /// RFC 9110.
    Put,
    /// RFC 5789.
    Patch,
    /// RFC 9110. Sent without a body.
    Delete,
}

/// Where a response holds a record's identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Identifier {
    /// A pointer into the body.
    Pointer(String),
    /// A header whose last path segment it is.
    Header(String),
}

/// How it is known whether a call took effect. Both, either or neither.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// A header that makes resending safe for a while.
    pub idempotency: Option<Idempotency>,
    /// A way to read the record back.
    pub lookup: Option<LookUp>,
}

/// A header that makes resending safe for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Idempotency {
    /// Name of the header.
    pub header: String,
    /// How long the vendor remembers a key, in seconds.
    pub window_seconds: u32,
}

/// A way to read a record back.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LookUp {
    /// Path below the base URL of a GET request. 404 means absent where it is [its record's own](LookUp::is_of_its_record), and nowhere else.
    pub path: Template,
    /// Query parameters of that request.
    pub query: BTreeMap<String, Template>,
    /// Pointer, in the response, to what must equal the body's `key_field`; `*` as a segment searches all members of a list.
    pub key: String,
    /// Field of the body that identifies the record; dots lead into it.
    pub key_field: String,
    /// Seconds after a call could last have left before a look-up is believed.
    pub settle_seconds: u32,
    /// How the response is to be read, where it is not just the record.
    #[serde(default, skip_serializing_if = "is_default")]
    pub evidence: Evidence,
    /// The body of a POST request in place of a GET; texts may name `body.FIELD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Map<String, Value>>,
    /// Pointer to the record, or the list of those found, in the response; `key` is then one within a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// Names, in the templates of a look-up, of a time a quarter of an hour before the write was decided: in RFC 3339, and in seconds since 1970.
pub const SINCE: &str = "since";
/// See [`SINCE`].
pub const SINCE_EPOCH: &str = "sinceEpoch";

/// How the response to a look-up is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Pointer to what says that there is more than was answered: absence is not proved then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<String>,
    /// Pointer, within what was found, to the fields that are compared with the body; its top without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Pointer, within what was found, to the identifier the vendor gave; the operation's without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// What shows that a write took effect; the method says it without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// What shows, of a record that was found, that a write took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// That it is there.
    Presence,
    /// That it has the fields that were written.
    Fields,
}

impl LookUp {
    /// Whether its path carries the record's key, or what the destination calls the record. Only then does 404 say that there is no such record: of a
    /// path that names something else of it, such as the room in `/rooms/{body.room}/posts`, it may say that this is missing, for every record in it.
    pub fn is_of_its_record(&self) -> bool {
        let is_its_own = |name: &str| name == IDENTIFIER || name.strip_prefix("body.") == Some(self.key_field.as_str());
        self.path.names_before_query().any(is_its_own)
    }

    /// Whether a worker that does not know all of this would read the answer wrong.
    fn needs_third_format(&self) -> bool {
        self.evidence != Evidence::default()
            || self.key.split('/').any(|segment| segment == "*")
            || self.key_field.contains('.')
            || self.body.is_some()
            || self.place.is_some()
    }
}

impl Operation {
    /// The names that its path and query want filled.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.path.names().chain(self.query.values().flat_map(Template::names))
    }

    /// Whether it looks for a record before it writes it.
    pub fn looks(&self) -> bool {
        self.find.is_some() || self.if_match.is_some()
    }

    /// Whether what is written rests on a look that was taken before it was stored, and is taken anew rather than sent late.
    pub fn is_looked_up_first(&self) -> bool {
        self.only_there == Some(KnownBy::LookUp)
    }

    /// The names that its constant members want filled.
    pub fn field_names(&self) -> Vec<String> {
        inlay::names(&Value::Object(self.shape.fields.clone()), &names_a_record)
    }

    pub(super) fn needs_third_format(&self) -> bool {
        let lookup = self.outcome.lookup.as_ref();
        self.shape != Shape::default()
            || self.find.is_some()
            || self.if_match.is_some()
            || self.job.is_some()
            || lookup.is_some_and(LookUp::needs_third_format)
    }
}

/// Whether a name stands for something of a record.
pub fn names_a_record(name: &str) -> bool {
    name == IDENTIFIER || name.starts_with("body.")
}

/// Whether a path names something of a record, so that it is another one for other records. Only then do 404 and 410 say that there is no such
/// record: of a path that is the same for all, such as a search's, they say that the path is wrong, or that its version is served no more.
pub fn is_of_one_record(path: &Template) -> bool {
    path.names_before_query().any(|name| name == KEY || names_a_record(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_ups_path_is_its_records_own_if_it_carries_its_key() {
        let is_its_own = |path: &str, key_field: &str| {
            let (path, key_field) = (Template::parse(path).unwrap(), key_field.to_owned());
            LookUp { path, key_field, ..LookUp::default() }.is_of_its_record()
        };
        for path in ["/orders/eid:{body.ext}", "/rooms/{body.room}/posts/{body.ext}", "/orders/{identifier}"] {
            assert!(is_its_own(path, "ext"), "{path}");
        }
        assert!(is_its_own("/posts/{body.meta.key}", "meta.key"));
        for path in
            ["/rooms/{body.room}/posts", "/rooms/{body.room}/posts?ext={body.ext}", "/search", "/x/{body.external}"]
        {
            assert!(!is_its_own(path, "ext"), "{path}");
        }
        assert!(!is_its_own("/posts/{body.meta}", "meta.key"));
    }

    #[test]
    fn a_path_is_one_records_own_if_it_names_something_of_it_before_its_query() {
        let is_of_one = |text: &str| is_of_one_record(&Template::parse(text).unwrap());
        for path in
            ["/orders/eid:{body.ext}", "/{body.channel}/find?ext={body.ext}", "/orders/{identifier}", "/x/{key}.json"]
        {
            assert!(is_of_one(path), "{path}");
        }
        for path in
            ["/search", "/search?ext={body.ext}", "/orders?id={key}", "/history/{since}", "/v{apiVersion}/{sinceEpoch}"]
        {
            assert!(!is_of_one(path), "{path}");
        }
    }
}
