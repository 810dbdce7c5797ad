//! OAuth 1.0a with HMAC-SHA256, which NetSuite calls token-based authentication.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::Sha256;

use crate::message::Call;
use crate::tokens::{Identity, Tokens, fingerprint};
use crate::wire::OAuth1Credentials;

const ALLOWED_SKEW_SECONDS: i64 = 300;
/// RFC 5849, 3.6: everything but letters, digits and these four is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Judges the header `Authorization: OAuth {parameters}`.
pub(super) fn identify(call: &Call, parameters: &str, tokens: &mut Tokens) -> Identity {
    let parameters = parse(parameters);
    let Some(token) = get(&parameters, "oauth_token") else {
        return Identity::ANONYMOUS;
    };
    let accepted = tokens.oauth1(token).is_some_and(|known| is_signed(call, &parameters, known))
        && get(&parameters, "oauth_nonce").is_some_and(|nonce| tokens.use_nonce(nonce));
    Identity { fingerprint: Some(fingerprint(token)), accepted }
}

fn is_signed(call: &Call, parameters: &[(String, String)], known: &OAuth1Credentials) -> bool {
    let is = |name: &str, wanted: &str| get(parameters, name) == Some(wanted);
    let timestamp = get(parameters, "oauth_timestamp").and_then(|text| text.parse::<i64>().ok());
    let is_recent = timestamp
        .is_some_and(|seconds| call.now.as_second().saturating_sub(seconds).saturating_abs() <= ALLOWED_SKEW_SECONDS);
    let signature = get(parameters, "oauth_signature").and_then(|text| STANDARD.decode(text).ok());
    is_recent
        && is("realm", &known.realm)
        && is("oauth_consumer_key", &known.consumer_key)
        && is("oauth_signature_method", "HMAC-SHA256")
        && get(parameters, "oauth_version").is_none_or(|version| version == "1.0")
        && signature.is_some_and(|signature| verifies(&base_string(call, parameters), known, &signature))
}

fn verifies(text: &str, known: &OAuth1Credentials, signature: &[u8]) -> bool {
    let key = format!("{}&{}", encode(&known.consumer_secret), encode(&known.token_secret));
    Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .is_ok_and(|mac| mac.chain_update(text.as_bytes()).verify_slice(signature).is_ok())
}

/// RFC 5849, 3.4.1.
fn base_string(call: &Call, parameters: &[(String, String)]) -> String {
    let signed = parameters.iter().filter(|(name, _)| name != "realm" && name != "oauth_signature");
    let mut pairs: Vec<(String, String)> =
        signed.chain(&call.query).map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let url = format!("{}{}", call.base, call.path);
    format!("{}&{}&{}", call.method, encode(&url), encode(&pairs.join("&")))
}

fn parse(parameters: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    parameters
        .split(',')
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(name, value)| (decode(name.trim()), decode(value.trim().trim_matches('"'))))
        .collect()
}

fn get<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}
