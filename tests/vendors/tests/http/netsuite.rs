//! NetSuite: credentials, limits, reads and writes of single records, jobs.

use crosstie_vendors::wire::{Fault, FaultRule};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Answer, Fixture};

const ORDERS: &str = "/services/rest/record/v1/salesOrder";

async fn lines(fixture: &Fixture, external: &str) -> Vec<Value> {
    let record = fixture.control.record("salesOrder", &format!("eid:{external}")).await.unwrap().unwrap();
    record["item"]["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_wrong_token_gets_netsuites_401() {
    let fixture = Fixture::netsuite().await;
    let answer = Answer::read(fixture.request_as("wrong", Method::GET, ORDERS).send().await.unwrap()).await;
    assert_eq!((answer.status, answer.code()), (401, "INVALID_LOGIN"));
    assert_eq!((&answer.body["title"], &answer.body["status"]), (&json!("Unauthorized"), &json!(401)));
    assert!(!answer.header("x-n-operationid").is_empty());
}

#[tokio::test]
async fn an_upsert_creates_once_and_then_updates_the_same_record() {
    let fixture = Fixture::netsuite().await;
    let (one, two) = (fixture.upsert("A-1", "first").await, fixture.upsert("A-1", "second").await);
    assert_eq!((one.status, two.status), (204, 204));
    assert_eq!(one.header("location"), two.header("location"));
    assert!(one.header("location").starts_with(&format!("{}{ORDERS}/", fixture.control.base_url())));
    let record = fixture.get(one.header("location")).await;
    assert_eq!((&record.body["externalId"], &record.body["memo"]), (&json!("A-1"), &json!("second")));
    let stats = fixture.control.stats().await.unwrap().writes;
    assert_eq!((stats.applied, stats.distinct, stats.creates, stats.updates), (2, 1, 1, 1));
    assert_eq!(stats.keys_with_more_than_one_write.keys, ["salesOrder/A-1"]);
    assert_eq!(stats.keys_with_more_than_one_create.count, 0);
}

#[tokio::test]
async fn an_external_id_may_hold_any_text() {
    let fixture = Fixture::netsuite().await;
    let path = format!("{ORDERS}/eid:a%2Fb%20%C3%A9");
    assert_eq!(fixture.send(Method::PUT, &path, &json!({"entity": {"id": "5"}})).await.status, 204);
    assert_eq!(fixture.get(&path).await.body["externalId"], json!("a/b é"));
    assert_eq!(fixture.control.writes("salesOrder", "a/b é").await.unwrap().creates, 1);
}

#[tokio::test]
async fn a_post_answers_with_the_place_of_the_new_record() {
    let fixture = Fixture::netsuite().await;
    let order = json!({"externalId": "P", "entity": {"id": "5"}, "tranDate": "2026-07-01"});
    let made = fixture.send(Method::POST, ORDERS, &order).await;
    assert_eq!((made.status, made.body.clone()), (204, Value::Null));
    let id = made.header("location").rsplit('/').next().unwrap().to_owned();
    let read = fixture.get(&format!("{ORDERS}/{id}")).await;
    assert_eq!((&read.body["id"], &read.body["tranDate"]), (&json!(id), &json!("2026-07-01")));
    assert_eq!(read.body["links"][0]["href"], json!(made.header("location")));
    let again = fixture.send(Method::POST, ORDERS, &order).await;
    assert_eq!((again.status, again.code()), (400, "USER_ERROR"));
}

#[tokio::test]
async fn a_bad_body_is_refused_with_the_place_of_the_mistake() {
    let fixture = Fixture::netsuite().await;
    let entity = json!({"id": "5"});
    for (body, place) in [
        (json!({"memo": "no customer"}), "entity"),
        (json!({"entity": entity, "tranDate": "07/01/2026"}), "tranDate"),
        (json!({"entity": entity, "item": {"items": [{"quantity": "1"}]}}), "item.items[0].quantity"),
        (json!({"entity": entity, "item": {"items": [{"rate": "9.99"}]}}), "item.items[0].rate"),
        (json!({"entity": entity, "item": [1]}), "item"),
    ] {
        let answer = fixture.send(Method::PUT, &format!("{ORDERS}/eid:bad"), &body).await;
        assert_eq!((answer.status, answer.code()), (400, "INVALID_CONTENT"), "{body}");
        let detail = &answer.body["o:errorDetails"][0];
        assert_eq!(detail["o:errorPath"], json!(place));
        assert!(detail["detail"].as_str().unwrap().contains(place));
    }
    assert_eq!(fixture.control.stats().await.unwrap().writes.applied, 0);
}

#[tokio::test]
async fn a_body_that_is_not_json_or_not_said_to_be_is_refused() {
    let fixture = Fixture::netsuite().await;
    let request = || fixture.request(Method::PUT, &format!("{ORDERS}/eid:x")).body("{");
    let broken = request().header("Content-Type", "application/json").send().await.unwrap();
    assert_eq!(broken.status(), 400);
    let unnamed = request().header("Content-Type", "text/plain").send().await.unwrap();
    assert_eq!(unnamed.status(), 415);
}

#[tokio::test]
async fn an_update_leaves_other_fields_alone_and_null_clears_one() {
    let fixture = Fixture::netsuite().await;
    let location = fixture.upsert("x", "memo").await.header("location").to_owned();
    let change = json!({"otherRefNum": "7", "memo": null});
    assert_eq!(fixture.send(Method::PATCH, &location, &change).await.status, 204);
    let record = fixture.get(&location).await.body;
    assert_eq!((record.get("memo"), &record["otherRefNum"], &record["entity"]["id"]), (None, &json!("7"), &json!("5")));
    let missing = fixture.send(Method::PATCH, &format!("{ORDERS}/999999"), &change).await;
    assert_eq!((missing.status, missing.code()), (404, "NONEXISTENT_ID"));
}

#[tokio::test]
async fn lines_are_added_unless_the_request_replaces_the_sublist() {
    let fixture = Fixture::netsuite().await;
    let order = json!({"entity": {"id": "5"}, "item": {"items": [{"quantity": 1, "rate": 5.0}]}});
    let path = format!("{ORDERS}/eid:x");
    fixture.send(Method::PUT, &path, &order).await;
    fixture.send(Method::PUT, &path, &order).await;
    assert_eq!(lines(&fixture, "x").await.len(), 2);
    fixture.send(Method::PUT, &format!("{path}?replace=item"), &order).await;
    assert_eq!(lines(&fixture, "x").await, [json!({"quantity": 1, "rate": 5.0, "line": 1})]);
}

#[tokio::test]
async fn sublists_are_links_until_they_are_expanded() {
    let fixture = Fixture::netsuite().await;
    let order = json!({"entity": {"id": "5"}, "item": {"items": [{"quantity": 2}]}});
    let location = fixture.send(Method::PUT, &format!("{ORDERS}/eid:x"), &order).await.header("location").to_owned();
    let plain = fixture.get(&location).await;
    assert_eq!(plain.body["item"], json!({"links": [{"rel": "self", "href": format!("{location}/item")}]}));
    let expanded = fixture.get(&format!("{location}?expandSubResources=true")).await;
    assert_eq!(expanded.body["item"]["items"][0]["quantity"], json!(2));
    let sublist = fixture.get(&format!("{location}/item")).await;
    assert_eq!(sublist.body["totalResults"], json!(1));
    let fields = fixture.get(&format!("{location}?fields=externalId")).await;
    let names: Vec<&String> = fields.body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["links", "id", "externalId"]);
}

