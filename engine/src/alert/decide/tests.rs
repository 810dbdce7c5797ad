//! What is told, told second by second.

use crosstie_crds::condition::Reason;
use serde_json::json;

use super::*;

const RETRY: RetryPolicy = RetryPolicy { retries: 3, initial_seconds: 120, factor: 2, max_seconds: 3600 };

/// A channel that is told of one cause, as time passes.
struct Story {
    integration: ObjectName,
    alert: Alert,
    cause: Cause,
    standing: Option<Standing>,
    waits: bool,
    told: Vec<(i64, Kind)>,
    last: Option<Message>,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

impl Story {
    fn of(cause: Cause) -> Self {
        let system = json!({
            "connector": "chat", "baseUrl": "https://chat.example.com/", "apiVersion": null, "authentication": "none",
            "egress": {"allowHosts": [], "allowCidrs": []},
            "allowance": {"requests": 40, "perSeconds": 20, "concurrency": 8},
            "servedVersionHeader": null, "requestIdHeader": null,
        });
        let alert = json!({
            "name": "ops", "system": system, "way": {"webhook": {"path": "/"}}, "causes": ["DeadLetters"],
            "groupSeconds": 60, "repeatSeconds": 14400,
        });
        Self {
            integration: ObjectName { namespace: "shop".into(), name: "orders".into() },
            alert: serde_json::from_value(alert).unwrap(),
            cause,
            standing: None,
            waits: false,
            told: Vec::new(),
            last: None,
        }
    }

