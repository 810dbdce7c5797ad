//! Reading again what was read before, because somebody asked for it: after a mapping was corrected, or a destination lost something.

use jiff::Timestamp;

use super::{CursorValue, PollState};
use crate::plan::Stream;

/// From where on a stream is to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgainFrom {
    /// Everything there is.
    Beginning,
    /// Records with this value of the cursor, or a later one.
    Time(Timestamp),
}

/// Why a stream cannot be read again from a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFromATime {
    /// Its windows have no bounds.
    #[error("its stream has no cursor and is read as a whole: ask for it from the beginning")]
    NoCursor,
    /// Its cursor counts.
    #[error("its stream's cursor counts and knows no times: ask for it from the beginning")]
    Counts,
}

impl PollState {
    /// The state from which a stream is read again. Until the present is reached, what is known already passes intake. `stream` is the one that
    /// windows move over: that of the parents, where a flow's stream has one.
    ///
    /// # Errors
    /// [`NotFromATime`].
    pub fn again(stream: &Stream, from: AgainFrom) -> Result<Self, NotFromATime> {
        // Behind, because the next window is to be read at once and not at the flow's next time.
        let again = Self { again: true, behind: true, ..Self::default() };
        match (from, &stream.cursor) {
            (AgainFrom::Beginning, _) => Ok(again),
            (AgainFrom::Time(_), None) => Err(NotFromATime::NoCursor),
            (AgainFrom::Time(_), Some(cursor)) if cursor.counts() => Err(NotFromATime::Counts),
            (AgainFrom::Time(time), Some(_)) => {
                let time = Some(CursorValue::Time(time));
                Ok(Self { begins: time, cursor: time, ..again })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{Cursor, StartFrom},
        window::{PageSeen, Turn},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn stream(window_seconds: Option<u32>) -> Stream {
        let cursor = Cursor { field: "/updated_at".into(), lookback_seconds: 60, window_seconds, ..Cursor::default() };
        Stream { cursor: Some(cursor), ..Stream::default() }
    }

    /// The state after a window that is open in `state` was read to its end with one page.
    fn read(state: &PollState, stream: &Stream) -> PollState {
        let page = PageSeen { hashes: &["a".into()], next: None, values: &[], delta: None };
        match state.turned(stream, &page) {
            Turn::Take(state) => state,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn from_a_time_on_windows_follow_each_other_up_to_the_present_and_then_nothing_passes_any_more() {
        let stream = stream(Some(100));
        let mut state = PollState::again(&stream, AgainFrom::Time(at(1000))).unwrap();
        let mut bounds = Vec::new();
        while state.again {
            let opened = state.opened(&stream, StartFrom::Now, at(1250));
            assert!(opened.again, "the window is opened for what was read before");
            bounds.push(opened.open.as_ref().unwrap().bounds);
            state = read(&opened, &stream);
        }
        let spans: Vec<_> = bounds.iter().map(|bounds| (bounds.from, bounds.until)).collect();
        let span = |from, until| (Some(CursorValue::Time(at(from))), Some(CursorValue::Time(at(until))));
        assert_eq!(spans[0], span(1000, 1100), "not before the time that was asked for, whatever the lookback is");
        assert_eq!(*spans.last().unwrap(), span(1160, 1250), "{spans:?}");
        assert!(!state.behind && state.cursor == Some(at(1250).into()));
    }

    #[test]
    fn from_the_beginning_means_everything_also_where_the_flow_began_at_its_present() {
        let stream = stream(None);
        let state = PollState::again(&stream, AgainFrom::Beginning).unwrap();
        let opened = state.opened(&stream, StartFrom::Now, at(500));
        let bounds = opened.open.as_ref().unwrap().bounds;
        assert_eq!((bounds.from, bounds.until), (None, Some(at(500).into())));
        assert!(opened.again && !read(&opened, &stream).again);
        let whole = Stream::default();
        let opened = PollState::again(&whole, AgainFrom::Beginning).unwrap().opened(&whole, StartFrom::Now, at(500));
        assert!(opened.again && opened.open.is_some());
    }

    #[test]
    fn what_counts_is_read_again_from_the_beginning_only() {
        let cursor = Cursor { format: crate::plan::CursorFormat::Counter, ..Cursor::default() };
        let counting = Stream { cursor: Some(cursor), ..Stream::default() };
        assert_eq!(PollState::again(&counting, AgainFrom::Time(at(1))), Err(NotFromATime::Counts));
        assert_eq!(PollState::again(&Stream::default(), AgainFrom::Time(at(1))), Err(NotFromATime::NoCursor));
        let opened =
            PollState::again(&counting, AgainFrom::Beginning).unwrap().opened(&counting, StartFrom::Now, at(1));
        assert!(opened.again && opened.open.is_some());
    }
}
