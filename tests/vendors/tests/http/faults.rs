//! Failing on request.

use std::time::{Duration, Instant};

use crosstie_vendors::wire::{Fault, FaultRule};
use reqwest::Method;
use serde_json::json;

use crate::fixture::Fixture;

const ORDER: &str = "/services/rest/record/v1/salesOrder/eid:x";

async fn with(rule: FaultRule) -> Fixture {
    let fixture = Fixture::netsuite().await;
    fixture.control.add_fault(&rule).await.unwrap();
    fixture
}

async fn memo(fixture: &Fixture) -> Option<String> {
    let record = fixture.control.record("salesOrder", "eid:x").await.unwrap()?;
    record["memo"].as_str().map(ToOwned::to_owned)
}

#[tokio::test]
async fn a_status_fault_answers_without_applying() {
    let headers = [("Retry-After".to_owned(), "7".to_owned())].into();
    let fault = Fault::Status { code: 503, headers, body: json!({"down": true}) };
    let fixture = with(FaultRule::new(fault).times(1)).await;
    let answer = fixture.upsert("x", "1").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "7"));
    assert_eq!(answer.body, json!({"down": true}));
    assert_eq!(memo(&fixture).await, None);
    assert_eq!(fixture.upsert("x", "1").await.status, 204);
    assert_eq!(fixture.control.stats().await.unwrap().faults["status"], 1);
}

#[tokio::test]
async fn a_fault_strikes_only_what_it_matches() {
    let fault = Fault::Status { code: 500, headers: [].into(), body: json!(null) };
    let fixture = with(FaultRule::new(fault).method("PUT").path_contains("eid:x")).await;
    assert_eq!(fixture.upsert("x", "1").await.status, 500);
    assert_eq!(fixture.upsert("y", "1").await.status, 204);
    assert_eq!(fixture.get(ORDER).await.status, 404);
}

#[tokio::test]
async fn one_poisoned_body_can_be_picked_out() {
    let fault = Fault::Status { code: 500, headers: [].into(), body: json!(null) };
    let fixture = with(FaultRule::new(fault).body_contains("poison")).await;
    assert_eq!(fixture.upsert("x", "poison").await.status, 500);
    assert_eq!(fixture.upsert("x", "fine").await.status, 204);
}

#[tokio::test]
async fn rate_limited_answers_in_the_vendors_words() {
    let fault = || FaultRule::new(Fault::RateLimited { retry_after_seconds: Some(3.0) }).times(1);
    let netsuite = with(fault()).await;
    let answer = netsuite.upsert("x", "1").await;
    assert_eq!((answer.status, answer.code(), answer.header("retry-after")), (429, "CONCURRENCY_LIMIT_EXCEEDED", "3"));
    let shopify = Fixture::shopify().await;
    shopify.control.add_fault(&fault()).await.unwrap();
    let answer = shopify.get("/admin/api/2026-07/shop.json").await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "3.0"));
    assert!(answer.body["errors"].as_str().unwrap().starts_with("Exceeded 2 calls per second"));
}

#[tokio::test]
async fn an_error_after_the_commit_has_committed() {
    let fixture = with(FaultRule::new(Fault::ErrorAfterCommit { code: 502 }).times(1)).await;
    assert_eq!(fixture.upsert("x", "1").await.status, 502);
    assert_eq!(memo(&fixture).await.as_deref(), Some("1"));
    let writes = fixture.control.writes("salesOrder", "x").await.unwrap();
    assert_eq!((writes.creates, writes.updates), (1, 0));
}

