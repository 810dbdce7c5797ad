//! The values of a cursor: times or counters, how they are read in records and written in requests. Where a format cannot say a value whole,
//! a lower bound becomes earlier and an upper bound later, so that no record falls between two windows.

use jiff::{SignedDuration, Timestamp, civil, fmt::strtime, tz::AmbiguousOffset, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{Cursor, CursorFormat};

/// A value of a cursor. Only values of the same kind can be compared with sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CursorValue {
    /// A time by the source's clock.
    Time(Timestamp),
    /// A growing number of the source.
    Counter(i64),
}

impl From<Timestamp> for CursorValue {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

impl CursorValue {
    /// The time, if it is one.
    pub fn time(self) -> Option<Timestamp> {
        match self {
            Self::Time(time) => Some(time),
            Self::Counter(_) => None,
        }
    }

    /// The counter, if it is one.
    pub fn counter(self) -> Option<i64> {
        match self {
            Self::Counter(counter) => Some(counter),
            Self::Time(_) => None,
        }
    }
}

/// What a format cannot say is rounded to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounded {
    Down,
    Up,
}

/// Why a pattern or a time zone cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorProblem {
    /// No such zone.
    #[error("there is no time zone `{0}`: write an IANA name such as Europe/Berlin")]
    Zone(String),
    /// Nothing that strftime and strptime take.
    #[error("the pattern cannot be used: {0}; write one such as %Y-%m-%d %H:%M:%S")]
    Pattern(String),
    /// Times cannot be told from what it writes.
    #[error("the pattern does not write at least year, month and day, so that times cannot be told from it")]
    Vague,
}

impl Cursor {
    /// A window's lower bound as it is written in a request; none for a value of another kind.
    pub fn lower(&self, value: CursorValue) -> Option<String> {
        self.written(value, Rounded::Down)
    }

    /// A window's upper bound as it is written in a request; none for a value of another kind.
    pub fn upper(&self, value: CursorValue) -> Option<String> {
        self.written(value, Rounded::Up)
    }

    /// The earliest bound there is, for requests that cannot be made without one: the beginning of 1970, or the counter 0.
    pub fn earliest(&self) -> String {
        let earliest = if self.counts() { CursorValue::Counter(0) } else { CursorValue::Time(Timestamp::UNIX_EPOCH) };
        self.lower(earliest).unwrap_or_default()
    }

    /// The value that a record has in the cursor's field.
    pub fn of(&self, record: &Value) -> Option<CursorValue> {
        self.read(record.pointer(&self.field)?)
    }

    /// Reads a value as the format writes it. Systems that ask for numbers may still write RFC 3339 into their records.
    pub fn read(&self, value: &Value) -> Option<CursorValue> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        match &self.format {
            CursorFormat::Rfc3339 => time(&text).map(CursorValue::Time),
            CursorFormat::Date => {
                let day = text.parse::<civil::Date>().ok()?.to_zoned(self.zone().ok()?).ok()?;
                Some(CursorValue::Time(day.timestamp()))
            }
            CursorFormat::EpochSeconds => seconds(&text).or_else(|| time(&text)).map(CursorValue::Time),
            CursorFormat::EpochMillis => {
                let millis = text.parse().ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
                millis.or_else(|| time(&text)).map(CursorValue::Time)
            }
            CursorFormat::Counter => text.parse().ok().map(CursorValue::Counter),
            CursorFormat::Pattern(pattern) => self.parse(pattern, &text).map(CursorValue::Time),
        }
    }

    /// Whether pattern and time zone can be used.
    ///
    /// # Errors
    /// [`CursorProblem`].
    pub fn check(&self) -> Result<(), CursorProblem> {
        let zone = self.zone()?;
        let CursorFormat::Pattern(pattern) = &self.format else { return Ok(()) };
        // Far from any day on which clocks are set forward or back.
        for sample in [1_768_478_455, 1_784_116_795] {
            let sample = Timestamp::from_second(sample).unwrap_or_default();
            let text = strtime::format(pattern, &sample.to_zoned(zone.clone()));
            let text = text.map_err(|error| CursorProblem::Pattern(error.to_string()))?;
            let read = self.parse(pattern, &text).ok_or(CursorProblem::Vague)?;
            if read > sample || sample.duration_since(read) >= SignedDuration::from_hours(24) {
                return Err(CursorProblem::Vague);
            }
        }
        Ok(())
    }

    fn zone(&self) -> Result<TimeZone, CursorProblem> {
        let Some(name) = &self.time_zone else { return Ok(TimeZone::UTC) };
        TimeZone::get(name).map_err(|_| CursorProblem::Zone(name.clone()))
    }

    fn written(&self, value: CursorValue, rounded: Rounded) -> Option<String> {
        let time = match (value, self.counts()) {
            (CursorValue::Counter(counter), true) => return Some(counter.to_string()),
            (CursorValue::Time(time), false) => time,
            (CursorValue::Counter(_), false) | (CursorValue::Time(_), true) => return None,
        };
        match &self.format {
            CursorFormat::Rfc3339 => Some(if rounded == Rounded::Down { floor(time, 1) } else { time }.to_string()),
            CursorFormat::EpochSeconds => Some(whole(time, 1_000_000_000, rounded).to_string()),
            CursorFormat::EpochMillis => Some(whole(time, 1_000_000, rounded).to_string()),
            CursorFormat::Date => {
                let local = time.to_zoned(self.zone().ok()?);
                let begins = local.start_of_day().ok()?.timestamp() == time;
                let day = local.date();
                Some(if rounded == Rounded::Up && !begins { day.tomorrow().ok()? } else { day }.to_string())
            }
            CursorFormat::Pattern(pattern) => {
                // What is cut off an upper bound is within the next window, whose lower bound is cut in the same way.
                let local = unambiguous(time, &self.zone().ok()?, rounded)?.to_zoned(self.zone().ok()?);
                strtime::format(pattern, &local).ok()
            }
            CursorFormat::Counter => None,
        }
    }

    fn parse(&self, pattern: &str, text: &str) -> Option<Timestamp> {
        let parts = strtime::parse(pattern, text).ok()?;
        if let Ok(time) = parts.to_timestamp() {
            return Some(time);
        }
        let local = parts.to_datetime().or_else(|_| parts.to_date().map(civil::DateTime::from)).ok()?;
        Some(local.to_zoned(self.zone().ok()?).ok()?.timestamp())
    }
}

