//! Pages, the vendor's time, and look-ups.

use std::io::Write;

use crosstie_connect::{FailureKind, LookedUp, VendorClient};
use crosstie_engine::{
    plan::{CursorPages, Evidence, LookUp, Pagination},
    window::{Bounds, CursorValue, Position},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path, query_param, query_param_is_missing},
};

use crate::fixtures::{body, client, first_page, look_up, lookup, operation, stream, system, template};

fn orders(ids: &[u32]) -> serde_json::Value {
    json!({"orders": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()})
}

#[tokio::test]
async fn pages_are_read_along_the_link_header_and_window_filters_go_with_the_first_only() {
    let server = MockServer::start().await;
    let link = format!(r#"<{}/orders?page_info=b>; rel="next""#, server.uri());
    let first = ResponseTemplate::new(200)
        .set_body_json(orders(&[1, 2]))
        .insert_header("Link", link.as_str())
        .insert_header("X-Request-Id", "r-1")
        .insert_header("X-Api-Version", "2026-07");
    Mock::given(path("/orders"))
        .and(query_param("updated_at_min", "2026-12-31T23:59:59Z"))
        .and(header("authorization", "Bearer secret-of-v1"))
        .and(header("user-agent", concat!("crosstie/", env!("CARGO_PKG_VERSION"))))
        .and(header("accept", "application/json"))
        .respond_with(first)
        .mount(&server)
        .await;
    Mock::given(path("/orders"))
        .and(query_param("page_info", "b"))
        .and(query_param_is_missing("updated_at_min"))
        .respond_with(ResponseTemplate::new(200).set_body_json(orders(&[3])))
        .mount(&server)
        .await;

    let client = client(&system(&server.uri()));
    let stream = stream(Pagination::LinkHeader);
    let at = |text: &str| Some(CursorValue::Time(text.parse().unwrap()));
    let bounds = Bounds { from: at("2026-12-31T23:59:59.9Z"), until: at("2027-01-01T00:00:00Z") };
    let page = client.read_page(&stream, Some(&bounds), &Position::First).await.unwrap();
    assert_eq!(page.records, [json!({"id": 1}), json!({"id": 2})]);
    assert_eq!((page.request_id.as_deref(), page.served_version.as_deref()), (Some("r-1"), Some("2026-07")));
    let next = page.next.unwrap();
    let page = client.read_page(&stream, Some(&bounds), &next).await.unwrap();
    assert_eq!((page.records.len(), page.next), (1, None));
}

/// A frame of zstd: a block as it is, a byte so many times, and a last block as it is (RFC 8878).
fn zstd(before: &str, byte: u8, times: u32, after: &str) -> Vec<u8> {
    let header = |size: u32, kind: u32, last: u32| [size << 3 | kind << 1 | last].map(u32::to_le_bytes).concat();
    let raw = |text: &str, last| [&header(u32::try_from(text.len()).unwrap(), 0, last)[..3], text.as_bytes()].concat();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38][..], &raw(before, 0), &header(times, 1, 0)[..3], &[byte], &raw(after, 1)]
        .concat()
}

#[tokio::test]
async fn pages_packed_by_gzip_or_zstd_are_asked_for_and_read() {
    let (before, after) = (r#"{"orders": [{"id": 1, "name": ""#, r#"ü"}]}"#);
    let name = "x".repeat(50_000);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(format!("{before}{name}{after}").as_bytes()).unwrap();
    for (encoding, packed) in [("gzip", gzip.finish().unwrap()), ("zstd", zstd(before, b'x', 50_000, after))] {
        assert!(packed.len() < 1_000, "{encoding}");
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(200)
            .insert_header("Content-Encoding", encoding)
            .set_body_raw(packed, "application/json");
        Mock::given(path("/orders")).respond_with(answer).mount(&server).await;
        let page = first_page(&client(&system(&server.uri())), Pagination::None).await.unwrap();
        assert_eq!(page.records, [json!({"id": 1, "name": format!("{name}ü")})], "{encoding}");
        let asked = server.received_requests().await.unwrap().remove(0);
        let offered = asked.headers["accept-encoding"].to_str().unwrap();
        assert!(offered.split(',').any(|offered| offered.trim() == encoding), "{offered}");
    }
}

#[tokio::test]
async fn a_page_that_the_vendor_no_longer_knows_is_expired_and_a_path_it_does_not_know_is_refused() {
    let server = MockServer::start().await;
    for status in [400, 404, 410] {
        server.reset().await;
        Mock::given(method("GET")).respond_with(ResponseTemplate::new(status)).mount(&server).await;
        let client = client(&system(&server.uri()));
        let linked = stream(Pagination::LinkHeader);
        let url = Position::Url(format!("{}/orders?page_info=x", server.uri()));
        let failure = client.read_page(&linked, None, &url).await.unwrap_err();
        assert_eq!((failure.kind, failure.status), (FailureKind::PageExpired, Some(status)));
        let cursor = stream(Pagination::Cursor(CursorPages::of("/next", "after")));
        let failure = client.read_page(&cursor, None, &Position::Cursor("x".into())).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::PageExpired);
        let failure = client.read_page(&linked, None, &Position::First).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused);
    }
}

