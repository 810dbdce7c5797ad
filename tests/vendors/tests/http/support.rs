//! Zendesk's, Jira's and Slack's dialects: what integrations rely on, and what is refused in the vendors' own words.

use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Answer, Fixture};

async fn keyed(fixture: &Fixture, key: &str, subject: &str) -> Answer {
    let body = json!({"ticket": {"subject": subject, "external_id": "t-1", "comment": {"body": "Please help."}}});
    let request = fixture.request(Method::POST, "/api/v2/tickets").header("Idempotency-Key", key).json(&body);
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn zendesk_makes_one_ticket_for_a_key_and_two_without() {
    let fixture = Fixture::bearer("zendesk").await;
    let first = keyed(&fixture, "k", "one").await;
    assert_eq!((first.status, first.header("x-idempotency-lookup")), (201, "miss"));
    let again = keyed(&fixture, "k", "one").await;
    assert_eq!((again.status, again.header("x-idempotency-lookup")), (201, "hit"));
    assert_eq!(again.body["ticket"]["id"], first.body["ticket"]["id"]);
    let other = keyed(&fixture, "k", "two").await;
    assert_eq!((other.status, &other.body["error"]), (400, &json!("IdempotentRequestError")));
    keyed(&fixture, "l", "one").await;
    let found = fixture.get("/api/v2/tickets?external_id=t-1").await;
    assert_eq!(found.body["tickets"].as_array().unwrap().len(), 2, "an external id may belong to several");
    assert_eq!(found.body["meta"]["has_more"], false);
    assert!(found.body["links"]["next"].is_string(), "the link stays on the last page");
    let blank = fixture.send(Method::POST, "/api/v2/tickets", &json!({"ticket": {"subject": "x"}})).await;
    assert_eq!((blank.status, &blank.body["error"]), (422, &json!("RecordInvalid")));
}

#[tokio::test]
async fn zendesk_exports_what_changed_until_the_stream_ends() {
    let fixture = Fixture::bearer("zendesk").await;
    fixture.seed("tickets", 25).await;
    let start = "2026-07-01T00:00:05Z".parse::<jiff::Timestamp>().unwrap().as_second();
    let first = fixture.get(&format!("/api/v2/incremental/tickets/cursor.json?start_time={start}&per_page=15")).await;
    assert_eq!((first.status, &first.body["end_of_stream"]), (200, &json!(false)));
    assert_eq!(first.body["tickets"][0]["generated_timestamp"], start);
    let cursor = first.body["after_cursor"].as_str().unwrap();
    let next = format!("/api/v2/incremental/tickets/cursor?cursor={cursor}&per_page=15");
    let second = fixture.get(&next).await;
    assert_eq!((second.body["tickets"].as_array().unwrap().len(), &second.body["end_of_stream"]), (5, &json!(true)));
    let now = jiff::Timestamp::now().as_second();
    let recent = fixture.get(&format!("/api/v2/incremental/tickets/cursor?start_time={now}")).await;
    assert_eq!((recent.status, &recent.body["error"]), (400, &json!("StartTimeTooRecent")));
}

#[tokio::test]
async fn zendesk_creates_or_updates_a_user_and_takes_basic_credentials() {
    let fixture = Fixture::bearer("zendesk").await;
    let path = "/api/v2/users/create_or_update";
    let user = json!({"user": {"name": "Ada", "external_id": "u-1"}});
    let basic = fixture.http.post(format!("{}{path}", fixture.control.base_url()));
    let made =
        basic.basic_auth("agent@example.com/token", Some(crate::fixture::TOKEN)).json(&user).send().await.unwrap();
    assert_eq!(Answer::read(made).await.status, 201);
    let again = fixture.send(Method::POST, path, &json!({"user": {"name": "Ada L", "external_id": "u-1"}})).await;
    assert_eq!((again.status, &again.body["user"]["name"]), (200, &json!("Ada L")));
    let found = fixture.get("/api/v2/users/search?external_id=u-1").await;
    assert_eq!((&found.body["count"], &found.body["users"][0]["name"]), (&json!(1), &json!("Ada L")));
    let wrong = Answer::read(fixture.request_as("wrong", Method::GET, path).send().await.unwrap()).await;
    assert_eq!(wrong.status, 401);
}

fn issue(label: &str, description: &Value) -> Value {
    let project = json!({"key": "SHOP"});
    json!({"fields": {
        "project": project, "issuetype": {"name": "Task"}, "summary": "x", "labels": [label], "description": description,
    }})
}

#[tokio::test]
async fn jira_makes_an_issue_each_time_and_finds_them_by_label() {
    let fixture = Fixture::bearer("jira").await;
    let text = json!({"type": "doc", "version": 1, "content": []});
    for _ in 0..2 {
        let made = fixture.send(Method::POST, "/rest/api/3/issue", &issue("order-1", &text)).await;
        assert_eq!((made.status, made.body["key"].as_str().unwrap().starts_with("SHOP-")), (201, true));
    }
    let found = fixture.get("/rest/api/3/search/jql?jql=labels%20%3D%20%22order-1%22&fields=labels&maxResults=1").await;
    assert_eq!((found.status, &found.body["isLast"]), (200, &json!(false)));
    assert_eq!(found.body["issues"][0]["fields"], json!({"labels": ["order-1"]}));
    let next = found.body["nextPageToken"].as_str().unwrap();
    let last = format!("/rest/api/3/search/jql?jql=labels%20%3D%20%22order-1%22&maxResults=1&nextPageToken={next}");
    let last = fixture.get(&last).await;
    assert_eq!((&last.body["isLast"], &last.body["issues"][0]["fields"]), (&json!(true), &json!(null)));
    let bad = fixture.send(Method::POST, "/rest/api/3/issue", &issue("a b", &json!("plain"))).await;
    assert_eq!(bad.status, 400);
    assert!(bad.body["errors"]["labels"].is_string() && bad.body["errors"]["description"].is_string(), "{}", bad.body);
    for unbounded in ["", "order%20by%20updated"] {
        assert_eq!(fixture.get(&format!("/rest/api/3/search/jql?jql={unbounded}")).await.status, 400);
    }
    assert_eq!(fixture.get("/rest/api/3/search?jql=project%3DSHOP").await.status, 410);
}

#[tokio::test]
async fn slack_says_with_200_what_is_wrong_and_posts_as_often_as_it_is_asked() {
    let fixture = Fixture::bearer("slack").await;
    let post =
        json!({"channel": "C0SALES", "text": "hi", "metadata": {"event_type": "deal", "event_payload": {"key": "7"}}});
    let mut places = Vec::new();
    for _ in 0..3 {
        let posted = fixture.send(Method::POST, "/chat.postMessage", &post).await;
        assert_eq!((posted.status, &posted.body["ok"]), (200, &json!(true)));
        places.push(posted.body["ts"].as_str().unwrap().to_owned());
    }
    let history = "/conversations.history?channel=C0SALES&limit=2";
    let newest = fixture.get(&format!("{history}&include_all_metadata=true")).await;
    assert_eq!((&newest.body["has_more"], &newest.body["messages"][0]["ts"]), (&json!(true), &json!(places[2])));
    assert_eq!(newest.body["messages"][1]["metadata"]["event_payload"]["key"], "7");
    assert!(fixture.get(history).await.body["messages"][0]["metadata"].is_null(), "only for those who ask");
    let next = newest.body["response_metadata"]["next_cursor"].as_str().unwrap();
    let rest = fixture.get(&format!("{history}&cursor={next}")).await;
    assert_eq!((rest.body["messages"].as_array().unwrap().len(), &rest.body["has_more"]), (1, &json!(false)));
    let later = fixture.get(&format!("{history}&oldest={}", places[1])).await;
    assert_eq!(later.body["messages"].as_array().unwrap().len(), 1, "the bounds are exclusive");
    for (body, error) in [
        (json!({"channel": "C0NONE", "text": "x"}), "channel_not_found"),
        (json!({"channel": "C0OLD", "text": "x"}), "is_archived"),
        (json!({"channel": "C0SALES"}), "no_text"),
    ] {
        let refused = fixture.send(Method::POST, "/chat.postMessage", &body).await;
        assert_eq!((refused.status, &refused.body["error"]), (200, &json!(error)));
    }
    let anonymous = Answer::read(fixture.request_as("wrong", Method::GET, "/auth.test").send().await.unwrap()).await;
    assert_eq!((anonymous.status, &anonymous.body["error"]), (200, &json!("invalid_auth")));
}
