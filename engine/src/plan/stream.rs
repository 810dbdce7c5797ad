//! What is read: lists of records and single ones. Pointers are JSON pointers (RFC 6901).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::is_default;
use crate::template::{self, Template};

/// One list of records that is read. Pointers are JSON pointers (RFC 6901). In path, query and body stand the names of `page_names`, where
/// the stream uses them; every other brace is text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// How it is asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub method: ReadMethod,
    /// Path below the base URL, version filled in.
    pub path: String,
    /// Query parameters of a first page, version filled in.
    pub query: BTreeMap<String, String>,
    /// Request headers beside authentication, version filled in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Body of the request, version filled in: JSON, or a text that is sent as it is. Only with POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// Pointer to the list of records in the response; empty for the whole. A segment `*` goes through all items of a list.
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
    /// The stream for each record of which this one is read. Its cursor decides what is read, and this one has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Parent>>,
    /// Records that may be read along pages before reading begins again from the last value of the cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_cap: Option<u32>,
    /// What responses are written in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub format: Format,
}

/// The stream whose records are another one's parents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    /// The stream.
    pub stream: Stream,
    /// Pointer, within one of its records, to its key.
    pub key: String,
}

/// What responses are written in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// JSON.
    #[default]
    Json,
    /// One JSON value a line.
    JsonLines,
    /// Comma-separated values.
    Csv {
        /// What separates the values of a row: one ASCII character.
        delimiter: char,
        /// Names of the columns; the first row's if there are none.
        columns: Vec<String>,
    },
    /// XML.
    Xml,
}

/// How a list is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReadMethod {
    /// Without a body.
    #[default]
    Get,
    /// With one.
    Post,
}

/// Names in the texts of a stream's request.
pub mod page_names {
    /// The window's lower bound.
    pub const SINCE: &str = "since";
    /// The window's upper bound.
    pub const UNTIL: &str = "until";
    /// What leads to the page.
    pub const CURSOR: &str = "cursor";
    /// Records a page.
    pub const PAGE_SIZE: &str = "pageSize";
    /// All of them.
    pub const ALL: [&str; 4] = [SINCE, UNTIL, CURSOR, PAGE_SIZE];
    /// What the names of a parent's record begin with.
    pub const PARENT: &str = "parent.";
    /// The name of a parent's key.
    pub const PARENT_KEY: &str = "parent.key";
}

impl Stream {
    /// Whether a name stands in path, query or body.
    pub fn names(&self, name: &str) -> bool {
        let in_query = self.query.values().any(|value| template::mentions(value, name));
        let in_body = self.body.as_ref().is_some_and(|body| template::mentions_within(body, name));
        template::mentions(&self.path, name) || in_query || in_body
    }

    /// The stream whose cursor and pages lead through the source: the parent's, or itself.
    pub fn leading(&self) -> &Self {
        self.parent.as_ref().map_or(self, |parent| &parent.stream)
    }

    /// The names of a parent's record in path, query and body.
    pub fn parent_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = template::names(&self.path).collect();
        names.extend(self.query.values().flat_map(|value| template::names(value)));
        if let Some(body) = &self.body {
            template::names_within(body, &mut names);
        }
        names.retain(|name| name.starts_with(page_names::PARENT));
        names
    }

    /// Whether a worker that knows only the second format would read it wrong.
    pub(super) fn needs_third_format(&self) -> bool {
        self.method != ReadMethod::Get
            || !self.headers.is_empty()
            || self.records.split('/').any(|segment| segment == "*")
            || self.cursor.as_ref().is_some_and(Cursor::needs_third_format)
            || self.pagination.needs_third_format()
            || self.one.as_ref().is_some_and(|one| !one.into.is_empty())
            || self.depth_cap.is_some()
            || self.parent.is_some()
            || self.format != Format::Json
            || page_names::ALL.into_iter().any(|name| self.names(name))
    }
}

/// Name, in the templates of a single read, of the record's key.
pub const KEY: &str = "key";