#[tokio::test]
async fn a_stored_page_of_a_host_that_is_no_longer_the_connectors_makes_the_window_start_again() {
    let server = MockServer::start().await;
    let client = client(&system(&server.uri()));
    let position = Position::Url("https://old.example.com/orders?page_info=x".into());
    let failure = client.read_page(&stream(Pagination::LinkHeader), None, &position).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PageExpired);
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn reads_follow_redirects_within_the_origin_and_no_others() {
    let server = MockServer::start().await;
    let to = |location: &str| ResponseTemplate::new(302).insert_header("Location", location);
    Mock::given(path("/orders")).respond_with(to("/v2/orders")).mount(&server).await;
    Mock::given(path("/v2/orders"))
        .and(header("authorization", "Bearer secret-of-v1"))
        .respond_with(ResponseTemplate::new(200).set_body_json(orders(&[1])))
        .mount(&server)
        .await;
    let ours = client(&system(&server.uri()));
    assert_eq!(first_page(&ours, Pagination::None).await.unwrap().records.len(), 1);

    let elsewhere = MockServer::start().await;
    server.reset().await;
    Mock::given(path("/orders")).respond_with(to(&format!("{}/orders", elsewhere.uri()))).mount(&server).await;
    let failure = first_page(&ours, Pagination::None).await.unwrap_err();
    assert_eq!((failure.kind, failure.status), (FailureKind::EgressRefused, Some(302)));
    assert!(elsewhere.received_requests().await.unwrap().is_empty());

    server.reset().await;
    Mock::given(path("/orders")).respond_with(to("/orders")).mount(&server).await;
    let failure = first_page(&ours, Pagination::None).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert_eq!(server.received_requests().await.unwrap().len(), 4, "the request and three redirects");
}

#[tokio::test]
async fn statuses_of_a_read_have_their_kinds() {
    let server = MockServer::start().await;
    for (status, kind) in [
        (401, FailureKind::CredentialsRejected),
        (403, FailureKind::Refused),
        (405, FailureKind::Refused),
        (422, FailureKind::Refused),
        (429, FailureKind::RateLimited),
        (500, FailureKind::ServerError),
        (503, FailureKind::ServerError),
        (408, FailureKind::TimedOut),
    ] {
        server.reset().await;
        Mock::given(path("/orders")).respond_with(ResponseTemplate::new(status)).mount(&server).await;
        let failure = first_page(&client(&system(&server.uri())), Pagination::None).await.unwrap_err();
        assert_eq!((failure.kind, failure.status), (kind, Some(status)));
    }
}