    /// It is looked at each second of a span.
    fn passes(&mut self, seconds: std::ops::Range<i64>, wrong: impl Fn(i64) -> Vec<Wrong>) {
        for second in seconds {
            let terms = Terms { integration: &self.integration, alert: &self.alert, retry: &RETRY };
            let wrong = wrong(second);
            let decision = decide(&terms, self.cause, self.standing.as_ref(), &wrong, self.waits, at(second));
            self.standing = decision.standing;
            if let Some(message) = decision.message {
                self.told.push((second, message.kind));
                self.last = Some(message);
            }
        }
    }
}

fn letters(number: i64) -> Vec<Wrong> {
    let count = u64::try_from(number).unwrap();
    let wrong = Wrong {
        reason: Reason::DeadLetters,
        flow: Some("orders".into()),
        message: "refused".into(),
        since: Some(at(0)),
        count,
        newest: number,
        request_ids: Vec::new(),
    };
    if number == 0 { Vec::new() } else { vec![wrong] }
}

fn failing(reason: Reason) -> Vec<Wrong> {
    vec![Wrong {
        reason,
        flow: Some("orders".into()),
        message: "answered 503".into(),
        since: None,
        count: 3,
        newest: 0,
        request_ids: vec!["r-1".into()],
    }]
}

#[test]
fn a_thousand_dead_letters_within_a_minute_are_one_message() {
    let mut story = Story::of(Cause::DeadLetters);
    story.passes(0..3600, |second| letters((second * 20 + 1).min(1000)));
    assert_eq!(story.told, [(60, Kind::Began)]);
    assert!(story.last.unwrap().title.contains("1000 records"), "all of them are in it");
}

#[test]
fn letters_that_keep_coming_are_told_after_twice_as_long_each_time_and_those_that_lie_there_are_not() {
    let mut story = Story::of(Cause::DeadLetters);
    story.passes(0..1000, |second| letters(second + 1));
    let times: Vec<i64> = story.told.iter().map(|(second, _)| *second).collect();
    assert_eq!(times, [60, 120, 240, 480, 960]);
    story.passes(1000..200_000, |_| letters(1000));
    assert_eq!(story.told.len(), 6, "the rest of them, once: {:?}", story.told);
    // Another one days later is told at once, and one more soon after.
    story.passes(200_000..200_100, |second| letters(if second < 200_030 { 1001 } else { 1002 }));
    assert_eq!(story.told[6..], [(200_000, Kind::Grew), (200_060, Kind::Grew)]);
}

#[test]
fn it_is_told_when_it_is_over_and_nothing_follows() {
    let mut story = Story::of(Cause::DeadLetters);
    story.passes(0..100, |_| letters(3));
    story.passes(100..100_000, |_| Vec::new());
    assert_eq!(story.told, [(60, Kind::Began), (159, Kind::Resolved)]);
    let message = story.last.unwrap();
    assert_eq!((message.since, message.until), (at(0), Some(at(99))));
    assert_eq!(story.standing, None, "it is forgotten");
}

#[test]
fn what_is_over_before_it_was_told_is_never_told() {
    let mut story = Story::of(Cause::MappingFailing);
    story.passes(0..59, |_| failing(Reason::MappingFailing));
    story.passes(59..1000, |_| Vec::new());
    assert_eq!((story.told.as_slice(), &story.standing), (&[][..], &None));
}

#[test]
fn a_system_is_told_of_only_when_it_fails_for_longer_than_all_retries_take_and_then_every_four_hours() {
    let mut story = Story::of(Cause::SystemFailing);
    // 120 + 240 + 480 seconds; that it asks to wait in between is the same outage.
    let both = |second| failing(if second % 50 < 25 { Reason::Throttled } else { Reason::DestinationUnavailable });
    story.passes(0..840, both);
    assert_eq!(story.told, []);
    story.passes(840..30_000, |_| failing(Reason::DestinationUnavailable));
    let kinds: Vec<_> = story.told.iter().filter(|(_, kind)| *kind == Kind::Lasts).collect();
    assert_eq!(story.told[0], (840, Kind::Began));
    assert!(kinds.len() == 2 && story.told.len() <= 4, "{:?}", story.told);
}

#[test]
fn a_gap_shorter_than_a_minute_does_not_end_it() {
    let mut story = Story::of(Cause::OutcomeUnknown);
    story.passes(0..600, |second| if second % 59 == 0 { failing(Reason::OutcomeUnknown) } else { Vec::new() });
    assert_eq!(story.told, [(118, Kind::Began)]);
}

#[test]
fn what_comes_and_goes_all_day_is_told_ever_less_often() {
    let mut story = Story::of(Cause::CredentialsRejected);
    let flaps = |second: i64| if second % 300 < 150 { failing(Reason::CredentialsRejected) } else { Vec::new() };
    story.passes(0..86_400, flaps);
    assert!((12..=32).contains(&story.told.len()), "{} messages: {:?}", story.told.len(), story.told);
    assert!(story.told.iter().filter(|(_, kind)| *kind == Kind::Began).count() <= 16);
}

#[test]
fn while_a_message_waits_to_be_accepted_no_more_of_the_same_is_piled_up_but_its_end_is() {
    let mut story = Story::of(Cause::DeadLetters);
    story.passes(0..100, |_| letters(5));
    story.waits = true;
    story.passes(100..50_000, letters);
    assert_eq!(story.told, [(60, Kind::Began)]);
    story.passes(50_000..50_100, |_| Vec::new());
    assert_eq!(story.told[1..], [(50_059, Kind::Resolved)]);
}

#[test]
fn a_message_that_is_decided_twice_from_the_same_memory_has_the_same_id_and_others_have_others() {
    let mut first = Story::of(Cause::DeadLetters);
    first.passes(0..61, |_| letters(1));
    let mut again = Story::of(Cause::DeadLetters);
    again.passes(0..61, |_| letters(1));
    assert_eq!(first.last.as_ref().unwrap().id, again.last.unwrap().id);
    let mut other = Story::of(Cause::OutcomeUnknown);
    other.passes(0..61, |_| letters(1));
    assert_ne!(first.last.unwrap().id, other.last.unwrap().id);
}

#[test]
fn that_something_is_still_seen_to_be_wrong_is_no_news_and_anything_told_is() {
    let mut story = Story::of(Cause::DeadLetters);
    story.passes(0..1, |_| letters(1));
    let terms = Terms { integration: &story.integration, alert: &story.alert, retry: &RETRY };
    let before = story.standing.clone();
    let same = decide(&terms, Cause::DeadLetters, before.as_ref(), &letters(1), false, at(30));
    assert!(!same.is_news(before.as_ref()));
    let told = decide(&terms, Cause::DeadLetters, before.as_ref(), &letters(1), false, at(60));
    assert!(told.is_news(before.as_ref()));
}

#[test]
fn a_clock_that_was_set_back_keeps_nothing_from_being_told() {
    let year = 365 * 24 * 3600;
    let mut story = Story::of(Cause::DeadLetters);
    story.passes(year..year + 61, |_| letters(1));
    assert_eq!(story.told, [(year, Kind::Began)]);
    story.told.clear();
    story.passes(0..120, |_| letters(2));
    assert_eq!(story.told, [(60, Kind::Grew)], "as soon as it would have been, counted from when the clock is right");
    story.told.clear();
    story.passes(120..400, |_| Vec::new());
    assert_eq!(story.told.iter().map(|(_, kind)| *kind).collect::<Vec<_>>(), [Kind::Resolved]);
}
