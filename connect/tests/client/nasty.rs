//! Vendors that do not answer, answer half, or answer nonsense. What matters is which writes may have been applied.

use std::time::{Duration, Instant};

use crosstie_connect::{FailureKind, Timeouts, Written};
use crosstie_engine::plan::Pagination;
use tokio::{io::AsyncWriteExt, net::TcpListener};

use crate::fixtures::{RawVendor, client, first_page, hasty, read_request, system, write};

fn unknown(written: Written) -> FailureKind {
    match written {
        Written::Unknown { failure } => failure.kind,
        other => panic!("{other:?}"),
    }
}

fn not_sent(written: Written) -> FailureKind {
    match written {
        Written::NotSent { failure } => failure.kind,
        other => panic!("{other:?}"),
    }
}

async fn read(vendor: &RawVendor) -> FailureKind {
    first_page(&client(&system(&vendor.base_url())), Pagination::None).await.unwrap_err().kind
}

/// What comes of a read that is given up soon.
async fn given_up(vendor: &RawVendor) -> FailureKind {
    first_page(&hasty(&system(&vendor.base_url())), Pagination::None).await.unwrap_err().kind
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client(&system(&format!("http://{address}")));
    assert_eq!(not_sent(write(&client).await), FailureKind::Unreachable);
}

#[tokio::test]
async fn a_host_without_an_address_was_sent_nothing() {
    let mut system = system("https://api.example.com");
    system.egress.allow_cidrs.clear();
    let mut surroundings = crate::fixtures::impatient();
    surroundings.names = std::sync::Arc::new(Nameless);
    let client = crosstie_connect::VendorClient::surrounded(
        &system,
        crate::fixtures::store(),
        crate::fixtures::PLENTY,
        &surroundings,
    )
    .unwrap();
    assert_eq!(not_sent(write(&client).await), FailureKind::Unreachable);
    surroundings.names = std::sync::Arc::new(Pensive);
    let client = crosstie_connect::VendorClient::surrounded(
        &system,
        crate::fixtures::store(),
        crate::fixtures::PLENTY,
        &surroundings,
    )
    .unwrap();
    assert_eq!(not_sent(write(&client).await), FailureKind::TimedOut);
}

/// Knows no name.
struct Nameless;

impl crosstie_connect::Names for Nameless {
    fn resolve(&self, _: String) -> crosstie_connect::Resolving {
        Box::pin(std::future::ready(Err(std::io::Error::other("no such host"))))
    }
}

/// Never answers.
struct Pensive;

