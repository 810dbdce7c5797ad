//! Alerts as requests, signed by Standard Webhooks where there is a secret: `webhook-id` is the message's own and the same each time it is sent,
//! and with two versions of the credentials each of them signs, so that a receiver may change its secret when it likes.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use crosstie_engine::{
    alert::Message,
    plan::{HashAlgorithm, SignatureEncoding, System},
    template::Template,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    call::{Call, Reading, Reply},
    classify,
    client::VendorClient,
    failure::{CallFailure, FailureKind},
    observe::Purpose,
    sign, target,
};

/// What requests are called in traces and metrics.
const NAME: &str = "alert";
/// What Standard Webhooks puts before a secret.
const PREFIX: &str = "whsec_";

/// Sends messages to a URL.
#[derive(Debug)]
pub struct Hook {
    client: VendorClient,
    url: Url,
    connector: String,
    secret: Option<Template>,
}

impl Hook {
    /// Whoever sends to a path of a system.
    pub fn new(client: VendorClient, system: &System, path: &str, secret: Option<Template>) -> Self {
        let url = if path.is_empty() { system.base_url.clone() } else { target::plain(&system.base_url, path) };
        Self { client, url, connector: system.connector.clone(), secret }
    }

    /// Sends a message.
    pub async fn send(&self, message: &Message) -> Result<(), CallFailure> {
        let body = crosstie_engine::canonical::json(message);
        let headers = self.headers(message, &body, self.client.0.clock.now())?;
        let call = Call {
            purpose: Purpose::Write,
            name: NAME.into(),
            method: http::Method::POST,
            url: self.url.clone(),
            headers,
            body: Some(Bytes::from(body)),
            reading: Reading::Whole,
            credential_version: None,
            identity: None,
        };
        match self.client.submit(call).await {
            Ok(Reply::Success(_)) => Ok(()),
            Ok(Reply::Refusal(answer) | Reply::Redirect(answer) | Reply::Ignored(answer)) => {
                let host = self.client.0.shared.rules.host();
                Err(classify::refused(host, NAME, answer.status, self.client.request_id(&answer)))
            }
            Err(setback) => Err(setback.failure),
        }
    }

    fn headers(&self, message: &Message, body: &str, now: Timestamp) -> Result<HeaderMap, CallFailure> {
        let json = HeaderValue::from_static("application/json");
        let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json.clone()), (header::ACCEPT, json)]);
        let timestamp = now.as_second().to_string();
        let mut put = |name: &'static str, text: &str| {
            // An id is made of hexadecimal digits, a signature of base64.
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        put("webhook-id", &message.id);
        put("webhook-timestamp", &timestamp);
        if let Some(secret) = &self.secret {
            let signed = format!("{}.{timestamp}.{body}", message.id);
            let secrets = self.client.credentials().filled(secret);
            let signatures = secrets.iter().map(|secret| signature(secret, signed.as_bytes()));
            let signatures = signatures.collect::<Option<Vec<String>>>().filter(|signatures| !signatures.is_empty());
            put("webhook-signature", &signatures.ok_or_else(|| self.unsigned())?.join(" "));
        }
        Ok(headers)
    }

    fn unsigned(&self) -> CallFailure {
        let keys = self.secret.iter().flat_map(Template::names).collect::<Vec<_>>().join("`, `");
        let detail = format!(
            "the alert was not sent, because it cannot be signed: `{keys}` of the credentials of Connector `{}` is missing, or no secret of \
             Standard Webhooks (`{PREFIX}` and base64)",
            self.connector
        );
        CallFailure::new(FailureKind::CredentialsRejected, detail)
    }
}

/// A signature; none for what is no secret.
fn signature(secret: &str, signed: &[u8]) -> Option<String> {
    let text = secret.trim();
    let secret = BASE64_STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).ok().map(Zeroizing::new)?;
    let signature = sign::keyed::signature(HashAlgorithm::Sha256, SignatureEncoding::Base64, &secret, signed);
    (!secret.is_empty()).then(|| format!("v1,{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_example_of_standard_webhooks() {
        let signed = concat!("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.", r#"{"test": 2432232314}"#);
        let signature = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signed.as_bytes());
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn what_is_no_secret_signs_nothing() {
        assert_eq!(signature("whsec_", b"x"), None);
        assert_eq!(signature("not base64!", b"x"), None);
    }
}
