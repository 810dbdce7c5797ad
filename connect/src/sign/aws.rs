//! AWS Signature Version 4, by the crate that the vendor's own SDK signs with.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

/// Who signs, and for what.
pub struct Keys<'a> {
    pub service: &'a str,
    pub region: &'a str,
    pub access_key_id: &'a str,
    pub secret_access_key: &'a str,
    pub session_token: Option<&'a str>,
}

/// The headers that a request needs beside its own. `host` is signed too, and so has to be what is sent.
pub fn headers(
    keys: &Keys,
    method: &str,
    url: &Url,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Result<Vec<(HeaderName, HeaderValue)>, &'static str> {
    const PROBLEM: &str = "no signature can be made of the request";
    let session = keys.session_token.map(str::to_owned);
    let identity = Credentials::new(keys.access_key_id, keys.secret_access_key, session, None, "Connector").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(keys.region)
        .name(keys.service)
        .time(now)
        .settings(settings(keys.service))
        .build()
        .map_err(|_| PROBLEM)?
        .into();
    let own = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let request = SignableRequest::new(method, url.as_str(), own, SignableBody::Bytes(body)).map_err(|_| PROBLEM)?;
    let (instructions, _) = sign(request, &parameters).map_err(|_| PROBLEM)?.into_parts();
    let signed = instructions.headers().map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| PROBLEM)?;
        Ok((name, HeaderValue::from_str(value).map_err(|_| PROBLEM)?))
    });
    signed.collect()
}

/// S3 takes paths as they are and wants the body's hash as a header; all others are alike.
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    settings
}
