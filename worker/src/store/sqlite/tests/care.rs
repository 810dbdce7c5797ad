//! Dead letters, retention, figures.

use super::*;
use crosstie_engine::delivery::{Failures, IntentChange};

use crate::store::Tally;

async fn bury(bench: &Bench, cause: &str, now: Timestamp) {
    let claimed = bench.claim_one(now).await;
    let failures = Failures {
        attempts: 4,
        first_failed_at: Some(at(1)),
        cause: cause.into(),
        status: Some(422),
        excerpt: Some("no such item".into()),
        request_ids: vec!["r-1".into()],
        ..Failures::default()
    };
    let burial = Burial { record: claimed.id, shown: None, failures, plan_hash: "plan".into(), now };
    bench.store.bury(burial).await.unwrap();
}

async fn replay(bench: &Bench, ids: &[i64], now: Timestamp) -> Vec<Replayed> {
    let letters = ids.iter().copied().map(Replay::from).collect();
    bench.store.replay(letters, now).await.unwrap()
}

#[tokio::test]
async fn a_dead_letter_keeps_what_a_person_needs_and_lets_the_key_go_on() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("a", 2, "y")], at(1)).await;
    bury(&bench, "refused", at(2)).await;
    let bench = bench.crash(at(3)).await;
    let letters = bench.store.dead_letters(0, 10).await.unwrap();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((letter.scope.clone(), letter.key.as_str(), letter.version), (names(), "a", Some(Version::Counter(1))));
    assert_eq!((letter.cause.as_str(), letter.status, letter.attempts), ("refused", Some(422), 4));
    assert_eq!(
        (letter.excerpt.as_deref(), letter.request_ids.as_slice()),
        (Some("no such item"), &["r-1".to_owned()][..])
    );
    assert_eq!((letter.first_failed_at, letter.last_failed_at, letter.plan_hash.as_str()), (at(1), at(2), "plan"));
    assert!(letter.payload.is_none(), "a list holds no records");
    let whole = bench.store.dead_letter(letter.id).await.unwrap().unwrap();
    assert!(whole.payload.unwrap().contains(r#""content":"x""#));
    assert_eq!(bench.claim_one(at(3)).await.facts.seen.version, Version::Counter(2));
    let figures = bench.figures(at(3)).await;
    assert_eq!((figures.dead_letters, figures.day.buried, figures.queue_depth), (1, 1, 1));
}

#[tokio::test]
async fn a_dead_letter_does_not_come_back_by_being_read_again() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("a", 2, "y")], at(1)).await;
    bury(&bench, "refused", at(2)).await;
    bury(&bench, "refused", at(2)).await;
    let taken = bench.take(&[("a", 1, "x"), ("a", 2, "y"), ("a", 3, "z")], at(3)).await;
    assert_eq!((taken.known, taken.kept), (2, 1));
}

#[tokio::test]
async fn a_newer_state_that_is_delivered_removes_the_dead_letters_it_overtook() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("b", 1, "x")], at(1)).await;
    bury(&bench, "refused", at(2)).await;
    bury(&bench, "refused", at(2)).await;
    bench.take(&[("a", 2, "y")], at(3)).await;
    let claimed = bench.claim_one(at(3)).await;
    bench.settle(&claimed, delivered("h"), at(4)).await;
    let keys: Vec<String> =
        bench.store.dead_letters(0, 10).await.unwrap().into_iter().map(|letter| letter.key).collect();
    assert_eq!(keys, ["b"]);
}

#[tokio::test]
async fn a_replayed_letter_joins_the_end_of_its_keys_queue() {
    let bench = Bench::new().await;
    bench.take(&[("a", 2, "y")], at(1)).await;
    bury(&bench, "refused", at(2)).await;
    bench.take(&[("a", 1, "x")], at(3)).await;
    let id = bench.store.dead_letters(0, 1).await.unwrap()[0].id;
    assert_eq!(replay(&bench, &[id, 999], at(4)).await, [Replayed::Queued, Replayed::Gone]);
    assert!(bench.store.dead_letters(0, 10).await.unwrap().is_empty());
    let mut versions = Vec::new();
    for _ in 0..2 {
        let claimed = bench.claim_one(at(5)).await;
        versions.push(claimed.facts.seen.version);
        assert_eq!(claimed.facts.failures, Failures::default(), "a replay starts with no attempts");
        bench.settle(&claimed, delivered("h"), at(5)).await;
    }
    assert_eq!(versions, [Version::Counter(1), Version::Counter(2)]);
}

