//! Which state of a claimed record is delivered, and when: compared with what was settled, fetched anew where that cannot tell, and not before
//! what it depends on is at the destination.

use std::{cmp::Ordering, time::Duration};

use jiff::Timestamp;

use super::{Change, Facts, Failures, Fault, Judge, LedgerEntry, Rule, Seen, Settled, Standing};
use crate::version::Version;

/// How long a source is left alone that shows an older state of a record than it showed before.
const SOURCE_LAG: Duration = Duration::from_secs(5);
/// How long a record waits for another flow's record before it is looked at again, if nothing wakes it.
const PARENT_AGAIN: Duration = Duration::from_mins(1);

/// Whether a record's source can be asked for its present state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetching {
    /// It can show no single record.
    Impossible,
    /// It can.
    Possible,
    /// It just did.
    Done,
}

/// What comparing a record with the ledger came to.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and never kept")]
pub enum Compared {
    /// Find out what is wanted of it.
    Go,
    /// Ask its source for its present state first.
    Fetch,
    /// This becomes of the record.
    Done(Change),
}

/// What fetching a record anew means.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and never kept")]
pub enum Fetched {
    /// Take the state that was shown in place of the one that was read.
    Take,
    /// This becomes of the record.
    Done(Change),
}

impl Judge<'_> {
    /// Compares a record with the ledger: something is done with it already, or nothing, when it is to be mapped.
    pub fn compared(&self, facts: &Facts, fetching: Fetching) -> Compared {
        let rests = was_given_up(&facts.seen, facts.ledger.as_ref()) && Rule::GivenUpRests.holds();
        match super::standing(&facts.seen, facts.ledger.as_ref()) {
            Standing::Ambiguous if fetching == Fetching::Possible && Rule::EqualIsFetched.holds() => Compared::Fetch,
            // Without an order of states, what was read is a hint that there is something to fetch.
            Standing::News
                if facts.seen.version == Version::Unordered
                    && fetching == Fetching::Possible
                    && Rule::HintsAreFetched.holds() =>
            {
                Compared::Fetch
            }
            // The source shows what lies in the dead letters until a person decides; what asked for it is older.
            Standing::News if rests && fetching == Fetching::Done => {
                Compared::Done(Change::Settle(Settled::Superseded))
            }
            // However often it is read, it goes back there, as the newest one.
            Standing::News if rests => {
                let cause = "a write of it was given up without knowing whether it took effect: look at the destination, then replay it to \
                             send it again, or drop it";
                Compared::Done(Change::Bury(Failures { cause: cause.into(), ..facts.failures.clone() }))
            }
            // A state of the same version was read later than what was settled, so it is what the source shows now.
            Standing::News | Standing::Ambiguous => Compared::Go,
            Standing::Superseded => Compared::Done(Change::Settle(Settled::Superseded)),
            Standing::NotComparable => {
                let cause = "the record's version changed from a time to a counter or the reverse, so it cannot be told which state is \
                             newer: point the stream's `version` at one field that keeps its kind";
                Compared::Done(self.failed(facts, Fault::of(cause)))
            }
        }
    }

    /// Decides by the state a source showed when it was asked for one record; none is a record it does not find. That is a fault and never a
    /// delete: a stream whose single reads lead to the wrong place would delete everything.
    pub fn fetched(&self, facts: &Facts, shown: Option<&Seen>) -> Fetched {
        let Some(shown) = shown else {
            let cause = "its source showed the record in a list and does not find it by itself: either it was deleted meanwhile, or the \
                         stream's `one` leads to another place";
            return Fetched::Done(self.failed(facts, Fault::of(cause)));
        };
        match shown.version.compare(&facts.seen.version) {
            // Sources answer from copies that lag behind: that is no fault of the record.
            Some(Ordering::Less) if Rule::OlderFetchIsRetried.holds() => Fetched::Done(self.lags(facts)),
            Some(Ordering::Less | Ordering::Equal | Ordering::Greater) | None => Fetched::Take,
        }
    }

    /// The record waits for its source to show what it showed before. That counts as no attempt, and is said: a single read that shows a copy, or
    /// another field than the list, would have it wait for ever.
    fn lags(&self, facts: &Facts) -> Change {
        let cause = "asked for it by itself, its source shows an older version than its list or an event did: it is asked again every five \
                     seconds; if that lasts, check that the stream's `one` shows the record itself, and `version` in both";
        self.waits_because(facts, self.now.checked_add(SOURCE_LAG).unwrap_or(Timestamp::MAX), cause)
    }

    /// Decides whether a record goes on, by whether the destination has the record of another flow that it depends on. None is that it does. To
    /// wait counts nothing.
    pub fn depends(&self, facts: &Facts, parent_is_there: bool) -> Option<Change> {
        if parent_is_there || !Rule::ParentsComeFirst.holds() {
            return None;
        }
        if !Rule::AwaitingIsNoAttempt.holds() {
            return Some(self.failed(facts, Fault::of("its parent is not there")));
        }
        Some(self.awaits())
    }

    /// The record waits for another flow's, as it is.
    pub fn awaits(&self) -> Change {
        Change::AwaitParent(self.now.checked_add(PARENT_AGAIN).unwrap_or(Timestamp::MAX))
    }
}

/// Whether a state is the one whose write was given up in doubt. A replay, which is a person's decision, makes the ledger forget its content.
fn was_given_up(state: &Seen, ledger: Option<&LedgerEntry>) -> bool {
    ledger.is_some_and(|ledger| {
        let same = ledger.version == state.version && ledger.source_hash == state.hash;
        same && ledger.present && ledger.body_hash.is_none()
    })
}
