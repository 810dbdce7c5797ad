//! Batches that vendors answer, whole or row by row, or do not.

use crosstie_connect::{CredentialStore, FailureKind, Row, VendorClient, WrittenBatch};
use crosstie_engine::{
    body::Body,
    plan::{Batch, BatchResults, Method, Operation},
};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, method, path, query_param},
};

use crate::fixtures::{PLENTY, RawVendor, client, document, hasty, operation, patient, read_request, store, system};

fn batches(succeeded: &str) -> Operation {
    let results = BatchResults {
        records: "/results".into(),
        succeeded: Some(succeeded.into()),
        key: None,
        failed: None,
        identifier: Some("/id".into()),
        error: Some("/errors".into()),
    };
    let batch = Batch {
        max_records: 3,
        method: Method::Post,
        path: "/orders/batch".into(),
        query: [("mode".to_owned(), "upsert".to_owned())].into(),
        records: "/records".into(),
        fields: [("allOrNone".to_owned(), json!(false))].into(),
        record_fields: serde_json::Map::new(),
        record_wrap: String::new(),
        results: Some(results),
    };
    Operation { batch: Some(batch), ..operation() }
}

async fn send(client: &VendorClient, operation: &Operation) -> WrittenBatch {
    let bodies = [1, 2, 3].map(|n| Body::from(json!({"n": n})));
    let bodies: Vec<&Body> = bodies.iter().collect();
    client.write_batch(operation, &bodies, Some("key-1")).await
}

async fn answered_to(operation: &Operation, answer: ResponseTemplate) -> WrittenBatch {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(answer).expect(1).mount(&server).await;
    send(&client(&system(&server.uri())), operation).await
}

async fn answered(answer: ResponseTemplate) -> WrittenBatch {
    answered_to(&batches("/success"), answer).await
}

fn rows(written: WrittenBatch) -> Vec<Row> {
    match written {
        WrittenBatch::Answered { rows, .. } => rows,
        other => panic!("{other:?}"),
    }
}

fn unknown(written: WrittenBatch) -> FailureKind {
    match written {
        WrittenBatch::Unknown { failure } => failure.kind,
        other => panic!("{other:?}"),
    }
}

fn results(of: &[Value]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"results": of}))
}

fn fine(id: u32) -> Value {
    json!({"id": id, "success": true, "errors": []})
}

#[tokio::test]
async fn a_batch_is_one_request_with_the_records_in_their_place_and_the_key() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/orders/batch"))
        .and(query_param("mode", "upsert"))
        .and(body_json(json!({"allOrNone": false, "records": [{"n": 1}, {"n": 2}, {"n": 3}]})))
        .and(header("idempotency-key", "key-1"))
        .and(header("content-type", "application/json"))
        .and(header("authorization", "Bearer secret-of-v1"))
        .respond_with(results(&[fine(1), fine(2), fine(3)]).insert_header("X-Request-Id", "r-1"))
        .expect(1)
        .mount(&server)
        .await;
    let written = send(&client(&system(&server.uri())), &batches("/success")).await;
    let WrittenBatch::Answered { rows, request_id } = written else { panic!("{written:?}") };
    assert_eq!(request_id.as_deref(), Some("r-1"));
    let identifiers: Vec<Option<&str>> = rows
        .iter()
        .map(|row| match row {
            Row::Applied { identifier } => identifier.as_deref(),
            Row::Refused { fault } => panic!("{fault:?}"),
        })
        .collect();
    assert_eq!(identifiers, [Some("1"), Some("2"), Some("3")]);
}

#[tokio::test]
async fn each_row_says_what_came_of_its_own_record() {
    let taken = json!({"success": false, "errors": [{"statusCode": "TAKEN", "message": "jane@example.com is taken"}]});
    let rows = rows(answered(results(&[fine(1), taken, fine(3)]).insert_header("X-Request-Id", "r-9")).await);
    assert!(matches!(&rows[0], Row::Applied { identifier: Some(id) } if id == "1"));
    assert!(matches!(&rows[2], Row::Applied { .. }));
    let Row::Refused { fault } = &rows[1] else { panic!("{rows:?}") };
    assert_eq!((fault.code.as_deref(), fault.request_id.as_deref(), fault.status), (Some("TAKEN"), Some("r-9"), None));
    assert!(fault.excerpt.contains("jane") && !fault.detail.contains("jane"), "{fault:?}");
    assert!(!format!("{rows:?}").contains("jane"));
}

#[tokio::test]
async fn a_rows_excerpt_is_bounded_and_is_the_whole_row_where_it_names_no_error() {
    let long = json!({"success": false, "errors": ["x".repeat(10_000)]});
    let rows = rows(answered(results(&[long, json!({"success": false, "why": "size"}), fine(3)])).await);
    let excerpts: Vec<&str> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Refused { fault } => Some(fault.excerpt.as_str()),
            Row::Applied { .. } => None,
        })
        .collect();
    assert_eq!((excerpts[0].len(), excerpts[1].contains("size")), (2048, true));
}

