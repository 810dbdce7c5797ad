//! What a look-up that found something settles.

use super::*;

#[test]
fn a_look_up_that_finds_our_record_settles_it_and_another_ones_is_never_written_over() {
    let terms = terms();
    let open = open(outcome(false, true), Some(at(0)));
    let claimed = claimed(Some(open.clone()));
    let ours = Found::Present(json!({"id": "a", "number": 17}));
    let Resolved::Done(Change::Settle(settled)) = judge(&terms, 9).looked_up(&claimed, &open, &ours) else {
        panic!("not settled")
    };
    assert_eq!(settled, Settled::Delivered { body_hash: "h".into(), identifier: Some("17".into()) });
    let stale = Found::Present(json!({"id": "b"}));
    assert!(matches!(judge(&terms, 9).looked_up(&claimed, &open, &stale), Resolved::NotApplied));
    for unclear in [Found::Several, Found::Stranger] {
        let Resolved::Done(change) = judge(&terms, 9).looked_up(&claimed, &open, &unclear) else {
            panic!("sent again")
        };
        let postponed = postponement(change);
        assert_eq!((postponed.intent, postponed.failures.attempts), (IntentChange::Keep, 1));
    }
}

#[test]
fn what_only_a_create_carries_proves_nothing_because_people_may_have_changed_it() {
    let mut doubtful = open(outcome(false, true), Some(at(10)));
    let operation = Operation {
        ownership: crate::plan::Ownership { create_only: vec!["memo".into()], ..Default::default() },
        ..(*doubtful.operation).clone()
    };
    (doubtful.operation, doubtful.body) = (Arc::new(operation), json!({"id": "a", "memo": "ours", "total": 1}).into());
    let terms = terms();
    let resolved = |found| judge(&terms, 20).looked_up(&claimed(None), &doubtful, &Found::Present(found));
    let found = resolved(json!({"id": "a", "memo": "by hand", "total": 1}));
    assert!(matches!(found, Resolved::Done(Change::Settle(Settled::Delivered { .. }))), "{found:?}");
    let found = resolved(json!({"id": "a", "memo": "ours", "total": 2}));
    assert!(matches!(found, Resolved::NotApplied), "{found:?}");
}
