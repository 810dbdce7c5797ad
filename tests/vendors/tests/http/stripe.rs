//! Stripe's dialect: forms, idempotency keys, lists from the newest on, events.

use reqwest::Method;
use serde_json::json;

use crate::fixture::{Answer, Fixture, TOKEN};

async fn form(fixture: &Fixture, path: &str, body: &'static str, key: Option<&str>) -> Answer {
    let request = fixture.request(Method::POST, path).header("Content-Type", "application/x-www-form-urlencoded");
    let request = key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key));
    Answer::read(request.body(body).send().await.unwrap()).await
}

#[tokio::test]
async fn a_list_goes_from_the_newest_to_the_oldest_page_by_page() {
    let fixture = Fixture::bearer("stripe").await;
    fixture.seed("charges", 5).await;
    let ids = |answer: &Answer| -> Vec<String> {
        let data = answer.body["data"].as_array().unwrap();
        data.iter().map(|charge| charge["id"].as_str().unwrap().replace("ch_00000000000", "")).collect()
    };
    let first = fixture.get("/v1/charges?limit=2&created[gte]=1782864001").await;
    assert_eq!((ids(&first), &first.body["has_more"]), (vec!["5".into(), "4".into()], &json!(true)));
    let last = fixture.get("/v1/charges?limit=2&created[gte]=1782864001&starting_after=ch_000000000004").await;
    assert_eq!((ids(&last), &last.body["has_more"]), (vec!["3".into(), "2".into()], &json!(false)));
    assert_eq!(first.header("Stripe-Version"), "2026-09-30.endive");
    let unknown = fixture.get("/v1/charges?starting_after=ch_x").await;
    assert_eq!((unknown.status, &unknown.body["error"]["param"]), (400, &json!("starting_after")));
}

#[tokio::test]
async fn a_key_makes_one_write_of_many_requests_and_belongs_to_one_body() {
    let fixture = Fixture::bearer("stripe").await;
    let made =
        form(&fixture, "/v1/customers", "email=a%40example.com&metadata[crm]=7&address[city]=M%C3%BCnchen", Some("k"))
            .await;
    assert_eq!(
        (made.status, &made.body["metadata"]["crm"], &made.body["address"]["city"]),
        (200, &json!("7"), &json!("München"))
    );
    let again =
        form(&fixture, "/v1/customers", "email=a%40example.com&metadata[crm]=7&address[city]=M%C3%BCnchen", Some("k"))
            .await;
    assert_eq!((&again.body["id"], again.header("Idempotent-Replayed")), (&made.body["id"], "true"));
    let other = form(&fixture, "/v1/customers", "email=b%40example.com", Some("k")).await;
    assert_eq!((other.status, &other.body["error"]["type"]), (400, &json!("idempotency_error")));
    assert_eq!(fixture.control.stats().await.unwrap().writes.creates, 1);
    let events = fixture.get("/v1/events?types[0]=customer.created").await;
    assert_eq!(events.body["data"][0]["data"]["object"]["id"], made.body["id"]);
}

#[tokio::test]
async fn what_stripe_refuses_is_refused_in_its_words() {
    let fixture = Fixture::bearer("stripe").await;
    fixture.seed("charges", 1).await;
    let json = fixture.send(Method::POST, "/v1/customers", &json!({"email": "a@example.com"})).await;
    assert_eq!((json.status, &json.body["error"]["type"]), (400, &json!("invalid_request_error")));
    for (path, body, param) in [
        ("/v1/refunds", "charge=ch_x", "charge"),
        ("/v1/refunds", "charge=ch_000000000001&amount=99999999", "amount"),
        ("/v1/payment_intents", "amount=1", "currency"),
        ("/v1/payment_intents", "amount=1.5&currency=usd", "amount"),
    ] {
        let answer = form(&fixture, path, body, None).await;
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!(param)), "{path} {body}");
    }
    let missing = fixture.get("/v1/customers/cus_x").await;
    assert_eq!((missing.status, &missing.body["error"]["code"]), (404, &json!("resource_missing")));
    let anonymous = Answer::read(fixture.request_as("wrong", Method::GET, "/v1/charges").send().await.unwrap()).await;
    assert_eq!(anonymous.status, 401);
    let old = fixture.request(Method::GET, "/v1/charges").header("Stripe-Version", "2015-01-01");
    assert_eq!(Answer::read(old.send().await.unwrap()).await.status, 400);
    let basic = fixture.http.get(format!("{}/v1/charges", fixture.control.base_url())).basic_auth(TOKEN, Some(""));
    assert_eq!(basic.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_refund_changes_its_charge() {
    let fixture = Fixture::bearer("stripe").await;
    fixture.seed("charges", 1).await;
    let refund = form(&fixture, "/v1/refunds", "charge=ch_000000000001&amount=100&metadata[order]=1", None).await;
    assert_eq!((refund.status, &refund.body["amount"], &refund.body["currency"]), (200, &json!(100), &json!("usd")));
    let charge = fixture.control.record("charges", "ch_000000000001").await.unwrap().unwrap();
    assert_eq!((&charge["amount_refunded"], &charge["refunded"]), (&json!(100), &json!(false)));
}
