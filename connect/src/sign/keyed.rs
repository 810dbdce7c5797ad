//! Keyed hashes (HMAC, RFC 2104) of what a vendor says is to be signed.

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use crosstie_engine::plan::{HashAlgorithm, SignatureEncoding};

use super::hex;

/// The signature of a message.
pub fn signature(algorithm: HashAlgorithm, encoding: SignatureEncoding, secret: &[u8], message: &[u8]) -> String {
    let algorithm = match algorithm {
        HashAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        HashAlgorithm::Sha256 => hmac::HMAC_SHA256,
        HashAlgorithm::Sha512 => hmac::HMAC_SHA512,
    };
    let signature = hmac::sign(&hmac::Key::new(algorithm, secret), message);
    match encoding {
        SignatureEncoding::Hex => hex(signature.as_ref()),
        SignatureEncoding::Base64 => BASE64_STANDARD.encode(signature),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4231_and_rfc_2202_are_met() {
        // Test case 2 of both: key `Jefe`.
        let sign = |algorithm| signature(algorithm, SignatureEncoding::Hex, b"Jefe", b"what do ya want for nothing?");
        assert_eq!(sign(HashAlgorithm::Sha1), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(sign(HashAlgorithm::Sha256), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(
            sign(HashAlgorithm::Sha512).starts_with("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554")
        );
        let base64 =
            signature(HashAlgorithm::Sha1, SignatureEncoding::Base64, b"Jefe", b"what do ya want for nothing?");
        assert_eq!(base64, "7/zfauXrL6LSdBbV8YTfnCWafHk=");
    }
}
