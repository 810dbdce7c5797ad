//! When lists are due, and what they have to be worth.

use super::*;
use crate::vault::fetch::tests::named;

const INTERVAL: Duration = Duration::from_mins(5);

fn account() -> Account {
    named("shop/0").account
}

fn description() -> Description {
    Description { current: "v2".into(), previous: Some("v1".into()), rotates: false, next_rotation: None }
}

/// A list that says something of the first `count` secrets.
fn listing(count: usize, calls: usize, end: ListEnd) -> Listing {
    let descriptions = (0..count).map(|number| (named(&format!("shop/{number}")), description())).collect();
    Listing { descriptions, calls, end }
}

/// An account of which so many secrets are used.
fn used(count: usize, now: Instant) -> Listings {
    let mut listings = Listings::new(INTERVAL);
    listings.see(&account(), count, now);
    listings
}

/// The same, listed just now.
fn listed(count: usize, listing: Listing, now: Instant) -> Listings {
    let mut listings = used(count, now);
    assert_eq!(listings.of(&named("shop/0"), None, COMPANY, now), Listed::Soon);
    assert_eq!(listings.begin(now + LONGEST_WAIT).len(), 1);
    listings.end(&account(), listing, 0, now);
    listings
}

#[test]
fn where_few_secrets_are_used_each_is_described_by_itself() {
    let now = Instant::now();
    let mut listings = used(USED_A_PAGE - 1, now);
    assert_eq!(listings.of(&named("shop/0"), None, COMPANY, now), Listed::Nothing);
    assert_eq!(listings.next(), None);
}

#[test]
fn a_secret_that_is_read_alone_is_described_by_itself() {
    let now = Instant::now();
    let mut listings = used(1000, now);
    assert_eq!(listings.of(&named("shop/0"), None, COMPANY - 1, now), Listed::Nothing);
    assert_eq!(listings.next(), Some(now + INTERVAL / 2));
}

#[test]
fn secrets_that_come_in_a_row_share_a_list() {
    let mut now = Instant::now();
    let mut listings = Listings::new(INTERVAL);
    for count in 1..=10 {
        listings.see(&account(), 20 * count, now);
        assert_eq!(listings.of(&named("shop/0"), None, COMPANY, now), Listed::Soon);
        assert_eq!(listings.begin(now), []);
        now += CALM / 2;
    }
    assert_eq!(listings.next(), Some(now + CALM / 2));
    assert_eq!(listings.begin(now + CALM / 2), [(account(), 20)]);
    assert_eq!(listings.next(), None, "one at a time");
}

#[test]
fn secrets_that_never_stop_coming_wait_for_half_a_minute_at_the_most() {
    let start = Instant::now();
    let mut listings = Listings::new(INTERVAL);
    for second in 0..30 {
        let now = start + Duration::from_secs(second);
        listings.see(&account(), 20 + usize::try_from(second).unwrap(), now);
        listings.of(&named("shop/0"), None, COMPANY, now);
        assert_eq!(listings.begin(now), [], "after {second} s");
    }
    assert_eq!(listings.begin(start + LONGEST_WAIT), [(account(), 4)]);
}

#[test]
fn a_list_is_made_twice_an_interval_and_says_nothing_for_longer_than_one() {
    let now = Instant::now();
    let mut listings = listed(30, listing(30, 1, ListEnd::Whole), now);
    assert_eq!(listings.next(), Some(now + INTERVAL / 2));
    let says = Listed::Says(description());
    let of = |listings: &mut Listings, at| listings.of(&named("shop/0"), None, 1, at);
    assert_eq!(of(&mut listings, now + INTERVAL / 2), says);
    assert_eq!(of(&mut listings, now + INTERVAL), Listed::Nothing);
    listings.distrust(&named("shop/0"));
    assert_eq!(of(&mut listings, now), Listed::Nothing);
}

#[test]
fn what_was_read_first_after_a_list_has_the_next_one_come_sooner_but_not_at_once() {
    let now = Instant::now();
    let mut listings = listed(30, listing(29, 1, ListEnd::Whole), now);
    assert_eq!(listings.of(&named("shop/29"), None, COMPANY, now), Listed::Soon);
    assert_eq!(listings.next(), Some(now + SPACING));
}

#[test]
fn a_list_that_is_too_long_is_not_made_again_until_much_later_or_for_twice_as_many_secrets() {
    let now = Instant::now();
    let mut listings = listed(30, listing(2, 3, ListEnd::Cut), now);
    assert_eq!(listings.next(), Some(now + INTERVAL * TOO_LONG));
    assert_eq!(listings.of(&named("shop/29"), None, COMPANY, now), Listed::Nothing);
    listings.see(&account(), 59, now);
    assert_eq!(listings.next(), Some(now + INTERVAL * TOO_LONG));
    listings.see(&account(), 60, now);
    assert_eq!(listings.next(), Some(now + INTERVAL / 2));
}

#[test]
fn a_list_that_says_too_little_or_is_refused_rests() {
    let now = Instant::now();
    for (listing, rest) in [
        (listing(0, 3, ListEnd::Whole), INTERVAL * TOO_LITTLE),
        (listing(6, 3, ListEnd::Whole), INTERVAL * TOO_LITTLE),
        (listing(0, 1, ListEnd::Failed), INTERVAL / 2),
    ] {
        let mut listings = listed(30, listing, now);
        assert_eq!(listings.next(), Some(now + rest));
        assert_eq!(listings.of(&named("shop/29"), None, COMPANY, now), Listed::Nothing);
    }
    let mut listings = used(30, now);
    listings.end(&account(), listing(30, 3, ListEnd::Whole), 15, now);
    assert_eq!(listings.next(), Some(now + INTERVAL * TOO_LITTLE), "half of them have to be asked all the same");
}

#[test]
fn an_account_that_is_used_no_more_is_forgotten() {
    let now = Instant::now();
    let mut listings = listed(30, listing(30, 1, ListEnd::Whole), now);
    listings.see(&account(), 0, now);
    assert_eq!(listings.next(), None);
    assert_eq!(listings.of(&named("shop/0"), None, COMPANY, now), Listed::Nothing);
    listings.end(&account(), listing(30, 1, ListEnd::Whole), 0, now);
    assert!(listings.accounts.is_empty(), "not even by a list that was under way");
}
