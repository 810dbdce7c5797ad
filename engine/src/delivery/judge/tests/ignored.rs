//! Writes for which there is nothing to be done, as the vendor's rules say.

use super::*;

#[test]
fn a_write_that_the_vendor_ignores_is_settled_as_left_out_unless_an_earlier_send_is_in_doubt() {
    let terms = terms();
    let ignored = || Sent::Ignored(Fault::of("nothing to be done"));
    let fresh = open(outcome(false, true), None);
    let settled = judge(&terms, 0).sent(&claimed(Some(fresh.clone())), &fresh, ignored(), OTHERS_PASSED);
    assert_eq!(settled, Change::Settle(Settled::LeftOut));
    let doubtful = open(outcome(true, true), Some(at(0)));
    let change = judge(&terms, 1).sent(&claimed(Some(doubtful.clone())), &doubtful, ignored(), OTHERS_PASSED);
    assert_eq!(postponement(change).intent, IntentChange::Refused, "the earlier send may have been applied");
}
