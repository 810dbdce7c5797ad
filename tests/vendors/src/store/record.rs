//! One record: its id, where its vendor keeps what indexes need, and its text.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

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

/// Where a collection's records keep what the indexes need. A field is a name at the record's top, or a JSON pointer. Times are RFC 3339
/// texts with an offset, or seconds since 1970 as a number or a text.
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

/// What a record has at a field of its layout.
pub(crate) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { value.pointer(name) } else { value.get(name) }
}

/// Sets what a record has at a field of its layout; objects on the way are made.
pub(crate) fn set_field(value: &mut Value, name: &str, new: Value) {
    let mut place = value;
    for step in name.trim_start_matches('/').split('/') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[step];
    }
    *place = new;
}

/// A time in microseconds since 1970, in any of the forms that layouts allow.
pub(crate) fn micros(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().map(|seconds| seconds.saturating_mul(1_000_000)),
        Value::String(text) => {
            let time = text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond);
            time.or_else(|| {
                let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
                let fraction = format!("{fraction:0<6}");
                let micros = fraction.get(..6)?.parse::<i64>().ok()?;
                seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)
            })
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_read_however_a_vendor_writes_it() {
        for (written, read) in [
            (json!("2026-01-01T00:00:00Z"), Some(1_767_225_600_000_000)),
            (json!("2026-01-01T01:00:00.500+0100"), Some(1_767_225_600_500_000)),
            (json!(1_767_225_600), Some(1_767_225_600_000_000)),
            (json!("1767225600.000100"), Some(1_767_225_600_000_100)),
            (json!("1767225600"), Some(1_767_225_600_000_000)),
            (json!("soon"), None),
            (json!(null), None),
        ] {
            assert_eq!(micros(&written), read, "{written}");
        }
    }

    #[test]
    fn a_field_is_a_name_or_a_pointer() {
        let mut record = json!({"id": 1, "fields": {"updated": "a"}});
        set_field(&mut record, "/fields/updated", json!("b"));
        set_field(&mut record, "/properties/created", json!("c"));
        set_field(&mut record, "id", json!(2));
        assert_eq!(record, json!({"id": 2, "fields": {"updated": "b"}, "properties": {"created": "c"}}));
        assert_eq!(field(&record, "/fields/updated"), Some(&json!("b")));
    }
}
