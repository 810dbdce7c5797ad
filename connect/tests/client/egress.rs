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

/// Spellings that lead to the listener, were they followed: addresses of this machine, and names, which a test resolves to it.
const HOSTS: [(&str, &str); 57] = [
    ("127.0.0.1", "loopback"),
    ("127.0.0.1.", "a trailing dot"),
    ("127.1", "a short form"),
    ("127.1.", "a short form with a trailing dot"),
    ("127.0.1", "a short form"),
    ("2130706433", "decimal"),
    ("2130706433.", "decimal with a trailing dot"),
    ("0x7f000001", "hexadecimal"),
    ("0X7F000001", "hexadecimal, upper case"),
    ("0x7f000001.", "hexadecimal with a trailing dot"),
    ("0x7f.1", "hexadecimal, short"),
    ("0x7f.0.1", "hexadecimal, short"),
    ("0x7F.0x0.0x0.0x1", "hexadecimal by bytes"),
    ("0177.0.0.1", "octal"),
    ("0177.1", "octal, short"),
    ("017700000001", "octal"),
    ("00000177.0.0.1", "octal with zeros"),
    ("0x7f.0.0.01", "mixed"),
    ("127.0x0.0.01", "mixed"),
    ("127.255.255.254", "the end of loopback"),
    ("%31%32%37.0.0.1", "percent-encoded digits"),
    ("127%2e0%2e0%2e1", "percent-encoded dots"),
    ("１２７.0.0.1", "full-width digits"),
    ("127。0。0。1", "ideographic dots"),
    ("127｡0｡0｡1", "half-width dots"),
    ("127．0．0．1", "full-width dots"),
    ("①②⑦.0.0.1", "circled digits"),
    ("𝟏𝟐𝟕.0.0.1", "mathematical digits"),
    ("127.0.\u{ad}0.1", "an invisible character"),
    ("0.0.0.0", "unspecified"),
    ("0", "unspecified, short"),
    ("0x0", "unspecified, hexadecimal"),
    ("localhost", "a name"),
    ("LOCALHOST", "a name, upper case"),
    ("localhost.", "a name with a trailing dot"),
    ("ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "circled letters"),
    ("ｌｏｃａｌｈｏｓｔ", "full-width letters"),
    ("%6cocalhost", "a percent-encoded letter"),
    ("localhost.localdomain", "a name"),
    ("ip6-localhost", "a name"),
    ("127.0.0.1.nip.io", "a name that says its address"),
    ("7f000001.nip.io", "a name that says its address in hexadecimal"),
    ("metadata.google.internal", "a metadata service"),
    ("metadata.google.internal.", "a metadata service with a trailing dot"),
    ("instance-data.ec2.internal", "a metadata service"),
    ("metadata.azure.internal", "a metadata service"),
    ("kubernetes.default.svc", "the cluster's API"),
    ("kubernetes.default.svc.cluster.local", "the cluster's API"),
    ("host.docker.internal", "the node"),
    ("[::1]", "loopback"),
    ("[0:0:0:0:0:0:0:1]", "loopback in full"),
    ("[0000:0000:0000:0000:0000:0000:0000:0001]", "loopback with zeros"),
    ("[::]", "unspecified"),
    ("[::127.0.0.1]", "IPv4-compatible"),
    ("[::ffff:127.0.0.1]", "IPv4-mapped"),
    ("[::FFFF:7F00:1]", "IPv4-mapped, upper case"),
    ("[0:0:0:0:0:ffff:127.0.0.1]", "IPv4-mapped in full"),
];
/// So many are asked for at least.
const _: () = assert!(HOSTS.len() >= 40);

#[tokio::test]
async fn no_spelling_of_an_internal_address_is_connected_to() {
    let vendor = listener().await;
    let port = vendor.address.port();
    let spelled: std::collections::BTreeSet<&str> = HOSTS.iter().map(|(host, _)| *host).collect();
    assert_eq!(spelled.len(), HOSTS.len(), "a spelling stands there twice");
    for (host, what) in HOSTS {
        for scheme in ["http", "https"] {
            let client = build(&public_only(&format!("{scheme}://{host}:{port}")), Some(&["127.0.0.1"])).unwrap();
            let failure = first_page(&client, Pagination::None).await.unwrap_err();
            assert_eq!(failure.kind, FailureKind::EgressRefused, "{scheme}://{host} ({what}): {failure}");
            let written = write(&client).await;
            let Written::NotSent { failure } = written else { panic!("{scheme}://{host} ({what}): {written:?}") };
            assert_eq!(failure.kind, FailureKind::EgressRefused, "{scheme}://{host} ({what})");
        }
    }
    assert_eq!(vendor.connections(), 0);
    // The listener is there: whoever may connect to it does.
    let client = build(&system(&vendor.base_url()), None).unwrap();
    assert!(first_page(&client, Pagination::None).await.is_ok());
    assert_eq!(vendor.connections(), 1);
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

/// URLs that lead from a vendor's answer to another one on this machine, however they are spelled.
fn elsewhere_from(vendor: &RawVendor, elsewhere: &RawVendor) -> Vec<String> {
    let (here, there, port) = (vendor.address, elsewhere.address, elsewhere.address.port());
    vec![
        format!("http://{there}"),
        format!("https://{there}"),
        format!("//{there}/x"),
        format!("\\\\{there}/x"),
        format!("http:\\\\{there}/x"),
        format!("http:/\\{there}/x"),
        format!("HTTP://{there}/x"),
        format!("http://{here}@{there}/x"),
        format!("http://user:hush@{there}/x"),
        format!("http://{here}%2f@{there}/x"),
        format!("http://{there}#@{here}/x"),
        format!("http://{there}?@{here}/x"),
        format!("http://{there}\\@{here}/x"),
        format!("http://user@{here}/x"),
        format!("http://2130706433:{port}/x"),
        format!("http://0x7f.1:{port}/x"),
        format!("http://①②⑦.0.0.1:{port}/x"),
        format!("http://localhost:{port}/x"),
        format!("http://[::ffff:127.0.0.1]:{port}/x"),
        format!("ftp://{there}/x"),
        "file:///etc/passwd".into(),
        "data:text/plain,x".into(),
        "https://evil.example/".into(),
    ]
}

#[tokio::test]
async fn a_next_page_elsewhere_is_neither_stored_nor_followed() {
    let (nobody, elsewhere) = (listener().await, listener().await);
    for target in elsewhere_from(&nobody, &elsewhere) {
        let answer = serde_json::json!({"orders": [], "next": target}).to_string();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        let vendor = RawVendor::answering(answer).await;
        // Where it names the vendor that answered, it names this one.
        let client = build(&system(&vendor.base_url()), Some(&["127.0.0.1"])).unwrap();
        let pagination = || Pagination::NextUrl { pointer: "/next".into() };
        let outcome = first_page(&client, pagination()).await;
        assert!(outcome.is_err(), "{target}: {:?}", outcome.map(|page| page.next));
        let position = Position::Url(target.clone());
        assert!(client.read_page(&stream(pagination()), None, &position).await.is_err(), "{target}");
    }
    assert_eq!((nobody.connections(), elsewhere.connections()), (0, 0));
}

#[tokio::test]
async fn a_read_follows_no_redirect_elsewhere() {
    let (nobody, elsewhere) = (listener().await, listener().await);
    for target in elsewhere_from(&nobody, &elsewhere) {
        for status in [301, 302, 303, 307, 308] {
            let head = format!("HTTP/1.1 {status} Elsewhere\r\nx-request-id: r-9\r\n").into_bytes();
            let location = [b"location: ", target.as_bytes(), b"\r\ncontent-length: 0\r\n\r\n"].concat();
            let vendor = RawVendor::answering([head, location].concat()).await;
            let client = build(&system(&vendor.base_url()), Some(&["127.0.0.1"])).unwrap();
            let failure = first_page(&client, Pagination::None).await.unwrap_err();
            assert_eq!(failure.request_id.as_deref(), Some("r-9"), "{status} {target}: {failure}");
        }
    }
    assert_eq!((nobody.connections(), elsewhere.connections()), (0, 0));
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
