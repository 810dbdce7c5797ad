//! Answers that are far more than they look like, or are not what they should be: each is a clear failure with the request's id, and nothing is
//! read beyond what is bounded.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crosstie_connect::{CallFailure, FailureKind, VendorClient, Written};
use crosstie_engine::{
    plan::{Format, Pagination, Stream, System},
    window::Position,
};
use flate2::{Compression, write::GzEncoder};
use tokio::io::AsyncWriteExt;

use crate::fixtures::{PLENTY, RawVendor, look_up, patient, read_request, store, stream, system, write};

/// As much as any answer may have, in mebibytes.
const LARGEST: usize = 32;

fn client(vendor: &RawVendor) -> VendorClient {
    VendorClient::surrounded(&system(&vendor.base_url()), store(), PLENTY, &patient()).unwrap()
}

async fn failure(vendor: &RawVendor, stream: &Stream) -> CallFailure {
    client(vendor).read_page(stream, None, &Position::First).await.unwrap_err()
}

/// A vendor that answers 200 with an id, more headers and a body.
async fn answering(headers: &str, body: &[u8]) -> RawVendor {
    let head = format!("HTTP/1.1 200 OK\r\nx-request-id: r-9\r\n{headers}content-length: {}\r\n\r\n", body.len());
    RawVendor::answering([head.as_bytes(), body].concat()).await
}

