//! What was told and what waits to be accepted outlives a crash, and leaves only when it is said to.

use crosstie_engine::alert::{Cause, Message, Said, Standing};

use super::*;
use crate::store::{AlertStanding, WaitingMessage};

fn standing(second: i64) -> Standing {
    let newest = [("DeadLetters/orders".to_owned(), 7)].into();
    Standing {
        wrong_since: Some(at(1)),
        seen: at(second),
        open: true,
        said: Some(Said { at: at(second), times: 1, newest }),
    }
}

fn message(id: &str) -> Message {
    let document = json!({
        "id": id, "kind": "Began", "at": at(1), "integration": {"namespace": "shop", "name": "orders"}, "alert": "ops",
        "cause": "DeadLetters", "title": "t", "since": at(1), "items": [], "commands": [],
    });
    serde_json::from_value(document).unwrap()
}

fn change(channel: &str, standing: Option<Standing>, message: Option<Message>) -> AlertChange {
    AlertChange { channel: channel.into(), cause: Cause::DeadLetters, standing, message }
}

#[tokio::test]
async fn what_was_decided_is_kept_together_and_a_message_until_it_was_accepted() {
    let bench = Bench::new().await;
    let changes = vec![
        change("ops", Some(standing(2)), Some(message("first"))),
        change("pager", Some(standing(3)), None),
        change("ops", Some(standing(4)), Some(message("second"))),
    ];
    let numbers = bench.store.change_alerts(changes).await.unwrap();
    let [Some(first), None, Some(second)] = numbers.as_slice() else { panic!("{numbers:?}") };
    let bench = bench.crash(at(5)).await;
    let known = |channel: &str, second| AlertStanding {
        channel: channel.into(),
        cause: Cause::DeadLetters,
        standing: standing(second),
    };
    let waiting = |number: &i64, id| WaitingMessage { number: *number, message: message(id) };
    let alerts = bench.store.alerts().await.unwrap();
    assert_eq!(alerts.standings, [known("ops", 4), known("pager", 3)]);
    assert_eq!(alerts.waiting, [waiting(first, "first"), waiting(second, "second")]);
    bench.store.alert_accepted(*first).await.unwrap();
    bench.store.change_alerts(vec![change("pager", None, None)]).await.unwrap();
    let bench = bench.crash(at(6)).await;
    let alerts = bench.store.alerts().await.unwrap();
    assert_eq!((alerts.standings, alerts.waiting), (vec![known("ops", 4)], vec![waiting(second, "second")]));
}

#[tokio::test]
async fn a_channel_that_is_gone_is_forgotten_with_what_waits_for_it() {
    let bench = Bench::new().await;
    let changes = vec![
        change("ops", Some(standing(2)), Some(message("first"))),
        change("pager", Some(standing(3)), Some(message("second"))),
    ];
    bench.store.change_alerts(changes).await.unwrap();
    bench.store.forget_channels(vec!["pager".into()]).await.unwrap();
    let alerts = bench.store.alerts().await.unwrap();
    assert_eq!((alerts.standings.len(), alerts.waiting.len()), (1, 1));
    assert_eq!((alerts.standings[0].channel.as_str(), alerts.waiting[0].message.id.as_str()), ("pager", "second"));
    bench.store.forget_channels(Vec::new()).await.unwrap();
    assert_eq!(bench.store.alerts().await.unwrap(), Alerts::default());
}

#[tokio::test]
async fn dead_letters_are_summed_up_with_what_most_of_the_newest_died_of() {
    let bench = Bench::new().await;
    let faulty = |number: i64, cause: &str| Incoming::Faulty {
        key: String::new(),
        hash: format!("h{number}"),
        payload: "{}".into(),
        cause: cause.into(),
        request_id: None,
    };
    let records = vec![faulty(1, "no key"), faulty(2, "no version"), faulty(3, "no key")];
    let (poll, run, now) = (PollState::default(), at(4), at(4));
    bench
        .store
        .take_page(TakenPage { scope: bench.scope, records, poll, again: false, round: None, run, synced: None, now })
        .await
        .unwrap();
    let digest = bench.store.letter_digests(vec![bench.scope]).await.unwrap().remove(0);
    assert_eq!((digest.count, digest.since, digest.cause.as_deref()), (3, Some(at(4)), Some("no key")));
    assert_eq!(digest.request_ids, Vec::<String>::new());
    let newest = bench.store.dead_letters(0, 10).await.unwrap().last().unwrap().id;
    assert_eq!(digest.newest, newest);
    assert_eq!(bench.store.letter_digests(vec![ScopeId(99)]).await.unwrap(), [LetterDigest::default()]);
}
