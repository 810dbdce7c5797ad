//! Vendors behind a proxy that really tunnels and notes all that passes it. The egress rules hold as they do without one.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use crosstie_connect::{Authorities, FailureKind, Names, Resolving, Surroundings, VendorClient, Written};
use crosstie_engine::{plan::Pagination, proxy::Proxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::TcpStream,
};

use crate::{
    fixtures::{PLENTY, RawVendor, first_page, patient, store, system, write},
    tls::{SecureVendor, by_http_1, identity, secure_vendor},
};

/// A name that is public, or so the resolver of these tests says.
const VENDOR: &str = "vendor.example.com";

/// A proxy and everything that clients sent it.
struct TunnelProxy {
    server: RawVendor,
    passed: Arc<Mutex<Vec<u8>>>,
}

impl TunnelProxy {
    /// Tunnels every host to one address, because the names of these tests lead nowhere.
    async fn to(vendor: SocketAddr) -> Self {
        Self::start(move |mut client, passed| async move {
            read_head(&mut client, &passed).await?;
            let mut vendor = TcpStream::connect(vendor).await?;
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            let (mut from_client, mut to_client) = client.split();
            let (mut from_vendor, mut to_vendor) = vendor.split();
            let outwards = async {
                let mut chunk = [0; 4096];
                loop {
                    let read = from_client.read(&mut chunk).await?;
                    passed.lock().unwrap().extend_from_slice(&chunk[..read]);
                    match read {
                        0 => return to_vendor.shutdown().await,
                        _ => to_vendor.write_all(&chunk[..read]).await?,
                    }
                }
            };
            let inwards = async {
                copy(&mut from_vendor, &mut to_client).await?;
                to_client.shutdown().await
            };
            tokio::try_join!(outwards, inwards).map(drop)
        })
        .await
    }

    /// Answers instead of tunnelling.
    async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut client, passed| async move {
            read_head(&mut client, &passed).await?;
            client.write_all(answer.as_bytes()).await?;
            client.shutdown().await
        })
        .await
    }

    async fn start<F>(handle: impl Fn(TcpStream, Arc<Mutex<Vec<u8>>>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let passed = Arc::<Mutex<Vec<u8>>>::default();
        let note = Arc::clone(&passed);
        let server = RawVendor::start(move |client| handle(client, Arc::clone(&note))).await;
        Self { server, passed }
    }

    fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// All that was sent to it, as far as it is text.
    fn passed(&self) -> String {
        String::from_utf8_lossy(&self.passed.lock().unwrap()).into_owned()
    }
}

async fn read_head(client: &mut TcpStream, passed: &Mutex<Vec<u8>>) -> io::Result<()> {
    loop {
        // One by one, so that nothing of what follows the head is taken.
        let byte = client.read_u8().await?;
        let mut passed = passed.lock().unwrap();
        passed.push(byte);
        if passed.ends_with(b"\r\n\r\n") {
            return Ok(());
        }
    }
}

/// The proxy is on this machine, every other name at the addresses given.
struct Known(Vec<IpAddr>);

