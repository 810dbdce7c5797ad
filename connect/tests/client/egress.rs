//! Where requests may not go. A vendor that listens counts connections: there must be none. Spellings here are such as stay on this machine; the
//! table of all of them is in `src/egress/tests.rs`, where nothing could leave.

use std::{io, net::IpAddr, sync::Arc};

use crosstie_connect::{BuildError, FailureKind, Names, Resolving, Surroundings, VendorClient, Written};
use crosstie_engine::{
    plan::{Pagination, System},
    window::Position,
};

use crate::fixtures::{PLENTY, RawVendor, first_page, patient, store, stream, system, write};

/// Knows one address list for every name.
struct Always(Vec<IpAddr>);

impl Names for Always {
    fn resolve(&self, _: String) -> Resolving {
        Box::pin(std::future::ready(io::Result::Ok(self.0.clone())))
    }
}

fn public_only(base_url: &str) -> System {
    let mut system = system(base_url);
    system.egress.allow_cidrs.clear();
    system
}

fn build(system: &System, names: Option<&[&str]>) -> Result<VendorClient, BuildError> {
    let mut surroundings: Surroundings = patient();
    if let Some(addresses) = names {
        surroundings.names = Arc::new(Always(addresses.iter().map(|address| address.parse().unwrap()).collect()));
    }
    VendorClient::surrounded(system, store(), PLENTY, &surroundings)
}

async fn listener() -> RawVendor {
    RawVendor::answering("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"orders\":[]}").await
}

