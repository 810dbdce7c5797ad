//! Writes of records that are only to be changed, and are not there.

use super::*;
use crate::{delivery::Carried, plan::KnownBy};

fn only_there(mut open: OpenIntent, known_by: KnownBy) -> OpenIntent {
    Arc::make_mut(&mut open.operation).only_there = Some(known_by);
    open
}

#[test]
fn a_record_that_is_not_there_is_left_out_and_counts_no_attempt() {
    let terms = terms();
    let fresh = only_there(open(outcome(false, true), None), KnownBy::Answer);
    let settled = judge(&terms, 0).sent(&claimed(Some(fresh.clone())), &fresh, Sent::Missing, OTHERS_PASSED);
    assert_eq!(settled, Change::Settle(Settled::Missing));
    let doubtful = only_there(open(outcome(true, true), Some(at(0))), KnownBy::Answer);
    let change = judge(&terms, 1).sent(&claimed(Some(doubtful.clone())), &doubtful, Sent::Missing, OTHERS_PASSED);
    let waits = postponement(change);
    assert_eq!((waits.intent, waits.failures.attempts), (IntentChange::Refused, 0), "a look-up tells once it settled");
    let blind = only_there(open(outcome(true, false), Some(at(0))), KnownBy::Answer);
    let change = judge(&terms, 1).sent(&claimed(Some(blind.clone())), &blind, Sent::Missing, OTHERS_PASSED);
    assert_eq!(change, Change::Settle(Settled::Missing), "whatever came before, it made nothing");
}

#[test]
fn what_is_looked_up_first_is_looked_up_before_every_write_and_decided_anew_when_it_has_to_wait() {
    let terms = terms();
    let fresh = only_there(open(outcome(false, true), None), KnownBy::LookUp);
    let facts = claimed(Some(fresh.clone()));
    let written = LedgerEntry {
        version: Version::Counter(1),
        source_hash: "a".into(),
        body_hash: Some("b".into()),
        present: true,
        identifier: None,
    };
    assert_eq!(Carried::of(&fresh.operation, false, Some(&written)), Carried::LookUpFirst, "it may have gone since");
    let absent = judge(&terms, 0).found_first(&fresh.operation, &facts, &Found::Absent);
    assert_eq!(absent.map_err(|change| *change), Err(Change::Settle(Settled::Missing)));
    let setback = Setback { fault: Fault::of("slow"), retry_after: None, overloaded: true };
    let change = judge(&terms, 0).sent(&facts, &fresh, Sent::NotSent(setback.clone()), OTHERS_PASSED);
    assert_eq!(postponement(change).intent, IntentChange::Close);
    assert_eq!(postponement(judge(&terms, 0).waits_for_circuit(&facts, at(5))).intent, IntentChange::Close);
    let doubtful = only_there(open(outcome(false, true), Some(at(0))), KnownBy::LookUp);
    let change =
        judge(&terms, 1).sent(&claimed(Some(doubtful.clone())), &doubtful, Sent::NotSent(setback), OTHERS_PASSED);
    assert_eq!(postponement(change).intent, IntentChange::Keep, "what is in doubt stays so");
}
