//! Shopify: credentials, versions, limits, single records, writes.

use reqwest::Method;
use serde_json::json;

use crate::fixture::{Answer, Fixture};

#[tokio::test]
async fn a_wrong_token_gets_shopifys_401() {
    let fixture = Fixture::shopify().await;
    let request = fixture.request_as("wrong", Method::GET, "/admin/api/2026-07/orders.json");
    let answer = Answer::read(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 401);
    let errors = "[API] Invalid API key or access token (unrecognized login or wrong password)";
    assert_eq!(answer.body, json!({"errors": errors}));
    assert_eq!(answer.header("x-shopify-api-version"), "2026-07");
}

#[tokio::test]
async fn every_answer_names_the_version_the_request_and_the_bucket() {
    let fixture = Fixture::shopify().await;
    let one = fixture.get("/admin/api/2026-07/shop.json").await;
    let two = fixture.get("/admin/api/2026-07/shop.json").await;
    assert_eq!(one.header("x-shopify-api-version"), "2026-07");
    assert_eq!(one.header("x-shopify-shop-api-call-limit"), "1/40");
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    assert_eq!(one.body["shop"]["myshopify_domain"], json!("example.myshopify.com"));
}

#[tokio::test]
async fn a_retired_version_is_served_by_the_oldest_supported_one_without_a_word() {
    let fixture = Fixture::shopify().await;
    let answer = fixture.get("/admin/api/2024-01/shop.json").await;
    assert_eq!((answer.status, answer.header("x-shopify-api-version")), (200, "2026-01"));
    let stats = fixture.control.stats().await.unwrap();
    assert_eq!(stats.last_requested_version.as_deref(), Some("2024-01"));
    assert_eq!(stats.last_served_version.as_deref(), Some("2026-01"));
}

#[tokio::test]
async fn a_version_can_be_retired_while_running() {
    let fixture = Fixture::shopify().await;
    fixture.control.change_settings(&json!({"apiVersions": ["2026-10", "2027-01"]})).await.unwrap();
    let answer = fixture.get("/admin/api/2026-07/shop.json").await;
    assert_eq!(answer.header("x-shopify-api-version"), "2026-10");
}

#[tokio::test]
async fn a_version_that_is_not_out_is_not_found() {
    let fixture = Fixture::shopify().await;
    assert_eq!(fixture.get("/admin/api/2099-01/shop.json").await.status, 404);
    assert_eq!(fixture.get("/admin/api/newest/shop.json").await.status, 404);
}

#[tokio::test]
async fn a_deprecated_reason_is_sent_for_the_version_served() {
    let fixture = Fixture::shopify().await;
    let reasons = json!({"deprecatedReasons": {"2026-01": "https://shopify.dev/changelog/example"}});
    fixture.control.change_settings(&reasons).await.unwrap();
    let reason = async |version: &str| {
        let answer = fixture.get(&format!("/admin/api/{version}/shop.json")).await;
        answer.header("x-shopify-api-deprecated-reason").to_owned()
    };
    assert_eq!(reason("2025-10").await, "https://shopify.dev/changelog/example");
    assert_eq!(reason("2026-07").await, "");
}

#[tokio::test]
async fn a_full_bucket_answers_429_with_retry_after() {
    let fixture = Fixture::shopify().await;
    let limit = json!({"rateLimit": {"bucketSize": 3, "leakPerSecond": 0.001}});
    fixture.control.change_settings(&limit).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(fixture.get("/admin/api/2026-07/shop.json").await);
    }
    let shown: Vec<_> =
        answers.iter().map(|answer| (answer.status, answer.header("x-shopify-shop-api-call-limit"))).collect();
    assert_eq!(shown, [(200, "1/3"), (200, "2/3"), (200, "3/3"), (429, "3/3")]);
    assert_eq!(answers[3].header("retry-after"), "2.0");
}

#[tokio::test]
async fn a_seeded_order_has_the_shape_and_size_of_a_real_one() {
    let fixture = Fixture::shopify().await;
    fixture.seed("orders", 300).await;
    let page = fixture.control.records("orders", 0, 300).await.unwrap();
    let first = &page.items[0];
    assert_eq!((&first["name"], &first["order_number"]), (&json!("#1001"), &json!(1001)));
    assert_eq!(first["created_at"], json!("2026-06-30T20:00:00-04:00"));
    assert_eq!(first["admin_graphql_api_id"], json!("gid://shopify/Order/1"));
    assert!(first["total_price"].is_string() && first["cancelled_at"].is_null());
    let count = |test: &dyn Fn(&serde_json::Value) -> bool| page.items.iter().filter(|order| test(order)).count();
    assert!(count(&|order| order["customer"].is_null()) > 5, "some have no customer");
    assert!(count(&|order| !order["shipping_address"].to_string().is_ascii()) > 50, "some are not ASCII");
    let pairs = page.items.windows(2);
    assert!(pairs.filter(|pair| pair[0]["updated_at"] == pair[1]["updated_at"]).count() > 20, "some times are equal");
    let average = page.items.iter().map(|order| order.to_string().len()).sum::<usize>() / page.items.len();
    assert!((1_200..=1_900).contains(&average), "{average} bytes is not about 1.5 KB");
}

