//! A record's version: the source's own order of its states. Times and counters are understood; anything else is a fault of the record,
//! because guessing an order could overwrite newer data with older.

use crate::{
    plan::Stream,
    window::{self, CursorValue},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A record's version. Only versions of the same kind can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Version {
    /// A time.
    Time(Timestamp),
    /// A counter.
    Counter(i64),
    /// None: the source does not order its records' states. What was read last, under the key's lock, is what counts.
    Unordered,
}

/// Text of [`Version::Unordered`].
const UNORDERED: &str = "unordered";

/// Why a value is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// There is nothing at the pointer.
    #[error(
        "the record has no version at `{pointer}`: point the stream's `version` at a time or a counter that every record has"
    )]
    Missing {
        /// The stream's pointer.
        pointer: String,
    },
    /// There is something else.
    #[error(
        "the record's version at `{pointer}` is neither an RFC 3339 time nor an integer: point the stream's `version` at one"
    )]
    NotOrdered {
        /// The stream's pointer.
        pointer: String,
    },
}

impl Version {
    /// Reads the version at a JSON pointer of a record.
    ///
    /// # Errors
    /// [`VersionError`].
    pub fn of(record: &Value, pointer: &str) -> Result<Self, VersionError> {
        let not_ordered = || VersionError::NotOrdered { pointer: pointer.to_owned() };
        match record.pointer(pointer) {
            None | Some(Value::Null) => Err(VersionError::Missing { pointer: pointer.to_owned() }),
            Some(Value::String(text)) => {
                Self::parse(text).filter(|version| *version != Self::Unordered).ok_or_else(not_ordered)
            }
            Some(Value::Number(number)) => number.as_i64().map(Self::Counter).ok_or_else(not_ordered),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => Err(not_ordered()),
        }
    }

    /// Reads the version of a stream's record. Where the cursor points to the same field, what is no version by itself is read by its format.
    ///
    /// # Errors
    /// [`VersionError`].
    pub fn in_stream(record: &Value, stream: &Stream) -> Result<Self, VersionError> {
        let Some(pointer) = &stream.version else { return Ok(Self::Unordered) };
        let cursor = stream.cursor.as_ref().filter(|cursor| cursor.field == *pointer);
        Self::of(record, pointer).or_else(|error| match cursor.and_then(|cursor| cursor.of(record)) {
            Some(CursorValue::Time(time)) => Ok(Self::Time(time)),
            Some(CursorValue::Counter(counter)) => Ok(Self::Counter(counter)),
            None => Err(error),
        })
    }

    /// Reads a version from text: a decimal counter, an RFC 3339 time, or the word for none. The inverse of `Display`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == UNORDERED {
            return Some(Self::Unordered);
        }
        text.parse().map(Self::Counter).ok().or_else(|| window::time(text).map(Self::Time))
    }

    /// The order of two versions; none between a time and a counter. One without an order is neither older nor newer than any.
    pub fn compare(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Time(ours), Self::Time(theirs)) => Some(ours.cmp(theirs)),
            (Self::Counter(ours), Self::Counter(theirs)) => Some(ours.cmp(theirs)),
            (Self::Unordered, _) | (_, Self::Unordered) => Some(std::cmp::Ordering::Equal),
            (Self::Time(_), Self::Counter(_)) | (Self::Counter(_), Self::Time(_)) => None,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Time(time) => write!(formatter, "{time}"),
            Self::Counter(counter) => write!(formatter, "{counter}"),
            Self::Unordered => formatter.write_str(UNORDERED),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use serde_json::json;

    use super::*;

    fn of(value: &Value) -> Result<Version, VersionError> {
        Version::of(&json!({ "v": value }), "/v")
    }

    #[test]
    fn times_are_compared_as_times_and_not_as_text() {
        let berlin = of(&json!("2026-07-01T10:00:00+02:00")).unwrap();
        let utc = of(&json!("2026-07-01T09:00:00Z")).unwrap();
        assert_eq!(berlin.compare(&utc), Some(Ordering::Less));
    }

    #[test]
    fn counters_are_compared_as_numbers_and_not_as_text() {
        assert_eq!(of(&json!("9")).unwrap().compare(&of(&json!(10)).unwrap()), Some(Ordering::Less));
    }

    #[test]
    fn a_version_in_the_cursors_field_is_read_by_the_cursors_format() {
        let format = crate::plan::CursorFormat::Pattern("%d.%m.%Y %H:%M".into());
        let cursor = crate::plan::Cursor { field: "/v".into(), format, ..crate::plan::Cursor::default() };
        let stream = Stream { version: Some("/v".into()), cursor: Some(cursor), ..Stream::default() };
        let read = |value: Value| Version::in_stream(&json!({ "v": value }), &stream);
        assert_eq!(read(json!("01.07.2026 09:00")), Ok(Version::Time("2026-07-01T09:00:00Z".parse().unwrap())));
        assert_eq!(read(json!(5)), Ok(Version::Counter(5)));
        assert!(matches!(read(json!("soon")), Err(VersionError::NotOrdered { .. })));
        let elsewhere = Stream { version: Some("/w".into()), ..stream.clone() };
        assert!(matches!(
            Version::in_stream(&json!({"w": "01.07.2026 09:00"}), &elsewhere),
            Err(VersionError::NotOrdered { .. })
        ));
    }

    #[test]
    fn what_has_no_order_is_refused() {
        assert!(matches!(of(&json!("soon")), Err(VersionError::NotOrdered { .. })));
        assert!(matches!(of(&json!(1.5)), Err(VersionError::NotOrdered { .. })));
        assert!(matches!(of(&Value::Null), Err(VersionError::Missing { .. })));
        let (time, counter) = (of(&json!("2026-07-01T09:00:00Z")).unwrap(), of(&json!(1)).unwrap());
        assert_eq!(time.compare(&counter), None);
    }

    #[test]
    fn a_version_survives_being_stored_as_text() {
        for version in [of(&json!("2026-07-01T09:00:00.123Z")).unwrap(), of(&json!(-3)).unwrap()] {
            assert_eq!(Version::parse(&version.to_string()), Some(version));
        }
    }
}
