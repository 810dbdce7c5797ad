//! OAuth 1.0a (RFC 5849) with HMAC-SHA256, as NetSuite's token-based authentication has it.

use std::fmt::Write;

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Position, Url, form_urlencoded};
use zeroize::Zeroizing;

/// All but the unreserved characters (RFC 5849, section 3.6).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who signs.
pub struct Keys<'a> {
    pub realm: Option<&'a str>,
    pub consumer_key: &'a str,
    pub consumer_secret: &'a str,
    pub token: &'a str,
    pub token_secret: &'a str,
}

/// What is signed. Of bodies only forms are part of it (section 3.4.1.3.1).
pub struct Request<'a> {
    pub method: &'a str,
    pub url: &'a Url,
    pub form: Option<&'a [u8]>,
    /// Seconds since 1970.
    pub timestamp: i64,
    pub nonce: &'a str,
}

/// The value of the `Authorization` header.
pub fn authorization(keys: &Keys, request: &Request) -> Zeroizing<String> {
    let timestamp = request.timestamp.to_string();
    let parameters = [
        ("oauth_consumer_key", keys.consumer_key),
        ("oauth_nonce", request.nonce),
        ("oauth_signature_method", "HMAC-SHA256"),
        ("oauth_timestamp", &timestamp),
        ("oauth_token", keys.token),
        ("oauth_version", "1.0"),
    ];
    let signature = signature(keys, request, &parameters);
    let mut header = String::from("OAuth ");
    if let Some(realm) = keys.realm {
        let _ = write!(header, "realm=\"{}\", ", escaped(realm));
    }
    for (name, value) in parameters {
        let _ = write!(header, "{name}=\"{}\", ", escaped(value));
    }
    let _ = write!(header, "oauth_signature=\"{}\"", escaped(&signature));
    Zeroizing::new(header)
}

fn signature(keys: &Keys, request: &Request, parameters: &[(&str, &str)]) -> String {
    let key = Zeroizing::new(format!("{}&{}", escaped(keys.consumer_secret), escaped(keys.token_secret)));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let base = format!(
        "{}&{}&{}",
        request.method,
        escaped(&request.url[..Position::AfterPath]),
        escaped(&normalized(request, parameters))
    );
    BASE64_STANDARD.encode(hmac::sign(&key, base.as_bytes()))
}

/// All parameters, escaped and sorted (section 3.4.1.3.2).
fn normalized(request: &Request, parameters: &[(&str, &str)]) -> String {
    let form = form_urlencoded::parse(request.form.unwrap_or_default());
    let mut pairs: Vec<(String, String)> =
        request.url.query_pairs().chain(form).map(|(name, value)| (escaped(&name), escaped(&value))).collect();
    pairs.extend(parameters.iter().map(|(name, value)| (escaped(name), escaped(value))));
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}