#[tokio::test]
async fn a_timeout_after_the_commit_has_committed_and_frees_its_place_when_the_client_gives_up() {
    let fixture = with(FaultRule::new(Fault::TimeoutAfterCommit {}).times(1)).await;
    let request = fixture.request(Method::PUT, ORDER).json(&json!({"entity": {"id": "5"}, "memo": "1"}));
    let error = request.timeout(Duration::from_millis(300)).send().await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(memo(&fixture).await.as_deref(), Some("1"));
    let entry = &fixture.control.log(0).await.unwrap().entries[0];
    assert_eq!((entry.status, entry.fault.as_deref(), entry.commit), (0, Some("timeoutAfterCommit"), Some(1)));
    while fixture.control.stats().await.unwrap().in_flight > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_fault_after_the_commit_does_not_strike_a_refused_request() {
    let fixture = with(FaultRule::new(Fault::ErrorAfterCommit { code: 500 }).times(1)).await;
    assert_eq!(fixture.send(Method::PUT, ORDER, &json!({})).await.status, 400);
    assert_eq!(fixture.control.faults().await.unwrap()[0].applied, 0);
    assert_eq!(fixture.upsert("x", "1").await.status, 500);
}

#[tokio::test]
async fn a_dropped_connection_sends_nothing_and_applies_nothing() {
    let fixture = with(FaultRule::new(Fault::DropConnection {}).times(1)).await;
    let request = fixture.request(Method::PUT, ORDER).json(&json!({"entity": {"id": "5"}}));
    let error = request.send().await.unwrap_err();
    assert!(error.is_request() && !error.is_timeout(), "{error:?}");
    assert_eq!(fixture.control.stats().await.unwrap().with_status(0), 1);
    assert_eq!(memo(&fixture).await, None);
    assert_eq!(fixture.upsert("x", "1").await.status, 204);
}

#[tokio::test]
async fn a_slow_request_waits_and_then_works() {
    let fixture = with(FaultRule::new(Fault::Slow { millis: 200 }).times(1)).await;
    let before = Instant::now();
    assert_eq!(fixture.upsert("x", "1").await.status, 204);
    assert!(before.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_malformed_body_is_a_success_that_is_not_json() {
    let fixture = with(FaultRule::new(Fault::MalformedBody {}).times(1)).await;
    fixture.control.put_record("salesOrder", "1", &json!({"externalId": "x"})).await.unwrap();
    let response = fixture.request(Method::GET, ORDER).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(serde_json::from_str::<serde_json::Value>(&response.text().await.unwrap()).is_err());
}

#[tokio::test]
async fn a_truncated_body_breaks_off_in_the_middle() {
    let fixture = with(FaultRule::new(Fault::TruncatedBody {}).times(1)).await;
    fixture.control.put_record("salesOrder", "1", &json!({"externalId": "x"})).await.unwrap();
    let mut response = fixture.request(Method::GET, ORDER).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let promised = response.content_length().unwrap();
    let first = response.chunk().await.unwrap().unwrap();
    assert!(!first.is_empty() && (first.len() as u64) < promised);
    assert!(response.chunk().await.is_err());
    assert_eq!(fixture.get(ORDER).await.status, 200);
}

#[tokio::test]
async fn a_share_of_requests_fails_and_every_one_is_counted() {
    let fault = Fault::Status { code: 500, headers: [].into(), body: json!(null) };
    let fixture = with(FaultRule::new(fault).percent(25, 3)).await;
    let mut failed = 0;
    for number in 0..200 {
        failed += u64::from(fixture.upsert(&number.to_string(), "1").await.status == 500);
    }
    assert!((30..=70).contains(&failed), "{failed} of 200 is not about 25%");
    let stats = fixture.control.stats().await.unwrap();
    assert_eq!((stats.faults["status"], stats.writes.applied), (failed, 200 - failed));
}

#[tokio::test]
async fn faults_can_be_listed_and_removed() {
    let fixture = with(FaultRule::new(Fault::DropConnection {})).await;
    let second = fixture.control.add_fault(&FaultRule::new(Fault::Slow { millis: 1 })).await.unwrap();
    fixture.control.remove_fault(second).await.unwrap();
    assert!(fixture.control.remove_fault(second).await.is_err());
    assert_eq!(fixture.control.faults().await.unwrap().len(), 1);
    fixture.control.clear_faults().await.unwrap();
    assert_eq!(fixture.upsert("x", "1").await.status, 204);
}

#[tokio::test]
async fn the_fault_json_is_as_documented() {
    let fixture = Fixture::netsuite().await;
    let url = format!("{}/_control/netsuite/main/faults", fixture.simulator.url());
    for fault in [
        json!({"status": {"code": 503, "headers": {"A": "b"}, "body": "text"}}),
        json!({"status": {"code": 503}}),
        json!({"rateLimited": {"retryAfterSeconds": 2}}),
        json!({"rateLimited": {}}),
        json!({"timeoutAfterCommit": {}}),
        json!({"errorAfterCommit": {"code": 500}}),
        json!({"dropConnection": {}}),
        json!({"slow": {"millis": 10}}),
        json!({"malformedBody": {}}),
        json!({"truncatedBody": {}}),
    ] {
        let rule = json!({"match": {"method": "PUT", "pathContains": "x"}, "fault": fault, "count": 1, "percent": 10, "seed": 1});
        let status = fixture.http.post(&url).json(&rule).send().await.unwrap().status();
        assert_eq!(status, 200, "{rule}");
    }
}

#[tokio::test]
async fn a_commit_after_the_timeout_comes_when_the_client_has_long_given_up() {
    let fixture = with(FaultRule::new(Fault::CommitAfterTimeout { millis: 50 }).times(1)).await;
    let request = fixture.request(Method::PUT, ORDER).json(&json!({"entity": {"id": "5"}, "memo": "late"}));
    let waiting = tokio::spawn(request.send());
    while fixture.control.stats().await.unwrap().faults.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(memo(&fixture).await, None, "not while the client waits");
    waiting.abort();
    let started = Instant::now();
    while memo(&fixture).await.is_none() {
        assert!(started.elapsed() < Duration::from_secs(30), "it never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let entries = fixture.control.log(0).await.unwrap().entries;
    let late = entries.iter().find(|entry| entry.fault.is_some()).unwrap();
    assert_eq!((late.status, late.fault.as_deref(), late.commit), (0, Some("commitAfterTimeout"), Some(1)));
}
