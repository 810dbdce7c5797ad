//! Mailchimp's dialect: members by the hash of their address, positions as pages, problems of RFC 7807.

use reqwest::Method;
use serde_json::json;

use crate::fixture::{Answer, Fixture, TOKEN};

const MEMBERS: &str = "/3.0/lists/57afe96172/members";
/// MD5 of `a@example.com`.
const HASH: &str = "b418773a2c51fb9777a1648346fa7394";

#[tokio::test]
async fn a_member_is_added_once_and_then_changed() {
    let fixture = Fixture::bearer("mailchimp").await;
    let body = json!({"email_address": "A@example.com", "status_if_new": "subscribed", "merge_fields": {"FNAME": "Ä"}});
    let made = fixture.send(Method::PUT, &format!("{MEMBERS}/{HASH}"), &body).await;
    assert_eq!(
        (made.status, &made.body["id"], &made.body["status"]),
        (200, &json!(HASH), &json!("subscribed")),
        "{}",
        made.body
    );
    let body = json!({"email_address": "a@example.com", "status_if_new": "pending", "merge_fields": {"LNAME": "B"}});
    let again = fixture.send(Method::PUT, &format!("{MEMBERS}/a@example.com"), &body).await;
    assert_eq!(
        (&again.body["status"], &again.body["merge_fields"]),
        (&json!("subscribed"), &json!({"FNAME": "Ä", "LNAME": "B"}))
    );
    let writes = fixture.control.stats().await.unwrap().writes;
    assert_eq!((writes.creates, writes.updates), (1, 1));
    let found =
        fixture.http.get(format!("{}{MEMBERS}/{HASH}", fixture.control.base_url())).basic_auth("any", Some(TOKEN));
    assert_eq!(Answer::read(found.send().await.unwrap()).await.body["list_id"], "57afe96172");
    assert_eq!(fixture.send(Method::DELETE, &format!("{MEMBERS}/{HASH}"), &json!(null)).await.status, 204);
    assert_eq!(fixture.get(&format!("{MEMBERS}/{HASH}")).await.body["title"], "Resource Not Found");
}

#[tokio::test]
async fn members_are_listed_by_the_time_of_their_last_change() {
    let fixture = Fixture::bearer("mailchimp").await;
    fixture.seed("members", 5).await;
    let range = "since_last_changed=2026-07-01T00:00:01Z&before_last_changed=2026-07-01T00:00:03Z";
    let page = fixture.get(&format!("{MEMBERS}?{range}&count=2&offset=1")).await;
    let names: Vec<_> = page.body["members"].as_array().unwrap().iter().map(|one| &one["email_address"]).collect();
    assert_eq!(names, ["Buyer3@example.com", "Buyer4@example.com"]);
    assert_eq!(page.body["total_items"], 3);
    assert_eq!(fixture.get(&format!("{MEMBERS}?count=1001")).await.status, 400);
    assert_eq!(fixture.get("/3.0/lists/none/members").await.status, 404);
}

#[tokio::test]
async fn what_mailchimp_refuses_is_refused_in_its_words() {
    let fixture = Fixture::bearer("mailchimp").await;
    for body in [
        json!({"status_if_new": "subscribed"}),
        json!({"email_address": "nobody", "status_if_new": "subscribed"}),
        json!({"email_address": "a@example.com", "status_if_new": "happy"}),
        json!({"email_address": "b@example.com", "status_if_new": "subscribed"}),
    ] {
        let answer = fixture.send(Method::PUT, &format!("{MEMBERS}/{HASH}"), &body).await;
        assert_eq!((answer.status, &answer.body["title"]), (400, &json!("Invalid Resource")), "{body}");
    }
    assert_eq!(fixture.send(Method::PATCH, &format!("{MEMBERS}/{HASH}"), &json!({"vip": true})).await.status, 404);
    let anonymous = Answer::read(fixture.request_as("wrong", Method::GET, "/3.0/ping").send().await.unwrap()).await;
    assert_eq!((anonymous.status, &anonymous.body["title"]), (401, &json!("API Key Invalid")));
}
