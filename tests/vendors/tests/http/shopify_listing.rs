//! Shopify's listings: filters, order and pages.

use serde_json::{Value, json};

use crate::fixture::{Answer, Fixture};

const ORDERS: &str = "/admin/api/2026-07/orders.json";

fn ids(answer: &Answer) -> Vec<u64> {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body["orders"].as_array().unwrap().iter().map(|order| order["id"].as_u64().unwrap()).collect()
}

/// The URL that a `Link` header gives for a relation.
fn link(answer: &Answer, relation: &str) -> Option<String> {
    answer.header("link").split(", ").find_map(|link| {
        let (url, parameters) = link.split_once("; ")?;
        (parameters == format!("rel=\"{relation}\"")).then(|| url.trim_matches(['<', '>']).to_owned())
    })
}

async fn shop(count: u64) -> Fixture {
    let fixture = Fixture::shopify().await;
    fixture.seed("orders", count).await;
    fixture
}

async fn walk(fixture: &Fixture, first: &str) -> Vec<u64> {
    let mut answer = fixture.get(first).await;
    let mut seen = ids(&answer);
    while let Some(next) = link(&answer, "next") {
        answer = fixture.get(&next).await;
        seen.extend(ids(&answer));
    }
    seen
}

#[tokio::test]
async fn following_the_links_shows_every_order_once_in_order() {
    let fixture = shop(103).await;
    let seen = walk(&fixture, &format!("{ORDERS}?status=any&order=updated_at+asc&limit=10")).await;
    let mut expected: Vec<(String, u64)> = fixture
        .control
        .records("orders", 0, 200)
        .await
        .unwrap()
        .items
        .iter()
        .map(|order| (order["updated_at"].as_str().unwrap().to_owned(), order["id"].as_u64().unwrap()))
        .collect();
    expected.sort();
    assert_eq!(seen, expected.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_descending_walk_is_the_reverse_of_an_ascending_one() {
    let fixture = shop(30).await;
    let mut up = walk(&fixture, &format!("{ORDERS}?status=any&order=created_at+asc&limit=7")).await;
    let down = walk(&fixture, &format!("{ORDERS}?status=any&order=created_at+desc&limit=7")).await;
    up.reverse();
    assert_eq!(up, down);
}

#[tokio::test]
async fn the_previous_link_leads_back() {
    let fixture = shop(30).await;
    let first = fixture.get(&format!("{ORDERS}?status=any&order=updated_at+asc&limit=10")).await;
    assert_eq!(link(&first, "previous"), None);
    let second = fixture.get(&link(&first, "next").unwrap()).await;
    let third = fixture.get(&link(&second, "next").unwrap()).await;
    assert_eq!(link(&third, "next"), None);
    let back = fixture.get(&link(&third, "previous").unwrap()).await;
    assert_eq!(ids(&back), ids(&second));
    let start = fixture.get(&link(&back, "previous").unwrap()).await;
    assert_eq!(ids(&start), ids(&first));
    assert_eq!(link(&start, "previous"), None);
}

#[tokio::test]
async fn one_page_that_holds_everything_has_no_link_header() {
    let fixture = shop(10).await;
    let answer = fixture.get(&format!("{ORDERS}?status=any&limit=10")).await;
    assert_eq!((ids(&answer).len(), answer.header("link")), (10, ""));
}

#[tokio::test]
async fn an_order_that_changes_during_a_walk_is_seen_again_and_none_is_missed() {
    let fixture = shop(20).await;
    let first = fixture.get(&format!("{ORDERS}?status=any&order=updated_at+asc&limit=5")).await;
    let moved = ids(&first)[0];
    fixture.control.patch_record("orders", &moved.to_string(), &json!({"note": "changed"})).await.unwrap();
    let rest = walk(&fixture, &link(&first, "next").unwrap()).await;
    assert_eq!(rest.last(), Some(&moved));
    assert_eq!(rest.len(), 16);
}

#[tokio::test]
async fn other_filters_beside_page_info_are_refused() {
    let fixture = shop(20).await;
    let first = fixture.get(&format!("{ORDERS}?status=any&limit=5")).await;
    let next = link(&first, "next").unwrap();
    let refused = fixture.get(&format!("{next}&status=any")).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body["errors"]["status"].as_str().unwrap().starts_with("status cannot be passed when page_info"));
    assert_eq!(fixture.get(&format!("{next}&fields=id")).await.status, 200);
    let wrong = fixture.get(&format!("{ORDERS}?page_info=bm90aGluZw")).await;
    assert_eq!((wrong.status, wrong.body), (400, json!({"errors": {"page_info": "Invalid value."}})));
}

#[tokio::test]
async fn the_page_info_of_another_resource_is_refused() {
    let fixture = shop(20).await;
    let next = link(&fixture.get(&format!("{ORDERS}?status=any&limit=5")).await, "next").unwrap();
    assert_eq!(fixture.get(&next.replace("orders.json", "customers.json")).await.status, 400);
}

#[tokio::test]
async fn both_bounds_of_the_updated_time_belong_to_the_range() {
    let fixture = shop(0).await;
    for (id, second) in [(1, "01"), (2, "02"), (3, "03"), (4, "04")] {
        let order = json!({"updated_at": format!("2026-07-01T00:00:{second}Z")});
        fixture.control.put_record("orders", &id.to_string(), &order).await.unwrap();
    }
    let range = "updated_at_min=2026-07-01T00:00:02Z&updated_at_max=2026-07-01T00:00:03Z";
    let answer = fixture.get(&format!("{ORDERS}?status=any&order=updated_at+asc&{range}")).await;
    assert_eq!(ids(&answer), [2, 3]);
    let by_id = fixture.get(&format!("{ORDERS}?status=any&order=id+asc&{range}")).await;
    assert_eq!(ids(&by_id), [2, 3]);
    let count = fixture.get(&format!("/admin/api/2026-07/orders/count.json?status=any&{range}")).await;
    assert_eq!(count.body, json!({"count": 2}));
}

#[tokio::test]
async fn a_time_without_an_offset_is_the_shops_own() {
    let fixture = shop(0).await;
    fixture.control.put_record("orders", "1", &json!({"updated_at": "2026-07-01T04:00:00Z"})).await.unwrap();
    let found = async |time: &str| ids(&fixture.get(&format!("{ORDERS}?status=any&updated_at_min={time}")).await).len();
    assert_eq!(found("2026-07-01T00:00:00").await, 1, "midnight in New York is four in UTC");
    assert_eq!(found("2026-07-01T00:00:01").await, 0);
    assert_eq!(fixture.get(&format!("{ORDERS}?updated_at_min=yesterday")).await.status, 400);
}

#[tokio::test]
async fn a_range_that_ends_before_it_starts_is_empty() {
    let fixture = shop(5).await;
    let range = "updated_at_min=2026-08-01T00:00:00Z&updated_at_max=2026-01-01T00:00:00Z";
    let answer = fixture.get(&format!("{ORDERS}?status=any&order=updated_at+asc&{range}")).await;
    assert_eq!(ids(&answer), Vec::<u64>::new());
}

#[tokio::test]
async fn without_a_status_only_open_orders_are_shown() {
    let fixture = shop(3).await;
    fixture.control.patch_record("orders", "1", &json!({"cancelled_at": "2026-07-02T00:00:00Z"})).await.unwrap();
    fixture.control.patch_record("orders", "2", &json!({"closed_at": "2026-07-02T00:00:00Z"})).await.unwrap();
    let shown = async |status: &str| ids(&fixture.get(&format!("{ORDERS}?order=id+asc{status}")).await);
    assert_eq!(shown("").await, [3]);
    assert_eq!(shown("&status=cancelled").await, [1]);
    assert_eq!(shown("&status=closed").await, [2]);
    assert_eq!(shown("&status=any").await, [1, 2, 3]);
    assert_eq!(fixture.get(&format!("{ORDERS}?status=strange")).await.status, 400);
}

#[tokio::test]
async fn since_id_goes_through_the_ids_and_the_default_shows_the_newest_first() {
    let fixture = shop(10).await;
    assert_eq!(ids(&fixture.get(&format!("{ORDERS}?status=any&since_id=7")).await), [8, 9, 10]);
    assert_eq!(ids(&fixture.get(&format!("{ORDERS}?status=any&limit=2")).await), [10, 9]);
}

#[tokio::test]
async fn ids_and_statuses_narrow_a_listing() {
    let fixture = shop(5).await;
    assert_eq!(ids(&fixture.get(&format!("{ORDERS}?status=any&ids=2,4,99&order=id+asc")).await), [2, 4]);
    fixture.control.patch_record("orders", "3", &json!({"financial_status": "refunded"})).await.unwrap();
    assert_eq!(ids(&fixture.get(&format!("{ORDERS}?status=any&financial_status=refunded")).await), [3]);
}

#[tokio::test]
async fn the_limit_is_50_by_default_and_250_at_most() {
    let fixture = shop(300).await;
    let size = async |limit: &str| ids(&fixture.get(&format!("{ORDERS}?status=any{limit}")).await).len();
    assert_eq!((size("").await, size("&limit=1000").await), (50, 250));
    assert_eq!(fixture.get(&format!("{ORDERS}?limit=0")).await.status, 400);
    fixture.control.change_settings(&json!({"pageSizeMax": 60})).await.unwrap();
    assert_eq!(size("&limit=1000").await, 60);
}

#[tokio::test]
async fn fields_are_kept_from_page_to_page() {
    let fixture = shop(10).await;
    let first = fixture.get(&format!("{ORDERS}?status=any&limit=5&fields=id,name")).await;
    let second = fixture.get(&link(&first, "next").unwrap()).await;
    for order in second.body["orders"].as_array().unwrap() {
        let names: Vec<&String> = order.as_object().unwrap().keys().collect();
        assert_eq!(names, ["id", "name"]);
    }
}

#[tokio::test]
async fn customers_are_listed_like_orders() {
    let fixture = Fixture::shopify().await;
    fixture.seed("customers", 3).await;
    let answer = fixture.get("/admin/api/2026-07/customers.json?order=updated_at+asc&limit=2").await;
    let emails: Vec<&Value> = answer.body["customers"].as_array().unwrap().iter().map(|one| &one["email"]).collect();
    assert_eq!(emails, ["buyer1@example.com", "buyer2@example.com"]);
    assert!(link(&answer, "next").is_some());
}