#[tokio::test]
async fn a_letter_is_not_replayed_behind_a_state_that_is_no_older() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    bury(&bench, "refused", at(2)).await;
    bench.take(&[("a", 1, "y")], at(3)).await;
    let id = bench.store.dead_letters(0, 1).await.unwrap()[0].id;
    assert_eq!(replay(&bench, &[id], at(4)).await, [Replayed::Overtaken]);
    let claimed = bench.claim_one(at(5)).await;
    bench.settle(&claimed, delivered("h"), at(5)).await;
    drop(claimed);
    assert!(bench.claim(1, at(6)).await.is_empty());
    assert!(bench.store.dead_letters(0, 10).await.unwrap().is_empty(), "it is overtaken");
}

#[tokio::test]
async fn where_the_source_can_tell_a_letter_stays_beside_a_settled_state_of_its_version() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    bury(&bench, "refused", at(2)).await;
    bench.take(&[("a", 1, "y")], at(3)).await;
    let claimed = bench.claim_one(at(3)).await;
    let (record, scope, key, seen) = (claimed.id, bench.scope, claimed.key.clone(), claimed.facts.seen.clone());
    let (how, is_parent, singles, now) = (delivered("h"), false, true, at(3));
    let (paired, twin) = (false, None);
    bench
        .store
        .settle(Settlement { record, scope, key, seen, how, is_parent, singles, paired, twin, now })
        .await
        .unwrap();
    drop(claimed);
    let letters = bench.store.dead_letters(0, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(replay(&bench, &[letters[0].id], at(4)).await, [Replayed::Queued]);
}

#[tokio::test]
async fn a_state_lies_among_the_letters_once_and_the_one_set_aside_last_is_replayed_first() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("a", 1, "y")], at(1)).await;
    bury(&bench, "refused", at(2)).await;
    bench.take(&[("a", 1, "x")], at(2)).await;
    bury(&bench, "refused", at(3)).await;
    bury(&bench, "refused again", at(4)).await;
    let letters = bench.store.dead_letters(0, 10).await.unwrap();
    let [y, x] = letters.as_slice() else { panic!("{letters:?}") };
    assert!(y.source_hash != x.source_hash && x.cause == "refused again");
    assert_eq!(replay(&bench, &[y.id, x.id], at(5)).await, [Replayed::Overtaken, Replayed::Queued]);
    assert_eq!(bench.claim_one(at(6)).await.facts.seen.hash, x.source_hash);
    assert_eq!(bench.store.dead_letters(0, 10).await.unwrap()[0].source_hash, y.source_hash);
}

#[tokio::test]
async fn a_write_that_was_given_up_in_doubt_leaves_nothing_believed_to_be_there() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    bench.settle(&claimed, delivered("h1"), at(1)).await;
    drop(claimed);
    bench.take(&[("a", 2, "y"), ("a", 3, "x")], at(2)).await;
    let claimed = bench.claim_one(at(2)).await;
    bench.store.open_intent(bench.new_intent(&claimed, at(2))).await.unwrap();
    claimed.guard.sending();
    drop(claimed);
    bury(&bench, "several answer to it", at(3)).await;
    let entry = bench.claim_one(at(4)).await.facts.ledger.unwrap();
    assert_eq!((entry.version, entry.body_hash, entry.present), (Version::Counter(2), None, true));
}