#[tokio::test]
async fn rows_may_carry_statuses_as_a_207_does() {
    let operation = batches("/status");
    let row = |status: u16| json!({"id": "a", "status": status, "errors": "no"});
    let answer = ResponseTemplate::new(207).set_body_json(json!({"results": [row(201), row(401), row(429)]}));
    let rows = rows(answered_to(&operation, answer).await);
    assert!(matches!(&rows[0], Row::Applied { .. }));
    for (row, expected) in rows[1..].iter().zip([401, 429]) {
        assert!(matches!(row, Row::Refused { fault } if fault.status == Some(expected)), "{row:?}");
    }
    for status in [408, 500, 503] {
        let answer = ResponseTemplate::new(207).set_body_json(json!({"results": [row(200), row(status), row(200)]}));
        assert_eq!(unknown(answered_to(&operation, answer).await), FailureKind::ServerError, "{status}");
    }
}

#[tokio::test]
async fn without_results_in_the_connector_a_2xx_means_that_all_were_applied() {
    let mut operation = batches("/success");
    operation.batch.as_mut().unwrap().results = None;
    for answer in [ResponseTemplate::new(204), ResponseTemplate::new(200).set_body_string("<html>")] {
        let rows = rows(answered_to(&operation, answer).await);
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| matches!(row, Row::Applied { identifier: None })), "{rows:?}");
    }
}

#[tokio::test]
async fn results_that_do_not_say_what_came_of_every_record_leave_all_unknown() {
    let row = |success: Value| json!({"success": success});
    for answer in [
        results(&[]),
        results(&[fine(1), fine(2)]),
        results(&[fine(1), fine(2), fine(3), fine(4)]),
        results(&[fine(1), json!({}), fine(3)]),
        results(&[fine(1), row(Value::Null), fine(3)]),
        results(&[fine(1), row(json!("true")), fine(3)]),
        results(&[fine(1), row(json!(-1)), fine(3)]),
        ResponseTemplate::new(200),
        ResponseTemplate::new(204),
        ResponseTemplate::new(200).set_body_json(json!({"items": []})),
        ResponseTemplate::new(200).set_body_string("<html>please log in</html>"),
        ResponseTemplate::new(200).set_body_string(r#"{"results": [{"success": true}, {"succ"#),
    ] {
        let failure = match answered(answer.insert_header("X-Request-Id", "r-1")).await {
            WrittenBatch::Unknown { failure } => failure,
            other => panic!("{other:?}"),
        };
        assert_eq!((failure.kind, failure.request_id.as_deref()), (FailureKind::Malformed, Some("r-1")));
        assert!(failure.detail.contains("upsertOrder") && !failure.detail.contains("log in"), "{}", failure.detail);
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_whole_says_so() {
    for status in [400, 404, 409, 413, 422] {
        let answer = ResponseTemplate::new(status).set_body_json(json!({"code": "TOO_LARGE"}));
        let WrittenBatch::Refused { fault } = answered(answer).await else { panic!("{status}") };
        assert_eq!((fault.status, fault.code.as_deref()), (Some(status), Some("TOO_LARGE")));
    }
}

#[tokio::test]
async fn what_turns_a_batch_away_was_not_applied_and_what_proves_nothing_is_unknown() {
    for status in [401, 405, 429, 308] {
        let written = answered(ResponseTemplate::new(status)).await;
        assert!(matches!(written, WrittenBatch::NotSent { .. }), "{status}: {written:?}");
    }
    for status in [302, 408, 500, 503] {
        let written = answered(ResponseTemplate::new(status).insert_header("Location", "/elsewhere")).await;
        assert!(matches!(written, WrittenBatch::Unknown { .. }), "{status}: {written:?}");
    }
}

#[tokio::test]
async fn a_batch_refused_for_its_credentials_is_sent_again_whole_with_the_other_version() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "Bearer secret-of-v2"))
        .respond_with(ResponseTemplate::new(401))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(header("authorization", "Bearer secret-of-v1"))
        .and(header("idempotency-key", "key-1"))
        .and(body_json(json!({"allOrNone": false, "records": [{"n": 1}, {"n": 2}, {"n": 3}]})))
        .respond_with(results(&[fine(1), fine(2), fine(3)]))
        .expect(1)
        .mount(&server)
        .await;
    let store = CredentialStore::new(&document("v2", Some("v1")));
    let client = VendorClient::surrounded(&system(&server.uri()), store, PLENTY, &patient()).unwrap();
    assert_eq!(rows(send(&client, &batches("/success")).await).len(), 3);
}

