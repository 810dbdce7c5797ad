//! How a stream is read: a window with bounds fixed before its first page, then page after page, then the cursor moves to the window's upper
//! bound. The state is small, stored with each page's records in one transaction, and resumes anywhere.
//!
//! A cursor of time never moves to the highest value seen: a record that commits late with an earlier time is then still read, because the
//! next window starts `lookback` earlier. A counter has no present that could be asked for, so that its windows are open at the end: the
//! cursor moves to the highest number seen once everything from the lower bound on was read, and what commits late is met by reaching back.

mod again;
mod pages;
mod sweep;
mod value;
mod watch;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::delivery::Rule;
use crate::plan::{Cursor, Pagination, StartFrom, Stream};

pub use again::{AgainFrom, NotFromATime};
pub use pages::numbered_page;
use pages::overlapping;
pub use sweep::Sweep;
pub use value::{CursorProblem, CursorValue, time};
use watch::Watch;

/// Where reading a stream stands. Empty before the first read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct PollState {
    /// No window reaches back before this value: where the flow was told to begin.
    pub begins: Option<CursorValue>,
    /// Everything up to this value, by the source's order, has been read.
    pub cursor: Option<CursorValue>,
    /// The window being read, if one is.
    pub open: Option<Window>,
    /// The last window ended before what was the present then: the next one is read at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
    /// Until the present is reached, what is known already is taken too, because somebody asked for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// The vendor's URL that leads to what changed since the last window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<String>,
    /// Where pages are those of parents: how far the children of the page to read next were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<Box<Child>>,
    /// A whole list was read to its end, and what is known is being compared with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
}

/// How far the children of a page of parents were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Child {
    /// Key of the parent whose children are read next; those of the parents before it on the page were read.
    pub parent: String,
    /// Which page of its children.
    pub window: Window,
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
    /// Highest value of the cursor that was seen, where that is what the cursor moves to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest: Option<CursorValue>,
    /// It ends before what was the present when it was opened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
    /// Records read since reading began with the lower bound, where the vendor does not let pages go any depth.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub depth: u64,
    /// What the keys are marked with that it lists, where it tells what is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<i64>,
    /// Whether pages come again.
    #[serde(default, skip_serializing_if = "Watch::is_new")]
    watch: Watch,
}

/// A span of a cursor's values. Both ends are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lower end; from the beginning without one.
    pub from: Option<CursorValue>,
    /// Upper end; open without one, as windows of counters are.
    pub until: Option<CursorValue>,
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
    /// The one that starts at this record, counted from 0, or has it and those behind it.
    Offset(u64),
}

/// A page as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSeen<'a> {
    /// Hashes of its records, in order.
    pub hashes: &'a [String],
    /// What the vendor says comes next.
    pub next: Option<Position>,
    /// Values of the cursor that its records have, in order: where windows have no upper bound, or pages no depth beyond some. Empty otherwise.
    pub values: &'a [CursorValue],
    /// The vendor's URL that leads to what changes from now on, on a last page.
    pub delta: Option<String>,
}

/// What a page does to the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its records are taken and this is the new state.
    Take(PollState),
    /// Records moved between pages: nothing is taken, and reading goes on from an earlier page.
    StepBack(PollState),
    /// The vendor gives the same pages again and again: nothing is taken, and this is where to try again, after a while.
    Repeats(PollState),
    /// The vendor lets pages go no deeper, and reading cannot begin again behind them: nothing is taken, and the page is to be tried again later.
    Stuck(Stuck),
}

