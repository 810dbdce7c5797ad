//! The time, as an argument; and the vendor's time, as its answers tell it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, header};
use jiff::Timestamp;
use tokio::time::Instant;

/// How far ahead of the local clock a vendor's clock is believed. A cursor set to a time that never comes would read nothing more, while
/// a time too early only reads records again.
const FURTHEST_AHEAD: Duration = Duration::from_hours(24);

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The vendor's clock, kept from the `Date` of its last answer. It never runs ahead of the vendor's real one: `Date` has whole seconds,
/// rounded down, and the time on the way back is not added.
#[derive(Debug, Default)]
pub struct VendorClock {
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Seen {
    /// No answer yet.
    #[default]
    Nothing,
    /// Answers without a date that can be read.
    Dateless,
    Date {
        date: Timestamp,
        /// When it was read; runs on however the local clock is set.
        at: Instant,
    },
}

impl VendorClock {
    /// Takes note of an answer's head.
    pub fn note(&self, headers: &HeaderMap) {
        let date = date(headers);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = match (date, *seen) {
            (Some(date), _) => Seen::Date { date, at: Instant::now() },
            (None, Seen::Nothing) => Seen::Dateless,
            // One answer without a date says nothing against an earlier one that had one.
            (None, kept) => kept,
        };
    }

    /// The vendor's present in whole seconds; none before its first answer. `local` is our own present, which stands in where the vendor
    /// tells no time or one that cannot be.
    pub fn now(&self, local: Timestamp) -> Option<Timestamp> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let told = match seen {
            Seen::Nothing => return None,
            Seen::Dateless => local,
            Seen::Date { date, at } => {
                let latest = local.checked_add(FURTHEST_AHEAD).unwrap_or(Timestamp::MAX);
                let told = date.checked_add(at.elapsed()).unwrap_or(Timestamp::MAX);
                if told > latest { local } else { told }
            }
        };
        Some(whole_seconds(told))
    }
}

/// A time without its fraction of a second, which is never later.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    let seconds = if time.subsec_nanosecond() < 0 { time.as_second() - 1 } else { time.as_second() };
    Timestamp::from_second(seconds).unwrap_or(time)
}

/// The time an answer says it was made at.
pub fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(header::DATE)?.to_str().ok()?)
}

/// Reads an HTTP-date (RFC 9110, section 5.6.7). The last day that it can express is beyond the end of our time, and becomes that end.
pub fn http_date(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text).ok()?;
    Some(Timestamp::try_from(date).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(date: &str) -> HeaderMap {
        [(header::DATE, date.parse().unwrap())].into_iter().collect()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const LOCAL: &str = "2027-03-01T12:00:00.75Z";

    #[tokio::test(start_paused = true)]
    async fn the_vendors_clock_runs_on_from_its_last_date() {
        let clock = VendorClock::default();
        assert_eq!(clock.now(at(LOCAL)), None);
        clock.note(&headers("Mon, 01 Mar 2027 11:00:00 GMT"));
        tokio::time::advance(Duration::from_millis(90_400)).await;
        assert_eq!(clock.now(at(LOCAL)), Some(at("2027-03-01T11:01:30Z")));
    }

    #[test]
    fn without_a_date_the_local_clock_stands_in() {
        let clock = VendorClock::default();
        clock.note(&HeaderMap::new());
        assert_eq!(clock.now(at(LOCAL)), Some(at("2027-03-01T12:00:00Z")));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_a_date_does_not_forget_the_date_of_another() {
        let clock = VendorClock::default();
        clock.note(&headers("Mon, 01 Mar 2027 11:00:00 GMT"));
        clock.note(&HeaderMap::new());
        assert_eq!(clock.now(at(LOCAL)), Some(at("2027-03-01T11:00:00Z")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_date_in_the_far_future_is_not_believed_and_one_in_the_past_is() {
        let clock = VendorClock::default();
        for absurd in ["Fri, 31 Dec 9999 23:59:59 GMT", "Wed, 03 Mar 2027 11:00:00 GMT"] {
            clock.note(&headers(absurd));
            assert_eq!(clock.now(at(LOCAL)), Some(at("2027-03-01T12:00:00Z")), "{absurd}");
        }
        clock.note(&headers("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(clock.now(at(LOCAL)), Some(Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn dates_that_cannot_be_read_count_as_none() {
        for text in ["", "tomorrow", "Mon, 31 Feb 2027 11:00:00 GMT", "-1", "Mon, 01 Mar 20270 11:00:00 GMT"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    #[test]
    fn fractions_are_rounded_towards_the_past_before_the_epoch_too() {
        assert_eq!(whole_seconds(at("1969-12-31T23:59:58.5Z")), at("1969-12-31T23:59:58Z"));
    }

    #[test]
    fn the_edge_of_time_is_no_panic() {
        assert_eq!(whole_seconds(Timestamp::MIN), Timestamp::MIN);
        let clock = VendorClock::default();
        clock.note(&HeaderMap::new());
        assert!(clock.now(Timestamp::MAX).is_some());
    }
}
