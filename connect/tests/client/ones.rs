//! Single records: read by their key, and deleted.

use crosstie_connect::{CallFailure, FailureKind, Outgoing, VendorClient, Written};
use crosstie_engine::plan::{Method, Operation, Pagination, ReadOne, Stream};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path, query_param},
};

use crate::fixtures::{RawVendor, body, client, operation, stream, system, template};

fn readable() -> Stream {
    let one = ReadOne {
        path: template("/orders/{key}.json"),
        query: [("expand".to_owned(), template("lines"))].into(),
        record: "/order".into(),
        into: String::new(),
    };
    Stream { one: Some(one), ..stream(Pagination::None) }
}

async fn answered(answer: ResponseTemplate) -> Result<Option<Value>, CallFailure> {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    client(&system(&server.uri())).read_one(&readable(), "7").await
}

fn order(id: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"order": {"id": id, "name": "#7"}}))
}

#[tokio::test]
async fn a_record_is_read_by_its_key() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/orders/7.json"))
        .and(query_param("expand", "lines"))
        .and(header("authorization", "Bearer secret-of-v1"))
        .respond_with(order(&json!(7)))
        .expect(1)
        .mount(&server)
        .await;
    let found = client(&system(&server.uri())).read_one(&readable(), "7").await.unwrap();
    assert_eq!(found, Some(json!({"id": 7, "name": "#7"})));
}

#[tokio::test]
async fn only_404_and_410_mean_that_the_source_does_not_have_it() {
    for status in [404, 410] {
        assert_eq!(answered(ResponseTemplate::new(status)).await.unwrap(), None, "{status}");
    }
    for (status, kind) in [
        (400, FailureKind::Refused),
        (401, FailureKind::CredentialsRejected),
        (403, FailureKind::Refused),
        (422, FailureKind::Refused),
        (429, FailureKind::RateLimited),
        (503, FailureKind::ServerError),
    ] {
        let failure = answered(ResponseTemplate::new(status)).await.unwrap_err();
        assert_eq!((failure.kind, failure.status), (kind, Some(status)));
    }
}

#[tokio::test]
async fn a_path_that_is_the_same_for_every_key_says_of_none_that_the_source_does_not_have_it() {
    for (path, query) in [("/orders", Some(("id", "{key}"))), ("/orders?id={key}", None)] {
        let query = query.into_iter().map(|(name, value)| (name.to_owned(), template(value))).collect();
        let one = ReadOne { path: template(path), query, record: String::new(), into: String::new() };
        let stream = Stream { one: Some(one), ..readable() };
        for status in [404, 410] {
            let server = MockServer::start().await;
            let answer = ResponseTemplate::new(status).insert_header("X-Request-Id", "r-1");
            Mock::given(method("GET")).respond_with(answer).mount(&server).await;
            let failure = client(&system(&server.uri())).read_one(&stream, "7").await.unwrap_err();
            assert_eq!((failure.kind, failure.status), (FailureKind::Refused, Some(status)), "{path}");
            assert_eq!(failure.request_id.as_deref(), Some("r-1"));
            assert!(failure.detail.contains("check path and API version"), "{failure}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_that_very_record_is_malformed_and_never_an_absence() {
    for answer in [
        order(&json!(null)),
        ResponseTemplate::new(200).set_body_json(json!({"order": null})),
        ResponseTemplate::new(200).set_body_json(json!({"order": []})),
        ResponseTemplate::new(200).set_body_json(json!({})),
        ResponseTemplate::new(200).set_body_string("<html>jane@example.com</html>"),
        ResponseTemplate::new(200).set_body_string(r#"{"order": {"id": 7, "#),
        ResponseTemplate::new(204),
    ] {
        let failure = answered(answer.insert_header("X-Request-Id", "r-1")).await.unwrap_err();
        assert_eq!((failure.kind, failure.request_id.as_deref()), (FailureKind::Malformed, Some("r-1")));
        assert!(!format!("{failure} {failure:?}").contains("jane"));
    }
    // Another key's record is the fault of the key that was asked for.
    let another = answered(order(&json!(8)).insert_header("X-Request-Id", "r-1")).await.unwrap_err();
    assert_eq!((another.kind, another.request_id.as_deref()), (FailureKind::Refused, Some("r-1")));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure_of_the_system() {
    let vendor = RawVendor::answering("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"order\": ").await;
    let failure = client(&system(&vendor.base_url())).read_one(&readable(), "7").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
}

#[tokio::test]
async fn a_key_cannot_lead_to_another_path_and_one_that_would_names_nothing() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(404)).mount(&server).await;
    let client = client(&system(&server.uri()));
    assert_eq!(client.read_one(&readable(), "../../admin?x=1#y").await.unwrap(), None);
    let bare =
        ReadOne { path: template("/orders/{key}"), query: [].into(), record: String::new(), into: String::new() };
    let stream = Stream { one: Some(bare), ..readable() };
    for key in ["", ".", "..", "%2e%2E"] {
        let before = server.received_requests().await.unwrap().len();
        assert_eq!(client.read_one(&stream, key).await.unwrap(), None, "{key:?}");
        let sent = server.received_requests().await.unwrap().len() - before;
        assert_eq!(sent, usize::from(key.contains('%')), "{key:?}: an escaped percent sign is a character like others");
    }
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].url.path(), "/orders/..%2F..%2Fadmin%3Fx%3D1%23y.json");
}

#[tokio::test]
async fn a_record_goes_where_the_list_has_it() {
    let server = MockServer::start().await;
    Mock::given(path("/charges/7"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"id": "7"})))
        .mount(&server)
        .await;
    let one = ReadOne {
        path: template("/charges/{key}"),
        query: [].into(),
        record: String::new(),
        into: "/data/a~1b".into(),
    };
    let events = Stream { one: Some(one), key: "/data/a~1b/id".into(), ..readable() };
    let record = client(&system(&server.uri())).read_one(&events, "7").await.unwrap();
    assert_eq!(record, Some(json!({"data": {"a/b": {"id": "7"}}})));
}