/// A time as vendors write it who keep to RFC 3339, or to OData 2: `/Date(1782896400000)/`.
pub fn time(text: &str) -> Option<Timestamp> {
    let Some(inner) = text.strip_prefix("/Date(").and_then(|text| text.strip_suffix(")/")) else {
        return text.parse().ok();
    };
    // An offset that follows says how to show it and changes nothing.
    let end = inner.char_indices().skip(1).find(|(_, letter)| matches!(letter, '+' | '-')).map(|(at, _)| at);
    Timestamp::from_millisecond(inner[..end.unwrap_or(inner.len())].parse().ok()?).ok()
}

/// Seconds since 1970, with or without a fraction.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanoseconds: i32 =
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok()? } else { return None };
    Timestamp::new(whole.parse().ok()?, nanoseconds).ok()
}

fn floor(time: Timestamp, seconds: i64) -> Timestamp {
    let whole = time.as_nanosecond().div_euclid(i128::from(seconds) * 1_000_000_000);
    i64::try_from(whole).ok().and_then(|whole| Timestamp::from_second(whole * seconds).ok()).unwrap_or(time)
}

fn whole(time: Timestamp, unit: i128, rounded: Rounded) -> i128 {
    let nanoseconds = time.as_nanosecond();
    match rounded {
        Rounded::Down => nanoseconds.div_euclid(unit),
        Rounded::Up => -(-nanoseconds).div_euclid(unit),
    }
}

