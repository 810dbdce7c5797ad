//! Answers that are far more than they look like, or are not what they should be: each is a clear failure with the request's id, and nothing is
//! read beyond what is bounded.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crosstie_connect::{CallFailure, FailureKind, VendorClient};
use crosstie_engine::{
    plan::{Format, Pagination, Stream},
    window::Position,
};
use flate2::{Compression, write::GzEncoder};
use tokio::io::AsyncWriteExt;

use crate::fixtures::{PLENTY, RawVendor, patient, read_request, store, stream, system};

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
    let (vendor, sent) = sending("HTTP/1.1 200 OK\r\ncontent-length: 3221225472\r\n\r\n", &[b' '; 8_192]).await;
    assert_eq!(failure(&vendor, &stream(Pagination::None)).await.kind, FailureKind::BodyTooLarge);
    assert!(sent.load(Ordering::SeqCst) < (LARGEST / 2) << 20, "it said how long it is: {sent:?}");
}

#[tokio::test]
async fn headers_without_end_are_given_up() {
    let (vendor, sent) = sending("HTTP/1.1 200 OK\r\n", b"x-header-without-end: 0123456789abcdef\r\n").await;
    assert_eq!(failure(&vendor, &stream(Pagination::None)).await.kind, FailureKind::Unreachable);
    assert!(sent.load(Ordering::SeqCst) < 16 << 20, "{sent:?}");
}

#[tokio::test]
async fn a_body_that_unpacks_to_too_much_is_given_up_whatever_it_is_packed_with() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&vec![b' '; (LARGEST + 8) << 20]).unwrap();
    let gzip = encoder.finish().unwrap();
    // Blocks that say "this byte, so many times" (RFC 8878): 131072 blanks in four bytes.
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for block in 1..=512_u32 {
        let header = (131_072 << 3) | (1 << 1) | u32::from(block == 512);
        zstd.extend([&header.to_le_bytes()[..3], b" "].concat());
    }
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