#[tokio::test]
async fn a_record_without_key_or_version_is_set_aside_once_and_cannot_be_replayed() {
    let bench = Bench::new().await;
    let faulty = || Incoming::Faulty {
        key: String::new(),
        hash: "h".into(),
        payload: "{}".into(),
        cause: "no key".into(),
        request_id: Some("r-5".into()),
    };
    let page = |now| TakenPage {
        scope: bench.scope,
        records: vec![faulty()],
        poll: PollState::default(),
        again: false,
        round: None,
        run: now,
        synced: None,
        now,
    };
    assert_eq!(bench.store.take_page(page(at(1))).await.unwrap().buried, 1);
    let again = bench.store.take_page(page(at(2))).await.unwrap();
    assert_eq!((again.kept, again.known, again.buried, again.backlog.dead_letters), (0, 1, 0, 1));
    let letter = bench.store.dead_letters(0, 10).await.unwrap().remove(0);
    assert_eq!((letter.version, letter.cause.as_str()), (None, "no key"));
    assert_eq!(letter.request_ids, ["r-5"]);
    assert_eq!(replay(&bench, &[letter.id], at(3)).await, [Replayed::Unreadable]);
    assert_eq!(bench.store.discard(vec![letter.id]).await.unwrap(), [letter.id]);
}

#[tokio::test]
async fn dead_letters_and_hourly_counts_age_and_the_ledger_does_not() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("b", 1, "x")], at(1)).await;
    bury(&bench, "refused", at(2)).await;
    let claimed = bench.claim_one(at(2)).await;
    bench.settle(&claimed, delivered("h"), at(2)).await;
    let day = 24 * 3600;
    let one = Tally { delivered: 1, buried: 1 };
    let none = Tally::default();
    for (hours, spans) in
        [(1, [one, one, one]), (2, [none, one, one]), (25, [none, none, one]), (169, [none, none, none])]
    {
        let figures = bench.figures(at(hours * 3600)).await;
        assert_eq!([figures.hour, figures.day, figures.week], spans, "after {hours} hours");
        assert_eq!(figures.delivered, 1, "totals stay");
    }
    assert_eq!(bench.store.tidy(at(29 * day)).await.unwrap(), Tidied { dead_letters_removed: 0, counts_removed: 2 });
    assert_eq!(bench.store.tidy(at(31 * day)).await.unwrap(), Tidied { dead_letters_removed: 1, counts_removed: 0 });
    let taken = bench.take(&[("b", 1, "x")], at(400 * day)).await;
    assert_eq!(taken.known, 1, "the ledger still knows it");
}

#[tokio::test]
async fn of_too_many_dead_letters_none_goes_and_nothing_more_is_handed_out_but_what_is_in_doubt() {
    let bench = Bench::new().await;
    bench.take(&[("doubted", 1, "x"), ("waits", 1, "x")], at(1)).await;
    let [doubted, waits] = <[_; 2]>::try_from(bench.claim(2, at(1)).await).unwrap();
    bench.store.open_intent(bench.new_intent(&doubted, at(1))).await.unwrap();
    drop((doubted, waits));
    let faulty = |number: u64| Incoming::Faulty {
        key: format!("k{number}"),
        hash: format!("h{number}"),
        payload: "{}".into(),
        cause: "no version".into(),
        request_id: None,
    };
    let page = |records| TakenPage {
        scope: bench.scope,
        records,
        poll: PollState::default(),
        again: false,
        round: None,
        run: at(2),
        synced: None,
        now: at(2),
    };
    let taken = bench.store.take_page(page((1..MOST_DEAD_LETTERS).map(faulty).collect())).await.unwrap();
    assert_eq!(taken.backlog.dead_letters, MOST_DEAD_LETTERS - 1);
    assert_eq!(keys(&bench.claim(9, at(2)).await), ["doubted", "waits"], "there is room for one more");
    let taken = bench.store.take_page(page((0..3).map(faulty).collect())).await.unwrap();
    assert_eq!((taken.buried, taken.backlog.dead_letters), (1, MOST_DEAD_LETTERS));
    let claim = bench.store.claim(bench.scope, 9, at(2)).await.unwrap();
    assert_eq!((keys(&claim.records), claim.full), (vec!["doubted"], true));
    drop(claim);
    assert_eq!(bench.store.tidy(at(3)).await.unwrap(), Tidied::default(), "nothing is lost for being too much");
    let oldest = bench.store.dead_letters(0, 1).await.unwrap().remove(0);
    bench.store.discard(vec![oldest.id]).await.unwrap();
    let claim = bench.store.claim(bench.scope, 9, at(3)).await.unwrap();
    assert_eq!((keys(&claim.records), claim.full), (vec!["doubted", "waits"], false));
}

