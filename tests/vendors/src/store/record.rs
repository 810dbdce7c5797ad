//! One record: its id, where its vendor keeps what indexes need, and its text.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// A record's identifier. Numbers come before texts and are ordered as numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum RecordId {
    /// A whole number, however the vendor writes it.
    Number(u64),
    /// Anything else.
    Text(Arc<str>),
}

impl RecordId {
    /// The smallest of all.
    pub(crate) const MIN: Self = Self::Number(0);

    /// Reads an id as it stands in a path or in a JSON string. `007` is a text: it is not how `7` is written.
    pub(crate) fn parse(text: &str) -> Self {
        match text.parse::<u64>() {
            Ok(number) if number.to_string() == text => Self::Number(number),
            _ => Self::Text(text.into()),
        }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Text(text) => text.fmt(formatter),
        }
    }
}

/// Where a collection's records keep what the indexes need. Times are RFC 3339 strings with an offset, or whole
/// seconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// The field that holds the id.
    pub(crate) id_field: &'static str,
    /// Whether a numeric id is written as a JSON number.
    pub(crate) numeric_id: bool,
    /// The field that holds the creation time.
    pub(crate) created_field: Option<&'static str>,
    /// The field that holds the time of the last change.
    pub(crate) updated_field: Option<&'static str>,
    /// The field that holds the client's own key, unique within the collection.
    pub(crate) external_field: Option<&'static str>,
    /// Facts that filters need without parsing the record; the meaning of the bits is the vendor's.
    pub(crate) flags: fn(&Value) -> u8,
}

/// One record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Its JSON text.
    pub(crate) text: Arc<str>,
    /// Microseconds since the epoch; 0 when the layout has no such field or it holds no time.
    pub(crate) created: i64,
    /// Microseconds since the epoch; 0 when the layout has no such field or it holds no time.
    pub(crate) updated: i64,
    /// The client's own key.
    pub(crate) external: Option<Arc<str>>,
    /// See [`Layout::flags`].
    pub(crate) flags: u8,
}

impl Record {
    /// The record as a value.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// What a listing is sorted by; ties are broken by the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// By id.
    Id,
    /// By creation time, then id.
    Created,
    /// By the time of the last change, then id.
    Updated,
}

/// A place in a sorted listing: the sorted value (0 for [`Sort::Id`]) and the id.
pub(crate) type Place = (i64, RecordId);
