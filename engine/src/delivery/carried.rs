//! How much of the mapped body a write carries, where some fields are sent only by the write that makes a record. The ledger compares whole
//! bodies, before anything is left out.

use super::{
    Change, Facts, Fault, Found, Judge, LedgerEntry, Rule, Settled,
    judge::{SEVERAL, STRANGER},
};
use crate::plan::{Method, Operation, Ownership, Proof};

/// How much of the mapped body a write carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// All of it; an operation that looks before it writes leaves out by itself what does not go over a record that it finds.
    Whole,
    /// All but what only the write that makes a record carries.
    Rest,
    /// Whether the destination has the record is looked up first.
    LookUpFirst,
}

impl Carried {
    /// Of a write of a record, by what the ledger knows of it. `once` says that a record is never written again.
    pub fn of(operation: &Operation, once: bool, ledger: Option<&LedgerEntry>) -> Self {
        let Ownership { destination_owned, create_only: _ } = &operation.ownership;
        if operation.is_looked_up_first() {
            return Self::LookUpFirst;
        }
        if operation.ownership.is_empty() || operation.looks() {
            return Self::Whole;
        }
        let looks_up = !destination_owned.is_empty() && operation.outcome.lookup.is_some();
        let makes = once && only_creates(operation);
        match ledger {
            Some(LedgerEntry { present: true, body_hash: Some(_), .. }) if Rule::OwnedIsLeftOut.holds() => Self::Rest,
            Some(LedgerEntry { present: true, body_hash: Some(_), .. }) => Self::Whole,
            // Given up in doubt: it may be there or not. What only makes records makes another one.
            Some(LedgerEntry { present: true, body_hash: None, .. }) if !looks_up && !makes => Self::Rest,
            _ if looks_up && Rule::OwnedIsLookedUpFirst.holds() => Self::LookUpFirst,
            _ if looks_up || destination_owned.is_empty() || makes => Self::Whole,
            // Nothing can tell, which no plan should leave to chance.
            _ => Self::Rest,
        }
    }
}

impl Judge<'_> {
    /// Decides how much of the body a write carries, by what was found when the record was looked up first.
    ///
    /// # Errors
    /// What becomes of the record, where what was found is a fault.
    pub fn found_first(&self, operation: &Operation, facts: &Facts, found: &Found) -> Result<Carried, Box<Change>> {
        match found {
            Found::Absent if operation.only_there.is_some() => Err(Box::new(Change::Settle(Settled::Missing))),
            Found::Absent => Ok(Carried::Whole),
            Found::Present(_) => Ok(Carried::Rest),
            Found::Stranger => Err(Box::new(self.failed(facts, Fault::of(STRANGER)))),
            Found::Several => Err(Box::new(self.failed(facts, Fault::of(SEVERAL)))),
        }
    }
}

/// Whether each call of an operation makes a record of its own.
pub fn only_creates(operation: &Operation) -> bool {
    let proof = operation.outcome.lookup.as_ref().and_then(|lookup| lookup.evidence.proof);
    operation.method == Method::Post && proof != Some(Proof::Fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::version::Version;

    fn operation(ownership: &serde_json::Value, change: impl Fn(&mut serde_json::Value)) -> Operation {
        let lookup = json!({"path": "/x/{body.id}", "query": {}, "key": "/id", "keyField": "id", "settleSeconds": 1});
        let mut operation = json!({
            "name": "upsert", "method": "PUT", "path": "/x/{body.id}", "query": {}, "headers": {}, "ownership": ownership,
            "outcome": {"idempotency": null, "lookup": lookup},
        });
        change(&mut operation);
        serde_json::from_value(operation).unwrap()
    }

    fn ledger(present: bool, body_hash: Option<&str>) -> LedgerEntry {
        LedgerEntry {
            version: Version::Counter(1),
            source_hash: "a".into(),
            body_hash: body_hash.map(str::to_owned),
            present,
            identifier: None,
        }
    }

    #[test]
    fn what_is_given_once_goes_with_the_first_write_and_no_later_one() {
        let operation = operation(&json!({"createOnly": ["memo"]}), |_| {});
        let of = |entry: Option<&LedgerEntry>| Carried::of(&operation, false, entry);
        assert_eq!(of(None), Carried::Whole);
        assert_eq!(of(Some(&ledger(true, Some("b")))), Carried::Rest);
        assert_eq!(of(Some(&ledger(false, None))), Carried::Whole, "deleted, or left out so far");
        assert_eq!(of(Some(&ledger(true, None))), Carried::Rest, "given up in doubt: it may be there");
    }

    #[test]
    fn what_is_the_destinations_goes_only_where_nothing_was_found() {
        let owned = json!({"destinationOwned": ["memo"]});
        let can_look = operation(&owned, |_| {});
        assert_eq!(Carried::of(&can_look, false, None), Carried::LookUpFirst);
        assert_eq!(Carried::of(&can_look, false, Some(&ledger(true, None))), Carried::LookUpFirst);
        assert_eq!(Carried::of(&can_look, false, Some(&ledger(true, Some("b")))), Carried::Rest, "nothing to find out");
        let blind = operation(&owned, |it| it["outcome"]["lookup"] = json!(null));
        assert_eq!(Carried::of(&blind, false, None), Carried::Rest);
        let creates = operation(&owned, |it| {
            (it["outcome"]["lookup"], it["method"]) = (json!(null), json!("POST"));
        });
        assert_eq!(Carried::of(&creates, true, None), Carried::Whole);
        assert_eq!(Carried::of(&creates, false, None), Carried::Rest);
        let doubt = ledger(true, None);
        assert_eq!(Carried::of(&creates, true, Some(&doubt)), Carried::Whole, "written once, and given up in doubt");
        assert_eq!(Carried::of(&creates, false, Some(&doubt)), Carried::Rest);
    }

    #[test]
    fn an_operation_that_looks_before_it_writes_is_given_everything() {
        let looks = operation(&json!({"destinationOwned": ["memo"]}), |it| it["ifMatch"] = json!({}));
        assert_eq!(Carried::of(&looks, false, Some(&ledger(true, Some("b")))), Carried::Whole);
        let owns_nothing = operation(&json!({}), |_| {});
        assert_eq!(Carried::of(&owns_nothing, false, None), Carried::Whole);
    }
}
