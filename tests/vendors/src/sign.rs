//! Signing webhooks as vendors do, for tests that send what a vendor would send. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The header `webhook-signature` of Standard Webhooks, or none when the secret is not `whsec_` and base64.
pub fn standard_webhooks(secret: &str, id: &str, seconds: i64, body: &str) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    mac(&key, &format!("{id}.{seconds}.{body}")).map(|mac| format!("v1,{mac}"))
}

/// The header `X-Shopify-Hmac-SHA256` of a body; none for a secret that no key can be made of.
pub fn shopify(secret: &str, body: &str) -> Option<String> {
    mac(secret.as_bytes(), body)
}

fn mac(key: &[u8], text: &str) -> Option<String> {
    let mac = Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(text);
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_example_is_signed_as_it_says() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed =
            standard_webhooks(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(standard_webhooks("secret", "msg", 0, ""), None);
    }
}