impl Names for Known {
    fn resolve(&self, host: String) -> Resolving {
        let near = vec![IpAddr::from([127, 0, 0, 1])];
        let addresses = if host == "proxy.example.com" { near } else { self.0.clone() };
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// Surroundings with a proxy that has a name, where every other name has these addresses.
fn behind(port: u16, exceptions: &str, addresses: &[&str]) -> Surroundings {
    let proxy = Proxy::parse(&format!("http://proxy.example.com:{port}"), exceptions).unwrap();
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Surroundings { proxy, names: Arc::new(Known(addresses)), ..patient() }
}

/// A client for which no private range is allowed.
fn client(base_url: &str, surroundings: &Surroundings) -> VendorClient {
    let mut system = system(base_url);
    system.egress.allow_cidrs.clear();
    VendorClient::surrounded(&system, store(), PLENTY, surroundings).unwrap()
}

async fn vendor() -> SecureVendor {
    secure_vendor(&identity(VENDOR), b"http/1.1", by_http_1).await
}

#[tokio::test]
async fn https_passes_the_proxy_which_learns_the_name_and_nothing_else() {
    let vendor = vendor().await;
    let proxy = TunnelProxy::to(vendor.address).await;
    let mut surroundings = behind(proxy.port(), "", &["8.8.8.8"]);
    surroundings.authorities = Authorities::Only(vec![vendor.certificate]);
    let client = client(&format!("https://{VENDOR}"), &surroundings);
    assert!(first_page(&client, Pagination::None).await.unwrap().records.is_empty());
    let passed = proxy.passed();
    assert!(passed.starts_with("CONNECT vendor.example.com:443 HTTP/1.1\r\n"), "{passed}");
    assert!(!passed.contains("secret-of-v1") && !passed.contains("/orders"), "{passed}");
    assert_eq!(proxy.server.connections(), 1);
}

#[tokio::test]
async fn what_the_proxy_puts_in_a_vendors_place_is_not_believed() {
    let (vendor, other) = (vendor().await, vendor().await);
    let proxy = TunnelProxy::to(other.address).await;
    let mut surroundings = behind(proxy.port(), "", &["8.8.8.8"]);
    surroundings.authorities = Authorities::Only(vec![vendor.certificate]);
    let written = write(&client(&format!("https://{VENDOR}"), &surroundings)).await;
    let Written::NotSent { failure } = written else { panic!("{written:?}") };
    assert!(failure.detail.contains("not trusted"), "{failure}");
}

#[tokio::test]
async fn names_and_addresses_that_are_refused_without_a_proxy_are_refused_with_one_and_it_is_not_asked() {
    let proxy = TunnelProxy::answering("HTTP/1.1 200 OK\r\n\r\n").await;
    for addresses in [
        &["127.0.0.1"][..],
        &["::1"],
        &["::ffff:10.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["2002:7f00:1::1"],
        &["169.254.169.254"],
        &["fd00:ec2::254"],
        &["8.8.8.8", "192.168.0.1"],
    ] {
        let client = client(&format!("https://{VENDOR}"), &behind(proxy.port(), "", addresses));
        let written = write(&client).await;
        let Written::NotSent { failure } = written else { panic!("{addresses:?}: {written:?}") };
        assert_eq!(failure.kind, FailureKind::EgressRefused, "{addresses:?}");
    }
    for host in ["127.0.0.1", "0x7f.1", "[::ffff:10.0.0.1]", "169.254.169.254", "proxy.example.com", "localhost."] {
        let client = client(&format!("https://{host}"), &behind(proxy.port(), "", &["127.0.0.1"]));
        let failure = first_page(&client, Pagination::None).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::EgressRefused, "{host}");
    }
    assert_eq!(proxy.server.connections(), 0);
}

#[tokio::test]
async fn a_name_is_checked_again_before_each_request_also_while_a_tunnel_is_open() {
    /// A public address at first, an internal one from the second look-up on.
    struct Rebinding(std::sync::atomic::AtomicUsize);

    impl Names for Rebinding {
        fn resolve(&self, _: String) -> Resolving {
            let first = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            let address = if first { [8, 8, 8, 8] } else { [10, 0, 0, 1] };
            Box::pin(std::future::ready(Ok(vec![IpAddr::from(address)])))
        }
    }

    let vendor = vendor().await;
    let proxy = TunnelProxy::to(vendor.address).await;
    let surroundings = Surroundings {
        proxy: Proxy::parse(&proxy.server.base_url(), "").unwrap(),
        names: Arc::new(Rebinding(std::sync::atomic::AtomicUsize::new(0))),
        authorities: Authorities::Only(vec![vendor.certificate]),
        ..patient()
    };
    let client = client(&format!("https://{VENDOR}"), &surroundings);
    assert!(first_page(&client, Pagination::None).await.is_ok());
    let failure = first_page(&client, Pagination::None).await.unwrap_err();
    assert_eq!((failure.kind, proxy.server.connections()), (FailureKind::EgressRefused, 1));
}

#[tokio::test]
async fn a_name_that_nobody_knows_here_is_not_left_to_the_proxy() {
    let proxy = TunnelProxy::answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let written = write(&client(&format!("https://{VENDOR}"), &behind(proxy.port(), "", &[]))).await;
    let Written::NotSent { failure } = written else { panic!("{written:?}") };
    assert!(failure.detail.contains("cannot be resolved"), "{failure}");
    assert_eq!(proxy.server.connections(), 0);
}

#[tokio::test]
async fn exceptions_and_http_are_called_past_the_proxy() {
    let secure = vendor().await;
    let plain = RawVendor::answering("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"orders\":[]}").await;
    let proxy = TunnelProxy::to(secure.address).await;
    let mut surroundings = behind(proxy.port(), ".example.com", &["127.0.0.1"]);
    surroundings.authorities = Authorities::Only(vec![secure.certificate]);
    for base in [format!("https://{VENDOR}:{}", secure.address.port()), plain.base_url()] {
        let client = VendorClient::surrounded(&system(&base), store(), PLENTY, &surroundings).unwrap();
        assert!(first_page(&client, Pagination::None).await.is_ok(), "{base}");
    }
    assert_eq!(proxy.server.connections(), 0);
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_gone_is_said_and_nothing_was_sent() {
    let gone = TunnelProxy::answering("").await;
    let refusing = [
        TunnelProxy::answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await,
        TunnelProxy::answering("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await,
        TunnelProxy::answering("HTTP/1.1 502 Bad Gateway\r\n\r\n").await,
        TunnelProxy::answering("nonsense\r\n\r\n").await,
        gone,
    ];
    for proxy in refusing {
        let written = write(&client(&format!("https://{VENDOR}"), &behind(proxy.port(), "", &["8.8.8.8"]))).await;
        let Written::NotSent { failure } = written else { panic!("{written:?}") };
        assert_eq!(failure.kind, FailureKind::Unreachable);
        assert!(failure.detail.contains("through the proxy"), "{failure}");
        assert!(!proxy.passed().contains("secret-of-v1"));
    }
}