#[tokio::test]
async fn the_total_of_a_seeded_order_adds_up() {
    let fixture = Fixture::shopify().await;
    fixture.seed("orders", 50).await;
    let cents = |value: &serde_json::Value| value.as_str().unwrap().replace('.', "").parse::<u64>().unwrap();
    for order in fixture.control.records("orders", 0, 50).await.unwrap().items {
        let lines = order["line_items"].as_array().unwrap();
        let sum: u64 = lines.iter().map(|line| cents(&line["price"]) * line["quantity"].as_u64().unwrap()).sum();
        let (subtotal, discount) = (cents(&order["subtotal_price"]), cents(&order["total_discounts"]));
        assert_eq!(sum, subtotal + discount);
        assert_eq!(cents(&order["total_price"]), subtotal + cents(&order["total_tax"]));
    }
}

#[tokio::test]
async fn one_order_can_be_read_whole_or_in_part() {
    let fixture = Fixture::shopify().await;
    fixture.seed("orders", 1).await;
    let whole = fixture.get("/admin/api/2026-07/orders/1.json").await;
    assert_eq!(whole.body["order"], fixture.control.record("orders", "1").await.unwrap().unwrap());
    let part = fixture.get("/admin/api/2026-07/orders/1.json?fields=id,name").await;
    assert_eq!(part.body, json!({"order": {"id": 1, "name": "#1001"}}));
    let missing = fixture.get("/admin/api/2026-07/orders/2.json").await;
    assert_eq!((missing.status, missing.body), (404, json!({"errors": "Not Found"})));
}

#[tokio::test]
async fn the_refunds_of_an_order_are_listed() {
    let fixture = Fixture::shopify().await;
    fixture.seed("orders", 1).await;
    fixture.control.patch_record("orders", "1", &json!({"refunds": [{"id": 5}]})).await.unwrap();
    let answer = fixture.get("/admin/api/2026-07/orders/1/refunds.json").await;
    assert_eq!(answer.body, json!({"refunds": [{"id": 5}]}));
}

#[tokio::test]
async fn locations_are_there_from_the_start() {
    let fixture = Fixture::shopify().await;
    let answer = fixture.get("/admin/api/2026-07/locations.json").await;
    assert_eq!(answer.body["locations"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_update_changes_the_named_fields_and_is_counted() {
    let fixture = Fixture::shopify().await;
    fixture.seed("customers", 1).await;
    let change = json!({"customer": {"id": 1, "tags": "vip"}});
    let answer = fixture.send(Method::PUT, "/admin/api/2026-07/customers/1.json", &change).await;
    assert_eq!((answer.status, &answer.body["customer"]["tags"]), (200, &json!("vip")));
    assert_eq!(answer.body["customer"]["email"], json!("buyer1@example.com"));
    assert_eq!(fixture.control.writes("customers", "id:1").await.unwrap().updates, 1);
}

#[tokio::test]
async fn a_create_answers_201_and_an_incomplete_one_422() {
    let fixture = Fixture::shopify().await;
    let path = "/admin/api/2026-07/customers.json";
    let made = fixture.send(Method::POST, path, &json!({"customer": {"email": "a@example.com"}})).await;
    assert_eq!(made.status, 201);
    assert!(made.body["customer"]["id"].as_u64().unwrap() > 0);
    let empty = fixture.send(Method::POST, path, &json!({"customer": {}})).await;
    assert_eq!(empty.status, 422);
    let wrong = fixture.send(Method::POST, path, &json!({"person": {}})).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_deleted_order_is_gone() {
    let fixture = Fixture::shopify().await;
    fixture.seed("orders", 2).await;
    let path = "/admin/api/2026-07/orders/1.json";
    assert_eq!(fixture.send(Method::DELETE, path, &json!(null)).await.status, 200);
    assert_eq!(fixture.get(path).await.status, 404);
    assert_eq!(fixture.send(Method::DELETE, path, &json!(null)).await.status, 404);
    assert_eq!(fixture.control.writes("orders", "id:1").await.unwrap().deletes, 1);
}
