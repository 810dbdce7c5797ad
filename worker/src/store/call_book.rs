//! Calls that were made and are not stored yet. Whoever makes calls writes here, which takes no time to speak of; the store takes them from here into
//! whatever it makes durable next. What is not taken in time is counted and forgotten: the log of calls holds up nobody and fills no memory. A
//! process that is killed loses what waits here.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::MadeCall;

/// Most calls that wait, about 2 MB of them.
const MOST_WAITING: usize = 4096;
/// Most calls that are kept in the store: about 200 MB of them.
const MOST_KEPT: i64 = 1_000_000;

/// Calls that wait to be stored, and how long they are kept then. Shared by the loops and the store.
#[derive(Debug)]
pub struct CallBook {
    most_kept: i64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    days: Option<u32>,
    page: CallsToStore,
    since: Option<Instant>,
}

/// Calls to be stored together.
#[derive(Debug, Default)]
pub struct CallsToStore {
    /// The calls, in the order in which they ended.
    pub calls: VecDeque<MadeCall>,
    /// How many more there were that had no room, and when the last of them was sent.
    pub lost: Option<(u64, Timestamp)>,
}

impl CallsToStore {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.lost.is_none()
    }

    /// Counts calls that are forgotten.
    fn lose(&mut self, calls: u64, at: Timestamp) {
        let (before, last) = self.lost.unwrap_or((0, at));
        self.lost = Some((before.saturating_add(calls), last.max(at)));
    }

    /// All of them are forgotten.
    fn lose_all(&mut self) {
        let last = self.calls.iter().map(|call| call.at).max();
        let calls = std::mem::take(&mut self.calls).len() as u64;
        if let Some(last) = last {
            self.lose(calls, last);
        }
    }
}

impl Default for CallBook {
    fn default() -> Self {
        Self::keeping(MOST_KEPT)
    }
}

impl CallBook {
    /// A book of which the store keeps so many.
    pub fn keeping(most: i64) -> Self {
        Self { most_kept: most, waiting: Mutex::default() }
    }

    /// How many calls the store keeps at most.
    pub fn most_kept(&self) -> i64 {
        self.most_kept
    }

    /// For how many days calls are kept; 0 for none at all. Says whether that can be fewer than before.
    pub fn set_days(&self, days: u32) -> bool {
        let mut waiting = self.waiting();
        if days == 0 {
            (waiting.page, waiting.since) = (CallsToStore::default(), None);
        }
        waiting.days.replace(days).is_none_or(|before| before > days)
    }

    /// For how many days calls are kept; none while nobody said.
    pub fn days(&self) -> Option<u32> {
        self.waiting().days
    }

    /// Whether calls are kept at all.
    pub fn is_kept(&self) -> bool {
        self.waiting().days.is_some_and(|days| days > 0)
    }

    /// A call was made.
    pub fn note(&self, call: MadeCall) {
        let mut waiting = self.waiting();
        if waiting.days.is_none_or(|days| days == 0) {
            return;
        }
        if waiting.page.calls.len() >= MOST_WAITING {
            waiting.page.lose(1, call.at);
        } else {
            waiting.page.calls.push_back(call);
        }
        waiting.since.get_or_insert_with(Instant::now);
    }

    /// Whether something has waited for so long.
    pub fn has_waited(&self, long: Duration) -> bool {
        self.waiting().since.is_some_and(|since| since.elapsed() >= long)
    }

    /// Takes what ended first, so many calls at most.
    pub fn take(&self, most: usize) -> CallsToStore {
        let mut waiting = self.waiting();
        let end = waiting.page.calls.len().min(most);
        let calls = waiting.page.calls.drain(..end).collect();
        let taken = CallsToStore { calls, lost: waiting.page.lost.take() };
        if waiting.page.calls.is_empty() {
            waiting.since = None;
        }
        taken
    }

    /// Gives back what could not be stored now.
    pub fn give_back(&self, mut taken: CallsToStore) {
        if taken.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        if taken.calls.len() + waiting.page.calls.len() > MOST_WAITING {
            // The newest say more of what goes on now.
            taken.lose_all();
        }
        if let Some((calls, at)) = taken.lost {
            waiting.page.lose(calls, at);
        }
        taken.calls.append(&mut waiting.page.calls);
        waiting.page.calls = taken.calls;
        waiting.since.get_or_insert_with(Instant::now);
    }

    /// Counts what cannot be stored at all.
    pub fn give_up(&self, mut taken: CallsToStore) {
        taken.lose_all();
        self.give_back(taken);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call that was made at that second.
    fn call(second: i64) -> MadeCall {
        MadeCall {
            at: Timestamp::from_second(second).unwrap(),
            system: "shop".into(),
            purpose: "ReadPage".into(),
            name: "orders".into(),
            method: "GET".into(),
            path: "/orders".into(),
            status: Some(200),
            outcome: "Done".into(),
            failed: false,
            milliseconds: 12,
            request_id: Some(format!("r-{second}")),
            flow: Some("orders".into()),
            key: None,
            attempt: None,
            records: None,
        }
    }

    fn seconds(taken: &CallsToStore) -> Vec<i64> {
        taken.calls.iter().map(|call| call.at.as_second()).collect()
    }

    #[test]
    fn nothing_is_noted_before_it_is_said_for_how_long_or_when_it_is_said_that_nothing_is_kept() {
        let book = CallBook::default();
        book.note(call(1));
        assert!(!book.is_kept() && book.take(9).is_empty());
        assert!(book.set_days(3), "the process before may have kept more");
        assert!(!book.set_days(3));
        book.note(call(2));
        assert!(book.is_kept() && book.has_waited(Duration::ZERO));
        assert!(book.set_days(0));
        book.note(call(3));
        assert!(book.take(9).is_empty() && !book.has_waited(Duration::ZERO));
    }

    #[test]
    fn what_is_given_back_comes_first_again() {
        let book = CallBook::default();
        book.set_days(3);
        (1..=3).for_each(|second| book.note(call(second)));
        let taken = book.take(2);
        assert_eq!(seconds(&taken), [1, 2]);
        book.note(call(4));
        book.give_back(taken);
        assert_eq!(seconds(&book.take(9)), [1, 2, 3, 4]);
        assert!(!book.has_waited(Duration::ZERO));
    }

    #[test]
    fn what_has_no_room_is_counted_and_no_more_than_that_is_held() {
        let book = CallBook::default();
        book.set_days(3);
        let most = i64::try_from(MOST_WAITING).unwrap();
        (0..most + 5).for_each(|second| book.note(call(second)));
        let first = book.take(100);
        assert_eq!(first.lost.map(|(calls, at)| (calls, at.as_second())), Some((5, most + 4)));
        (0..100).for_each(|second| book.note(call(most + 10 + second)));
        book.give_back(first);
        let taken = book.take(MOST_WAITING);
        assert_eq!((taken.calls.len(), taken.lost.map(|(calls, _)| calls)), (MOST_WAITING, Some(105)));
        assert!(book.take(9).is_empty());
        book.give_up(taken);
        assert_eq!(book.take(9).lost.map(|(calls, _)| calls), Some(105 + MOST_WAITING as u64));
    }
}
