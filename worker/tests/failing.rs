//! Records and systems that fail: whom that is blamed on, what waits, what is set aside, what is held.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{Bench, names, until, until_report};
use crosstie_crds::{condition::Reason, letters::Fate};
use crosstie_engine::plan::{OnUnknownOutcome, Outcome};
use crosstie_vendors::wire::{Fault, FaultRule};
use serde_json::json;

fn status(code: u16) -> Fault {
    Fault::Status { code, headers: std::collections::BTreeMap::new(), body: json!({"error": "jane@example.com"}) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_order_goes_to_the_dead_letters_after_its_retries_and_the_others_pass() {
    let bench = Bench::new().await;
    bench.seed(20).await;
    bench.books.add_fault(&FaultRule::new(status(422)).path_contains("eid:7")).await.unwrap();
    let worker = bench.start().await;
    bench.until_booked(19).await;
    until_report(&worker, "it is set aside, and the others are settled", |report| {
        report.flows[0].dead_letters == 1 && report.flows[0].queue_depth == 0
    })
    .await;
    let letter = worker.letters().list(0, 10).await.unwrap().remove(0);
    assert_eq!((letter.key.as_str(), letter.status, letter.attempts), ("7", Some(422), 3));
    assert!(letter.excerpt.as_ref().unwrap().contains("jane@example.com") && !letter.cause.contains("jane"));
    assert_eq!(letter.plan_hash, bench.plan.hash());
    assert_eq!(letter.request_ids.len(), 3, "{:?}", letter.request_ids);
    let asked = bench.books.log(0).await.unwrap().entries.iter().filter(|entry| entry.status == 422).count();
    assert_eq!(asked, 3, "two retries are three attempts");
    // Read again with every window's look-back, it stays where it is; replayed, it passes.
    bench.books.clear_faults().await.unwrap();
    let polls = bench.shop.stats().await.unwrap().total_requests;
    until("the shop was read again", || async { bench.shop.stats().await.unwrap().total_requests > polls + 2 }).await;
    assert!(bench.booked(7).await.is_none());
    assert_eq!(worker.letters().replay(&[letter.id]).await.unwrap(), [Fate::Replayed]);
    bench.until_booked(20).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_makes_the_destination_fail_is_set_aside_when_others_pass_meanwhile() {
    let bench = Bench::new().await;
    bench.seed(1).await;
    bench
        .books
        .add_fault(&FaultRule::new(status(500)).body_contains(r#""externalId":"1""#).method("PUT"))
        .await
        .unwrap();
    let worker = bench.start().await;
    let mut next = 1000;
    until("it is set aside", || {
        next += 1;
        let (bench, worker) = (&bench, &worker);
        async move {
            bench.order(next, "passes").await;
            worker.report().await.flows.first().is_some_and(|flow| flow.dead_letters == 1)
        }
    })
    .await;
    let letter = worker.letters().list(0, 1).await.unwrap().remove(0);
    assert_eq!((letter.key.as_str(), letter.status), ("1", Some(500)));
    assert!(bench.booked(1).await.is_none());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_floods_no_dead_letters_and_everything_arrives_once_it_is_over() {
    let bench = Bench::new().await;
    bench.seed(100).await;
    bench.books.add_fault(&FaultRule::new(status(503))).await.unwrap();
    let worker = bench.start().await;
    let report =
        until_report(&worker, "the outage is said", |report| names(report, Reason::DestinationUnavailable)).await;
    assert!(report.problems[0].message.contains("upsertSalesOrder") && !report.problems[0].message.contains("jane"));
    tokio::time::sleep(Duration::from_secs(4)).await;
    let asked = bench.books.stats().await.unwrap().total_requests;
    assert!(asked < 20, "{asked} requests during an outage");
    bench.books.clear_faults().await.unwrap();
    bench.until_booked(100).await;
    let report = until_report(&worker, "the problem is gone", |report| {
        report.problems.is_empty() && report.flows[0].queue_depth == 0
    })
    .await;
    assert_eq!((report.flows[0].dead_letters, report.flows[0].delivered), (0, 100));
    assert_eq!(bench.books.stats().await.unwrap().writes.applied, 100);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_is_said_and_read_on_where_it_was() {
    let bench = Bench::new().await;
    bench.seed(700).await;
    bench.shop.add_fault(&FaultRule::new(status(502)).path_contains("page_info")).await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "the source is said to fail", |report| names(report, Reason::SourceUnavailable)).await;
    bench.until_booked(250).await;
    bench.shop.clear_faults().await.unwrap();
    bench.until_booked(700).await;
    until_report(&worker, "the problem is gone", |report| report.problems.is_empty()).await;
    assert_eq!(bench.books.stats().await.unwrap().writes.applied, 700);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_the_vendor_forgot_starts_the_window_again() {
    let bench = Bench::new().await;
    bench.seed(700).await;
    bench.shop.add_fault(&FaultRule::new(status(400)).path_contains("page_info").times(1)).await.unwrap();
    let worker = bench.start().await;
    bench.until_booked(700).await;
    assert_eq!(bench.books.stats().await.unwrap().writes.applied, 700);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_were_applied_without_an_answer_are_looked_up_and_not_sent_again() {
    let mut bench = Bench::new().await;
    bench.give_up_soon();
    bench.seed(40).await;
    for fault in [Fault::TimeoutAfterCommit {}, Fault::ErrorAfterCommit { code: 500 }, Fault::TruncatedBody {}] {
        bench.books.add_fault(&FaultRule::new(fault).method("PUT").percent(10, 3)).await.unwrap();
    }
    bench.books.add_fault(&FaultRule::new(Fault::DropConnection {}).method("PUT").percent(10, 5)).await.unwrap();
    let worker = bench.start().await;
    bench.until_booked(40).await;
    until_report(&worker, "all are settled", |report| report.flows[0].queue_depth == 0).await;
    let totals = bench.books.stats().await.unwrap();
    assert!(totals.faults.values().sum::<u64>() > 0, "some were struck: {:?}", totals.faults);
    assert_eq!(
        (totals.writes.applied, totals.writes.keys_with_more_than_one_write.count),
        (40, 0),
        "{:?}",
        totals.faults
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_nothing_can_tell_about_is_held_and_said_until_a_person_decides() {
    let mut bench = Bench::new().await;
    bench.give_up_soon();
    bench.plan.flows[0].operation.outcome = Outcome::default();
    bench.write_plan();
    bench.order(1, "x").await;
    bench.books.add_fault(&FaultRule::new(Fault::TimeoutAfterCommit {}).method("PUT").times(1)).await.unwrap();
    let worker = bench.start().await;
    let report = until_report(&worker, "it is held", |report| names(report, Reason::OutcomeUnknown)).await;
    assert_eq!(report.flows[0].held, 1);
    bench.order(2, "y").await;
    bench.until_booked(2).await;
    assert_eq!(bench.writes(1).await, 1, "it is not sent again by itself");
    bench.plan.flows[0].on_unknown_outcome = OnUnknownOutcome::Resend;
    bench.write_plan();
    let hash = bench.plan.hash();
    let report = until_report(&worker, "it was sent again", |report| {
        report.plan_hash.as_ref() == Some(&hash) && report.flows[0].held == 0 && report.flows[0].queue_depth == 0
    })
    .await;
    assert!(report.problems.is_empty());
    assert_eq!(bench.writes(1).await, 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_asks_to_wait_is_waited_for() {
    let bench = Bench::new().await;
    bench.seed(10).await;
    let slow = Fault::RateLimited { retry_after_seconds: Some(2.0) };
    bench.books.add_fault(&FaultRule::new(slow).method("PUT").times(4)).await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "it is said", |report| names(report, Reason::Throttled)).await;
    bench.until_booked(10).await;
    let log = bench.books.log(0).await.unwrap().entries;
    let refused = log.iter().rfind(|entry| entry.status == 429).unwrap().time;
    let earliest = log.iter().filter(|entry| entry.status < 300).map(|entry| entry.time).min().unwrap();
    assert!(
        earliest.duration_since(refused).as_millis() > 1500,
        "asked again after {:?}",
        earliest.duration_since(refused)
    );
    let report = until_report(&worker, "the problem is gone and all are settled", |report| {
        report.problems.is_empty() && report.flows[0].queue_depth == 0
    })
    .await;
    assert_eq!((report.flows[0].dead_letters, report.flows[0].delivered), (0, 10));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mapping_that_fails_on_most_records_is_said_and_heals_with_the_mapping() {
    let mut bench = Bench::new().await;
    bench.plan.flows[0].map.insert("memo".into(), "record.nowhere.to_be_found".into());
    bench.plan.retry.retries = 1000;
    bench.write_plan();
    bench.seed(5).await;
    let worker = bench.start().await;
    let report = until_report(&worker, "it is said", |report| names(report, Reason::MappingFailing)).await;
    assert!(report.problems[0].message.contains("map[memo]"), "{:?}", report.problems);
    bench.plan.flows[0].map.remove("memo");
    bench.write_plan();
    bench.until_booked(5).await;
    until_report(&worker, "the problem is gone", |report| report.problems.is_empty()).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_whose_records_are_all_refused_does_not_look_well_and_does_once_they_arrive_or_are_dropped() {
    let bench = Bench::new().await;
    bench.seed(8).await;
    bench.books.add_fault(&FaultRule::new(status(422)).method("PUT")).await.unwrap();
    let worker = bench.start().await;
    let failing = |report: &crosstie_crds::sync_report::WorkerReport| {
        names(report, Reason::RecordsFailing) && report.flows[0].dead_letters == 8
    };
    let report = until_report(&worker, "that nothing arrives is said", failing).await;
    let told = &report.problems.iter().find(|problem| problem.reason == Reason::RecordsFailing).unwrap().message;
    assert!(told.contains("8 of the last 8") && told.contains("422") && !told.contains("jane"), "{told}");
    bench.books.clear_faults().await.unwrap();
    let letters = worker.letters().list(0, 10).await.unwrap();
    let ids: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
    worker.letters().replay(&ids[..6]).await.unwrap();
    let well = |report: &crosstie_crds::sync_report::WorkerReport| !names(report, Reason::RecordsFailing);
    until_report(&worker, "what arrives shows that it is mended, though letters are left", |report| {
        well(report) && report.flows[0].queue_depth == 0 && report.flows[0].dead_letters == 2
    })
    .await;
    bench.books.add_fault(&FaultRule::new(status(422)).method("PUT")).await.unwrap();
    for id in 900..925 {
        bench.order(id, "late").await;
    }
    until_report(&worker, "it is said again", |report| names(report, Reason::RecordsFailing)).await;
    until_report(&worker, "all are set aside", |report| report.flows[0].dead_letters == 27).await;
    let letters = worker.letters().list(0, 100).await.unwrap();
    let ids: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
    worker.letters().discard(ids).await.unwrap();
    until_report(&worker, "what was dropped says nothing any more", well).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_whose_records_were_all_refused_does_not_look_well_because_its_worker_was_started_anew() {
    let mut bench = Bench::new().await;
    bench.seed(4).await;
    bench.books.add_fault(&FaultRule::new(status(422)).method("PUT")).await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "all are set aside", |report| {
        names(report, Reason::RecordsFailing) && report.flows[0].dead_letters == 4
    })
    .await;
    worker.stop().await;
    let asked = || async { bench.books.stats().await.unwrap().total_requests };
    let before = asked().await;
    let worker = bench.start().await;
    let report = until_report(&worker, "it is said again", |report| names(report, Reason::RecordsFailing)).await;
    let told = &report.problems.iter().find(|problem| problem.reason == Reason::RecordsFailing).unwrap().message;
    assert!(told.contains("4 of the last 4") && told.contains("422"), "{told}");
    assert_eq!(asked().await, before, "nothing had to fail once more");
    // Another plan has failed at nothing yet; the one before has, as soon as it is at work again.
    let memo = bench.plan.flows[0].map.insert("memo".into(), "'changed'".into()).unwrap();
    bench.write_plan();
    let hash = bench.plan.hash();
    until_report(&worker, "another plan is well", |report| {
        report.plan_hash.as_ref() == Some(&hash) && !names(report, Reason::RecordsFailing)
    })
    .await;
    bench.plan.flows[0].map.insert("memo".into(), memo);
    bench.write_plan();
    until_report(&worker, "the one before is not", |report| names(report, Reason::RecordsFailing)).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_rotation_costs_no_record_and_a_bad_one_is_said() {
    let bench = Bench::new().await;
    bench.books.set_tokens(&["books-1", "books-2"]).await.unwrap();
    bench.seed(300).await;
    let worker = bench.start().await;
    bench.until_booked(20).await;
    let used = |version: &'static str| {
        move |report: &crosstie_crds::sync_report::WorkerReport| {
            report.credentials.iter().any(|entry| {
                entry.connector == "books" && entry.used_version_id == version && entry.accepted == Some(true)
            })
        }
    };
    bench.write_credentials("destination", "books", ("v2", "books-2"), Some(("v1", "books-1")));
    until_report(&worker, "the new version is in use", used("v2")).await;
    assert!(bench.books.revoke_token("books-1").await.unwrap());
    bench.until_booked(300).await;
    assert_eq!(bench.books.stats().await.unwrap().with_status(401), 0, "no request was refused");
    // The next one does not work: the one before is used on, and that is said.
    bench.write_credentials("destination", "books", ("v3", "nonsense"), Some(("v2", "books-2")));
    bench.order(9001, "x").await;
    bench.until_booked(301).await;
    let report = until_report(&worker, "it is said", |report| names(report, Reason::RotationRejected)).await;
    assert!(used("v2")(&report));
    let entry = report.credentials.iter().find(|entry| entry.connector == "books").unwrap();
    assert_eq!((entry.loaded_version_id.as_str(), entry.rejected_version_id.as_deref()), ("v3", Some("v3")));
    // Nothing works any more: records wait, and arrive with the next good version.
    bench.books.set_tokens(&["books-4"]).await.unwrap();
    bench.order(9002, "y").await;
    until_report(&worker, "it is said", |report| names(report, Reason::CredentialsRejected)).await;
    bench.write_credentials("destination", "books", ("v4", "books-4"), Some(("v3", "nonsense")));
    bench.until_booked(302).await;
    let report = until_report(&worker, "the problems are gone and all are settled", |report| {
        report.problems.is_empty() && report.flows[0].queue_depth == 0
    })
    .await;
    assert_eq!((report.flows[0].dead_letters, report.flows[0].delivered), (0, 302));
    worker.stop().await;
}

/// Some vendors kill an access token the moment they issue the next one, and the worker has only the dead one until the operator hands the new one out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_when_an_access_token_dies_waits_for_the_next_one_and_fails_nothing() {
    let bench = Bench::new().await;
    bench.seed(300).await;
    let worker = bench.start().await;
    bench.until_booked(20).await;
    bench.books.set_tokens(&["books-2"]).await.unwrap();
    let report = until_report(&worker, "it is said", |report| names(report, Reason::CredentialsRejected)).await;
    assert!(report.flows[0].queue_depth > 0, "some wait");
    // Long enough that whatever counts refusals as attempts has used them up.
    let refused = || async { bench.books.stats().await.unwrap().with_status(401) };
    until("it was refused more often than a record is tried", || async { refused().await > 3 }).await;
    bench.write_credentials("destination", "books", ("v2", "books-2"), Some(("v1", "books-1")));
    bench.until_booked(300).await;
    let report = until_report(&worker, "the problem is gone and all are settled", |report| {
        report.problems.is_empty() && report.flows[0].queue_depth == 0
    })
    .await;
    assert_eq!((report.flows[0].dead_letters, report.flows[0].delivered), (0, 300));
    assert_eq!(bench.books.stats().await.unwrap().writes.applied, 300, "nothing twice");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_store_than_the_expected_one_stops_everything() {
    let bench = Bench::new().await;
    bench.write("shares/store-id", "11111111-2222-3333-4444-555555555555\n");
    bench.order(1, "x").await;
    let worker = bench.start().await;
    let report = until_report(&worker, "it is said", |report| names(report, Reason::StateLost)).await;
    assert!(worker.unready().is_some());
    assert_eq!(bench.shop.stats().await.unwrap().total_requests, 0, "nothing is read");
    bench.write("shares/store-id", &report.store_id.unwrap());
    bench.until_booked(1).await;
    bench.write("shares/store-id", "11111111-2222-3333-4444-555555555555");
    until_report(&worker, "it stopped again", |report| names(report, Reason::StateLost) && report.plan_hash.is_none())
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_worker_on_the_same_state_waits_until_the_first_is_gone() {
    let bench = Bench::new().await;
    let first = bench.start().await;
    until_report(&first, "it is at work", |report| report.plan_hash.is_some()).await;
    let second = bench.start().await;
    let report = until_report(&second, "it is said", |report| names(report, Reason::StoreFailed)).await;
    assert!(report.problems[0].message.contains("another worker"), "{:?}", report.problems);
    first.stop().await;
    bench.order(1, "x").await;
    bench.until_booked(1).await;
    until_report(&second, "it is at work", |report| report.problems.is_empty() && report.plan_hash.is_some()).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_requests_may_not_go_is_said() {
    let mut bench = Bench::new().await;
    bench.plan.destination.egress.allow_cidrs.clear();
    bench.write_plan();
    bench.order(1, "x").await;
    let worker = bench.start().await;
    until_report(&worker, "it is said", |report| names(report, Reason::EgressRefused)).await;
    assert_eq!(bench.books.stats().await.unwrap().total_requests, 0);
    worker.stop().await;
}