#[tokio::test]
async fn the_vendors_time_is_asked_for_once_and_then_known_from_its_answers() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(400).insert_header("Date", "Fri, 01 Jan 2027 00:00:00 GMT");
    Mock::given(path("/orders")).respond_with(answer).mount(&server).await;
    let mut surroundings = crate::fixtures::patient();
    surroundings.clock = std::sync::Arc::new(Fixed("2027-01-01T00:10:00Z".parse().unwrap()));
    let client = crosstie_connect::VendorClient::surrounded(
        &system(&server.uri()),
        crate::fixtures::store(),
        crate::fixtures::PLENTY,
        &surroundings,
    )
    .unwrap();
    let stream = stream(Pagination::LinkHeader);
    let first = client.source_time(&stream).await.unwrap();
    let again = client.source_time(&stream).await.unwrap();
    let expected: jiff::Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    assert!((0..5).contains(&(first.as_second() - expected.as_second())), "{first}");
    assert!(again >= first);
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn without_a_date_the_local_clock_tells_the_time_and_without_an_answer_nobody_does() {
    let vendor = crate::fixtures::RawVendor::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let mut surroundings = crate::fixtures::patient();
    surroundings.clock = std::sync::Arc::new(Fixed("2027-01-01T00:10:00.5Z".parse().unwrap()));
    let build = |base: &str| {
        crosstie_connect::VendorClient::surrounded(
            &system(base),
            crate::fixtures::store(),
            crate::fixtures::PLENTY,
            &surroundings,
        )
        .unwrap()
    };
    let time = build(&vendor.base_url()).source_time(&stream(Pagination::None)).await.unwrap();
    assert_eq!(time, "2027-01-01T00:10:00Z".parse().unwrap());
    let failure = build("http://127.0.0.1:1").source_time(&stream(Pagination::None)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
}

struct Fixed(jiff::Timestamp);

impl crosstie_connect::Clock for Fixed {
    fn now(&self) -> jiff::Timestamp {
        self.0
    }
}

#[tokio::test]
async fn a_look_up_finds_a_record_a_stranger_several_or_nothing() {
    let server = MockServer::start().await;
    let record = json!({"externalId": "5001", "id": "77"});
    for (answer, found) in [
        (ResponseTemplate::new(200).set_body_json(&record), LookedUp::Present { body: record.clone() }),
        (ResponseTemplate::new(404), LookedUp::Absent),
        (
            ResponseTemplate::new(200).set_body_json(json!({"externalId": "5002"})),
            LookedUp::Stranger { found: Some("5002".into()) },
        ),
    ] {
        server.reset().await;
        Mock::given(path("/orders/eid:5001"))
            .and(query_param("expand", "true"))
            .respond_with(answer)
            .mount(&server)
            .await;
        assert_eq!(look_up(&client(&system(&server.uri()))).await.unwrap(), found);
    }
    server.reset().await;
    let several = json!({"items": [{"externalId": "5001"}, {"externalId": "5001"}]});
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(200).set_body_json(several)).mount(&server).await;
    let listed = crosstie_engine::plan::LookUp { key: "/items/0/externalId".into(), ..lookup() };
    let found = client(&system(&server.uri()))
        .look_up(&operation(), &listed, &body(), jiff::Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    assert_eq!(found, LookedUp::Several);
}

#[tokio::test]
async fn a_look_up_reaches_back_before_its_write_by_the_vendors_clock() {
    let server = MockServer::start().await;
    let posts = json!({"messages": [{"key": "1"}, {"key": "5001", "ts": "7"}], "has_more": true});
    // The vendor's clock is an hour ahead of ours; the write was decided ten minutes ago.
    let now: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let dated = ResponseTemplate::new(200).insert_header("Date", "Sun, 01 Mar 2026 13:00:00 GMT");
    Mock::given(path("/history")).respond_with(dated.clone().set_body_json(posts)).mount(&server).await;
    Mock::given(path("/orders")).respond_with(dated.set_body_json(json!([]))).mount(&server).await;
    let mut surroundings = crate::fixtures::patient();
    surroundings.clock = std::sync::Arc::new(Fixed(now));
    let system = system(&server.uri());
    let client = VendorClient::surrounded(&system, crate::fixtures::store(), system.allowance, &surroundings).unwrap();
    client.source_time(&stream(Pagination::None)).await.unwrap();
    let posted = LookUp {
        path: template("/history"),
        query: [("oldest".to_owned(), template("{sinceEpoch}")), ("from".to_owned(), template("{since}"))].into(),
        key: "/messages/*/key".into(),
        key_field: "meta.key".into(),
        evidence: Evidence { more: Some("/has_more".into()), ..Evidence::default() },
        ..lookup()
    };
    let decided = now - jiff::SignedDuration::from_mins(10);
    let looked_up = |key: &'static str| {
        let (client, posted) = (client.clone(), posted.clone());
        async move { client.look_up(&operation(), &posted, &json!({"meta": {"key": key}}), decided).await }
    };
    assert_eq!(looked_up("5001").await.unwrap(), LookedUp::Present { body: json!({"key": "5001", "ts": "7"}) });
    let failure = looked_up("5002").await.unwrap_err();
    assert!(failure.kind == FailureKind::Malformed && failure.detail.contains("/has_more"), "{failure:?}");
    let asked = server.received_requests().await.unwrap();
    let asked = asked.iter().find(|request| request.url.path() == "/history").unwrap();
    let query: std::collections::HashMap<_, _> = asked.url.query_pairs().into_owned().collect();
    let (oldest, from) = (query["oldest"].parse::<i64>().unwrap(), query["from"].parse::<jiff::Timestamp>().unwrap());
    // The vendor's clock goes on between the two calls.
    assert!((1_772_368_500..1_772_368_560).contains(&oldest) && from.as_second() == oldest, "{query:?}");
}

#[tokio::test]
async fn a_look_up_that_proves_nothing_is_a_failure_and_never_absent() {
    let server = MockServer::start().await;
    let ours = client(&system(&server.uri()));
    for (answer, kind) in [
        (ResponseTemplate::new(410), FailureKind::Refused),
        (ResponseTemplate::new(403), FailureKind::Refused),
        (ResponseTemplate::new(500), FailureKind::ServerError),
        (ResponseTemplate::new(200).set_body_string("<html>"), FailureKind::Malformed),
        (ResponseTemplate::new(204), FailureKind::Malformed),
    ] {
        server.reset().await;
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
        assert_eq!(look_up(&ours).await.unwrap_err().kind, kind);
    }
    let decided = jiff::Timestamp::UNIX_EPOCH;
    let failure = ours.look_up(&operation(), &lookup(), &json!({"memo": "x"}), decided).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
}