/// A vendor that sends the same bytes again and again, and how often it could.
async fn sending(head: &'static str, chunk: &'static [u8]) -> (RawVendor, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let vendor = RawVendor::start(move |mut connection| {
        let count = Arc::clone(&count);
        async move {
            read_request(&mut connection).await?;
            connection.write_all(head.as_bytes()).await?;
            loop {
                connection.write_all(chunk).await?;
                count.fetch_add(chunk.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    (vendor, sent)
}

#[tokio::test]
async fn a_body_of_three_gigabytes_is_given_up_before_it_is_read() {
    for (length, most) in [
        ("content-length: 3221225472", (LARGEST / 2) << 20),
        // Who does not say how long it is, is listened to a little longer; what sockets hold comes on top.
        ("connection: close", (LARGEST + 16) << 20),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nx-request-id: r-9\r\n{length}\r\n\r\n").leak();
        let (vendor, sent) = sending(head, &[b' '; 8_192]).await;
        let failure = failure(&vendor, &stream(Pagination::None)).await;
        assert_eq!((failure.kind, failure.request_id.as_deref()), (FailureKind::BodyTooLarge, Some("r-9")), "{length}");
        assert!(sent.load(Ordering::SeqCst) < most, "{length}: {sent:?}");
    }
}

#[tokio::test]
async fn headers_without_end_are_given_up() {
    let (vendor, sent) = sending("HTTP/1.1 200 OK\r\nx-request-id: r-9\r\n", b"x-header: 0123456789abcdef\r\n").await;
    let told = failure(&vendor, &stream(Pagination::None)).await;
    assert_eq!(told.kind, FailureKind::BodyTooLarge);
    assert!(told.detail.contains("`orders`") && told.detail.contains("more headers than are read"), "{told}");
    assert!(told.detail.contains("its id of the request is known, and it was cut off at 20"), "{told}");
    assert!(sent.load(Ordering::SeqCst) < 16 << 20, "{sent:?}");
}

#[tokio::test]
async fn a_wait_of_a_year_is_a_day_and_told_with_the_requests_id() {
    let answer = "HTTP/1.1 429 Later\r\nx-request-id: r-9\r\nretry-after: 31536000\r\ncontent-length: 0\r\n\r\n";
    let vendor = RawVendor::answering(answer).await;
    let client = client(&vendor);
    let told = client.read_page(&stream(Pagination::None), None, &Position::First).await.unwrap_err();
    assert_eq!((told.kind, told.request_id.as_deref()), (FailureKind::RateLimited, Some("r-9")));
    assert_eq!(told.retry_after, Some(Duration::from_hours(24)));
    assert!(told.detail.contains("365 days"), "{told}");
    let again = client.read_page(&stream(Pagination::None), None, &Position::First).await.unwrap_err();
    assert_eq!((again.kind, vendor.connections()), (FailureKind::RateLimited, 1), "nothing is sent until then");
}

#[tokio::test]
async fn a_body_that_unpacks_to_too_much_is_given_up_whatever_it_is_packed_with() {
    let (gzip, zstd) = (gzip(LARGEST + 8), zstd(LARGEST + 32));
    for (headers, body) in [
        ("content-encoding: gzip\r\n", &gzip),
        ("content-type: application/gzip\r\n", &gzip),
        ("content-encoding: zstd\r\n", &zstd),
    ] {
        let vendor = answering(headers, body).await;
        let failure = failure(&vendor, &stream(Pagination::None)).await;
        assert_eq!(
            (failure.kind, failure.request_id.as_deref()),
            (FailureKind::BodyTooLarge, Some("r-9")),
            "{headers}"
        );
    }
}

/// So many mebibytes of blanks.
fn gzip(mebibytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&vec![b' '; mebibytes << 20]).unwrap();
    encoder.finish().unwrap()
}

/// The same in blocks that say "this byte, so many times" (RFC 8878): 131072 blanks in four bytes.
fn zstd(mebibytes: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for block in 1..=mebibytes * 8 {
        let header = (131_072 << 3) | (1 << 1) | u32::from(block == mebibytes * 8);
        frame.extend([&header.to_le_bytes()[..3], b" "].concat());
    }
    frame
}

#[tokio::test]
async fn a_refusal_that_unpacks_to_too_much_is_a_refusal_all_the_same() {
    for (encoding, body) in [("gzip", gzip(64)), ("zstd", zstd(4096))] {
        let head = format!(
            "HTTP/1.1 422 No\r\nx-request-id: r-9\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let vendor = RawVendor::answering([head.as_bytes(), &body].concat()).await;
        let Written::Refused { fault } = write(&client(&vendor)).await else { panic!("{encoding}: not refused") };
        assert_eq!((fault.status, fault.request_id.as_deref()), (Some(422), Some("r-9")), "{encoding}");
    }
}

#[tokio::test]
async fn values_without_number_are_given_up_before_there_is_a_place_for_each() {
    let json = [b"{\"orders\": [", &b"0,".repeat(8 << 20)[..], b"0]}"].concat();
    let vendor = answering("", &json).await;
    let told = failure(&vendor, &stream(Pagination::None)).await;
    assert_eq!((told.kind, told.request_id.as_deref()), (FailureKind::BodyTooLarge, Some("r-9")));
    let format = Format::Csv { delimiter: ',', columns: Vec::new() };
    let csv = [b"a,b\n", &b",\n".repeat(8 << 20)[..]].concat();
    let vendor = answering("", &csv).await;
    let told = failure(&vendor, &Stream { format, records: String::new(), ..stream(Pagination::None) }).await;
    assert_eq!(told.kind, FailureKind::BodyTooLarge);
}

#[tokio::test]
async fn lists_in_lists_are_given_up_and_told_as_that() {
    for (depth, kind, said) in [
        (10_000, FailureKind::Malformed, "nested deeper than 127"),
        (1 << 20, FailureKind::BodyTooLarge, "more values than are read"),
    ] {
        let deep = [b"{\"orders\": ", &b"[".repeat(depth)[..]].concat();
        let told = failure(&answering("", &deep).await, &stream(Pagination::None)).await;
        assert_eq!((told.kind, told.request_id.as_deref()), (kind, Some("r-9")));
        assert!(told.detail.contains(said), "{told}");
    }
    let format = Format::Xml;
    let attributes: Vec<String> = (0..300_000).map(|number| format!(" a{number}=''")).collect();
    let xml = format!("<a{}/>", attributes.concat());
    let vendor = answering("", xml.as_bytes()).await;
    let told = failure(&vendor, &Stream { format, ..stream(Pagination::None) }).await;
    assert_eq!((told.kind, told.request_id.as_deref()), (FailureKind::BodyTooLarge, Some("r-9")));
}

#[tokio::test]
async fn values_without_number_are_given_up_in_every_answer_and_not_only_in_pages() {
    let many = [b"[", &b"{},".repeat(4 << 20)[..], b"0]"].concat();
    let looked = look_up(&client(&answering("", &many).await)).await.unwrap_err();
    assert_eq!((looked.kind, looked.request_id.as_deref()), (FailureKind::BodyTooLarge, Some("r-9")));
    assert!(looked.detail.contains("more values than are read"), "{looked}");
    let written = write(&client(&answering("", &many).await)).await;
    assert!(matches!(written, Written::Applied { identifier: None, .. }), "{written:?}");
    // Where a rule has to read it to know what it says, nobody knows what it says.
    let vendor = answering("", &many).await;
    let rule = serde_json::json!({"when": {"body": {"pointer": "/0/error", "test": {"exists": true}}}, "means": "RecordFailure"});
    let system = System { errors: vec![serde_json::from_value(rule).unwrap()], ..system(&vendor.base_url()) };
    let client = VendorClient::surrounded(&system, store(), PLENTY, &patient()).unwrap();
    let Written::Unknown { failure } = write(&client).await else { panic!("taken for something") };
    assert_eq!(failure.request_id.as_deref(), Some("r-9"));
    let read = client.read_page(&stream(Pagination::None), None, &Position::First).await.unwrap_err();
    assert!(read.detail.contains("more values than are read"), "{read}");
}

#[tokio::test]
async fn a_quote_in_csv_that_swallows_the_rows_behind_it_is_told_with_the_requests_id() {
    let format = Format::Csv { delimiter: ',', columns: Vec::new() };
    let csv = Stream { format, records: String::new(), ..stream(Pagination::None) };
    let vendor = answering("content-type: text/csv\r\n", b"id,name\n1,\"jane\n2,b\n3,c\n").await;
    let told = failure(&vendor, &csv).await;
    assert_eq!((told.kind, told.request_id.as_deref()), (FailureKind::Malformed, Some("r-9")));
    assert!(told.detail.contains("the quote that opens in line 2 is not closed"), "{told}");
}

#[tokio::test]
async fn what_is_not_what_it_should_be_is_told_with_the_requests_id_and_not_repeated() {
    for (headers, body, told) in [
        ("", &b"{\"orders\": [{\"id\": 1, \"name\": \"jane"[..], "no JSON"),
        ("content-type: text/html\r\n", b"<html>jane, please log in</html>", "HTML page"),
        ("", b"{\"orders\": [{\"name\": \"jane\xff\xfe\"}]}", "no JSON"),
        ("", b"{\"error\": \"jane\"}", "no list of records"),
    ] {
        let vendor = answering(headers, body).await;
        let failure = failure(&vendor, &stream(Pagination::None)).await;
        assert_eq!((failure.kind, failure.request_id.as_deref()), (FailureKind::Malformed, Some("r-9")));
        assert!(failure.detail.contains(told) && !failure.detail.contains("jane"), "{failure}");
        let source = std::error::Error::source(&failure).map(ToString::to_string).unwrap_or_default();
        assert!(!source.contains("jane"), "{source}");
    }
}