#[tokio::test]
async fn no_spelling_of_an_internal_address_is_connected_to() {
    let vendor = listener().await;
    let port = vendor.address.port();
    let hosts = [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0x7F.0x0.0x0.0x1",
        "0177.0.0.1",
        "017700000001",
        "0x7f.0.0.01",
        "127.255.255.254",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "0.0.0.0",
        "0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ];
    assert!(hosts.len() >= 25);
    for host in hosts {
        for scheme in ["http", "https"] {
            let client = build(&public_only(&format!("{scheme}://{host}:{port}")), None).unwrap();
            let failure = first_page(&client, Pagination::None).await.unwrap_err();
            assert_eq!(failure.kind, FailureKind::EgressRefused, "{scheme}://{host}: {failure}");
            let written = write(&client).await;
            let Written::NotSent { failure } = written else { panic!("{scheme}://{host}: {written:?}") };
            assert_eq!(failure.kind, FailureKind::EgressRefused);
        }
    }
    assert_eq!(vendor.connections(), 0);
}

#[tokio::test]
async fn no_name_that_leads_to_an_internal_address_is_connected_to() {
    let vendor = listener().await;
    let base = format!("https://rebound.example.com:{}", vendor.address.port());
    for addresses in [
        &["127.0.0.1"][..],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["::127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["2002:7f00:1::1"],
        &["10.1.2.3"],
        &["169.254.169.254"],
        &["fd00:ec2::254"],
        &["fe80::1"],
        &["0.0.0.0"],
        // One public address beside an internal one makes neither right.
        &["8.8.8.8", "127.0.0.1"],
        &["127.0.0.1", "8.8.8.8"],
    ] {
        let client = build(&public_only(&base), Some(addresses)).unwrap();
        let written = write(&client).await;
        let Written::NotSent { failure } = written else { panic!("{addresses:?}: {written:?}") };
        assert_eq!(failure.kind, FailureKind::EgressRefused, "{addresses:?}");
        let printed = format!("{failure} {failure:?}");
        assert!(
            !addresses.iter().any(|address| printed.contains(address)),
            "a resolved address is repeated: {printed}"
        );
    }
    assert_eq!(vendor.connections(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_after_the_check_is_not_followed() {
    /// An allowed address at first, and one that is not at the second look-up.
    struct Rebinding(std::sync::atomic::AtomicUsize);

    impl Names for Rebinding {
        fn resolve(&self, _: String) -> Resolving {
            let first = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            // Nobody listens at the first: whoever connects to it gets nowhere.
            let address: IpAddr = if first { "127.0.0.2" } else { "127.0.0.1" }.parse().unwrap();
            Box::pin(std::future::ready(Ok(vec![address])))
        }
    }

    let vendor = listener().await;
    let mut system = public_only(&format!("http://rebinding.example.com:{}", vendor.address.port()));
    system.egress.allow_cidrs = vec!["127.0.0.2/32".into()];
    let mut surroundings = patient();
    surroundings.names = Arc::new(Rebinding(std::sync::atomic::AtomicUsize::new(0)));
    let client = VendorClient::surrounded(&system, store(), PLENTY, &surroundings).unwrap();
    let kinds = [
        first_page(&client, Pagination::None).await.unwrap_err().kind,
        first_page(&client, Pagination::None).await.unwrap_err().kind,
    ];
    assert_ne!(kinds[0], FailureKind::EgressRefused, "the first address was allowed and is the one that was tried");
    assert_eq!(kinds[1], FailureKind::EgressRefused);
    assert_eq!(vendor.connections(), 0);
}

#[tokio::test]
async fn plain_http_goes_to_allowed_ranges_only_even_if_the_address_is_public() {
    for base in ["http://8.8.8.8", "http://public.example.com"] {
        let client = build(&public_only(base), Some(&["8.8.8.8"])).unwrap();
        let failure = first_page(&client, Pagination::None).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::EgressRefused);
        assert!(failure.detail.contains("without encryption"), "{failure}");
    }
}

#[tokio::test]
async fn an_allowed_range_lets_its_addresses_through_by_name_and_by_number() {
    let vendor = listener().await;
    let port = vendor.address.port();
    for host in ["127.0.0.1", "dev.example.com", "DEV.example.com."] {
        let client = build(&system(&format!("http://{host}:{port}")), Some(&["127.0.0.1"])).unwrap();
        assert!(first_page(&client, Pagination::None).await.is_ok(), "{host}");
    }
    assert_eq!(vendor.connections(), 3);
}

#[tokio::test]
async fn a_metadata_service_needs_to_be_allowed_by_its_own_address() {
    for (range, kind) in [("169.254.0.0/16", FailureKind::EgressRefused), ("0.0.0.0/0", FailureKind::EgressRefused)] {
        let mut system = public_only("http://169.254.169.254");
        system.egress.allow_cidrs = vec![range.into()];
        let failure = first_page(&build(&system, None).unwrap(), Pagination::None).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{range}");
    }
}

#[tokio::test]
async fn a_next_page_elsewhere_is_neither_stored_nor_followed() {
    let elsewhere = listener().await;
    for target in [elsewhere.base_url(), format!("//{}/x", elsewhere.address), "https://evil.example/".into()] {
        let answer =
            format!("HTTP/1.1 200 OK\r\nlink: <{target}>; rel=next\r\ncontent-length: 13\r\n\r\n{{\"orders\":[]}}");
        let vendor = RawVendor::answering(answer).await;
        let client = build(&system(&vendor.base_url()), None).unwrap();
        let failure = first_page(&client, Pagination::LinkHeader).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::EgressRefused, "{target}");
        let position = Position::Url(target);
        assert!(client.read_page(&stream(Pagination::LinkHeader), None, &position).await.is_err());
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_write_follows_no_redirect() {
    let elsewhere = listener().await;
    for status in [301, 302, 303, 307, 308] {
        let answer = format!(
            "HTTP/1.1 {status} Elsewhere\r\nlocation: {}/orders\r\ncontent-length: 0\r\n\r\n",
            elsewhere.base_url()
        );
        let vendor = RawVendor::answering(answer).await;
        let written = write(&build(&system(&vendor.base_url()), None).unwrap()).await;
        assert!(matches!(written, Written::Unknown { .. } | Written::NotSent { .. }), "{written:?}");
        assert_eq!(vendor.connections(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_system_that_cannot_be_called_is_refused_when_the_client_is_built() {
    for base in
        ["ftp://api.example.com", "file:///etc/passwd", "data:text/plain,x", "https://user:hush@api.example.com"]
    {
        let Err(refused) = build(&public_only(base), None) else { panic!("{base}") };
        assert!(matches!(refused, BuildError::BaseUrl { .. }) && !refused.to_string().contains("hush"), "{base}");
    }
    for host in ["https://files.example.com", "files.example.com:8443", "a b", "", "a/b", "user@files.example.com"] {
        let mut system = public_only("https://api.example.com");
        system.egress.allow_hosts = vec![host.into()];
        assert!(matches!(build(&system, None), Err(BuildError::AllowedHost { .. })), "{host}");
    }
    let mut system = public_only("https://api.example.com");
    system.egress.allow_cidrs = vec!["10.0.0.0/33".into()];
    assert!(matches!(build(&system, None), Err(BuildError::AllowedRange { .. })));
}