/// How to read a single record of a stream; 404 and 410 mean that the source no longer has it, where `key` stands in the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadOne {
    /// Path below the base URL of a GET request, a template over `key`.
    pub path: Template,
    /// Query parameters of that request, templates over `key`.
    pub query: BTreeMap<String, Template>,
    /// Pointer to the record in the response; empty for the whole.
    pub record: String,
    /// Pointer to where it belongs in a record of the list; empty where both are the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub into: String,
}

/// How to ask only for what changed within a window. The bounds are query parameters, or stand as names in the stream's request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    /// Pointer, within a record, to the time it last changed, or to its counter.
    pub field: String,
    /// Query parameter for the lower bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// Query parameter for the upper bound, if the vendor has one.
    pub until_param: Option<String>,
    /// How far a window reaches back before the last one's end, in seconds.
    pub lookback_seconds: u32,
    /// How values are written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub format: CursorFormat,
    /// IANA time zone of dates and patterns; UTC without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// How far a window of counters reaches back.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lookback_count: u32,
    /// Longest span of one window, in seconds; up to the present without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u32>,
}

/// How the values of a cursor are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CursorFormat {
    /// A time (RFC 3339).
    #[default]
    Rfc3339,
    /// A day, `2026-07-01`.
    Date,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// A growing number.
    Counter,
    /// A time by a text of strftime.
    Pattern(String),
}

impl Cursor {
    /// Whether its values are counters and not times.
    pub fn counts(&self) -> bool {
        self.format == CursorFormat::Counter
    }

    fn needs_third_format(&self) -> bool {
        self.param.is_none() || self.format != CursorFormat::Rfc3339 || self.window_seconds.is_some()
    }
}

/// How to get the next page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pagination {
    /// There is one page only.
    #[default]
    None,
    /// `Link` header with `rel="next"` (RFC 8288).
    LinkHeader,
    /// A cursor in the body goes into the next request.
    Cursor(CursorPages),
    /// Positions counted in records; a page overlaps the one before by one record.
    Offset {
        /// Parameter of the position.
        param: String,
        /// Parameter of the page's size.
        limit_param: String,
        /// Records a page; at least 2.
        limit: u32,
    },
    /// Numbered pages, whose size is chosen so that a page overlaps the one before.
    Page {
        /// Parameter of the number.
        param: String,
        /// Number of the first page.
        first: u32,
        /// Parameter of the page's size.
        size_param: String,
        /// Records a page, at most; at least 20.
        size: u32,
        /// Whether the parameter takes the position of the page's first record instead of its number.
        #[serde(default, skip_serializing_if = "is_default")]
        in_records: bool,
    },
    /// A URL in the body.
    NextUrl {
        /// Pointer to the URL.
        pointer: String,
    },
    /// A URL in the body, the last of which leads to what changes from then on.
    DeltaLink {
        /// Pointer to the next page's URL.
        next: String,
        /// Pointer to the URL that the last page has.
        delta: String,
    },
}

/// A cursor in a page's body that leads to the next one. Exactly one of `pointer` and `last_record` is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CursorPages {
    /// Pointer to the cursor in the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Pointer, within the last record, to the cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_record: Option<String>,
    /// The query parameter; without one, the cursor stands as a name in the stream's request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// Pointer to what says whether there are more pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_more: Option<String>,
    /// Records a page, for the name of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
}

impl CursorPages {
    /// A cursor at a pointer of the response, for a query parameter.
    pub fn of(pointer: &str, param: &str) -> Self {
        Self { pointer: Some(pointer.to_owned()), param: Some(param.to_owned()), ..Self::default() }
    }
}

impl Pagination {
    /// The cursor that leads from page to page, where one does.
    pub fn cursor_pages(&self) -> Option<&CursorPages> {
        match self {
            Self::Cursor(pages) => Some(pages),
            Self::None
            | Self::LinkHeader
            | Self::Offset { .. }
            | Self::Page { .. }
            | Self::NextUrl { .. }
            | Self::DeltaLink { .. } => None,
        }
    }

    fn needs_third_format(&self) -> bool {
        match self {
            Self::None | Self::LinkHeader | Self::Offset { .. } | Self::NextUrl { .. } => false,
            Self::Cursor(pages) => pages.pointer.is_none() || pages.param.is_none() || pages.has_more.is_some(),
            Self::Page { .. } | Self::DeltaLink { .. } => true,
        }
    }
}