/// Why reading cannot begin again past the depth that a vendor allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// The last record has no value of the cursor.
    #[error("the last record of the page has no value at the cursor's field")]
    NoValue,
    /// The list is not in the cursor's order.
    #[error("the records are not in the cursor's order, oldest first: ask for that order in the stream's query")]
    NotAscending,
    /// The value does not lead past what was read.
    #[error(
        "more records have the same value of the cursor than the vendor lets be read: no window can tell them apart"
    )]
    NoProgress,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl PollState {
    /// The state with a window open: the one that is open already, or a new one that ends at the source's present. A flow that is to
    /// begin `Now` gets none at its first read: its cursor is set, and the next read has something to look for.
    ///
    /// A state that was stored while the stream's cursor was of another kind, time or counter, says nothing of where to go on: everything is
    /// read again, and what is known is recognised.
    #[must_use]
    pub fn opened(&self, stream: &Stream, start: StartFrom, source_now: Timestamp) -> Self {
        if self.open.is_some() {
            return self.clone();
        }
        let mut opened = self.begun(stream, start, source_now);
        if let (Pagination::DeltaLink { .. }, Some(delta), Some(window)) =
            (&stream.pagination, &self.delta, &mut opened.open)
        {
            window.next = Position::Url(delta.clone());
        }
        opened
    }

    fn begun(&self, stream: &Stream, start: StartFrom, source_now: Timestamp) -> Self {
        let present = CursorValue::Time(source_now);
        let Some(cursor) = &stream.cursor else {
            return self.with_window(None, Some(present));
        };
        if cursor.counts() {
            return self.opened_for_counters(cursor);
        }
        match (self.cursor, start) {
            (None, StartFrom::Now | StartFrom::Time(_)) if self.again => self.with_window(None, Some(present)),
            (None, StartFrom::Beginning) => self.with_window(None, Some(present)),
            (None, StartFrom::Now) => Self { begins: Some(present), cursor: Some(present), ..Self::default() },
            (None, StartFrom::Time(time)) => {
                let begun = Self { begins: Some(time.into()), ..self.clone() };
                begun.within_span(cursor, Some(time), source_now.max(time))
            }
            (Some(CursorValue::Time(reached)), StartFrom::Now | StartFrom::Beginning | StartFrom::Time(_)) => {
                // A source whose clock was set back must not make the cursor move backwards.
                self.within_span(cursor, self.lower_bound(cursor, reached), reached.max(source_now))
            }
            (Some(CursorValue::Counter(_)), StartFrom::Now | StartFrom::Beginning | StartFrom::Time(_)) => {
                self.anew().with_window(None, Some(present))
            }
        }
    }

    fn opened_for_counters(&self, cursor: &Cursor) -> Self {
        match self.cursor {
            Some(CursorValue::Counter(reached)) => {
                let back = if Rule::WindowsReachBack.holds() { cursor.lookback_count } else { 0 };
                self.with_window(Some(CursorValue::Counter(reached.saturating_sub(back.into()))), None)
            }
            Some(CursorValue::Time(_)) | None => self.anew().with_window(None, None),
        }
    }

    /// What is left of the state where its cursor says nothing.
    fn anew(&self) -> Self {
        Self { again: self.again, ..Self::default() }
    }

    fn lower_bound(&self, cursor: &Cursor, reached: Timestamp) -> Option<Timestamp> {
        let lookback = if Rule::WindowsReachBack.holds() { cursor.lookback_seconds } else { 0 };
        let lookback = SignedDuration::from_secs(i64::from(lookback));
        let from = reached.checked_sub(lookback).ok()?;
        let begins = self.begins.and_then(CursorValue::time);
        Some(begins.map_or(from, |begins| from.max(begins)))
    }

    /// The state with a window of time, which ends earlier where it would be longer than the vendor takes.
    fn within_span(&self, cursor: &Cursor, from: Option<Timestamp>, until: Timestamp) -> Self {
        let longest = from
            .zip(cursor.window_seconds)
            .and_then(|(from, seconds)| from.checked_add(SignedDuration::from_secs(i64::from(seconds))).ok());
        let ends = longest.map_or(until, |longest| until.min(longest));
        let mut state = self.with_window(from.map(CursorValue::Time), Some(CursorValue::Time(ends)));
        if let Some(window) = &mut state.open {
            window.behind = ends < until;
        }
        state
    }

    fn with_window(&self, from: Option<CursorValue>, until: Option<CursorValue>) -> Self {
        Self { open: Some(Window::new(Bounds { from, until })), behind: false, ..self.clone() }
    }

    /// What a page that was read does to the state. Without an open window the state stays.
    pub fn turned(&self, stream: &Stream, page: &PageSeen) -> Turn {
        let Some(window) = &self.open else {
            return Turn::Take(self.clone());
        };
        if let Some(earlier) = window.stepped_back(stream, page) {
            return Turn::StepBack(Self { open: Some(earlier), ..self.clone() });
        }
        let seen = window.watch.seen(page.hashes);
        if let (Err(again), Some(_)) = (&seen, &page.next) {
            // Records may have moved so that a page holds what another one held. Read again from the first page, they will not do so again.
            let turn = if again.may_restart() { Turn::StepBack } else { Turn::Repeats };
            let restarted = Window { watch: again.clone(), ..window.restarted() };
            return turn(Self { open: Some(restarted), ..self.clone() });
        }
        let (Ok(watch) | Err(watch)) = seen;
        let highest = window.highest.max(page.values.iter().copied().max());
        let depth = window.depth.saturating_add(page.hashes.len() as u64);
        if let (Some(cap), Some(_)) = (stream.depth_cap, &page.next)
            && depth.saturating_add(page.hashes.len() as u64) > u64::from(cap)
        {
            return match window.past_the_cap(stream, page) {
                Ok(window) => Turn::Take(Self { open: Some(Window { highest, ..window }), ..self.clone() }),
                Err(stuck) => Turn::Stuck(stuck),
            };
        }
        let next = match (overlapping(stream), &page.next) {
            (Some(_), Some(Position::Offset(after))) => Some(Position::Offset(after.saturating_sub(1))),
            (_, next) => next.clone(),
        };
        Turn::Take(match next {
            Some(next) => {
                let anchor = page.hashes.last().cloned().or_else(|| window.anchor.clone());
                Self { open: Some(Window { next, anchor, highest, depth, watch, ..window.clone() }), ..self.clone() }
            }
            None => Self { delta: page.delta.clone(), ..self.exhausted(window, highest) },
        })
    }

    /// The window of a parent's children: the one that is being read, or a new one, which has no bounds.
    pub fn children(&self, parent: &str) -> Window {
        match &self.child {
            Some(child) if child.parent == parent => child.window.clone(),
            Some(_) | None => Window::new(Bounds { from: None, until: None }),
        }
    }

    /// What a page of a parent's children does to the state. Says with it whether it was the last one; the children of `following`, the next
    /// parent on the page, come then.
    pub fn turned_child(
        &self,
        stream: &Stream,
        parent: &str,
        following: Option<&str>,
        page: &PageSeen,
    ) -> (Turn, bool) {
        let alone = Self { open: Some(self.children(parent)), ..Self::default() };
        let with = |child: Option<(&str, Window)>| {
            let child = child.map(|(parent, window)| Box::new(Child { parent: parent.to_owned(), window }));
            Self { child, ..self.clone() }
        };
        match alone.turned(stream, page) {
            Turn::Take(Self { open: Some(window), .. }) => (Turn::Take(with(Some((parent, window)))), false),
            Turn::Take(_) => {
                let new = |following| (following, Window::new(Bounds { from: None, until: None }));
                (Turn::Take(with(following.map(new))), true)
            }
            Turn::StepBack(back) => (Turn::StepBack(with(back.open.map(|window| (parent, window)))), false),
            Turn::Repeats(back) => (Turn::Repeats(with(back.open.map(|window| (parent, window)))), false),
            Turn::Stuck(stuck) => (Turn::Stuck(stuck), false),
        }
    }

    /// The state after a window's last page.
    fn exhausted(&self, window: &Window, highest: Option<CursorValue>) -> Self {
        let cursor = match window.bounds.until {
            Some(until) => Some(until),
            // A source that counts anew, or forgot its newest records, must not make the cursor move backwards.
            None => self.cursor.filter(|cursor| cursor.counter().is_some()).max(highest),
        };
        let again = self.again && window.behind;
        let sweep = window.round.map(|round| Sweep { round, after: String::new() });
        Self { cursor, open: None, begins: self.begins, behind: window.behind, again, delta: None, child: None, sweep }
    }

    /// Starts the open window again from its first page, with the same bounds: for a vendor that no longer knows a page's URL or cursor, or
    /// where changes were to begin.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Self { open: self.open.as_ref().map(Window::restarted), delta: None, child: None, ..self.clone() }
    }
}

