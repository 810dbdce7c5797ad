//! How the requests of a system are authenticated: what is put on a request with one version of the credentials. Pure but for the names of
//! headers, which are checked once.

use std::time::SystemTime;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use crosstie_engine::{
    plan::{
        Authentication, AwsSignatureV4, ClientCertificate, KeyedHash, OAuth1, SESSION_TOKEN, System, TimestampFormat,
        hash_names,
    },
    template::Template,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    call::Call,
    clock,
    credentials::Version,
    identity::Identity,
    sign::{self, aws, keyed, oauth1},
};

/// How the requests of a system are authenticated, with headers' names checked.
#[derive(Debug)]
pub struct Scheme {
    pub connector: String,
    /// The header that carries the credentials, where one does.
    pub header: HeaderName,
    timestamp_header: Option<HeaderName>,
    pub authentication: Authentication,
    certificate: Option<ClientCertificate>,
}

/// What a signature is made of beside the request and the credentials.
pub struct Moment<'a> {
    pub now: Timestamp,
    /// Said once and never again.
    pub nonce: &'a str,
    /// The session's token, where there are sessions.
    pub session: Option<&'a str>,
}

impl Scheme {
    /// Checks headers' names; gives one back that is none.
    pub fn new(system: &System) -> Result<Self, String> {
        let parse = |name: &str| HeaderName::from_bytes(name.as_bytes()).map_err(|_| name.to_owned());
        let (header, timestamp_header) = match &system.authentication {
            Authentication::Header { name, .. } => (parse(name)?, None),
            Authentication::Hmac(hash) => {
                (parse(&hash.header)?, hash.timestamp_header.as_deref().map(parse).transpose()?)
            }
            Authentication::Session(session) => (parse(&session.header)?, None),
            Authentication::Bearer { .. }
            | Authentication::Basic { .. }
            | Authentication::OAuth1(_)
            | Authentication::AwsSignatureV4(_)
            | Authentication::Query { .. }
            | Authentication::None => (header::AUTHORIZATION, None),
        };
        Ok(Self {
            connector: system.connector.clone(),
            header,
            timestamp_header,
            authentication: system.authentication.clone(),
            certificate: system.tls.clone(),
        })
    }

    /// Whether signatures need a text that was never used before.
    pub fn needs_nonce(&self) -> bool {
        matches!(self.authentication, Authentication::OAuth1(_))
    }

    /// Puts one version of the credentials on a call; or says what is wrong with that version, without its values.
    pub fn put(&self, call: &mut Call, version: &Version, moment: &Moment) -> Result<(), String> {
        match &self.authentication {
            Authentication::Header { name: _, value } => self.carry(call, &fill(value, version)?),
            Authentication::Bearer { token } => {
                self.carry(call, &Zeroizing::new(format!("Bearer {}", *fill(token, version)?)))
            }
            Authentication::Basic { username, password } => {
                let pair = Zeroizing::new(format!("{}:{}", *fill(username, version)?, *fill(password, version)?));
                self.carry(call, &Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes()))))
            }
            Authentication::Query { name, value } => {
                let value = fill(value, version)?;
                strip(&mut call.url, name);
                call.url.query_pairs_mut().append_pair(name, &value);
                Ok(())
            }
            Authentication::OAuth1(keys) => {
                let value = oauth1_header(keys, call, version, moment)?;
                self.carry(call, &value)
            }
            Authentication::AwsSignatureV4(keys) => sign_for_aws(keys, call, version, moment.now),
            Authentication::Hmac(hash) => self.put_hash(hash, call, version, moment.now),
            Authentication::Session(session) => {
                let token = moment.session.ok_or("there is no session")?;
                let value =
                    fill_with(&session.value, version, |name| (name == SESSION_TOKEN).then(|| token.to_owned()))?;
                self.carry(call, &value)
            }
            Authentication::None => Ok(()),
        }
    }

    /// The client certificate in one version of the credentials, where the system has one.
    pub fn identity(&self, version: &Version) -> Result<Option<Identity>, String> {
        let Some(certificate) = &self.certificate else { return Ok(None) };
        let (chain, key) = (fill(&certificate.certificate, version)?, fill(&certificate.key, version)?);
        let authorities = certificate.authorities.as_ref().map(|template| fill(template, version)).transpose()?;
        let identity = Identity::parse(&chain, &key, authorities.as_ref().map(|text| text.as_str()));
        let keys = || certificate.keys().join("`, `");
        identity.map(Some).map_err(|problem| format!("`{}` cannot be used for a client certificate: {problem}", keys()))
    }

    fn carry(&self, call: &mut Call, text: &str) -> Result<(), String> {
        // Zeroed with the last request that it goes out with.
        let zeroed = Bytes::from_owner(Zeroizing::new(text.as_bytes().to_vec()));
        let value = HeaderValue::from_maybe_shared(zeroed).ok().filter(|_| text.is_ascii());
        let mut value = value.ok_or_else(|| {
            let keys = self.authentication.keys().join("`, `");
            format!("`{keys}` holds a character that no header can carry, such as a line break at its end")
        })?;
        value.set_sensitive(true);
        call.headers.insert(self.header.clone(), value);
        Ok(())
    }

    fn put_hash(&self, hash: &KeyedHash, call: &mut Call, version: &Version, now: Timestamp) -> Result<(), String> {
        let timestamp = match hash.timestamp_format {
            TimestampFormat::EpochSeconds => now.as_second().to_string(),
            TimestampFormat::EpochMillis => now.as_millisecond().to_string(),
            TimestampFormat::Rfc3339 => clock::whole_seconds(now).to_string(),
            TimestampFormat::HttpDate => {
                let written = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
                written.map_err(|error| error.to_string())?
            }
        };
        let body = call.body.as_deref().unwrap_or_default();
        let message = fill_with(&hash.message, version, |name| match name {
            hash_names::METHOD => Some(call.method.to_string()),
            hash_names::PATH => Some(call.url.path().to_owned()),
            hash_names::QUERY => Some(call.url.query().unwrap_or_default().to_owned()),
            // Bodies are made of JSON, forms and XML, which all are text.
            hash_names::BODY => Some(String::from_utf8_lossy(body).into_owned()),
            hash_names::BODY_SHA256 => Some(sign::sha256(body)),
            hash_names::TIMESTAMP => Some(timestamp.clone()),
            _ => None,
        })?;
        let secret = fill(&hash.secret, version)?;
        let signature = keyed::signature(hash.algorithm, hash.encoding, secret.as_bytes(), message.as_bytes());
        let value = fill_with(&hash.value, version, |name| match name {
            hash_names::SIGNATURE => Some(signature.clone()),
            hash_names::TIMESTAMP => Some(timestamp.clone()),
            _ => None,
        })?;
        if let Some(name) = &self.timestamp_header {
            let value = HeaderValue::from_str(&timestamp).map_err(|_| "the time is no header".to_owned())?;
            call.headers.insert(name.clone(), value);
        }
        self.carry(call, &value)
    }
}

