//! Lists that are read as a whole and say by what they do not hold what is gone: what they list is marked, and once one was read to its end, what is
//! known is compared with the marks, from key to key, so that a restart goes on where it was.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::PollState;

/// How far what is known was compared with a list that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    /// What the keys are marked with that the list holds.
    pub round: i64,
    /// The last key that was compared, in the order of their bytes; empty before the first.
    pub after: String,
}

impl PollState {
    /// The same, where what the window lists is to be marked that was just opened. Every reading has a mark of its own, which is made of when it
    /// began.
    #[must_use]
    pub fn marking(mut self, now: Timestamp) -> Self {
        if let Some(window) = &mut self.open {
            window.round.get_or_insert(now.as_microsecond());
        }
        self
    }

    /// What the records of a page are marked with, by the state after it.
    pub fn round(&self) -> Option<i64> {
        let open = self.open.as_ref().and_then(|window| window.round);
        open.or_else(|| self.sweep.as_ref().map(|sweep| sweep.round))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{StartFrom, Stream},
        window::{PageSeen, Position, Turn},
    };

    #[test]
    fn a_list_is_compared_once_it_was_read_to_its_end_and_keeps_its_mark_until_then() {
        let (stream, start) = (Stream::default(), Timestamp::from_second(50).unwrap());
        let opened = PollState::default().opened(&stream, StartFrom::Beginning, start).marking(start);
        let round = start.as_microsecond();
        assert_eq!(opened.restarted().round(), Some(round), "a vendor that forgets a page");
        let page = |next| PageSeen { hashes: &[], next, values: &[], delta: None };
        let Turn::Take(second) = opened.turned(&stream, &page(Some(Position::Cursor("x".into())))) else { panic!() };
        assert_eq!((second.round(), &second.sweep), (Some(round), &None));
        let later = Timestamp::from_second(60).unwrap();
        let Turn::Take(read) = second.marking(later).turned(&stream, &page(None)) else { panic!() };
        assert_eq!(read.sweep, Some(Sweep { round, after: String::new() }));
        assert_eq!(read.round(), Some(round), "its last page is marked too");
        let unmarked = PollState::default().opened(&stream, StartFrom::Beginning, start);
        let Turn::Take(read) = unmarked.turned(&stream, &page(None)) else { panic!() };
        assert_eq!(read.sweep, None, "a list that nobody marked says nothing");
    }
}
