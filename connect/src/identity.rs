//! Who we are to a vendor that wants a client certificate, and whom its own is verified by. Pure.

use std::sync::Arc;

use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};

/// A client certificate with its key, checked to belong together.
pub struct Identity {
    pub resolver: Arc<SingleCertAndKey>,
    /// What the vendor's certificate is verified by, in place of what is usual.
    pub authorities: Option<Vec<Vec<u8>>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads PEM. Says what is wrong without what stands there.
    pub fn parse(chain: &str, key: &str, authorities: Option<&str>) -> Result<Self, &'static str> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| "there is no private key in PEM")?;
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let certified = certified.map_err(|_| "certificate and private key do not belong together")?;
        let authorities = authorities.map(certificates).transpose()?;
        let authorities = authorities.map(|list| list.iter().map(|certificate| certificate.to_vec()).collect());
        Ok(Self { resolver: Arc::new(SingleCertAndKey::from(certified)), authorities })
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| "a certificate is no PEM")?;
    if certificates.is_empty() { Err("there is no certificate in PEM") } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;

    use super::*;

    #[test]
    fn a_certificate_and_its_key_belong_together() {
        let (ours, other) = (
            generate_simple_self_signed(Vec::<String>::new()).unwrap(),
            generate_simple_self_signed(Vec::<String>::new()).unwrap(),
        );
        let (chain, key) = (ours.cert.pem(), ours.signing_key.serialize_pem());
        assert!(Identity::parse(&chain, &key, Some(&other.cert.pem())).is_ok());
        for (chain, key, authorities, problem) in [
            (chain.as_str(), other.signing_key.serialize_pem(), None, "do not belong together"),
            (chain.as_str(), "hush".into(), None, "no private key"),
            ("hush", key.clone(), None, "no certificate"),
            (chain.as_str(), key.clone(), Some("hush"), "no certificate"),
        ] {
            let said = Identity::parse(chain, &key, authorities).unwrap_err();
            assert!(said.contains(problem) && !said.contains("hush"), "{said}");
        }
    }
}
