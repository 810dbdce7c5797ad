//! Vendors that want a client certificate, by a real TLS server that demands it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use crosstie_connect::{Authorities, CredentialStore, FailureKind, VendorClient, Written};
use crosstie_engine::{
    credentials::{CredentialVersion, CredentialsDocument},
    plan::{Authentication, ClientCertificate, Pagination},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

use crate::fixtures::{PLENTY, first_page, patient, system, template, write};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for a name, and its key, both in PEM.
fn issued(authority: &Issuer, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &**authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// A vendor that wants a certificate of an authority of its own, and notes whose it was given.
struct Vendor {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

async fn vendor(authority: &Issuer) -> Vendor {
    let (certificate, key) = issued(authority, "127.0.0.1");
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let configuration = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(configuration));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let mut session = match acceptor.accept(connection).into_fallible().await {
                Ok(session) => session,
                // Read to its end, because closing what holds unread bytes would take the alert with it.
                Err((_, mut connection)) => {
                    tokio::spawn(async move { tokio::io::copy(&mut connection, &mut tokio::io::sink()).await });
                    continue;
                }
            };
            let shown = session.get_ref().1.peer_certificates().unwrap()[0].to_vec();
            notes.lock().unwrap().push(shown);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while session.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"orders\":[]}";
                    if session.write_all(answer).await.is_err() || session.flush().await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Vendor { address, seen }
}

fn version(id: &str, (certificate, key): &(String, String), authority: &Issuer) -> CredentialVersion {
    let values = [("certificate", certificate.clone()), ("privateKey", key.clone()), ("authority", authority.pem())];
    CredentialVersion {
        version_id: id.into(),
        values: values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}

fn client(address: SocketAddr, current: CredentialVersion, previous: Option<CredentialVersion>) -> VendorClient {
    let mut system = system(&format!("https://{address}"));
    system.authentication = Authentication::None;
    system.tls = Some(ClientCertificate {
        certificate: template("{certificate}"),
        key: template("{privateKey}"),
        authorities: Some(template("{authority}")),
    });
    let document = CredentialsDocument { connector: "shop".into(), current, previous };
    let surroundings = patient();
    VendorClient::surrounded(&system, CredentialStore::new(&document), PLENTY, &surroundings).unwrap()
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_a_new_one_with_the_next_request() {
    let authority = authority();
    let vendor = vendor(&authority).await;
    let (first, second) = (issued(&authority, "first"), issued(&authority, "second"));
    let client = client(vendor.address, version("v1", &first, &authority), None);
    for _ in 0..3 {
        assert!(first_page(&client, Pagination::None).await.is_ok());
    }
    let document = CredentialsDocument {
        connector: "shop".into(),
        current: version("v2", &second, &authority),
        previous: Some(version("v1", &first, &authority)),
    };
    client.credentials().replace(&document);
    assert!(first_page(&client, Pagination::None).await.is_ok());
    let shown = [first, second].map(|(pem, _)| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec());
    assert_eq!(*vendor.seen.lock().unwrap(), shown, "one connection for each certificate");
}

#[tokio::test]
async fn a_certificate_that_is_not_accepted_gives_way_to_the_one_before_and_nothing_was_applied() {
    let (ours, strange) = (authority(), authority());
    let vendor = vendor(&ours).await;
    let (good, bad) = (issued(&ours, "good"), issued(&strange, "bad"));
    let rotated = client(vendor.address, version("v2", &bad, &ours), Some(version("v1", &good, &ours)));
    let written = write(&rotated).await;
    assert!(matches!(written, Written::Applied { .. }), "{written:?}");
    assert_eq!(rotated.credentials().report().rejected_version_id.as_deref(), Some("v2"));
    let refused = client(vendor.address, version("v2", &bad, &ours), None);
    let Written::NotSent { failure } = write(&refused).await else { panic!("sent") };
    assert_eq!(failure.kind, FailureKind::CredentialsRejected);
    assert!(failure.detail.contains("spec.tls"), "{failure}");
}

#[tokio::test]
async fn a_vendor_that_wants_a_certificate_and_is_given_none_was_sent_nothing() {
    let authority = authority();
    let vendor = vendor(&authority).await;
    let mut surroundings = patient();
    surroundings.authorities = Authorities::Only(vec![authority.der().to_vec()]);
    let system = system(&format!("https://{}", vendor.address));
    let client = VendorClient::surrounded(&system, crate::fixtures::store(), PLENTY, &surroundings).unwrap();
    let Written::NotSent { failure } = write(&client).await else { panic!("sent") };
    assert_eq!(failure.kind, FailureKind::CredentialsRejected);
}

#[tokio::test]
async fn the_vendors_own_certificate_is_verified_by_the_authorities_of_the_credentials() {
    let (ours, strange) = (authority(), authority());
    let vendor = vendor(&ours).await;
    let client = client(vendor.address, version("v1", &issued(&ours, "good"), &strange), None);
    let Written::NotSent { failure } = write(&client).await else { panic!("sent") };
    assert_eq!(failure.kind, FailureKind::Unreachable);
}
