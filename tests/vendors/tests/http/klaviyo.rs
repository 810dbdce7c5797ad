//! Klaviyo's dialect: revisions, filters with open ends, JSON:API, profiles that are found again by what identifies them.

use reqwest::Method;
use serde_json::{Value, json};

use crosstie_vendors::wire::{Fault, FaultRule};

use crate::fixture::{Answer, Fixture};

async fn get(fixture: &Fixture, path: &str) -> Answer {
    let request = fixture.request(Method::GET, path).header("revision", "2026-07-15");
    Answer::read(request.send().await.unwrap()).await
}

async fn import(fixture: &Fixture, attributes: Value) -> Answer {
    let body = json!({"data": {"type": "profile", "attributes": attributes}});
    let request = fixture.request(Method::POST, "/api/profile-import").header("revision", "2026-07-15").json(&body);
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn the_ends_of_a_range_do_not_belong_to_it_and_pages_follow_links() {
    let fixture = Fixture::klaviyo().await;
    fixture.seed("profiles", 6).await;
    let filter = "greater-than(updated,2026-07-01T00:00:00Z),less-than(updated,2026-07-01T00:00:05Z)";
    let mut next = format!("/api/profiles?sort=updated&page[size]=3&filter={filter}");
    let mut seen = Vec::new();
    while !next.is_empty() {
        let page = get(&fixture, &next).await;
        let names =
            page.body["data"].as_array().unwrap().iter().map(|profile| profile["attributes"]["last_name"].clone());
        seen.extend(names);
        next = page.body["links"]["next"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!(seen, ["2", "3", "4", "5"].map(Value::from));
}

#[tokio::test]
async fn an_import_makes_a_profile_once_and_then_changes_it() {
    let fixture = Fixture::klaviyo().await;
    let made =
        import(&fixture, json!({"email": "a@example.com", "external_id": "7", "properties": {"vip": true}})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let again = import(&fixture, json!({"external_id": "7", "email": "b@example.com", "first_name": "Ä"})).await;
    assert_eq!((again.status, &again.body["data"]["id"]), (200, &made.body["data"]["id"]));
    let found = get(&fixture, "/api/profiles?filter=equals(external_id,\"7\")").await;
    assert_eq!(found.body["data"][0]["attributes"]["properties"]["vip"], true);
    assert_eq!(fixture.control.stats().await.unwrap().writes.creates, 1);
}

#[tokio::test]
async fn what_klaviyo_refuses_is_refused_in_its_words() {
    let fixture = Fixture::klaviyo().await;
    let nothing = fixture.get("/api/profiles").await;
    assert_eq!((nothing.status, &nothing.body["errors"][0]["code"]), (400, &json!("invalid")), "a revision is needed");
    let old = fixture.request(Method::GET, "/api/profiles").header("revision", "2022-10-17");
    assert_eq!(Answer::read(old.send().await.unwrap()).await.status, 410);
    let wrong = import(&fixture, json!({"email": "nobody"})).await;
    assert_eq!((wrong.status, &wrong.body["errors"][0]["source"]["pointer"]), (400, &json!("/data/attributes/email")));
    for filter in ["greater-or-equal(updated,2026-07-01T00:00:00Z)", "equals(first_name,\"x\")", "updated"] {
        assert_eq!(get(&fixture, &format!("/api/profiles?filter={filter}")).await.status, 400, "{filter}");
    }
    let limited = FaultRule::new(Fault::RateLimited { retry_after_seconds: Some(3.0) }).times(1);
    fixture.control.add_fault(&limited).await.unwrap();
    let limited = get(&fixture, "/api/profiles").await;
    assert_eq!((limited.status, limited.header("Retry-After")), (429, "3"));
    assert_eq!(limited.body["errors"][0]["code"], "throttled");
}

#[tokio::test]
async fn an_event_with_a_unique_id_is_recorded_once() {
    let fixture = Fixture::klaviyo().await;
    let metric = json!({"data": {"type": "metric", "attributes": {"name": "Placed Order"}}});
    let profile = json!({"data": {"type": "profile", "attributes": {"email": "a@example.com"}}});
    let attributes = json!({"unique_id": "1", "metric": metric, "profile": profile, "properties": {"total": 5}});
    for _ in 0..2 {
        let body = json!({"data": {"type": "event", "attributes": attributes}});
        let request = fixture.request(Method::POST, "/api/events").header("revision", "2026-07-15").json(&body);
        assert_eq!(request.send().await.unwrap().status(), 202);
    }
    assert_eq!(fixture.control.stats().await.unwrap().writes.applied, 1);
}
