//! What intake keeps of what it reads.

use std::cmp::Ordering;

use super::{LedgerEntry, Rule, Seen};
use crate::version::Version;

/// What is known of a key when a state of it comes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The newest state that waits or is claimed.
    pub waiting: Option<Seen>,
    /// The state that is being written for it, if a write of it was begun: it may have been fetched after the record was read.
    pub writing: Option<Seen>,
    /// Whether the newest one is claimed: what is written for it may be another state by now.
    pub claimed: bool,
    /// The state in the dead letters.
    pub dead: Option<Seen>,
    /// The ledger's.
    pub ledger: Option<LedgerEntry>,
}

/// Whether intake keeps a state. It is dropped only if it is exactly what is known already: the newest one waiting, or the dead letter's,
/// or, with nothing waiting or claimed, the ledger's.
pub fn keeps(seen: &Seen, known: &Known) -> bool {
    if known.dead.as_ref() == Some(seen) && Rule::DeadLettersRest.holds() {
        return false;
    }
    let same = |version: &Version, hash: &str| {
        *version == seen.version && (hash == seen.hash || !Rule::ContentIsCompared.holds())
    };
    let settled = || known.ledger.as_ref().is_some_and(|ledger| same(&ledger.version, &ledger.source_hash));
    // Without an order of states, nobody knows yet which one a claimed record will be.
    let undecided = known.claimed && known.writing.is_none() && seen.version == Version::Unordered;
    let writing = known.writing.as_ref().filter(|_| Rule::WhatIsWrittenIsNewest.holds());
    match writing.or(known.waiting.as_ref()) {
        Some(newest) => {
            (!same(&newest.version, &newest.hash) || undecided)
                && (Rule::LedgerIsAskedWhenNothingWaits.holds() || !settled())
        }
        None => !settled(),
    }
}

/// Whether a dead letter may be replayed: not while a state that is no older waits for its key. It was read before that one, and behind it would
/// pass for news. Versions that cannot be compared do not stand in the way.
pub fn replays<'a>(dead: &Version, mut waiting: impl Iterator<Item = &'a Version>) -> bool {
    let overtaken = waiting.any(|waiting| waiting.compare(dead).is_some_and(Ordering::is_ge));
    !overtaken || !Rule::ReplayIsNoNews.holds()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(counter: i64, hash: &str) -> Seen {
        Seen { version: Version::Counter(counter), hash: hash.into() }
    }

    fn entry(counter: i64, hash: &str, body: &str) -> LedgerEntry {
        LedgerEntry {
            version: Version::Counter(counter),
            source_hash: hash.into(),
            body_hash: Some(body.into()),
            present: true,
            identifier: None,
        }
    }

    #[test]
    fn intake_drops_only_what_is_exactly_known() {
        let ledger = Some(entry(1, "a", "b"));
        let idle = Known { ledger: ledger.clone(), ..Known::default() };
        assert!(!keeps(&seen(1, "a"), &idle));
        assert!(keeps(&seen(1, "z"), &idle), "same version, other content");
        assert!(keeps(&seen(2, "a"), &idle), "newer version, same content");
        let busy = Known { waiting: Some(seen(2, "z")), ledger, ..Known::default() };
        assert!(
            keeps(&seen(1, "a"), &busy),
            "back to what the ledger has, while something else is under way: A to B to A"
        );
        assert!(!keeps(&seen(2, "z"), &busy));
        let dead = Known { dead: Some(seen(3, "d")), ..Known::default() };
        assert!(!keeps(&seen(3, "d"), &dead), "a dead letter does not come back by being read again");
        assert!(keeps(&seen(4, "d"), &dead), "a newer state gets its own chance");
    }

    #[test]
    fn what_is_compared_with_is_the_state_that_is_written() {
        let unordered = |hash: &str| Seen { version: Version::Unordered, hash: hash.into() };
        let waiting = Known { waiting: Some(unordered("a")), ..Known::default() };
        assert!(!keeps(&unordered("a"), &waiting), "it will be fetched when it is claimed");
        let claimed = Known { claimed: true, ..waiting.clone() };
        assert!(keeps(&unordered("a"), &claimed), "what was fetched for it may be another state");
        let writing = Known { writing: Some(unordered("b")), ..claimed };
        assert!(keeps(&unordered("a"), &writing), "it went back while the other one was written");
        assert!(!keeps(&unordered("b"), &writing));
        let ordered = Known { waiting: Some(seen(1, "a")), claimed: true, ..Known::default() };
        assert!(!keeps(&seen(1, "a"), &ordered));
    }

    #[test]
    fn a_dead_letter_is_not_replayed_behind_a_state_that_is_no_older() {
        let waiting = [Version::Counter(2), Version::Counter(3)];
        assert!(!replays(&Version::Counter(3), waiting.iter()), "the same version, read later");
        assert!(!replays(&Version::Counter(1), waiting.iter()));
        assert!(replays(&Version::Counter(4), waiting.iter()));
        assert!(replays(&Version::Counter(4), [].iter()));
    }
}
