//! Vendors by TLS: whom the client believes, and which protocol it speaks.

use std::{
    error::Error,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crosstie_connect::{Authorities, FailureKind, VendorClient, Written};
use crosstie_engine::plan::Pagination;
use futures::future::join_all;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

use crate::fixtures::{PLENTY, RawVendor, first_page, patient, store, system, write};

/// Set for the test binary that a test starts a second time.
const ALONE: &str = "CROSSTIE_TEST_WITHOUT_AUTHORITIES";

/// A vendor by TLS.
pub struct SecureVendor {
    pub address: SocketAddr,
    pub certificate: Vec<u8>,
}

/// A certificate and its key for a name, as PEM in one text.
pub fn identity(name: &str) -> String {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    cert.pem() + &signing_key.serialize_pem()
}

/// Handles each TLS session as told.
pub async fn secure_vendor<F>(
    identity: &str,
    protocol: &[u8],
    handle: impl Fn(TlsStream<TcpStream>) -> F + Send + 'static,
) -> SecureVendor
where
    F: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let certificate = CertificateDer::from_pem_slice(identity.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.as_bytes()).unwrap();
    let mut configuration = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    configuration.alpn_protocols = vec![protocol.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(configuration));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // A client that breaks the handshake off is what some tests are about.
            if let Ok(session) = acceptor.accept(connection).await {
                tokio::spawn(handle(session));
            }
        }
    });
    SecureVendor { address, certificate: certificate.to_vec() }
}

pub async fn by_http_1(mut session: TlsStream<TcpStream>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut request = [0; 4096];
    let _ = session.read(&mut request).await?;
    session.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"orders\":[]}").await?;
    Ok(session.shutdown().await?)
}

async fn by_http_2(session: TlsStream<TcpStream>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut connection = h2::server::handshake(session).await?;
    while let Some(request) = connection.accept().await {
        let (request, mut respond) = request?;
        assert_eq!(request.headers()["authorization"], "Bearer secret-of-v1");
        let mut body = respond.send_response(http::Response::new(()), false)?;
        body.send_data("{\"orders\":[{}]}".into(), true)?;
    }
    Ok(())
}

/// Streams that were refused; one test only counts them.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

async fn refusing_streams(session: TlsStream<TcpStream>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut connection = h2::server::handshake(session).await?;
    while let Some(request) = connection.accept().await {
        REFUSED.fetch_add(1, Ordering::SeqCst);
        request?.1.send_reset(h2::Reason::REFUSED_STREAM);
    }
    Ok(())
}

/// Answers with so many headers of a kibibyte each.
async fn by_http_2_with(headers: usize, session: TlsStream<TcpStream>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut connection = h2::server::handshake(session).await?;
    while let Some(request) = connection.accept().await {
        let mut response = http::Response::new(());
        for number in 0..headers {
            let name = http::HeaderName::try_from(format!("x-header-{number}"))?;
            response.headers_mut().insert(name, http::HeaderValue::try_from("x".repeat(1024))?);
        }
        request?.1.send_response(response, true)?;
    }
    Ok(())
}

fn client(address: SocketAddr, authorities: Authorities) -> VendorClient {
    let mut surroundings = patient();
    surroundings.authorities = authorities;
    VendorClient::surrounded(&system(&format!("https://{address}")), store(), PLENTY, &surroundings).unwrap()
}

#[tokio::test]
async fn a_certificate_of_a_known_authority_is_believed() {
    let vendor = secure_vendor(&identity("127.0.0.1"), b"http/1.1", by_http_1).await;
    let client = client(vendor.address, Authorities::Only(vec![vendor.certificate]));
    assert_eq!(first_page(&client, Pagination::None).await.unwrap().records.len(), 0);
}

#[tokio::test]
async fn an_unknown_authority_or_another_name_is_not_believed_and_nothing_is_sent() {
    let unknown = secure_vendor(&identity("127.0.0.1"), b"http/1.1", by_http_1).await;
    let other = secure_vendor(&identity("127.0.0.2"), b"http/1.1", by_http_1).await;
    let stranger = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.der().to_vec();
    for (address, authority) in [(unknown.address, stranger), (other.address, other.certificate)] {
        let written = write(&client(address, Authorities::Only(vec![authority]))).await;
        let Written::NotSent { failure } = written else { panic!("{written:?}") };
        assert_eq!(failure.kind, FailureKind::Unreachable);
        assert!(failure.detail.contains("not trusted"), "{failure}");
    }
}

