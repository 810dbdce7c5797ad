//! TLS: rustls over aws-lc-rs, TLS 1.2 and 1.3, HTTP/2 where the vendor has it.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::CertificateDer};

use crate::identity::Identity;

/// Whom vendors' certificates are verified by.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Authorities {
    /// The machine's certificate authorities: the file `SSL_CERT_FILE` and the directory `SSL_CERT_DIR` name, or else the system's bundle,
    /// in container images /etc/ssl/certs/ca-certificates.crt. Where there are none, nothing can be called by https, and http still works.
    #[default]
    Machine,
    /// These certificates, in DER, and no others.
    Only(Vec<Vec<u8>>),
}

/// A TLS configuration, and whether it knows any authority.
pub struct Tls {
    pub configuration: ClientConfig,
    pub knows_authorities: bool,
}

impl Tls {
    /// Sets TLS up, with a client certificate or without. Certificates that cannot be read are passed over with a warning, because system bundles have always had some.
    pub fn new(authorities: &Authorities, identity: Option<&Identity>) -> Result<Self, rustls::Error> {
        let own = identity.and_then(|identity| identity.authorities.clone()).map(Authorities::Only);
        let authorities = own.as_ref().unwrap_or(authorities);
        let certificates = certificates(authorities);
        let mut roots = RootCertStore::empty();
        let (known, unreadable) = roots.add_parsable_certificates(certificates);
        if unreadable > 0 {
            tracing::warn!(unreadable, "certificate authorities were passed over because they cannot be read");
        }
        let knows_authorities = known > 0;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut configuration = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::clone(&identity.resolver) as Arc<_>),
        };
        configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { configuration, knows_authorities })
    }
}

fn certificates(authorities: &Authorities) -> Vec<CertificateDer<'static>> {
    match authorities {
        Authorities::Machine => machine_certificates(),
        Authorities::Only(certificates) => certificates.iter().cloned().map(CertificateDer::from).collect(),
    }
}

/// The certificates that can be read, in DER, for whoever sets TLS up by itself.
pub fn usable(authorities: &Authorities) -> Vec<Vec<u8>> {
    let readable = |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    certificates(authorities).into_iter().filter(readable).map(|certificate| certificate.to_vec()).collect()
}

fn machine_certificates() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "certificate authorities of this machine cannot be read");
    }
    if found.certs.is_empty() {
        tracing::warn!("this machine knows no certificate authorities: nothing can be called by https");
    }
    found.certs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_any_authority_tls_is_set_up_all_the_same() {
        let tls = Tls::new(&Authorities::Only(Vec::new()), None).unwrap();
        assert!(!tls.knows_authorities);
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_passed_over() {
        let tls = Tls::new(&Authorities::Only(vec![b"no certificate".to_vec()]), None).unwrap();
        assert!(!tls.knows_authorities);
    }
}