/// The ledger keeps one row for each key that ever was; everything else goes, and its pages are used again.
#[tokio::test]
async fn the_database_does_not_grow_with_what_goes_through_it() {
    const KEYS: i64 = 200;
    let bench = Bench::new().await;
    let names: Vec<String> = (0..KEYS).map(|key| format!("key-{key}")).collect();
    let content = "x".repeat(1500);
    let mut pages_of_rounds = Vec::new();
    for round in 1..=30 {
        let records: Vec<(&str, i64, &str)> =
            names.iter().map(|name| (name.as_str(), round, content.as_str())).collect();
        bench.take(&records, at(round)).await;
        loop {
            let claimed = bench.claim(50, at(round)).await;
            if claimed.is_empty() {
                break;
            }
            // Together, so that they share syncs.
            let settled = claimed.iter().map(async |record| {
                bench.store.open_intent(bench.new_intent(record, at(round))).await.unwrap();
                bench.settle(record, delivered(&format!("body-{round}")), at(round)).await;
            });
            futures::future::join_all(settled).await;
        }
        bench.store.tidy(at(round)).await.unwrap();
        let pages =
            |session: &mut Session| Ok(session.connection.pragma_query_value(None, "page_count", |row| row.get(0))?);
        let pages: i64 = bench.store.writer.look(pages).await.unwrap();
        pages_of_rounds.push(pages);
    }
    let (early, late) = (pages_of_rounds[2], pages_of_rounds[29]);
    assert!(late <= early + early / 20, "it grew from {early} to {late} pages: {pages_of_rounds:?}");
    let log = std::fs::metadata(bench.folder.path().join(format!("{DATABASE_FILE}-wal"))).unwrap().len();
    assert_eq!(log, 0, "tidying folds the log into the database");
}

#[tokio::test]
async fn what_is_tried_again_and_what_waits_for_another_record_is_counted_with_the_cause_of_most() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("b", 1, "x"), ("c", 1, "x"), ("d", 1, "x")], at(1)).await;
    let claimed = bench.claim(10, at(1)).await;
    let failed = |cause: &str| {
        let failures = Failures { attempts: 1, cause: cause.into(), ..Failures::default() };
        Postponement { due: at(60), failures, by_system: false, intent: IntentChange::Keep }
    };
    for (claimed, cause) in claimed.iter().zip(["refused", "late", "refused"]) {
        bench.store.postpone(claimed.id, failed(cause)).await.unwrap();
    }
    let parent = ParentKey { scope: bench.scope, key: "p".into() };
    bench.store.await_parent(claimed[3].id, parent, at(60)).await.unwrap();
    let figures = bench.figures(at(2)).await;
    assert_eq!((figures.retrying, figures.retry_cause.as_deref()), (3, Some("refused")));
    assert_eq!((figures.awaiting_parent, figures.awaiting_since), (1, Some(at(1))));
    let only_waits = Postponement { failures: Failures::default(), ..failed("") };
    bench.store.postpone(claimed[0].id, only_waits).await.unwrap();
    assert_eq!(bench.figures(at(2)).await.retrying, 2);
}

#[tokio::test]
async fn what_waits_where_no_flow_is_at_work_any_more_is_left_behind() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("b", 1, "x")], at(1)).await;
    let renamed = Scope { source: "store".into(), ..names() };
    let at_work = bench.store.open_scope(renamed, at(2)).await.unwrap().id;
    assert_eq!(bench.store.left_behind(vec![at_work]).await.unwrap(), [(names(), 2)]);
    assert_eq!(bench.store.left_behind(vec![at_work, bench.scope]).await.unwrap(), []);
}
