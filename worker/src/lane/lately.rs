//! How the last of something ended: whether most of it fails. Kept in memory: a process that was just started knows what it is told of the one before.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// How many of the last ends are remembered.
pub const REMEMBERED: usize = 20;
/// From how many on they say something.
const FEWEST: usize = 3;
/// How many good ends in a row show that what failed is mended.
pub const MENDED: usize = 5;

/// How the last ones ended.
#[derive(Debug, Default)]
pub struct Lately(Mutex<VecDeque<Option<String>>>);

/// That most of the last ones failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// How many of them failed.
    pub failed: usize,
    /// How many there were, at most twenty.
    pub of: usize,
    /// Why the last of them did.
    pub why: String,
}

impl Lately {
    /// One more ended well, or failed: why.
    pub fn ended(&self, failure: Option<String>) {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ends.push_back(failure);
        if ends.len() > REMEMBERED {
            ends.pop_front();
        }
    }

    /// How the last ones ended before this process began, oldest first. Fewer failures than say something are let go.
    pub fn ended_before(&self, ends: Vec<Option<String>>) {
        if ends.iter().flatten().count() >= FEWEST {
            for end in ends {
                self.ended(end);
            }
        }
    }

    /// What is the matter, if most of the last ones failed, and not those at the end all went well.
    pub fn failing(&self) -> Option<Failing> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = ends.iter().flatten().count();
        let mended = ends.len() >= MENDED && ends.iter().rev().take(MENDED).all(Option::is_none);
        if ends.len() < FEWEST || failed * 2 <= ends.len() || mended {
            return None;
        }
        let why = ends.iter().flatten().next_back().cloned()?;
        Some(Failing { failed, of: ends.len(), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(lately: &Lately) -> Option<String> {
        lately.failing().map(|failing| failing.why)
    }

    #[test]
    fn most_of_the_last_ones_failing_is_a_failure() {
        let lately = Lately::default();
        lately.ended(Some("early".into()));
        lately.ended(Some("late".into()));
        assert_eq!(lately.failing(), None, "two say nothing yet");
        lately.ended(None);
        assert_eq!(lately.failing(), Some(Failing { failed: 2, of: 3, why: "late".into() }));
        lately.ended(None);
        assert_eq!(lately.failing(), None, "half is not most");
        for _ in 0..REMEMBERED {
            lately.ended(Some("again".into()));
        }
        assert_eq!(why(&lately).as_deref(), Some("again"));
    }

    #[test]
    fn what_failed_before_the_process_began_counts_where_it_is_enough_to_say_something() {
        let failed = || Some("refused".to_owned());
        let lately = Lately::default();
        lately.ended_before(vec![failed(), failed()]);
        lately.ended(failed());
        assert_eq!(lately.failing(), None, "one says nothing");
        lately.ended_before(vec![failed(), None, failed(), failed()]);
        assert_eq!(why(&lately).as_deref(), Some("refused"));
        (0..MENDED).for_each(|_| lately.ended(None));
        assert_eq!(lately.failing(), None, "it ends like any other");
    }

    #[test]
    fn some_good_ones_in_a_row_end_it() {
        let lately = Lately::default();
        (0..REMEMBERED).for_each(|_| lately.ended(Some("refused".into())));
        for _ in 1..MENDED {
            lately.ended(None);
            assert_eq!(why(&lately).as_deref(), Some("refused"));
        }
        lately.ended(None);
        assert_eq!(lately.failing(), None);
        lately.ended(Some("again".into()));
        assert_eq!(why(&lately).as_deref(), Some("again"));
    }
}
