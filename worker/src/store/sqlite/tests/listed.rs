//! Lists that are read as a whole: what is known and not on them makes word, part by part, through crashes.

use crosstie_engine::{delivery::is_unlisted, window::Sweep};

use super::*;

/// Reads a list that holds these records, to its end. Gives the state of reading.
async fn list(bench: &Bench, records: &[(&str, i64, &str)], now: Timestamp) -> PollState {
    let round = now.as_microsecond();
    let poll = PollState { sweep: Some(Sweep { round, after: String::new() }), ..PollState::default() };
    let records = records.iter().map(|(key, version, content)| incoming(key, *version, content)).collect();
    let (scope, synced) = (bench.scope, Some(now));
    let page =
        TakenPage { scope, records, poll: poll.clone(), again: false, round: Some(round), run: now, synced, now };
    bench.store.take_page(page).await.unwrap();
    poll
}

async fn sweep(bench: &Bench, poll: PollState, now: Timestamp) -> (Taken, PollState) {
    let part = SweptPart { scope: bench.scope, poll, key: "/id".into(), limit: 2, now };
    bench.store.sweep(part).await.unwrap()
}

/// Delivers everything that waits.
async fn deliver(bench: &Bench, now: Timestamp) {
    for claimed in bench.claim(100, now).await {
        bench.settle(&claimed, delivered("h"), now).await;
    }
}

#[tokio::test]
async fn what_is_not_on_the_list_makes_word_part_by_part_and_a_crash_between_loses_nothing() {
    let mut bench = Bench::new().await;
    let all = ["a", "b", "c", "d", "e"].map(|key| (key, 1, "x"));
    list(&bench, &all, at(1)).await;
    deliver(&bench, at(1)).await;
    let poll = list(&bench, &[("b", 1, "x")], at(2)).await;
    let (taken, poll) = sweep(&bench, poll, at(2)).await;
    assert_eq!((taken.kept, poll.sweep.as_ref().unwrap().after.as_str()), (1, "b"));
    bench = bench.crash(at(3)).await;
    let stored = bench.store.open_scope(names(), at(3)).await.unwrap().poll;
    assert_eq!(stored, poll, "it goes on where it was");
    let (taken, poll) = sweep(&bench, stored, at(3)).await;
    assert_eq!(taken.kept, 2);
    let (taken, poll) = sweep(&bench, poll, at(3)).await;
    assert_eq!((taken.kept, taken.backlog.depth), (1, 4));
    let (_, poll) = sweep(&bench, poll, at(3)).await;
    assert_eq!(poll.sweep, None);
    let words = bench.claim(100, at(4)).await;
    assert_eq!(words.iter().map(|word| word.key.as_str()).collect::<Vec<_>>(), ["a", "c", "d", "e"]);
    for word in words {
        assert!(is_unlisted(&word.facts.seen, &serde_json::from_str(&word.payload).unwrap()));
    }
}

#[tokio::test]
async fn what_waits_for_its_first_write_was_on_the_list_and_what_is_gone_is_not_asked_for_again() {
    let bench = Bench::new().await;
    let poll = list(&bench, &[("a", 1, "x"), ("b", 1, "x")], at(1)).await;
    deliver(&bench, at(1)).await;
    let (taken, _) = sweep(&bench, poll, at(1)).await;
    assert_eq!(taken.kept, 0, "written after their page was read");
    let poll = list(&bench, &[("b", 1, "x")], at(2)).await;
    let (taken, _) = sweep(&bench, poll.clone(), at(2)).await;
    assert_eq!(taken.kept, 1);
    let (taken, _) = sweep(&bench, poll, at(2)).await;
    assert_eq!((taken.kept, taken.known), (0, 1), "the same word waits");
    let word = bench.claim_one(at(3)).await;
    bench.settle(&word, Settled::Deleted, at(3)).await;
    let poll = list(&bench, &[("b", 1, "x")], at(4)).await;
    let (taken, _) = sweep(&bench, poll, at(4)).await;
    assert_eq!((taken.kept, taken.backlog.depth), (0, 0));
}
