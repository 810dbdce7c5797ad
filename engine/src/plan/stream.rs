//! What is read: lists of records and single ones. Pointers are JSON pointers (RFC 6901).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::template::Template;

/// One list of records that is read. Pointers are JSON pointers (RFC 6901).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Path below the base URL, version filled in.
    pub path: String,
    /// Query parameters of a first page, version filled in.
    pub query: BTreeMap<String, String>,
    /// Pointer to the list of records in the response; empty for the whole.
    pub records: String,
    /// Pointer to a record's key.
    pub key: String,
    /// Pointer to a record's version. None only where `one` is there: every record read is then a hint, and what is delivered is fetched
    /// anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Pointer to what says that a record was deleted at its source: there, and neither null nor false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<String>,
    /// How to read a single record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one: Option<ReadOne>,
    /// How to ask only for what changed. Without one, every read reads everything.
    pub cursor: Option<Cursor>,
    /// How to get the next page.
    pub pagination: Pagination,
}

/// Name, in the templates of a single read, of the record's key.
pub const KEY: &str = "key";

/// How to read a single record of a stream; 404 and 410 mean that the source no longer has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadOne {
    /// Path below the base URL of a GET request, a template over `key`.
    pub path: Template,
    /// Query parameters of that request, templates over `key`.
    pub query: BTreeMap<String, Template>,
    /// Pointer to the record in the response; empty for the whole.
    pub record: String,
}

/// How to ask only for what changed within a window of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    /// Pointer, within a record, to the time it last changed.
    pub field: String,
    /// Query parameter for the lower bound.
    pub param: String,
    /// Query parameter for the upper bound, if the vendor has one.
    pub until_param: Option<String>,
    /// How far a window reaches back before the last one's end, in seconds.
    pub lookback_seconds: u32,
}

/// How to get the next page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pagination {
    /// There is one page only.
    None,
    /// `Link` header with `rel="next"` (RFC 8288).
    LinkHeader,
    /// A cursor in the body goes into a query parameter.
    Cursor {
        /// Pointer to the cursor.
        pointer: String,
        /// The parameter.
        param: String,
    },
    /// Positions counted in records; a page overlaps the one before by one record.
    Offset {
        /// Parameter of the position.
        param: String,
        /// Parameter of the page's size.
        limit_param: String,
        /// Records a page; at least 2.
        limit: u32,
    },
    /// A URL in the body.
    NextUrl {
        /// Pointer to the URL.
        pointer: String,
    },
}
