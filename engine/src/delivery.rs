//! The delivery protocol's decisions: what intake keeps, whether a claimed record is still news, and how a call whose answer never
//! came is resolved. Pure: the worker's store and client carry them out, and tests drive them without either.
//!
//! The rules, in short. A key's records are handled in the order they came. The ledger holds the newest state that was settled for each key.
//! Before a call, an intent is stored; it is settled together with record and ledger. An intent whose outcome is unknown is resolved before
//! anything else touches its key, and the ledger is not asked meanwhile.

use std::{cmp::Ordering, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    canonical,
    plan::{Method, OnUnknownOutcome, Outcome},
    version::Version,
};

/// A state of a record as the source showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The source's own order.
    pub version: Version,
    /// Hash of the whole record.
    pub hash: String,
}

impl Seen {
    /// The state of a record, with its hash.
    pub fn of(version: Version, record: &Value) -> Self {
        Self { version, hash: canonical::hash(record) }
    }
}

/// What the ledger holds for a key: the newest state that was settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Version of the state that was settled last.
    pub version: Version,
    /// Hash of that state.
    pub source_hash: String,
    /// Hash of the body that is believed to be at the destination; none when the record was left out by `when`.
    pub body_hash: Option<String>,
}

/// What is known of a key when a state of it comes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The newest state that waits or is claimed.
    pub waiting: Option<Seen>,
    /// The state in the dead letters.
    pub dead: Option<Seen>,
    /// The ledger's.
    pub ledger: Option<LedgerEntry>,
}

/// Whether intake keeps a state. It is dropped only if it is exactly what is known already: the newest one waiting, or the dead letter's,
/// or, with nothing waiting or claimed, the ledger's.
pub fn keeps(seen: &Seen, known: &Known) -> bool {
    if known.dead.as_ref() == Some(seen) {
        return false;
    }
    match (&known.waiting, &known.ledger) {
        (Some(waiting), _) => waiting != seen,
        (None, Some(ledger)) => ledger.version != seen.version || ledger.source_hash != seen.hash,
        (None, None) => true,
    }
}

/// What a claimed record is, compared with what was settled before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// News: map it and compare bodies.
    News,
    /// The same version with another content. It was read after what was settled, so it is what the source shows now.
    Ambiguous,
    /// A newer state was settled already.
    Superseded,
    /// The source changed how it orders states: a time became a counter, or the reverse. A fault of the record.
    NotComparable,
}

/// Compares a claimed record with the ledger.
pub fn standing(seen: &Seen, ledger: Option<&LedgerEntry>) -> Standing {
    let Some(ledger) = ledger else { return Standing::News };
    match seen.version.compare(&ledger.version) {
        None => Standing::NotComparable,
        Some(Ordering::Less) => Standing::Superseded,
        Some(Ordering::Equal) if seen.hash != ledger.source_hash => Standing::Ambiguous,
        Some(Ordering::Equal | Ordering::Greater) => Standing::News,
    }
}

/// Whether a mapped body needs a write: not when the destination is believed to have it. An echo stops here.
pub fn needs_write(body_hash: &str, ledger: Option<&LedgerEntry>) -> bool {
    ledger.and_then(|entry| entry.body_hash.as_deref()) != Some(body_hash)
}

/// A write that was decided and stored before its first call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its number in the store, never used twice.
    pub sequence: i64,
    /// The key that makes resending safe, where the vendor takes one.
    pub idempotency_key: String,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// The last instant at which a send of unknown outcome could have left: when its answer was given up, or when the worker started anew.
    /// None while every send was refused or never left.
    pub in_doubt_since: Option<Timestamp>,
}

/// The key that makes resending safe: the same for the same intent, on any machine; different for any other.
pub fn idempotency_key(store_id: &str, flow: &str, record_key: &str, sequence: i64) -> String {
    let parts = [store_id.as_bytes(), flow.as_bytes(), record_key.as_bytes(), &sequence.to_be_bytes()];
    canonical::hash_parts(&parts).chars().take(40).collect()
}

/// What to do next with an open intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send its body with its key.
    Send,
    /// Look it up, not before this time.
    LookUp(Timestamp),
    /// Nothing can tell: keep it back and say so.
    Hold,
}

/// Decides what to do next with an open intent. `longest_flight` is the longest a call can be under way; it is taken off the key's window,
/// because a call that leaves at the window's end arrives after it.
pub fn step(
    intent: &Intent,
    outcome: &Outcome,
    unknown: OnUnknownOutcome,
    now: Timestamp,
    longest_flight: Duration,
) -> Step {
    let Some(doubt) = intent.in_doubt_since else { return Step::Send };
    if let Some(idempotency) = &outcome.idempotency {
        let window = Duration::from_secs(u64::from(idempotency.window_seconds)).saturating_sub(longest_flight);
        if intent.stored_at.checked_add(window).is_ok_and(|end| now < end) {
            return Step::Send;
        }
    }
    if let Some(lookup) = &outcome.lookup {
        let settle = Duration::from_secs(u64::from(lookup.settle_seconds));
        return Step::LookUp(doubt.checked_add(settle).unwrap_or(Timestamp::MAX));
    }
    match unknown {
        OnUnknownOutcome::Hold => Step::Hold,
        OnUnknownOutcome::Resend => Step::Send,
    }
}

/// Whether a record that a settled look-up found shows that the intent was applied. Finding it proves a create; an update is proved only by
/// the fields we wrote being there; a delete is proved by finding nothing.
pub fn shows_applied(method: Method, body: &Value, found: &Value) -> bool {
    match method {
        Method::Post => true,
        Method::Put | Method::Patch => carries(found, body),
        Method::Delete => false,
    }
}