#[tokio::test]
async fn a_batch_whose_answer_breaks_off_or_never_comes_is_unknown() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"results\": [";
    let vendor = RawVendor::answering(half).await;
    let written = send(&client(&system(&vendor.base_url())), &batches("/success")).await;
    assert_eq!(unknown(written), FailureKind::Unreachable);

    let vendor = RawVendor::start(|mut connection| async move {
        read_request(&mut connection).await?;
        drop(connection);
        Ok(())
    })
    .await;
    let written = send(&client(&system(&vendor.base_url())), &batches("/success")).await;
    assert_eq!(unknown(written), FailureKind::Unreachable);
    assert_eq!(vendor.connections(), 1, "it is not sent again by itself");

    let vendor = RawVendor::start(|mut connection| async move {
        read_request(&mut connection).await?;
        std::future::pending().await
    })
    .await;
    let written = send(&hasty(&system(&vendor.base_url())), &batches("/success")).await;
    assert_eq!(unknown(written), FailureKind::TimedOut);
}

#[tokio::test]
async fn an_answer_to_a_batch_that_is_larger_than_is_read_is_unknown() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_bytes(vec![b' '; 33 * 1024 * 1024]);
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    let client = VendorClient::surrounded(&system(&server.uri()), store(), PLENTY, &patient()).unwrap();
    let written = send(&client, &batches("/success")).await;
    assert_eq!(unknown(written), FailureKind::BodyTooLarge);
}

#[tokio::test]
async fn no_records_and_no_batch_make_no_request() {
    let server = MockServer::start().await;
    let client = VendorClient::surrounded(&system(&server.uri()), store(), PLENTY, &patient()).unwrap();
    assert!(rows(client.write_batch(&batches("/success"), &[], None).await).is_empty());
    let written = send(&client, &operation()).await;
    assert!(matches!(written, WrittenBatch::NotSent { .. }), "{written:?}");
    assert!(server.received_requests().await.unwrap().is_empty());
}

/// Records with keys in them, wrapped one by one, answered in any order in two lists.
fn by_key() -> Operation {
    let results = json!({
        "records": "/results", "key": {"pointer": "/properties/n", "field": "n"}, "identifier": "/id", "error": "/message",
        "failed": {"records": "/errors", "key": "/context/ids", "status": "/status"},
    });
    let batch = json!({
        "maxRecords": 3, "method": "POST", "path": "/batch", "query": {}, "records": "/inputs", "fields": {},
        "recordWrap": "/properties", "recordFields": {"idProperty": "n", "id": "{body.n}"}, "results": results,
    });
    Operation { batch: Some(serde_json::from_value(batch).unwrap()), ..operation() }
}

fn in_lists(results: &[Value], errors: &[Value]) -> ResponseTemplate {
    ResponseTemplate::new(207).set_body_json(json!({"results": results, "errors": errors}))
}

fn of(key: u32) -> Value {
    json!({"id": format!("id-{key}"), "properties": {"n": key.to_string()}})
}

fn refused(keys: &Value, status: &Value) -> Value {
    json!({"status": status, "message": "no", "context": {"ids": keys}})
}

#[tokio::test]
async fn each_record_of_a_batch_can_be_wrapped_with_members_of_its_own() {
    let server = MockServer::start().await;
    let input = |n: u32| json!({"idProperty": "n", "id": n, "properties": {"n": n}});
    Mock::given(body_json(json!({"inputs": [input(1), input(2), input(3)]})))
        .respond_with(in_lists(&[of(3), of(1), of(2)], &[]))
        .expect(1)
        .mount(&server)
        .await;
    let rows = rows(send(&client(&system(&server.uri())), &by_key()).await);
    let identifiers: Vec<String> = rows
        .into_iter()
        .map(|row| match row {
            Row::Applied { identifier } => identifier.unwrap(),
            Row::Refused { fault } => panic!("{fault:?}"),
        })
        .collect();
    assert_eq!(identifiers, ["id-1", "id-2", "id-3"], "in the order of the request");
}

#[tokio::test]
async fn results_with_keys_come_in_any_order_and_refusals_in_a_list_of_their_own() {
    let rows = rows(answered_to(&by_key(), in_lists(&[of(3)], &[refused(&json!(["2", 1]), &json!("400"))])).await);
    assert!(matches!(&rows[2], Row::Applied { identifier: Some(id) } if id == "id-3"));
    for row in &rows[..2] {
        let Row::Refused { fault } = row else { panic!("{row:?}") };
        assert_eq!(fault.status, Some(400));
    }
}

#[tokio::test]
async fn what_is_not_told_of_one_record_is_told_of_none() {
    for answer in [
        in_lists(&[of(1), of(2)], &[]),
        in_lists(&[of(1), of(2), of(2)], &[]),
        in_lists(&[of(1), of(2), of(4)], &[]),
        in_lists(&[of(1), of(2), json!({"id": "x"})], &[]),
        in_lists(&[of(1), of(2)], &[refused(&json!([]), &json!(400))]),
        in_lists(&[of(1), of(2), of(3)], &[refused(&json!("3"), &json!(400))]),
    ] {
        assert_eq!(unknown(answered_to(&by_key(), answer).await), FailureKind::Malformed);
    }
    let unwell = in_lists(&[of(1), of(2)], &[refused(&json!("3"), &json!(503))]);
    assert_eq!(unknown(answered_to(&by_key(), unwell).await), FailureKind::ServerError);
}
