//! What all vendors share: credentials, records, counts, log, settings.

use crosstie_vendors::control::ControlError;
use crosstie_vendors::wire::WriteKind;
use reqwest::Method;
use serde_json::json;

use crate::fixture::{Answer, Fixture};

const SHOP: &str = "/admin/api/2026-07/shop.json";

#[tokio::test]
async fn nothing_is_valid_before_tokens_are_set() {
    let fixture = Fixture::shopify().await;
    let other = fixture.simulator.control("shopify", "other").unwrap();
    let request = fixture.http.get(format!("{}{SHOP}", other.base_url()));
    let answer = Answer::read(request.header("X-Shopify-Access-Token", "token-one").send().await.unwrap()).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_the_other_one_still_works() {
    let fixture = Fixture::shopify().await;
    fixture.control.set_tokens(&["a", "b"]).await.unwrap();
    assert!(fixture.control.revoke_token("a").await.unwrap());
    assert!(!fixture.control.revoke_token("a").await.unwrap());
    let status = |token| fixture.request_as(token, Method::GET, SHOP).send();
    assert_eq!(status("a").await.unwrap().status(), 401);
    assert_eq!(status("b").await.unwrap().status(), 200);
}

#[tokio::test]
async fn instances_share_nothing() {
    let fixture = Fixture::shopify().await;
    fixture.seed("orders", 3).await;
    let other = fixture.simulator.control("shopify", "other").unwrap();
    assert_eq!(other.records("orders", 0, 10).await.unwrap().total, 0);
    assert_eq!(other.stats().await.unwrap().total_requests, 0);
}

#[tokio::test]
async fn a_record_can_be_set_changed_and_removed() {
    let fixture = Fixture::shopify().await;
    let control = &fixture.control;
    let set = control.put_record("customers", "7", &json!({"email": "a@example.com"})).await.unwrap();
    assert_eq!(set["id"], json!(7));
    let changed = control.patch_record("customers", "7", &json!({"email": null, "tags": "x"})).await.unwrap();
    assert_eq!((changed.get("email"), &changed["tags"]), (None, &json!("x")));
    control.delete_record("customers", "7").await.unwrap();
    assert_eq!(control.record("customers", "7").await.unwrap(), None);
}

#[tokio::test]
async fn a_change_bumps_the_updated_time_by_the_vendors_clock() {
    let fixture = Fixture::shopify().await;
    fixture.seed("orders", 1).await;
    let ahead = json!({"clockOffsetMillis": 3_600_000, "timeZone": "UTC"});
    fixture.control.change_settings(&ahead).await.unwrap();
    let changed = fixture.control.patch_record("orders", "1", &json!({"note": "x"})).await.unwrap();
    let updated: jiff::Timestamp = changed["updated_at"].as_str().unwrap().parse().unwrap();
    let minutes_ahead = updated.duration_since(jiff::Timestamp::now()).as_mins();
    assert!((58..=60).contains(&minutes_ahead), "{updated} is {minutes_ahead} min ahead");
    let own = json!({"updated_at": "2026-01-01T00:00:00Z"});
    let changed = fixture.control.patch_record("orders", "1", &own).await.unwrap();
    assert_eq!(changed["updated_at"], own["updated_at"]);
}

#[tokio::test]
async fn the_date_header_shows_the_vendors_clock() {
    let fixture = Fixture::shopify().await;
    fixture.control.change_settings(&json!({"clockOffsetMillis": -86_400_000})).await.unwrap();
    let answer = fixture.get(SHOP).await;
    let yesterday = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
    assert_eq!(answer.headers.get_all("date").iter().count(), 1);
    let day = yesterday.strftime("%a, %d %b %Y").to_string();
    assert!(answer.header("date").starts_with(&day), "{} is not on {day}", answer.header("date"));
}

#[tokio::test]
async fn a_seed_is_the_same_every_time() {
    let (one, two) = (Fixture::shopify().await, Fixture::shopify().await);
    one.seed("orders", 20).await;
    two.seed("orders", 20).await;
    let read = async |fixture: &Fixture| fixture.control.records("orders", 0, 20).await.unwrap();
    assert_eq!(read(&one).await, read(&two).await);
}

#[tokio::test]
async fn records_are_listed_in_pages_by_id() {
    let fixture = Fixture::shopify().await;
    fixture.seed("orders", 25).await;
    let page = fixture.control.records("orders", 20, 10).await.unwrap();
    assert_eq!((page.total, page.items.len()), (25, 5));
    assert_eq!(page.items[0]["id"], json!(21));
}

#[tokio::test]
async fn requests_are_counted_by_method_route_and_status() {
    let fixture = Fixture::shopify().await;
    fixture.seed("orders", 2).await;
    for id in ["1", "2", "3"] {
        fixture.get(&format!("/admin/api/2026-07/orders/{id}.json")).await;
    }
    let stats = fixture.control.stats().await.unwrap();
    let lines: Vec<_> = stats.requests.iter().map(|line| (line.route.as_str(), line.status, line.count)).collect();
    let route = "/admin/api/{version}/orders/{id}.json";
    assert_eq!(lines, [(route, 200, 2), (route, 404, 1)]);
    assert_eq!((stats.peak_concurrency, stats.in_flight), (1, 0));
    fixture.control.reset_stats().await.unwrap();
    assert_eq!(fixture.control.stats().await.unwrap().total_requests, 0);
}

#[tokio::test]
async fn the_log_tells_the_order_of_writes_and_never_the_token() {
    let fixture = Fixture::netsuite().await;
    fixture.upsert("a", "1").await;
    fixture.upsert("b", "1").await;
    fixture.upsert("a", "2").await;
    let log = fixture.control.log(0).await.unwrap();
    let of_a: Vec<_> = log.entries.iter().filter(|entry| entry.key.as_deref() == Some("salesOrder/a")).collect();
    assert_eq!(of_a.iter().map(|entry| entry.commit.unwrap()).collect::<Vec<_>>(), [1, 3]);
    let effects: Vec<_> = of_a.iter().map(|entry| entry.effect.unwrap()).collect();
    assert_eq!(effects, [WriteKind::Created, WriteKind::Updated]);
    let fingerprint = of_a[0].token_fingerprint.clone().unwrap();
    assert_eq!(fingerprint.len(), 12);
    assert!(!serde_json::to_string(&log).unwrap().contains("token-one"));
    let later = fixture.control.log(log.entries[1].sequence).await.unwrap();
    assert_eq!(later.entries.len(), 1);
}

#[tokio::test]
async fn the_same_token_has_the_same_fingerprint_whether_accepted_or_not() {
    let fixture = Fixture::shopify().await;
    fixture.get(SHOP).await;
    fixture.control.revoke_token("token-one").await.unwrap();
    fixture.get(SHOP).await;
    let log = fixture.control.log(0).await.unwrap();
    assert_eq!(log.entries.iter().map(|entry| entry.status).collect::<Vec<_>>(), [200, 401]);
    assert_eq!(log.entries[0].token_fingerprint, log.entries[1].token_fingerprint);
}

#[tokio::test]
async fn settings_are_merged_and_bad_ones_are_refused_whole() {
    let fixture = Fixture::netsuite().await;
    let settings = fixture.control.change_settings(&json!({"concurrencyLimit": null})).await.unwrap();
    assert_eq!((settings.concurrency_limit, settings.page_size_max), (None, 1_000));
    for bad in [
        json!({"pageSizeDefault": 0}),
        json!({"timeZone": "Nowhere/Land"}),
        json!({"noSuchSetting": 1}),
        json!({"rateLimit": {"bucketSize": 1, "leakPerSecond": 0.0}}),
        json!({"extraHeaders": {"a b": "c"}}),
    ] {
        let refused = fixture.control.change_settings(&bad).await;
        assert!(matches!(refused, Err(ControlError::Refused { status, .. }) if status == 400), "{bad}");
    }
    assert_eq!(fixture.control.settings().await.unwrap(), settings);
}

#[tokio::test]
async fn extra_headers_are_on_every_answer() {
    let fixture = Fixture::netsuite().await;
    let headers = json!({"extraHeaders": {"Sunset": "Wed, 01 Dec 2027 00:00:00 GMT"}});
    fixture.control.change_settings(&headers).await.unwrap();
    for path in ["/services/rest/record/v1/customer", "/nowhere"] {
        assert_eq!(fixture.get(path).await.header("sunset"), "Wed, 01 Dec 2027 00:00:00 GMT");
    }
}

#[tokio::test]
async fn an_unknown_vendor_resource_or_instance_name_is_not_found() {
    let fixture = Fixture::shopify().await;
    let missing = |error: ControlError| matches!(error, ControlError::Refused { status, .. } if status == 404);
    let vendor = fixture.simulator.control("nobody", "main").unwrap();
    assert!(missing(vendor.stats().await.unwrap_err()));
    assert!(missing(fixture.control.records("widgets", 0, 1).await.unwrap_err()));
    let name = fixture.simulator.control("shopify", "a%20b").unwrap();
    assert!(missing(name.stats().await.unwrap_err()));
    let url = format!("{}/nobody/main/x", fixture.simulator.url());
    assert_eq!(fixture.http.get(url).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_body_that_cannot_be_used_is_refused_with_the_reason() {
    let fixture = Fixture::shopify().await;
    let url = format!("{}/_control/shopify/main/tokens", fixture.simulator.url());
    let answer = Answer::read(fixture.http.put(url).body("{\"vlid\": []}").send().await.unwrap()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body["error"].as_str().unwrap().contains("vlid"));
}