/// A time whose local text means one instant only. Where clocks are set back an hour comes twice, and a vendor may take a text for either:
/// a lower bound is moved to before that hour, an upper bound to behind it.
fn unambiguous(time: Timestamp, zone: &TimeZone, rounded: Rounded) -> Option<Timestamp> {
    let mut time = time;
    let step = SignedDuration::from_mins(if rounded == Rounded::Down { -30 } else { 30 });
    // No zone sets its clocks back by more than a day.
    for _ in 0..49 {
        let local = zone.to_datetime(time);
        if !matches!(zone.to_ambiguous_timestamp(local).offset(), AmbiguousOffset::Fold { .. }) {
            return Some(time);
        }
        time = time.checked_add(step).ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cursor(format: CursorFormat, zone: Option<&str>) -> Cursor {
        Cursor { field: "/at".into(), format, time_zone: zone.map(str::to_owned), ..Cursor::default() }
    }

    fn pattern(text: &str, zone: Option<&str>) -> Cursor {
        cursor(CursorFormat::Pattern(text.into()), zone)
    }

    fn at(text: &str) -> CursorValue {
        CursorValue::Time(text.parse().unwrap())
    }

    #[test]
    fn a_lower_bound_is_rounded_down_and_an_upper_bound_up() {
        let time = at("2026-07-01T09:00:00.0015Z");
        for (cursor, lower, upper) in [
            (cursor(CursorFormat::Rfc3339, None), "2026-07-01T09:00:00Z", "2026-07-01T09:00:00.0015Z"),
            (cursor(CursorFormat::Date, None), "2026-07-01", "2026-07-02"),
            (cursor(CursorFormat::EpochSeconds, None), "1782896400", "1782896401"),
            (cursor(CursorFormat::EpochMillis, None), "1782896400001", "1782896400002"),
            (pattern("%d/%m/%Y %H:%M", Some("Asia/Tokyo")), "01/07/2026 18:00", "01/07/2026 18:00"),
        ] {
            assert_eq!((cursor.lower(time).as_deref(), cursor.upper(time).as_deref()), (Some(lower), Some(upper)));
        }
        let whole = at("2026-07-01T00:00:00Z");
        for format in [CursorFormat::Date, CursorFormat::EpochSeconds, CursorFormat::EpochMillis] {
            let cursor = cursor(format, None);
            assert_eq!(cursor.lower(whole), cursor.upper(whole), "what can be said whole is not rounded");
        }
        let counter = cursor(CursorFormat::Counter, None);
        assert_eq!(counter.lower(CursorValue::Counter(7)).as_deref(), Some("7"));
        assert_eq!(
            (counter.lower(time), cursor(CursorFormat::Date, None).lower(CursorValue::Counter(7))),
            (None, None)
        );
    }

    #[test]
    fn a_day_is_a_day_of_its_zone() {
        let late = at("2026-07-01T02:00:00Z");
        assert_eq!(cursor(CursorFormat::Date, Some("America/New_York")).lower(late).as_deref(), Some("2026-06-30"));
    }

    #[test]
    fn a_bound_within_the_hour_that_comes_twice_is_moved_out_of_it() {
        let cursor = pattern("%Y-%m-%d %H:%M", Some("America/New_York"));
        // Clocks go from 02:00 EDT (06:00Z) back to 01:00 EST.
        for within in ["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"] {
            assert_eq!(cursor.lower(at(within)).as_deref(), Some("2026-11-01 00:30"), "{within}");
            assert_eq!(cursor.upper(at(within)).as_deref(), Some("2026-11-01 02:00"), "{within}");
        }
        assert_eq!(cursor.lower(at("2026-11-01T07:30:00Z")).as_deref(), Some("2026-11-01 02:30"));
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let nine = at("2026-07-01T09:00:00Z");
        for (cursor, value, read) in [
            (cursor(CursorFormat::Rfc3339, None), json!("2026-07-01T11:00:00.000+0200"), Some(nine)),
            (cursor(CursorFormat::Rfc3339, None), json!("/Date(1782896400000+0060)/"), Some(nine)),
            (cursor(CursorFormat::EpochMillis, None), json!("2026-07-01T09:00:00Z"), Some(nine)),
            (cursor(CursorFormat::EpochSeconds, None), json!("2026-07-01T09:00:00Z"), Some(nine)),
            (cursor(CursorFormat::Date, None), json!("2026-07-01"), Some(at("2026-07-01T00:00:00Z"))),
            (cursor(CursorFormat::EpochSeconds, None), json!(1_782_896_400), Some(nine)),
            (
                cursor(CursorFormat::EpochSeconds, None),
                json!("1782896400.000216"),
                Some(at("2026-07-01T09:00:00.000216Z")),
            ),
            (cursor(CursorFormat::EpochMillis, None), json!("1782896400000"), Some(nine)),
            (cursor(CursorFormat::Counter, None), json!("12"), Some(CursorValue::Counter(12))),
            (pattern("%m/%d/%Y %I:%M %p", Some("Europe/Berlin")), json!("07/01/2026 11:00 AM"), Some(nine)),
            (cursor(CursorFormat::Rfc3339, None), json!("soon"), None),
            (cursor(CursorFormat::EpochSeconds, None), json!("1.x"), None),
            (cursor(CursorFormat::Counter, None), json!(1.5), None),
            (cursor(CursorFormat::Counter, None), json!(null), None),
        ] {
            assert_eq!(cursor.of(&json!({"at": value})), read, "{value}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_tell_times_and_a_zone_that_is_none_are_found() {
        assert_eq!(pattern("%Y-%m-%dT%H:%M:%S", Some("Europe/Berlin")).check(), Ok(()));
        assert_eq!(pattern("%Y%m%d", None).check(), Ok(()));
        assert!(matches!(pattern("%H:%M", None).check(), Err(CursorProblem::Vague)));
        assert!(matches!(pattern("%Y-%Ö", None).check(), Err(CursorProblem::Pattern(_))));
        assert!(matches!(cursor(CursorFormat::Date, Some("Mars/Olympus")).check(), Err(CursorProblem::Zone(_))));
    }

    #[test]
    fn values_are_stored_as_a_time_or_a_number() {
        for (value, text) in
            [(at("2026-07-01T09:00:00Z"), r#""2026-07-01T09:00:00Z""#), (CursorValue::Counter(-3), "-3")]
        {
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
            assert_eq!(serde_json::from_str::<CursorValue>(text).unwrap(), value);
        }
    }
}
