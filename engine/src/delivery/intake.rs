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
    /// The states in its dead letters, in the order in which they were set aside.
    pub dead: Vec<Seen>,
    /// The ledger's.
    pub ledger: Option<LedgerEntry>,
}

impl Known {
    /// The same, for word of a record that does not say what became of it: that an earlier one lies in the dead letters says nothing of this one.
    #[must_use]
    pub fn for_word(self) -> Self {
        if Rule::WordIsNews.holds() { Self { dead: Vec::new(), ..self } } else { self }
    }

    /// The same where a stream is read again because somebody asked for it: what was settled is taken once more, and only delivery compares it
    /// with the ledger. What waits, or rests in the dead letters, is taken no second time.
    #[must_use]
    pub fn asked_again(self) -> Self {
        Self { ledger: None, ..self }
    }
}

/// Whether intake keeps a state. It is dropped only if it is exactly what is known already: the newest one waiting, or a dead letter's,
/// or, with nothing waiting or claimed, the ledger's.
pub fn keeps(seen: &Seen, known: &Known) -> bool {
    if rests(seen, known) && Rule::DeadLettersRest.holds() {
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

/// Whether a state lies in the dead letters, for a person to decide about. Not when another state of its version came in after it was set aside:
/// then the record went back to it.
fn rests(seen: &Seen, known: &Known) -> bool {
    let Some(place) = known.dead.iter().rposition(|dead| dead == seen) else { return false };
    let mut later = known.dead[place + 1..].iter().chain(&known.writing).chain(&known.waiting);
    let back = later.any(|later| later.version == seen.version && later.hash != seen.hash);
    !back || !Rule::BackToADeadLetterIsNews.holds()
}

/// Whether a dead letter may be replayed: not while a state that is no older waits for its key, or was set aside after it. It was read before
/// that one, and behind it would pass for news. Versions that cannot be compared do not stand in the way.
pub fn replays<'a>(dead: &Version, mut later: impl Iterator<Item = &'a Version>) -> bool {
    let overtaken = later.any(|later| later.compare(dead).is_some_and(Ordering::is_ge));
    !overtaken || !Rule::ReplayIsNoNews.holds()
}

/// Whether what was settled for a key leaves nothing to do about a dead letter of it. One that has the same version and another content stays
/// where the source shows single records (`singles`): which of the two is the newer has not been asked, and a replay asks. Elsewhere what was
/// read last is the newer one, and where nothing orders states, what was settled was fetched.
pub fn outdates(settled: &Seen, dead: &Seen, singles: bool) -> bool {
    match dead.version.compare(&settled.version) {
        None | Some(Ordering::Greater) => false,
        Some(Ordering::Less) => true,
        Some(Ordering::Equal) => {
            let asked = !singles || settled.version == Version::Unordered;
            asked || dead.hash == settled.hash || !Rule::EqualDeadLettersStay.holds()
        }
    }
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
        let dead = Known { dead: vec![seen(3, "d")], ..Known::default() };
        assert!(!keeps(&seen(3, "d"), &dead), "a dead letter does not come back by being read again");
        assert!(keeps(&seen(4, "d"), &dead), "a newer state gets its own chance");
        let under_way = |other| Known { waiting: Some(other), ..dead.clone() };
        assert!(keeps(&seen(3, "d"), &under_way(seen(3, "e"))), "another state of its version came in between");
        assert!(!keeps(&seen(3, "d"), &under_way(seen(4, "e"))) && !keeps(&seen(3, "d"), &under_way(seen(2, "e"))));
        let two = Known { dead: vec![seen(3, "d"), seen(3, "e")], ..Known::default() };
        assert!(keeps(&seen(3, "d"), &two) && !keeps(&seen(3, "e"), &two), "set aside before and after");
    }

    #[test]
    fn word_of_a_record_does_not_rest_with_what_an_earlier_one_came_to() {
        let word = Seen { version: Version::Unordered, hash: "word".into() };
        let dead = Known { dead: vec![word.clone()], ..Known::default() };
        assert!(!keeps(&word, &dead), "a record's content");
        assert!(keeps(&word, &dead.clone().for_word()), "it may have been repaired since");
        let waiting = Known { waiting: Some(word.clone()), ..dead };
        assert!(!keeps(&word, &waiting.for_word()), "it will be fetched when it is claimed");
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

    #[test]
    fn a_dead_letter_goes_only_with_what_is_surely_newer() {
        let dead = seen(2, "a");
        for singles in [true, false] {
            assert!(outdates(&seen(3, "b"), &dead, singles));
            assert!(outdates(&dead, &dead, singles), "it was written after all");
            assert!(!outdates(&seen(1, "b"), &dead, singles));
            let time = Seen { version: Version::Time(jiff::Timestamp::UNIX_EPOCH), hash: "b".into() };
            assert!(!outdates(&time, &dead, singles), "nothing orders the two");
            let unordered = |hash: &str| Seen { version: Version::Unordered, hash: hash.into() };
            assert!(outdates(&unordered("b"), &unordered("a"), singles), "what was settled is the newest there is");
        }
        assert!(outdates(&seen(2, "b"), &dead, false), "it was read later");
        assert!(!outdates(&seen(2, "b"), &dead, true), "a replay will ask which is the newer");
    }
}