#[tokio::test]
async fn a_deleted_record_is_gone_and_made_anew_by_the_next_upsert() {
    let fixture = Fixture::netsuite().await;
    let first = fixture.upsert("x", "1").await.header("location").to_owned();
    assert_eq!(fixture.send(Method::DELETE, &format!("{ORDERS}/eid:x"), &json!(null)).await.status, 204);
    assert_eq!(fixture.get(&format!("{ORDERS}/eid:x")).await.code(), "NONEXISTENT_ID");
    assert_ne!(fixture.upsert("x", "1").await.header("location"), first);
    let writes = fixture.control.stats().await.unwrap().writes;
    assert_eq!((writes.deletes, writes.keys_with_more_than_one_create.count), (1, 1));
}

#[tokio::test]
async fn an_upsert_by_internal_id_an_unknown_type_and_a_contradiction_are_refused() {
    let fixture = Fixture::netsuite().await;
    let order = json!({"entity": {"id": "5"}});
    assert_eq!(fixture.send(Method::PUT, &format!("{ORDERS}/5"), &order).await.status, 400);
    assert_eq!(fixture.send(Method::POST, "/services/rest/record/v1/salesorder", &order).await.status, 404);
    let other = json!({"entity": {"id": "5"}, "externalId": "y"});
    assert_eq!(fixture.send(Method::PUT, &format!("{ORDERS}/eid:x"), &other).await.status, 400);
}

