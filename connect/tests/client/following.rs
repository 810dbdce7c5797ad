//! Writes with a token that is fetched before, and writes that are carried out later.

use crosstie_connect::{FailureKind, Outgoing, VendorClient, Written};
use crosstie_engine::plan::{Operation, System};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::{
    fixtures::{body, client, hasty, operation, system, write},
    scripted::{Reply, Scripted, bare, json},
};

fn with_token(base_url: &str) -> System {
    let csrf = json!({"path": "/service", "header": "X-CSRF-Token", "fetchValue": "Fetch"});
    System { csrf: Some(serde_json::from_value(csrf).unwrap()), ..system(base_url) }
}

const FIRST: &str =
    "X-CSRF-Token: one\r\nSet-Cookie: SAP_SESSION=abc; Path=/; HttpOnly\r\nSet-Cookie: sap-usercontext=x\r\n";

#[tokio::test]
async fn a_token_is_fetched_once_with_its_cookies_and_goes_with_every_write() {
    let vendor = Scripted::start(|request, _| if request.is("GET") { bare(200, FIRST) } else { bare(204, "") }).await;
    let client = client(&with_token(&vendor.base_url));
    for written in join_all((0..3).map(|_| write(&client))).await {
        assert!(matches!(written, Written::Applied { .. }), "{written:?}");
    }
    let requests = vendor.requests();
    assert_eq!(requests.len(), 4, "{:?}", vendor.lines());
    assert_eq!((requests[0].line.as_str(), requests[0].header("x-csrf-token")), ("GET /service", Some("Fetch")));
    for request in &requests[1..] {
        assert_eq!(request.header("x-csrf-token"), Some("one"));
        assert_eq!(request.header("cookie"), Some("SAP_SESSION=abc; sap-usercontext=x"));
    }
}

#[tokio::test]
async fn a_write_that_is_refused_for_its_token_is_sent_once_more_with_another() {
    let vendor = Scripted::start(|request, before| {
        let fetched = before.iter().filter(|request| request.is("GET")).count();
        match (request.is("GET"), fetched) {
            (true, 0) => bare(200, FIRST),
            (true, _) => bare(200, "X-CSRF-Token: two\r\n"),
            (false, _) if request.header("x-csrf-token") == Some("two") => bare(204, ""),
            (false, _) => bare(403, "X-CSRF-Token: Required\r\n"),
        }
    })
    .await;
    let written = write(&client(&with_token(&vendor.base_url))).await;
    assert!(matches!(written, Written::Applied { .. }), "{written:?}");
    assert_eq!(vendor.lines().len(), 4);
}

#[tokio::test]
async fn a_write_without_a_token_to_be_had_is_not_sent() {
    let refusing =
        Scripted::start(
            |request, _| {
                if request.is("GET") { bare(200, FIRST) } else { bare(403, "X-CSRF-Token: required\r\n") }
            },
        )
        .await;
    let Written::NotSent { failure } = write(&client(&with_token(&refusing.base_url))).await else { panic!("sent") };
    assert_eq!(failure.kind, FailureKind::CredentialsRejected);
    let forgetful = Scripted::start(|_, _| bare(200, "")).await;
    let Written::NotSent { failure } = write(&client(&with_token(&forgetful.base_url))).await else { panic!("sent") };
    assert!(failure.detail.contains("check `csrf`"), "{failure}");
    assert_eq!(forgetful.lines(), ["GET /service"]);
}

#[tokio::test]
async fn a_write_with_a_token_whose_answer_never_comes_is_in_doubt() {
    let vendor = Scripted::start(|request, _| if request.is("GET") { bare(200, FIRST) } else { Reply::Silence }).await;
    let written = write(&hasty(&with_token(&vendor.base_url))).await;
    assert!(matches!(written, Written::Unknown { .. }), "{written:?}");
}

/// Carried out later, as a job that is read each second.
fn later(timeout_seconds: u32) -> Operation {
    let job = json!({
        "location": {"header": "Location"}, "done": "/state", "doneValues": ["finished"], "failedValues": ["failed"],
        "identifier": "/record/id", "everySeconds": 1, "timeoutSeconds": timeout_seconds,
    });
    Operation { job: Some(serde_json::from_value(job).unwrap()), ..operation() }
}

async fn put(client: &VendorClient, operation: &Operation) -> Written {
    client.write(operation, Outgoing { body: &body().into(), identifier: None, idempotency_key: Some("k") }).await
}

/// A vendor whose job says one thing after the other, the last for ever.
async fn saying(states: &'static [&'static str]) -> Scripted {
    Scripted::start(move |request, before| {
        if request.is("PUT") {
            return bare(202, "Location: /jobs/7\r\n");
        }
        let read = before.iter().filter(|request| request.is("GET")).count();
        let state = states[read.min(states.len() - 1)];
        match state {
            "unwell" => bare(503, ""),
            state => json(200, &json!({"state": state, "record": {"id": 42}, "code": "bad_item"})),
        }
    })
    .await
}

#[tokio::test]
async fn a_job_is_read_until_it_is_done() {
    let vendor = saying(&["queued", "finished"]).await;
    let written = put(&client(&system(&vendor.base_url)), &later(20)).await;
    let Written::Applied { identifier, .. } = written else { panic!("{written:?}") };
    assert_eq!(identifier.as_deref(), Some("42"));
    assert_eq!(vendor.lines(), ["PUT /orders/eid:5001", "GET /jobs/7", "GET /jobs/7"]);
}

#[tokio::test]
async fn a_job_that_failed_refuses_the_record_and_one_that_does_not_end_leaves_it_in_doubt() {
    let vendor = saying(&["failed"]).await;
    let written = put(&client(&system(&vendor.base_url)), &later(20)).await;
    let Written::Refused { fault } = written else { panic!("{written:?}") };
    assert_eq!(fault.code.as_deref(), Some("bad_item"));
    let vendor = saying(&["queued"]).await;
    let written = put(&client(&system(&vendor.base_url)), &later(1)).await;
    assert!(matches!(written, Written::Unknown { .. }), "{written:?}");
}

#[tokio::test]
async fn a_job_that_cannot_be_read_for_a_while_is_read_again() {
    let vendor = saying(&["unwell", "finished"]).await;
    let written = put(&client(&system(&vendor.base_url)), &later(20)).await;
    assert!(matches!(written, Written::Applied { .. }), "{written:?}");
}

#[tokio::test]
async fn a_job_that_is_nowhere_or_elsewhere_leaves_the_write_in_doubt() {
    for headers in ["", "Location: https://evil.example.com/jobs/7\r\n"] {
        let vendor = Scripted::start(move |_, _| bare(202, headers)).await;
        let written = put(&client(&system(&vendor.base_url)), &later(20)).await;
        assert!(matches!(written, Written::Unknown { .. }), "{headers}: {written:?}");
        assert_eq!(vendor.lines().len(), 1);
    }
}

#[tokio::test]
async fn a_write_that_is_answered_at_once_is_no_job() {
    let answer: Value = json!({"id": "9"});
    let vendor = Scripted::start(move |_, _| json(200, &answer)).await;
    let written = put(&client(&system(&vendor.base_url)), &later(20)).await;
    let Written::Applied { identifier, .. } = written else { panic!("{written:?}") };
    assert_eq!(identifier.as_deref(), Some("9"));
}