impl Window {
    fn new(bounds: Bounds) -> Self {
        let watch = Watch::default();
        Self { bounds, next: Position::First, anchor: None, highest: None, behind: false, depth: 0, round: None, watch }
    }

    fn restarted(&self) -> Self {
        Self { highest: self.highest, behind: self.behind, round: self.round, ..Self::new(self.bounds) }
    }

    /// The window from the last value of the cursor on, where pages may go no deeper.
    fn past_the_cap(&self, stream: &Stream, page: &PageSeen) -> Result<Self, Stuck> {
        let cursor = stream.cursor.as_ref().ok_or(Stuck::NoValue)?;
        if !page.values.is_sorted() {
            return Err(Stuck::NotAscending);
        }
        let last =
            page.values.last().copied().filter(|_| page.values.len() == page.hashes.len()).ok_or(Stuck::NoValue)?;
        match self.bounds.from {
            Some(from) if last < from => return Err(Stuck::NotAscending),
            // What counts is what the vendor is asked for, which may be rounded down.
            Some(from) if cursor.lower(last) == cursor.lower(from) => return Err(Stuck::NoProgress),
            Some(_) | None => {}
        }
        let bounds = Bounds { from: Some(last), ..self.bounds };
        Ok(Self { behind: self.behind, watch: self.watch.stepped_back(), ..Self::new(bounds) })
    }

    /// The window at an earlier page, where the last record read is not where it should be.
    fn stepped_back(&self, stream: &Stream, page: &PageSeen) -> Option<Self> {
        let (Some(limit), Position::Offset(offset), Some(anchor)) = (overlapping(stream), &self.next, &self.anchor)
        else {
            return None;
        };
        if page.hashes.contains(anchor) || !Rule::PagesOverlap.holds() {
            return None;
        }
        Some(match offset.checked_sub(u64::from(limit) - 1) {
            Some(earlier) if earlier > 0 => {
                Self { next: Position::Offset(earlier), watch: self.watch.stepped_back(), ..self.clone() }
            }
            Some(_) | None => Self { watch: self.watch.stepped_back(), ..self.restarted() },
        })
    }
}

#[cfg(test)]
mod tests;
