//! NetSuite's collections: pages and the `q` filter.

use serde_json::{Value, json};

use crate::fixture::{Answer, Fixture};

const CUSTOMERS: &str = "/services/rest/record/v1/customer";

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let items = answer.body["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn link(answer: &Answer, relation: &str) -> Option<String> {
    let links = answer.body["links"].as_array().unwrap();
    links.iter().find(|link| link["rel"] == json!(relation)).map(|link| link["href"].as_str().unwrap().to_owned())
}

async fn account(count: u64) -> Fixture {
    let fixture = Fixture::netsuite().await;
    fixture.seed("customer", count).await;
    fixture
}

#[tokio::test]
async fn following_next_shows_every_record_once() {
    let fixture = account(25).await;
    let mut answer = fixture.get(&format!("{CUSTOMERS}?limit=10")).await;
    let mut seen = ids(&answer);
    assert_eq!(answer.body["totalResults"], json!(25));
    while answer.body["hasMore"] == json!(true) {
        answer = fixture.get(&link(&answer, "next").unwrap()).await;
        seen.extend(ids(&answer));
    }
    assert_eq!(seen, (1..=25).map(|id| id.to_string()).collect::<Vec<_>>());
    assert_eq!((&answer.body["offset"], &answer.body["count"]), (&json!(20), &json!(5)));
    assert_eq!(link(&answer, "next"), None);
}

#[tokio::test]
async fn items_hold_ids_and_links_only() {
    let fixture = account(1).await;
    let answer = fixture.get(CUSTOMERS).await;
    let href = format!("{}{CUSTOMERS}/1", fixture.control.base_url());
    assert_eq!(answer.body["items"], json!([{"links": [{"rel": "self", "href": href}], "id": "1"}]));
}

#[tokio::test]
async fn the_last_link_leads_to_the_last_page() {
    let fixture = account(25).await;
    let first = fixture.get(&format!("{CUSTOMERS}?limit=5")).await;
    assert_eq!(ids(&fixture.get(&link(&first, "last").unwrap()).await), ["21", "22", "23", "24", "25"]);
}

#[tokio::test]
async fn a_limit_above_1000_and_an_offset_between_pages_are_refused() {
    let fixture = account(5).await;
    for query in ["limit=1001", "limit=0", "limit=x", "limit=2&offset=3", "offset=-1", "offset=1"] {
        let answer = fixture.get(&format!("{CUSTOMERS}?{query}")).await;
        assert_eq!((answer.status, answer.code()), (400, "INVALID_PARAMETER"), "{query}");
    }
}

#[tokio::test]
async fn a_record_is_found_by_its_external_id() {
    let fixture = account(5).await;
    let found = fixture.get(&format!("{CUSTOMERS}?q=externalId%20IS%20%22customer-3%22")).await;
    assert_eq!((ids(&found), &found.body["totalResults"]), (vec!["3".to_owned()], &json!(1)));
    let none = fixture.get(&format!("{CUSTOMERS}?q=externalId+IS+%22nobody%22")).await;
    assert_eq!((none.body["items"].clone(), none.body["hasMore"].clone()), (json!([]), Value::Bool(false)));
}

#[tokio::test]
async fn a_filter_is_kept_from_page_to_page() {
    let fixture = account(30).await;
    let first = fixture.get(&format!("{CUSTOMERS}?limit=10&q=email%20START_WITH%20%22buyer2%22")).await;
    assert_eq!(first.body["totalResults"], json!(11));
    assert_eq!(ids(&fixture.get(&link(&first, "next").unwrap()).await), ["29"]);
}

#[tokio::test]
async fn a_filter_that_is_not_understood_is_refused() {
    let fixture = account(1).await;
    let answer = fixture.get(&format!("{CUSTOMERS}?q=dateCreated%20AFTER%20%221/1/2026%22")).await;
    assert_eq!((answer.status, answer.code()), (400, "INVALID_PARAMETER"));
}