/// Takes a parameter out of a URL's query, wherever it stands.
pub fn strip(url: &mut Url, name: &str) {
    if !url.query_pairs().any(|(found, _)| found == name) {
        return;
    }
    let kept: Vec<(String, String)> =
        url.query_pairs().filter(|(found, _)| found != name).map(|(name, value)| (name.into(), value.into())).collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
}

fn oauth1_header(keys: &OAuth1, call: &Call, version: &Version, moment: &Moment) -> Result<Zeroizing<String>, String> {
    let realm = keys.realm.as_ref().map(|realm| fill(realm, version)).transpose()?;
    let (consumer_key, consumer_secret) = (fill(&keys.consumer_key, version)?, fill(&keys.consumer_secret, version)?);
    let (token, token_secret) = (fill(&keys.token, version)?, fill(&keys.token_secret, version)?);
    let keys = oauth1::Keys {
        realm: realm.as_ref().map(|realm| realm.as_str()),
        consumer_key: &consumer_key,
        consumer_secret: &consumer_secret,
        token: &token,
        token_secret: &token_secret,
    };
    let request = oauth1::Request {
        method: call.method.as_str(),
        url: &call.url,
        form: call.body.as_deref().filter(|_| is_form(&call.headers)),
        timestamp: moment.now.as_second(),
        nonce: moment.nonce,
    };
    Ok(oauth1::authorization(&keys, &request))
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

fn sign_for_aws(keys: &AwsSignatureV4, call: &mut Call, version: &Version, now: Timestamp) -> Result<(), String> {
    let (id, secret) = (fill(&keys.access_key_id, version)?, fill(&keys.secret_access_key, version)?);
    let session = keys.session_token.as_ref().map(|token| fill(token, version)).transpose()?;
    let keys = aws::Keys {
        service: &keys.service,
        region: &keys.region,
        access_key_id: &id,
        secret_access_key: &secret,
        session_token: session.as_ref().map(|token| token.as_str()),
    };
    let (body, now) = (call.body.clone().unwrap_or_default(), SystemTime::from(now));
    let headers = aws::headers(&keys, call.method.as_str(), &call.url, &call.headers, &body, now)?;
    for (name, mut value) in headers {
        value.set_sensitive(true);
        call.headers.insert(name, value);
    }
    Ok(())
}

/// A template filled with one version of the credentials.
pub fn fill(template: &Template, version: &Version) -> Result<Zeroizing<String>, String> {
    fill_with(template, version, |_| None)
}

/// The same with values of other kinds, which come first.
fn fill_with(
    template: &Template,
    version: &Version,
    other: impl Fn(&str) -> Option<String>,
) -> Result<Zeroizing<String>, String> {
    let key = |name: &str| version.secret(name).filter(|value| !value.is_empty());
    let value = |name: &str| other(name).map(Zeroizing::new).or_else(|| key(name));
    template.fill(value).map(Zeroizing::new).map_err(|_| {
        let missing: Vec<&str> = template.names().filter(|name| value(name).is_none()).collect();
        format!("they have no value for the key `{}`", missing.join("`, `"))
    })
}