#[tokio::test]
async fn more_requests_at_once_than_the_account_allows_are_refused() {
    let fixture = Fixture::netsuite().await;
    let rule = FaultRule::new(Fault::TimeoutAfterCommit {}).path_contains("eid:held");
    fixture.control.add_fault(&rule).await.unwrap();
    let held: Vec<_> = (0..5)
        .map(|number| {
            let path = format!("{ORDERS}/eid:held-{number}");
            let request = fixture.request(Method::PUT, &path).json(&json!({"entity": {"id": "5"}}));
            tokio::spawn(async move { request.send().await })
        })
        .collect();
    let in_flight = async || fixture.control.stats().await.unwrap().in_flight;
    while in_flight().await < 5 {
        tokio::task::yield_now().await;
    }
    let refused = fixture.upsert("x", "1").await;
    assert_eq!((refused.status, refused.code()), (429, "CONCURRENCY_LIMIT_EXCEEDED"));
    assert_eq!(fixture.control.stats().await.unwrap().peak_concurrency, 6);
    held.iter().for_each(tokio::task::JoinHandle::abort);
    while in_flight().await > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.upsert("x", "1").await.status, 204);
}

#[tokio::test]
async fn many_writers_of_one_key_make_one_record() {
    let fixture = Fixture::netsuite().await;
    fixture.control.change_settings(&json!({"concurrencyLimit": null})).await.unwrap();
    let clients = (0..40).map(|number| {
        let body = json!({"entity": {"id": "5"}, "memo": number.to_string()});
        let request = fixture.request(Method::PUT, &format!("{ORDERS}/eid:same")).json(&body);
        tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
    });
    for client in clients.collect::<Vec<_>>() {
        assert_eq!(client.await.unwrap(), 204);
    }
    let writes = fixture.control.writes("salesOrder", "same").await.unwrap();
    assert_eq!((writes.creates, writes.updates), (1, 39));
    assert_eq!(fixture.control.records("salesOrder", 0, 10).await.unwrap().total, 1);
}

async fn submit(fixture: &Fixture, key: &str, body: &Value) -> Answer {
    let request = fixture.request(Method::POST, ORDERS).json(body);
    let request = request.header("Prefer", "respond-async").header("X-NetSuite-Idempotency-Key", key);
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_job_with_a_used_idempotency_key_is_refused_with_the_first_jobs_place() {
    let fixture = Fixture::netsuite().await;
    let order = json!({"entity": {"id": "5"}});
    let (one, two) = (submit(&fixture, "k", &order).await, submit(&fixture, "k", &order).await);
    assert_eq!((one.status, one.header("preference-applied")), (202, "respond-async"));
    assert_eq!((two.status, two.code()), (400, "IDEMPOTENCY_ERROR"));
    assert_eq!(one.header("location"), two.header("location"));
    assert_eq!(fixture.control.stats().await.unwrap().writes.applied, 1);
    assert_eq!(submit(&fixture, "other", &order).await.status, 202);
    let log = fixture.control.log(0).await.unwrap();
    assert_eq!(log.entries[0].idempotency_key.as_deref(), Some("k"));
}

#[tokio::test]
async fn a_job_tells_what_became_of_it() {
    let fixture = Fixture::netsuite().await;
    let good = submit(&fixture, "good", &json!({"entity": {"id": "5"}})).await.header("location").to_owned();
    let job = fixture.get(&good).await.body;
    assert_eq!((&job["completed"], &job["progress"]), (&json!(true), &json!("succeeded")));
    let tasks = fixture.get(job["task"]["links"][0]["href"].as_str().unwrap()).await.body;
    let result = fixture.get(tasks["items"][0]["links"][1]["href"].as_str().unwrap()).await;
    assert_eq!(result.status, 204);
    assert_eq!(fixture.get(result.header("location")).await.status, 200);
    let bad = submit(&fixture, "bad", &json!({})).await;
    assert_eq!(bad.status, 202);
    let place = bad.header("location").to_owned();
    assert_eq!(fixture.get(&place).await.body["progress"], json!("failed"));
    assert_eq!(fixture.get(&format!("{place}/task/1/result")).await.code(), "INVALID_CONTENT");
}

#[tokio::test]
async fn without_prefer_an_idempotency_key_means_nothing() {
    let fixture = Fixture::netsuite().await;
    for _ in 0..2 {
        let request = fixture.request(Method::POST, ORDERS).json(&json!({"entity": {"id": "5"}}));
        let status = request.header("X-NetSuite-Idempotency-Key", "k").send().await.unwrap().status();
        assert_eq!(status, 204);
    }
    assert_eq!(fixture.control.stats().await.unwrap().writes.creates, 2);
}