#[tokio::test]
async fn http_2_is_spoken_where_the_vendor_has_it() {
    let vendor = secure_vendor(&identity("127.0.0.1"), b"h2", by_http_2).await;
    let client = client(vendor.address, Authorities::Only(vec![vendor.certificate]));
    for page in join_all((0..20).map(|_| first_page(&client, Pagination::None))).await {
        assert_eq!(page.unwrap().records.len(), 1);
    }
}

#[tokio::test]
async fn headers_without_end_are_told_as_that_by_http_2_as_well() {
    for (headers, is_read) in [(90, true), (420, false), (2_000, false)] {
        let vendor =
            secure_vendor(&identity("127.0.0.1"), b"h2", move |session| by_http_2_with(headers, session)).await;
        let read =
            first_page(&client(vendor.address, Authorities::Only(vec![vendor.certificate])), Pagination::None).await;
        assert_eq!(read.is_ok(), is_read, "{headers}: {read:?}");
        if let Err(failure) = read {
            assert_eq!(failure.kind, FailureKind::Malformed, "{headers}: {failure}");
            assert!(
                failure.detail.contains("more headers than are read, 400 KiB in all, or breaks the rules of HTTP/2"),
                "{failure}"
            );
            assert!(failure.detail.contains("its id of the request is known, and it was cut off at 20"), "{failure}");
        }
    }
}

#[tokio::test]
async fn a_write_on_a_refused_stream_is_unknown_and_not_sent_again_behind_our_back() {
    let vendor = secure_vendor(&identity("127.0.0.1"), b"h2", refusing_streams).await;
    let client = client(vendor.address, Authorities::Only(vec![vendor.certificate]));
    let written = write(&client).await;
    let Written::Unknown { failure } = written else { panic!("{written:?}") };
    assert_eq!((failure.kind, REFUSED.load(Ordering::SeqCst)), (FailureKind::Unreachable, 1));
}

/// Runs the test of this name once more in a process of its own, with an environment of its own: tests share theirs.
fn alone(test: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(ALONE, "1").env_remove("SSL_CERT_DIR");
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

#[tokio::test]
async fn without_any_authority_file_http_works_and_https_says_what_to_install() {
    if !is_alone() {
        let test = "tls::without_any_authority_file_http_works_and_https_says_what_to_install";
        return alone(test, &[("SSL_CERT_FILE", "/nonexistent/ca.crt")]);
    }
    let plain = RawVendor::answering("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"orders\":[]}").await;
    let near = VendorClient::new(&system(&plain.base_url()), store(), PLENTY).unwrap();
    assert!(first_page(&near, Pagination::None).await.is_ok());
    let vendor = secure_vendor(&identity("127.0.0.1"), b"http/1.1", by_http_1).await;
    let written = write(&client(vendor.address, Authorities::Machine)).await;
    let Written::NotSent { failure } = written else { panic!("{written:?}") };
    assert!(failure.detail.contains("SSL_CERT_FILE"), "{failure}");
}

#[tokio::test]
async fn the_file_that_ssl_cert_file_names_is_believed() {
    if !is_alone() {
        let path = std::env::temp_dir().join(format!("crosstie-authority-{}.pem", std::process::id()));
        std::fs::write(&path, identity("127.0.0.1")).unwrap();
        alone("tls::the_file_that_ssl_cert_file_names_is_believed", &[("SSL_CERT_FILE", path.to_str().unwrap())]);
        return std::fs::remove_file(&path).unwrap();
    }
    // The file holds the certificate and, for the vendor of this test, its key.
    let identity = std::fs::read_to_string(std::env::var_os("SSL_CERT_FILE").unwrap()).unwrap();
    let vendor = secure_vendor(&identity, b"http/1.1", by_http_1).await;
    assert!(first_page(&client(vendor.address, Authorities::Machine), Pagination::None).await.is_ok());
}
