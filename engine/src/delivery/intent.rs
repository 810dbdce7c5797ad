//! Writes that were decided and stored before their first call: their keys, what to do next with one whose outcome is unknown, and what a
//! look-up proves.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{Rule, Seen};
use crate::{
    body::Body,
    canonical,
    plan::{Evidence, Identifier, Method, OnUnknownOutcome, Operation, Outcome, Proof},
};

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

/// A write that was decided and stored, and is not settled yet.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenIntent {
    /// What the protocol decides by.
    pub intent: Intent,
    /// The operation as it was when the write was decided; a changed plan does not change what is under way.
    pub operation: Arc<Operation>,
    /// What is written.
    pub body: Body,
    /// Hash of the whole mapped body.
    pub body_hash: String,
    /// The state of the record that the body was made of; it may have been fetched after the record was read.
    pub seen: Seen,
    /// Whether it deletes the record.
    pub deletes: bool,
    /// Whether the vendor refused it after an outcome had been in doubt: its key can tell nothing more.
    pub refused: bool,
    /// How many records it was made of: 1, or those of a batch, of which this is one.
    pub size: u32,
    /// Whether it was made when its batch, in doubt, was taken apart: its key was never sent before, and can tell nothing of the batch.
    pub apart: bool,
}

impl OpenIntent {
    /// What the destination called the record, as a look-up's response says.
    pub(super) fn identifier_in(&self, found: &Value) -> Option<String> {
        let of_write = match self.operation.identifier.as_ref() {
            Some(Identifier::Pointer(pointer)) => Some(pointer),
            // A look-up's response has no such header; what an earlier write gave is kept.
            Some(Identifier::Header(_)) | None => None,
        };
        let of_look_up = self.evidence().and_then(|evidence| evidence.identifier.as_ref());
        match found.pointer(of_look_up.or(of_write)?)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Whether a record that a settled look-up found shows that this was applied.
    pub(super) fn is_shown_by(&self, found: &Value) -> bool {
        let evidence = self.evidence();
        let record = evidence.and_then(|evidence| evidence.record.as_deref()).unwrap_or_default();
        let proof = evidence.and_then(|evidence| evidence.proof);
        // What only a create carries proves nothing: an update leaves it out, and people may have changed it since.
        let rest = Rule::OwnedProvesNothing.holds().then(|| self.operation.ownership.rest(&self.body));
        let body = rest.as_ref().unwrap_or(&self.body);
        shows_applied(self.operation.method, proof, body, found.pointer(record).unwrap_or(&Value::Null))
    }

    fn evidence(&self) -> Option<&Evidence> {
        self.operation.outcome.lookup.as_ref().map(|lookup| &lookup.evidence)
    }
}

/// The key that makes resending safe: the same for the same intent, on any machine; different for any other.
pub fn idempotency_key(store_id: &str, flow: &str, record_key: &str, sequence: i64) -> String {
    let store_id = if Rule::KeyNamesItsStore.holds() { store_id } else { "" };
    let parts = [store_id.as_bytes(), flow.as_bytes(), record_key.as_bytes(), &sequence.to_be_bytes()];
    canonical::hash_parts(&parts).chars().take(40).collect()
}

/// The key of a record, by its number, whose batch was taken apart: made of the batch's, and never sent before.
pub fn key_apart(batch: &str, record: i64) -> String {
    if !Rule::ApartHasItsOwnKey.holds() {
        return batch.to_owned();
    }
    canonical::hash_parts(&[batch.as_bytes(), &record.to_be_bytes()]).chars().take(40).collect()
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
        let flight = if Rule::FlightIsTakenOff.holds() { longest_flight } else { Duration::ZERO };
        let window = Duration::from_secs(u64::from(idempotency.window_seconds)).saturating_sub(flight);
        // A clock that was set back since the doubt began does not make the window longer by as much.
        if intent.stored_at.checked_add(window).is_ok_and(|end| now.max(doubt) < end) || !Rule::KeyHasAWindow.holds() {
            return Step::Send;
        }
    }
    if let Some(lookup) = &outcome.lookup
        && (outcome.idempotency.is_none() || Rule::LookUpAfterTheKey.holds())
    {
        let settle = if Rule::LookUpSettles.holds() { lookup.settle_seconds } else { 0 };
        let settle = Duration::from_secs(u64::from(settle));
        return Step::LookUp(doubt.checked_add(settle).unwrap_or(Timestamp::MAX));
    }
    match unknown {
        OnUnknownOutcome::Hold if Rule::UnknownIsHeld.holds() => Step::Hold,
        OnUnknownOutcome::Hold | OnUnknownOutcome::Resend => Step::Send,
    }
}

/// Whether a record that a settled look-up found shows that the intent was applied. Finding it proves a create; an update is proved only by
/// the fields we wrote being there; a delete is proved by finding nothing. Which of the first two a call is, its method says where nothing
/// else does.
pub fn shows_applied(method: Method, proof: Option<Proof>, body: &Value, found: &Value) -> bool {
    let proof = match (method, proof) {
        (Method::Delete, _) => return false,
        (Method::Post | Method::Put | Method::Patch, Some(proof)) => proof,
        (Method::Post, None) => Proof::Presence,
        (Method::Put | Method::Patch, None) => Proof::Fields,
    };
    match proof {
        Proof::Presence => true,
        Proof::Fields => carries(found, body) || !Rule::UpdateIsProvedByItsFields.holds(),
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
    use crate::plan::{Evidence, Idempotency, LookUp};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
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
            evidence: Evidence::default(),
            ..LookUp::default()
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
        let late = Intent { in_doubt_since: Some(at(580)), ..fresh.clone() };
        assert_eq!(decide(&late, &outcome(Some(600), None), 50), Step::Hold, "the clock was set back");
        assert_eq!(decide(&doubt, &outcome(None, Some(5)), 100), Step::LookUp(at(105)));
        assert_eq!(step(&doubt, &outcome(None, None), OnUnknownOutcome::Resend, at(100), flight), Step::Send);
    }

    #[test]
    fn a_look_up_proves_a_create_by_being_there_and_an_update_by_our_fields() {
        let body = json!({"id": "1", "total": 10.0, "lines": [{"sku": "a"}], "memo": null});
        let found = json!({"id": "1", "total": 10, "lines": [{"sku": "a", "line": 1}], "status": "open"});
        assert!(shows_applied(Method::Put, None, &body, &found));
        let stale = json!({"id": "1", "total": 9, "lines": [{"sku": "a"}]});
        assert!(!shows_applied(Method::Put, None, &body, &stale));
        assert!(shows_applied(Method::Post, None, &body, &stale));
        // A POST that updates as well, and a PUT that only creates.
        assert!(!shows_applied(Method::Post, Some(Proof::Fields), &body, &stale));
        assert!(shows_applied(Method::Post, Some(Proof::Fields), &body, &found));
        assert!(shows_applied(Method::Put, Some(Proof::Presence), &body, &stale));
        assert!(!shows_applied(Method::Delete, Some(Proof::Presence), &body, &found));
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
