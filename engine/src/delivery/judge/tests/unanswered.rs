//! What is never answered, while other calls are.

use super::*;

#[test]
fn a_record_that_is_never_answered_while_others_pass_waits_ever_longer_and_counts_no_attempt() {
    let terms = terms();
    let open = open(outcome(true, false), None);
    let mut claimed = claimed(Some(open.clone()));
    let mut waits = Vec::new();
    for _ in 0..6 {
        let change = judge(&terms, 1).sent(&claimed, &open, Sent::Unknown(timed_out()), OTHERS_PASSED);
        let postponed = postponement(change);
        waits.push(postponed.due.duration_since(at(1)).as_secs());
        assert_eq!((postponed.failures.attempts, postponed.by_system), (0, waits.len() > 1));
        claimed.failures = Failures { tally: Some(Tally::default()), ..postponed.failures };
    }
    assert_eq!(waits, [0, 120, 240, 480, 480, 480], "at once, then as the policy's retries wait");
    let outage = Weather { before: Tally { well: 0, unwell: 2 }, after: Tally { well: 0, unwell: 3 }, open: false };
    let postponed = postponement(judge(&terms, 1).sent(&claimed, &open, Sent::Unknown(timed_out()), outage));
    assert_eq!(postponed.due, at(1), "nothing passed: the circuit is to find out soon");
}
