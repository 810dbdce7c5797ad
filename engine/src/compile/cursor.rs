//! The cursor of a stream, checked and resolved.

use crosstie_crds::connector::{Cursor as SpecCursor, CursorFormat as SpecFormat};

use super::stream::Site;
use crate::plan::{Cursor, CursorFormat, Stream, page_names};

/// How far windows reach back when nothing is said, in seconds.
const DEFAULT_LOOKBACK_SECONDS: u32 = 300;

/// How far windows of counters reach back when nothing is said.
const DEFAULT_LOOKBACK_COUNT: u32 = 1_000;

/// Resolves a cursor for a stream whose request is resolved. `None` only together with findings.
pub(super) fn resolve(site: &mut Site, spec: &SpecCursor, stream: &Stream) -> Option<Cursor> {
    let format = match (spec.format.unwrap_or_default(), &spec.pattern) {
        (SpecFormat::Rfc3339, _) => CursorFormat::Rfc3339,
        (SpecFormat::Date, _) => CursorFormat::Date,
        (SpecFormat::EpochSeconds, _) => CursorFormat::EpochSeconds,
        (SpecFormat::EpochMillis, _) => CursorFormat::EpochMillis,
        (SpecFormat::Counter, _) => CursorFormat::Counter,
        (SpecFormat::Pattern, Some(pattern)) => CursorFormat::Pattern(pattern.clone()),
        (SpecFormat::Pattern, None) => {
            site.invalid("cursor.pattern", "say how a time is written, for example %Y-%m-%d %H:%M:%S");
            return None;
        }
    };
    let counts = format == CursorFormat::Counter;
    let cursor = Cursor {
        field: spec.field.clone(),
        param: spec.param.clone(),
        until_param: spec.until_param.clone(),
        lookback_seconds: if counts { 0 } else { spec.lookback_seconds.unwrap_or(DEFAULT_LOOKBACK_SECONDS) },
        lookback_count: if counts { spec.lookback_count.unwrap_or(DEFAULT_LOOKBACK_COUNT) } else { 0 },
        format,
        time_zone: spec.time_zone.clone(),
        window_seconds: spec.window_seconds,
    };
    if let Err(problem) = cursor.check() {
        site.invalid("cursor", problem.to_string());
        return None;
    }
    bounds(site, &cursor, stream)?;
    Some(cursor)
}

/// A window's bounds have to get into the request, each in one way.
fn bounds(site: &mut Site, cursor: &Cursor, stream: &Stream) -> Option<()> {
    let (since, until) = (stream.names(page_names::SINCE), stream.names(page_names::UNTIL));
    let problem = if cursor.param.is_some() && since {
        "the window's lower bound goes into the request twice: set param, or write {since} in path, query or body"
    } else if cursor.param.is_none() && !since {
        "say how the window's lower bound goes into the request: set param, or write {since} in path, query or body"
    } else if cursor.until_param.is_some() && until {
        "the window's upper bound goes into the request twice: set untilParam, or write {until} in path, query or body"
    } else if cursor.counts() && (cursor.until_param.is_some() || until) {
        "leave the upper bound out: windows of counters have none"
    } else if cursor.window_seconds.is_some() && cursor.until_param.is_none() && !until {
        "windowSeconds needs an upper bound in the request: set untilParam, or write {until} in path, query or body"
    } else if cursor.window_seconds.is_some_and(|seconds| seconds <= cursor.lookback_seconds) {
        "make windowSeconds more than lookbackSeconds: a window that reaches back further than it is long leads nowhere"
    } else {
        return Some(());
    };
    site.invalid("cursor", problem);
    None
}
