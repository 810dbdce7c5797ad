//! Signed assertions (RFC 7519, RFC 7523). Pure: time and nonce are arguments.

use std::{collections::BTreeMap, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{self, EcdsaKeyPair, RsaKeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// How an assertion is signed (RFC 7518, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssertionAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
}

/// What is asserted, and what it is signed with.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// How it is signed.
    pub algorithm: AssertionAlgorithm,
    /// Id of the key, if the server tells keys apart.
    pub key_id: Option<String>,
    /// The private key, in PEM (PKCS #8).
    pub private_key: SecretString,
    /// Who asserts.
    pub issuer: String,
    /// About whom.
    pub subject: String,
    /// To whom.
    pub audience: String,
    /// How long it is valid.
    pub lifetime: Duration,
    /// Other claims.
    pub claims: BTreeMap<String, Value>,
}

impl Assertion {
    /// The assertion at a time; or what is wrong with its key.
    pub(super) fn signed(&self, now: Timestamp, nonce: &str) -> Result<String, String> {
        let name = match self.algorithm {
            AssertionAlgorithm::Rs256 => "RS256",
            AssertionAlgorithm::Ps256 => "PS256",
            AssertionAlgorithm::Es256 => "ES256",
        };
        let mut header = json!({"alg": name, "typ": "JWT"});
        if let Some(id) = &self.key_id {
            header["kid"] = Value::from(id.as_str());
        }
        let issued = now.as_second();
        let expires = issued.saturating_add(i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX));
        let mut claims = json!({
            "iss": self.issuer, "sub": self.subject, "aud": self.audience, "iat": issued, "exp": expires, "jti": nonce,
        });
        for (name, value) in &self.claims {
            claims[name.as_str()] = value.clone();
        }
        let encoded = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature = self.sign(message.as_bytes())?;
        Ok(format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let unusable = |kind: &str| format!("the private key of the assertion is no {kind} key in PEM (PKCS #8)");
        let pem = PrivateKeyDer::from_pem_slice(self.private_key.expose_secret().as_bytes());
        let (key, random) = (pem.map_err(|_| unusable("private"))?, SystemRandom::new());
        let padding: &'static dyn signature::RsaEncoding = match self.algorithm {
            AssertionAlgorithm::Es256 => {
                let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.secret_der()).map_err(|_| unusable("P-256"))?;
                let signature = pair.sign(&random, message).map_err(|_| unusable("P-256"))?;
                return Ok(signature.as_ref().to_vec());
            }
            AssertionAlgorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
            AssertionAlgorithm::Ps256 => &signature::RSA_PSS_SHA256,
        };
        let pair = RsaKeyPair::from_pkcs8(key.secret_der()).map_err(|_| unusable("RSA"))?;
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(padding, &random, message, &mut signature).map_err(|_| unusable("RSA"))?;
        Ok(signature)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{UnparsedPublicKey, VerificationAlgorithm};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm};

    use super::*;

    fn assertion(algorithm: AssertionAlgorithm, key: &str) -> Assertion {
        Assertion {
            algorithm,
            key_id: Some("k-1".into()),
            private_key: key.to_owned().into(),
            issuer: "client".into(),
            subject: "ops@example.com".into(),
            audience: "https://login.example.com".into(),
            lifetime: Duration::from_mins(3),
            claims: [("scope".to_owned(), json!(["rest"]))].into(),
        }
    }

    fn part(text: &str) -> Value {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn an_assertion_says_what_it_is_told_and_its_signature_holds() {
        let verifiers: [(AssertionAlgorithm, &SignatureAlgorithm, &dyn VerificationAlgorithm); 3] = [
            (AssertionAlgorithm::Es256, &PKCS_ECDSA_P256_SHA256, &signature::ECDSA_P256_SHA256_FIXED),
            (AssertionAlgorithm::Rs256, &PKCS_RSA_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256),
            (AssertionAlgorithm::Ps256, &PKCS_RSA_SHA256, &signature::RSA_PSS_2048_8192_SHA256),
        ];
        let now: Timestamp = "2026-07-01T09:00:00Z".parse().unwrap();
        for (algorithm, kind, verifier) in verifiers {
            let key = KeyPair::generate_for(kind).unwrap();
            let text = assertion(algorithm, &key.serialize_pem()).signed(now, "n-1").unwrap();
            let (message, signed) = text.rsplit_once('.').unwrap();
            let (header, claims) = message.split_once('.').unwrap();
            assert_eq!(part(header)["kid"], "k-1");
            let claims = part(claims);
            assert_eq!(
                (&claims["iat"], &claims["exp"], &claims["jti"]),
                (&json!(1_782_896_400), &json!(1_782_896_580), &json!("n-1"))
            );
            assert_eq!((&claims["iss"], &claims["scope"]), (&json!("client"), &json!(["rest"])));
            let signed = BASE64_URL_SAFE_NO_PAD.decode(signed).unwrap();
            UnparsedPublicKey::new(verifier, key.der_bytes()).verify(message.as_bytes(), &signed).unwrap();
        }
    }

    #[test]
    fn a_key_of_another_kind_is_told_without_it() {
        let ec = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
        for (algorithm, key) in [(AssertionAlgorithm::Rs256, ec.as_str()), (AssertionAlgorithm::Es256, "hush")] {
            let problem = assertion(algorithm, key).signed(Timestamp::UNIX_EPOCH, "n").unwrap_err();
            assert!(problem.contains("private key") && !problem.contains("hush"), "{problem}");
        }
    }
}