impl crosstie_connect::Names for Pensive {
    fn resolve(&self, _: String) -> crosstie_connect::Resolving {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_vendor_that_speaks_no_tls_was_sent_nothing() {
    let vendor = RawVendor::start(|mut connection| async move {
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await?;
        connection.shutdown().await
    })
    .await;
    let client = client(&system(&format!("https://{}", vendor.address)));
    assert_eq!(not_sent(write(&client).await), FailureKind::Unreachable);
    assert_eq!(vendor.connections(), 1);
}

#[tokio::test]
async fn a_handshake_that_never_ends_was_sent_nothing() {
    let vendor = RawVendor::start(|connection| async move {
        let _kept = connection;
        std::future::pending().await
    })
    .await;
    let client = hasty(&system(&format!("https://{}", vendor.address)));
    assert_eq!(not_sent(write(&client).await), FailureKind::TimedOut);
}

#[tokio::test]
async fn a_vendor_that_never_answers_is_given_up_and_the_write_is_unknown() {
    let vendor = RawVendor::start(|mut connection| async move {
        read_request(&mut connection).await?;
        std::future::pending().await
    })
    .await;
    let start = Instant::now();
    assert_eq!(unknown(write(&hasty(&system(&vendor.base_url()))).await), FailureKind::TimedOut);
    assert!(start.elapsed() < Timeouts::default().first_byte);
    assert_eq!(vendor.connections(), 1, "nothing is sent twice");
    assert_eq!(given_up(&vendor).await, FailureKind::TimedOut);
}

#[tokio::test]
async fn headers_that_drip_for_ever_are_given_up() {
    let vendor = RawVendor::start(|mut connection| async move {
        read_request(&mut connection).await?;
        connection.write_all(b"HTTP/1.1 200 OK\r\n").await?;
        loop {
            connection.write_all(b"x-drip: 1\r\n").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(unknown(write(&hasty(&system(&vendor.base_url()))).await), FailureKind::TimedOut);
    assert_eq!(given_up(&vendor).await, FailureKind::TimedOut);
}

#[tokio::test]
async fn a_connection_that_is_reset_before_the_answer_leaves_the_write_unknown() {
    let vendor = RawVendor::start(|mut connection| async move {
        read_request(&mut connection).await?;
        connection.set_zero_linger()
    })
    .await;
    assert_eq!(unknown(write(&client(&system(&vendor.base_url()))).await), FailureKind::Unreachable);
    assert_eq!(vendor.connections(), 1, "nothing is sent twice");
    assert_eq!(read(&vendor).await, FailureKind::Unreachable);
}

#[tokio::test]
async fn a_connection_that_is_closed_before_the_answer_leaves_the_write_unknown() {
    let vendor = RawVendor::answering("").await;
    assert_eq!(unknown(write(&client(&system(&vendor.base_url()))).await), FailureKind::Unreachable);
    assert_eq!(vendor.connections(), 1, "nothing is sent twice");
}

#[tokio::test]
async fn an_answer_that_is_no_http_leaves_the_write_unknown() {
    for noise in [
        "SSH-2.0-OpenSSH_9.7\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 999 ?\r\ncontent-length: 0\r\n\r\n",
    ] {
        let vendor = RawVendor::answering(noise).await;
        let kind = unknown(write(&client(&system(&vendor.base_url()))).await);
        assert!(matches!(kind, FailureKind::Unreachable | FailureKind::Malformed), "{noise}: {kind:?}");
    }
}

#[tokio::test]
async fn a_2xx_whose_body_breaks_off_was_applied_and_as_a_page_is_not_taken() {
    let vendor = RawVendor::start(|mut connection| async move {
        read_request(&mut connection).await?;
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"id\": \"77\", \"orders\": [").await?;
        connection.flush().await?;
        connection.shutdown().await
    })
    .await;
    let written = write(&client(&system(&vendor.base_url()))).await;
    assert!(matches!(written, Written::Applied { identifier: None, .. }), "{written:?}");
    assert_eq!(read(&vendor).await, FailureKind::Unreachable);
}

#[tokio::test]
async fn a_2xx_whose_body_never_ends_in_time_was_applied() {
    let vendor = RawVendor::start(|mut connection| async move {
        read_request(&mut connection).await?;
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{").await?;
        std::future::pending().await
    })
    .await;
    let written = write(&hasty(&system(&vendor.base_url()))).await;
    assert!(matches!(written, Written::Applied { identifier: None, .. }), "{written:?}");
    assert_eq!(given_up(&vendor).await, FailureKind::TimedOut);
}

#[tokio::test]
async fn a_4xx_whose_body_breaks_off_is_refused() {
    let vendor = RawVendor::answering("HTTP/1.1 422 No\r\ncontent-length: 1000\r\n\r\n{\"code\": ").await;
    let Written::Refused { fault } = write(&client(&system(&vendor.base_url()))).await else { panic!("not refused") };
    assert_eq!((fault.status, fault.excerpt.as_str()), (Some(422), ""));
}

#[tokio::test]
async fn a_page_larger_than_is_read_is_refused_without_reading_on() {
    let vendor = RawVendor::start(|mut connection| async move {
        read_request(&mut connection).await?;
        connection.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
        let chunk = [b"100000\r\n", &vec![b' '; 0x10_0000][..], b"\r\n"].concat();
        loop {
            connection.write_all(&chunk).await?;
        }
    })
    .await;
    assert_eq!(read(&vendor).await, FailureKind::BodyTooLarge);
}

#[tokio::test]
async fn a_body_whose_compression_is_damaged_is_not_taken() {
    let vendor =
        RawVendor::answering("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 8\r\n\r\nnot gzip").await;
    assert_eq!(read(&vendor).await, FailureKind::Unreachable);
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_the_client_usable() {
    let vendor = RawVendor::start(|mut connection| async move {
        read_request(&mut connection).await?;
        std::future::pending().await
    })
    .await;
    let mut system = system(&vendor.base_url());
    system.allowance.concurrency = 1;
    let client = crosstie_connect::VendorClient::surrounded(
        &system,
        crate::fixtures::store(),
        crosstie_engine::plan::Allowance { concurrency: 1, ..crate::fixtures::PLENTY },
        &crate::fixtures::impatient(),
    )
    .unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(100), write(&client)).await;
    assert!(given_up.is_err());
    // The one place was given back: this call leaves, and times out by the vendor and not in the queue.
    assert_eq!(unknown(write(&client).await), FailureKind::TimedOut);
    assert_eq!(vendor.connections(), 2);
}
