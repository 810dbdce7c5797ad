//! Shopify's GraphQL: connections and cursors, costs, errors that are answered with status 200.

use reqwest::Method;
use serde_json::{Value, json};

use crosstie_vendors::wire::{Fault, FaultRule};

use crate::fixture::{Answer, Fixture};

const PATH: &str = "/admin/api/2026-07/graphql.json";
const QUERY: &str = "query Orders($first: Int!, $after: String, $filter: String) {
  orders(first: $first, after: $after, query: $filter, sortKey: UPDATED_AT) {
    edges { node { id name updatedAt totalPriceSet { shopMoney { amount currencyCode } } } }
    pageInfo { hasNextPage endCursor }
  }
}";

async fn ask(fixture: &Fixture, query: &str, variables: Value) -> Answer {
    fixture.send(Method::POST, PATH, &json!({"query": query, "variables": variables})).await
}

#[tokio::test]
async fn a_connection_is_read_page_by_page_within_a_range() {
    let fixture = Fixture::shopify().await;
    fixture.seed("orders", 5).await;
    let filter = "updated_at:>='2026-07-01T00:00:01Z' AND updated_at:<='2026-07-01T00:00:03Z'";
    let first = ask(&fixture, QUERY, json!({"first": 2, "filter": filter})).await;
    let orders = &first.body["data"]["orders"];
    assert_eq!(orders["edges"][0]["node"]["id"], "gid://shopify/Order/2", "{}", first.body);
    assert_eq!(orders["edges"][0]["node"]["totalPriceSet"]["shopMoney"]["currencyCode"], "USD");
    assert_eq!(first.body["extensions"]["cost"]["throttleStatus"]["restoreRate"], 100);
    let after = &orders["pageInfo"]["endCursor"];
    let second = ask(&fixture, QUERY, json!({"first": 2, "after": after, "filter": filter})).await;
    let orders = &second.body["data"]["orders"];
    assert_eq!(
        (&orders["edges"][0]["node"]["name"], &orders["pageInfo"]["hasNextPage"]),
        (&json!("#1004"), &json!(false))
    );
}

#[tokio::test]
async fn errors_have_status_200() {
    let fixture = Fixture::shopify().await;
    fixture.seed("orders", 1).await;
    for query in [
        "{ orders(first: 1) { nodes { price } } }",
        "{ orders { nodes { id } } }",
        "{ orders(first: 1) { nodes } }",
        "{",
    ] {
        let answer = ask(&fixture, query, json!({})).await;
        assert_eq!(answer.status, 200);
        assert!(
            answer.body["errors"][0]["message"].is_string() && answer.body.get("data").is_none(),
            "{}",
            answer.body
        );
    }
    fixture
        .control
        .add_fault(&FaultRule::new(Fault::RateLimited { retry_after_seconds: None }).times(1))
        .await
        .unwrap();
    let throttled = ask(&fixture, QUERY, json!({"first": 1})).await;
    assert_eq!((throttled.status, &throttled.body["errors"][0]["extensions"]["code"]), (200, &json!("THROTTLED")));
}
