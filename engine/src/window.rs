//! How a stream is read: a window of time with bounds fixed before its first page, then page after page, then the cursor moves to the
//! window's upper bound. The state is small, stored with each page's records in one transaction, and resumes anywhere.
//!
//! The cursor never moves to the highest value seen: a record that commits late with an earlier time is then still read, because the
//! next window starts `lookback` earlier.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::delivery::Rule;
use crate::plan::{Cursor, Pagination, StartFrom, Stream};

/// Where reading a stream stands. Empty before the first read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct PollState {
    /// No window reaches back before this time: where the flow was told to begin.
    pub begins: Option<Timestamp>,
    /// Everything up to this time, by the source's clock, has been read.
    pub cursor: Option<Timestamp>,
    /// The window being read, if one is.
    pub open: Option<Window>,
}

/// A window being read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Its bounds, fixed before the first page.
    pub bounds: Bounds,
    /// The page to read next.
    pub next: Position,
    /// Where pages are positions: hash of the last record read, which must be on the next page as it was. A record that changed meanwhile may
    /// have moved to there, and others with it to before.
    pub anchor: Option<String>,
}

/// A span of time by the source's clock. Both ends are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lower end; from the beginning without one.
    pub from: Option<Timestamp>,
    /// Upper end.
    pub until: Timestamp,
}

/// Which page of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Position {
    /// The first one.
    First,
    /// The one a vendor's URL leads to.
    Url(String),
    /// The one behind a vendor's cursor.
    Cursor(String),
    /// The one that starts at this record, counted from 0.
    Offset(u64),
}

/// A page as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSeen<'a> {
    /// Hashes of its records, in order.
    pub hashes: &'a [String],
    /// What the vendor says comes next.
    pub next: Option<Position>,
}

/// What a page does to the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its records are taken and this is the new state.
    Take(PollState),
    /// Records moved between pages: nothing is taken, and reading goes on from an earlier page.
    StepBack(PollState),
}

impl PollState {
    /// The state with a window open: the one that is open already, or a new one that ends at the source's present. A flow that is to
    /// begin `Now` gets none at its first read: its cursor is set, and the next read has something to look for.
    #[must_use]
    pub fn opened(&self, stream: &Stream, start: StartFrom, source_now: Timestamp) -> Self {
        if self.open.is_some() {
            return self.clone();
        }
        let Some(cursor) = &stream.cursor else {
            return self.with_window(Bounds { from: None, until: source_now });
        };
        let first = self.cursor.is_none();
        match (first, start) {
            (true, StartFrom::Now) => Self { begins: Some(source_now), cursor: Some(source_now), open: None },
            (true, StartFrom::Beginning) => self.with_window(Bounds { from: None, until: source_now }),
            (true, StartFrom::Time(time)) => {
                let begun = Self { begins: Some(time), ..self.clone() };
                begun.with_window(Bounds { from: Some(time), until: source_now.max(time) })
            }
            (false, StartFrom::Now | StartFrom::Beginning | StartFrom::Time(_)) => {
                // A source whose clock was set back must not make the cursor move backwards.
                let until = self.cursor.map_or(source_now, |cursor| cursor.max(source_now));
                self.with_window(Bounds { from: self.lower_bound(cursor), until })
            }
        }
    }

    fn lower_bound(&self, cursor: &Cursor) -> Option<Timestamp> {
        let lookback = if Rule::WindowsReachBack.holds() { cursor.lookback_seconds } else { 0 };
        let lookback = SignedDuration::from_secs(i64::from(lookback));
        let from = self.cursor?.checked_sub(lookback).ok()?;
        Some(self.begins.map_or(from, |begins| from.max(begins)))
    }

    fn with_window(&self, bounds: Bounds) -> Self {
        Self { open: Some(Window { bounds, next: Position::First, anchor: None }), ..self.clone() }
    }

    /// What a page that was read does to the state. Without an open window the state stays.
    pub fn turned(&self, stream: &Stream, page: &PageSeen) -> Turn {
        let Some(window) = &self.open else {
            return Turn::Take(self.clone());
        };
        if let (Pagination::Offset { limit, .. }, Position::Offset(offset), Some(anchor)) =
            (&stream.pagination, &window.next, &window.anchor)
            && !page.hashes.contains(anchor)
            && Rule::PagesOverlap.holds()
        {
            let earlier = match offset.checked_sub(u64::from(*limit) - 1) {
                Some(earlier) if earlier > 0 => Window { next: Position::Offset(earlier), ..window.clone() },
                Some(_) | None => Window { next: Position::First, anchor: None, ..window.clone() },
            };
            return Turn::StepBack(Self { open: Some(earlier), ..self.clone() });
        }
        let next = match (&stream.pagination, &page.next) {
            (_, None) => None,
            (Pagination::Offset { .. }, Some(Position::Offset(after))) => {
                Some(Position::Offset(after.saturating_sub(1)))
            }
            (_, Some(next)) => Some(next.clone()),
        };
        Turn::Take(match next {
            Some(next) => {
                let anchor = page.hashes.last().cloned().or_else(|| window.anchor.clone());
                Self { open: Some(Window { next, anchor, bounds: window.bounds }), ..self.clone() }
            }
            None => Self { cursor: Some(window.bounds.until), open: None, begins: self.begins },
        })
    }