#[tokio::test]
async fn a_stream_without_single_reads_is_refused_without_a_request() {
    let server = MockServer::start().await;
    let failure = client(&system(&server.uri())).read_one(&stream(Pagination::None), "7").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("set `one` on `orders`"), "{}", failure.detail);
    assert!(server.received_requests().await.unwrap().is_empty());
}

fn deleting() -> Operation {
    Operation {
        name: "deleteOrder".into(),
        method: Method::Delete,
        path: template("/orders/{identifier}"),
        ..operation()
    }
}

async fn delete(client: &VendorClient, identifier: Option<&str>) -> Written {
    client.write(&deleting(), Outgoing { body: &body().into(), identifier, idempotency_key: Some("key-1") }).await
}

#[tokio::test]
async fn a_delete_carries_no_body_and_what_is_not_there_is_deleted() {
    for status in [200, 204, 202, 404, 410] {
        let server = MockServer::start().await;
        Mock::given(method("DELETE"))
            .and(path("/orders/77"))
            .and(header("idempotency-key", "key-1"))
            .respond_with(ResponseTemplate::new(status))
            .expect(1)
            .mount(&server)
            .await;
        let written = delete(&client(&system(&server.uri())), Some("77")).await;
        assert!(matches!(written, Written::Applied { .. }), "{status}: {written:?}");
        assert!(server.received_requests().await.unwrap()[0].body.is_empty());
    }
}

#[tokio::test]
async fn a_delete_that_is_refused_or_unanswered_is_told_apart() {
    for (status, expected) in [(409, "Refused"), (422, "Refused"), (401, "NotSent"), (500, "Unknown"), (408, "Unknown")]
    {
        let server = MockServer::start().await;
        Mock::given(method("DELETE")).respond_with(ResponseTemplate::new(status)).mount(&server).await;
        let written = format!("{:?}", delete(&client(&system(&server.uri())), Some("77")).await);
        assert!(written.starts_with(expected), "{status}: {written}");
    }
}

#[tokio::test]
async fn a_delete_of_what_was_never_named_does_not_leave() {
    let server = MockServer::start().await;
    let written = delete(&client(&system(&server.uri())), None).await;
    let Written::Refused { fault } = written else { panic!("{written:?}") };
    assert!(fault.detail.contains("no write of it has said so"), "{}", fault.detail);
    assert!(server.received_requests().await.unwrap().is_empty());
}
