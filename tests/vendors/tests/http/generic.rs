//! The dialect of nobody in particular: cursors, idempotency keys, batches, problems of RFC 9457.

use reqwest::Method;
use serde_json::json;

use crate::fixture::{Answer, Fixture};

#[tokio::test]
async fn pages_follow_cursors_within_a_range_of_times() {
    let fixture = Fixture::bearer("rest").await;
    fixture.seed("shipments", 5).await;
    let range = "updated_since=2026-07-01T00:00:01Z&updated_until=2026-07-01T00:00:03Z&limit=2";
    let first = fixture.get(&format!("/v1/shipments?{range}")).await;
    let next = first.body["next"].as_str().unwrap();
    let second = fixture.get(&format!("/v1/shipments?{range}&cursor={next}")).await;
    let ids = |answer: &Answer| {
        answer.body["data"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((ids(&first), ids(&second)), (vec![json!("2"), json!("3")], vec![json!("4")]));
    assert_eq!(second.body["next"], json!(null));
}

#[tokio::test]
async fn a_key_makes_one_write_of_many_requests() {
    let fixture = Fixture::bearer("rest").await;
    let create =
        || fixture.request(Method::POST, "/v1/shipments").header("Idempotency-Key", "k").json(&json!({"number": "N"}));
    let first = Answer::read(create().send().await.unwrap()).await;
    let again = Answer::read(create().send().await.unwrap()).await;
    assert_eq!((first.status, again.status, again.header("Idempotency-Replayed")), (201, 201, "true"));
    assert_eq!(first.body["id"], again.body["id"]);
    assert_eq!(fixture.control.stats().await.unwrap().writes.creates, 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_request_for_a_day() {
    let fixture = Fixture::bearer("rest").await;
    let put = async |number: &str| {
        let request = fixture.request(Method::PUT, "/v1/shipments/1").header("Idempotency-Key", "k");
        Answer::read(request.json(&json!({"number": number})).send().await.unwrap()).await.status
    };
    let later = async |seconds: i64| {
        fixture.control.change_settings(&json!({"clockOffsetMillis": seconds * 1000})).await.unwrap();
    };
    assert_eq!((put("a").await, put("b").await, put("a").await), (201, 422, 201));
    later(23 * 3600).await;
    assert_eq!((put("b").await, put("a").await), (422, 201));
    assert_eq!(fixture.control.stats().await.unwrap().writes.applied, 1);
    later(25 * 3600).await;
    assert_eq!(
        (put("b").await, put("b").await, put("a").await),
        (200, 200, 422),
        "it was forgotten, and is another's now"
    );
    assert_eq!(fixture.control.stats().await.unwrap().writes.applied, 2);
}

#[tokio::test]
async fn a_batch_answers_each_record_in_its_place() {
    let fixture = Fixture::bearer("rest").await;
    let items = json!([{"id": "a", "quantity": 1}, {"id": "b", "quantity": -1}, {"quantity": 1}]);
    let answer = fixture.send(Method::POST, "/v1/stock/batch", &json!({"items": items})).await;
    let results: Vec<_> = answer.body["results"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(results, [201, 422, 422]);
    assert_eq!(fixture.send(Method::PUT, "/v1/stock/a", &json!({"quantity": 2})).await.status, 200);
    assert_eq!(fixture.send(Method::DELETE, "/v1/stock/a", &json!(null)).await.status, 204);
    for path in ["/v1/stock/a", "/v9/stock", "/v1/nothing"] {
        assert_eq!(fixture.get(path).await.status, 404, "{path}");
    }
}