    /// Starts the open window again from its first page, with the same bounds: for a vendor that no longer knows a page's URL or cursor.
    #[must_use]
    pub fn restarted(&self) -> Self {
        let open =
            self.open.as_ref().map(|window| Window { next: Position::First, anchor: None, bounds: window.bounds });
        Self { open, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn stream(pagination: Pagination) -> Stream {
        Stream {
            name: "orders".into(),
            path: "/orders".into(),
            query: BTreeMap::new(),
            records: "/orders".into(),
            key: "/id".into(),
            version: Some("/updated_at".into()),
            deleted: None,
            one: None,
            cursor: Some(Cursor {
                field: "/updated_at".into(),
                param: "min".into(),
                until_param: None,
                lookback_seconds: 300,
            }),
            pagination,
        }
    }

    fn hashes(range: std::ops::Range<u32>) -> Vec<String> {
        range.map(|key| key.to_string()).collect()
    }

    fn taken(turn: Turn) -> PollState {
        match turn {
            Turn::Take(state) => state,
            Turn::StepBack(state) => panic!("stepped back to {state:?}"),
        }
    }

    #[test]
    fn the_cursor_moves_to_the_upper_bound_when_the_window_is_exhausted_and_not_before() {
        let stream = stream(Pagination::LinkHeader);
        let open = PollState::default().opened(&stream, StartFrom::Beginning, at(1000));
        let hashes = hashes(0..2);
        let next = Some(Position::Url("https://x/2".into()));
        let half = taken(open.turned(&stream, &PageSeen { hashes: &hashes, next }));
        assert_eq!(half.cursor, None);
        let done = taken(half.turned(&stream, &PageSeen { hashes: &hashes, next: None }));
        assert_eq!((done.cursor, done.open), (Some(at(1000)), None));
    }

    #[test]
    fn the_next_window_reaches_back_by_the_lookback_but_never_before_where_the_flow_began() {
        let stream = stream(Pagination::None);
        let state = PollState { begins: Some(at(900)), cursor: Some(at(1000)), open: None };
        let bounds = state.opened(&stream, StartFrom::Now, at(2000)).open.unwrap().bounds;
        assert_eq!(bounds, Bounds { from: Some(at(900)), until: at(2000) });
        let state = PollState { begins: Some(at(0)), ..state };
        assert_eq!(state.opened(&stream, StartFrom::Now, at(2000)).open.unwrap().bounds.from, Some(at(700)));
    }

    #[test]
    fn a_flow_that_begins_now_reads_nothing_older() {
        let begun = PollState::default().opened(&stream(Pagination::None), StartFrom::Now, at(50));
        assert_eq!(begun, PollState { begins: Some(at(50)), cursor: Some(at(50)), open: None });
    }

    #[test]
    fn a_source_clock_that_was_set_back_does_not_move_the_cursor_back() {
        let state = PollState { begins: None, cursor: Some(at(1000)), open: None };
        let open = state.opened(&stream(Pagination::None), StartFrom::Beginning, at(10));
        assert_eq!(open.open.unwrap().bounds.until, at(1000));
    }

    #[test]
    fn an_open_window_keeps_its_bounds_however_often_it_is_resumed() {
        let stream = stream(Pagination::LinkHeader);
        let open = PollState::default().opened(&stream, StartFrom::Beginning, at(1000));
        assert_eq!(open.opened(&stream, StartFrom::Beginning, at(5000)), open);
    }

    #[test]
    fn pages_by_position_overlap_by_one_record_and_step_back_when_records_moved() {
        let pagination = Pagination::Offset { param: "offset".into(), limit_param: "limit".into(), limit: 3 };
        let stream = stream(pagination);
        let open = PollState::default().opened(&stream, StartFrom::Beginning, at(1000));
        let first = taken(open.turned(&stream, &PageSeen { hashes: &hashes(0..3), next: Some(Position::Offset(3)) }));
        assert_eq!(first.open.as_ref().unwrap().next, Position::Offset(2));
        // Record 0 was deleted meanwhile: what was at position 2 moved to 1, so position 2 now holds record 3 and 2 would be overlooked.
        let turn = first.turned(&stream, &PageSeen { hashes: &hashes(3..6), next: Some(Position::Offset(5)) });
        let Turn::StepBack(back) = turn else { panic!("taken: {turn:?}") };
        assert_eq!(back.open.as_ref().unwrap().next, Position::First);
        let again = taken(back.turned(&stream, &PageSeen { hashes: &hashes(1..4), next: Some(Position::Offset(3)) }));
        assert_eq!(again.open.unwrap().anchor.as_deref(), Some("3"));
    }
}