/// Whether `found` holds everything that `body` holds. Numbers are compared by value, lists by position; members that only `found` has
/// do not matter.
pub fn carries(found: &Value, body: &Value) -> bool {
    match (found, body) {
        (Value::Object(found), Value::Object(body)) => body.iter().all(|(name, value)| match found.get(name) {
            Some(found) => carries(found, value),
            None => value.is_null(),
        }),
        (Value::Array(found), Value::Array(body)) => {
            found.len() == body.len() && found.iter().zip(body).all(|(found, body)| carries(found, body))
        }
        (Value::Number(found), Value::Number(body)) => found == body || found.as_f64() == body.as_f64(),
        (found, body) => found == body,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::{Idempotency, LookUp};

    fn seen(counter: i64, hash: &str) -> Seen {
        Seen { version: Version::Counter(counter), hash: hash.into() }
    }

    fn entry(counter: i64, hash: &str, body: &str) -> LedgerEntry {
        LedgerEntry { version: Version::Counter(counter), source_hash: hash.into(), body_hash: Some(body.into()) }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn intake_drops_only_what_is_exactly_known() {
        let ledger = Some(entry(1, "a", "b"));
        let idle = Known { ledger: ledger.clone(), ..Known::default() };
        assert!(!keeps(&seen(1, "a"), &idle));
        assert!(keeps(&seen(1, "z"), &idle), "same version, other content");
        assert!(keeps(&seen(2, "a"), &idle), "newer version, same content");
        let busy = Known { waiting: Some(seen(2, "z")), ledger, dead: None };
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
    fn an_older_state_never_overwrites_a_newer_one() {
        let ledger = entry(5, "a", "b");
        assert_eq!(standing(&seen(4, "x"), Some(&ledger)), Standing::Superseded);
        assert_eq!(standing(&seen(5, "a"), Some(&ledger)), Standing::News);
        assert_eq!(standing(&seen(5, "x"), Some(&ledger)), Standing::Ambiguous);
        assert_eq!(standing(&seen(6, "x"), Some(&ledger)), Standing::News);
        assert_eq!(standing(&seen(6, "x"), None), Standing::News);
    }

    #[test]
    fn the_same_body_is_not_written_again() {
        assert!(!needs_write("b", Some(&entry(1, "a", "b"))));
        assert!(needs_write("c", Some(&entry(1, "a", "b"))));
        assert!(needs_write("b", None));
        assert!(needs_write("b", Some(&LedgerEntry { body_hash: None, ..entry(1, "a", "b") })), "left out before");
    }

    fn outcome(window_seconds: Option<u32>, settle_seconds: Option<u32>) -> Outcome {
        let idempotency =
            window_seconds.map(|window_seconds| Idempotency { header: "Idempotency-Key".into(), window_seconds });
        let lookup = settle_seconds.map(|settle_seconds| LookUp {
            path: "/x/{body.id}".to_owned().try_into().unwrap(),
            query: std::collections::BTreeMap::new(),
            key: "/id".into(),
            key_field: "id".into(),
            settle_seconds,
        });
        Outcome { idempotency, lookup }
    }

    #[test]
    fn an_intent_in_doubt_is_resent_only_while_the_key_is_remembered_then_looked_up_then_held() {
        let flight = Duration::from_secs(30);
        let fresh = Intent { sequence: 1, idempotency_key: "k".into(), stored_at: at(0), in_doubt_since: None };
        let doubt = Intent { in_doubt_since: Some(at(100)), ..fresh.clone() };
        let decide =
            |intent: &Intent, outcome: &Outcome, now| step(intent, outcome, OnUnknownOutcome::Hold, at(now), flight);
        assert_eq!(decide(&fresh, &outcome(None, None), 100), Step::Send);
        let both = outcome(Some(600), Some(5));
        assert_eq!(decide(&doubt, &both, 569), Step::Send);
        assert_eq!(
            decide(&doubt, &both, 570),
            Step::LookUp(at(105)),
            "a call that leaves now could arrive after the window"
        );
        assert_eq!(decide(&doubt, &outcome(Some(600), None), 570), Step::Hold);
        assert_eq!(decide(&doubt, &outcome(None, Some(5)), 100), Step::LookUp(at(105)));
        assert_eq!(step(&doubt, &outcome(None, None), OnUnknownOutcome::Resend, at(100), flight), Step::Send);
    }

    #[test]
    fn a_look_up_proves_a_create_by_being_there_and_an_update_by_our_fields() {
        let body = json!({"id": "1", "total": 10.0, "lines": [{"sku": "a"}], "memo": null});
        let found = json!({"id": "1", "total": 10, "lines": [{"sku": "a", "line": 1}], "status": "open"});
        assert!(shows_applied(Method::Put, &body, &found));
        let stale = json!({"id": "1", "total": 9, "lines": [{"sku": "a"}]});
        assert!(!shows_applied(Method::Put, &body, &stale));
        assert!(shows_applied(Method::Post, &body, &stale));
    }

    #[test]
    fn idempotency_keys_differ_by_every_part() {
        let key = |store: &str, flow: &str, record: &str, sequence| idempotency_key(store, flow, record, sequence);
        let all = [
            key("s", "f", "r", 1),
            key("s2", "f", "r", 1),
            key("s", "f2", "r", 1),
            key("s", "f", "r2", 1),
            key("s", "f", "r", 2),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
