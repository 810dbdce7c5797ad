//! Writes that vendors answer.

use crosstie_connect::{FailureKind, Written};
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, method, path},
};

use crate::fixtures::{body, client, system, write, write_body};

async fn answered(answer: ResponseTemplate) -> Written {
    let server = MockServer::start().await;
    Mock::given(method("PUT")).respond_with(answer).expect(1).mount(&server).await;
    write(&client(&system(&server.uri()))).await
}

#[tokio::test]
async fn a_write_carries_the_record_the_key_and_the_credentials() {
    let server = MockServer::start().await;
    Mock::given(method("PUT"))
        .and(path("/orders/eid:5001"))
        .and(body_json(body()))
        .and(header("idempotency-key", "key-1"))
        .and(header("authorization", "Bearer secret-of-v1"))
        .and(header("content-type", "application/json"))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({"id": 77})).insert_header("X-Request-Id", "r-1"))
        .expect(1)
        .mount(&server)
        .await;
    let Written::Applied { identifier, request_id } = write(&client(&system(&server.uri()))).await else {
        panic!("not applied")
    };
    assert_eq!((identifier.as_deref(), request_id.as_deref()), (Some("77"), Some("r-1")));
}

#[tokio::test]
async fn every_2xx_is_applied_even_if_its_body_cannot_be_read() {
    for answer in
        [ResponseTemplate::new(200).set_body_string("<html>"), ResponseTemplate::new(204), ResponseTemplate::new(202)]
    {
        let written = answered(answer).await;
        assert!(matches!(written, Written::Applied { identifier: None, .. }), "{written:?}");
    }
}

#[tokio::test]
async fn a_4xx_for_the_record_is_its_own_fault() {
    for status in [400, 403, 404, 409, 410, 412, 413, 422] {
        let answer =
            ResponseTemplate::new(status).set_body_json(json!({"code": "INVALID", "message": "jane@example.com"}));
        let Written::Refused { fault } = answered(answer).await else { panic!("{status}") };
        assert_eq!((fault.status, fault.code.as_deref()), (Some(status), Some("INVALID")));
        assert!(fault.excerpt.contains("jane"));
    }
}

#[tokio::test]
async fn statuses_that_turn_a_write_away_are_not_sent() {
    for (status, kind) in [
        (401, FailureKind::CredentialsRejected),
        (405, FailureKind::Refused),
        (415, FailureKind::Refused),
        (429, FailureKind::RateLimited),
        (308, FailureKind::Refused),
    ] {
        let Written::NotSent { failure } = answered(ResponseTemplate::new(status)).await else { panic!("{status}") };
        assert_eq!((failure.kind, failure.status), (kind, Some(status)));
    }
}

#[tokio::test]
async fn statuses_that_prove_nothing_are_unknown() {
    for (status, kind) in [
        (500, FailureKind::ServerError),
        (502, FailureKind::ServerError),
        (503, FailureKind::ServerError),
        (504, FailureKind::ServerError),
        (408, FailureKind::TimedOut),
        (302, FailureKind::Refused),
    ] {
        let answer = ResponseTemplate::new(status).insert_header("Location", "/elsewhere");
        let Written::Unknown { failure } = answered(answer).await else { panic!("{status}") };
        assert_eq!((failure.kind, failure.status), (kind, Some(status)));
    }
}

#[tokio::test]
async fn a_long_refusal_is_cut_to_its_excerpt() {
    let Written::Refused { fault } = answered(ResponseTemplate::new(422).set_body_string("x".repeat(3_000_000))).await
    else {
        panic!("not refused")
    };
    assert_eq!(fault.excerpt.len(), 2048);
}

#[tokio::test]
async fn a_record_without_what_the_path_needs_never_leaves() {
    let server = MockServer::start().await;
    let written = write_body(&client(&system(&server.uri())), &json!({"memo": "x"}), None).await;
    let Written::Refused { fault } = written else { panic!("{written:?}") };
    assert!(fault.detail.contains("`externalId`"), "{}", fault.detail);
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_value_cannot_lead_a_write_to_another_path() {
    let server = MockServer::start().await;
    Mock::given(method("PUT")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let hostile = "../../admin?x=1#y";
    write_body(&client(&system(&server.uri())), &json!({"externalId": hostile}), None).await;
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].url.path(), "/orders/eid:..%2F..%2Fadmin%3Fx%3D1%23y");
    assert_eq!(requests[0].url.query(), None);
}

#[tokio::test]
async fn failures_and_their_sources_hold_no_url_and_no_credentials() {
    let written = write(&client(&system("http://127.0.0.1:1"))).await;
    let Written::NotSent { failure } = written else { panic!("{written:?}") };
    let printed = format!("{failure} {failure:?}");
    assert!(!printed.contains("eid:5001") && !printed.contains("secret-of"), "{printed}");
}
