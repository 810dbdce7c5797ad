//! Functions on times. Time zones come from the database that is built in, never from the machine.
#![expect(clippy::needless_pass_by_value, reason = "the `cel` crate passes a function its arguments by value")]

use std::sync::LazyLock;

use cel::common::types::{CelTimestamp, INT_TYPE, STRING_TYPE, TIMESTAMP_TYPE};
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError};
use chrono::{DateTime, Utc};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::strtime;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::super::limits::MAX_FORMAT_BYTES;
use super::{argument, both, failure, global, int, made, text, wrong_type};

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

pub(super) fn declare(environment: &mut Env) -> Result<(), DeclarationError> {
    both(environment, "parseTime", &STRING_TYPE, &[], parse_time)?;
    global(environment, "fromEpochMillis", &[&INT_TYPE], from_epoch_millis)?;
    both(environment, "formatTime", &TIMESTAMP_TYPE, &[&STRING_TYPE, &STRING_TYPE], format_time)
}

fn parse_time<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let written = text("parseTime", &arguments, 0)?;
    match read_time(written).and_then(to_cel) {
        Some(time) => Ok(CowVal::owned(time)),
        None => Err(failure(
            "parseTime",
            "the text is no RFC 3339 time with an offset, as `2026-07-01T10:00:00-04:00`, and no date; bring it into that form first",
        )),
    }
}

/// A date is its midnight in UTC. Names of zones in brackets are no part of RFC 3339.
fn read_time(written: &str) -> Option<Timestamp> {
    if let Ok(date) = Date::strptime("%Y-%m-%d", written) {
        let exact = written.len() == "2026-07-01".len();
        return date.to_zoned(TimeZone::UTC).ok().filter(|_| exact).map(|midnight| midnight.timestamp());
    }
    let rfc3339 =
        written.len() >= "2026-07-01T10:00:00Z".len() && !written.contains('[') && !written.starts_with(['+', '-']);
    written.parse().ok().filter(|_| rfc3339)
}

fn from_epoch_millis<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let milliseconds = int("fromEpochMillis", &arguments, 0)?;
    match Timestamp::from_millisecond(milliseconds).ok().and_then(to_cel) {
        Some(time) => Ok(CowVal::owned(time)),
        None => Err(failure("fromEpochMillis", "the time is not within the years 1 to 9999; check its unit")),
    }
}

/// The time as CEL has it, which knows the years 1 to 9999.
fn to_cel(time: Timestamp) -> Option<CelTimestamp> {
    let nanoseconds = u32::try_from(time.subsec_nanosecond()).ok();
    // Times before 1970 count the fraction down in one library and up in the other.
    let (seconds, nanoseconds) = match nanoseconds {
        Some(nanoseconds) => (time.as_second(), nanoseconds),
        None => (time.as_second() - 1, u32::try_from(time.subsec_nanosecond() + 1_000_000_000).ok()?),
    };
    let time = DateTime::<Utc>::from_timestamp(seconds, nanoseconds)?;
    let year = chrono::Datelike::year(&time);
    (1..=9999).contains(&year).then(|| CelTimestamp::from(time.fixed_offset()))
}

/// The time as jiff has it.
pub(in super::super) fn from_cel(time: &CelTimestamp) -> Option<Timestamp> {
    let time = time.inner();
    let nanoseconds = i32::try_from(time.timestamp_subsec_nanos()).ok()?;
    Timestamp::new(time.timestamp(), nanoseconds).ok()
}

fn format_time<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let time = argument("formatTime", &arguments, 0)?.downcast_ref::<CelTimestamp>().and_then(from_cel);
    let Some(time) = time else {
        return Err(wrong_type("formatTime", &arguments));
    };
    let zone = time_zone(text("formatTime", &arguments, 2)?)?;
    made("formatTime", format_with(text("formatTime", &arguments, 1)?, time, zone)?)
}

fn format_with(format: &str, time: Timestamp, zone: TimeZone) -> Result<String, ExecutionError> {
    let formatted = (format.len() <= MAX_FORMAT_BYTES).then(|| strtime::format(format, &time.to_zoned(zone)));
    match formatted {
        Some(Ok(text)) => Ok(text),
        Some(Err(_)) => Err(failure(
            "formatTime",
            "the format has a directive that does not exist; use those of strftime, as \"%Y-%m-%d %H:%M:%S\"",
        )),
        None => Err(failure("formatTime", format!("the format has more than {MAX_FORMAT_BYTES} bytes; shorten it"))),
    }
}

/// Whether `format` can format times at all.
pub(in super::super) fn check_format(format: &str) -> Result<(), ExecutionError> {
    format_with(format, Timestamp::UNIX_EPOCH, TimeZone::UTC).map(|_| ())
}

/// The time zone of that IANA name.
pub(in super::super) fn time_zone(name: &str) -> Result<TimeZone, ExecutionError> {
    static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    DATABASE.get(name).map_err(|_| {
        failure(
            "formatTime",
            "the time zone is no name of the IANA database; use one as \"America/New_York\" or \"UTC\"",
        )
    })
}
