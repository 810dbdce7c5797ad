//! How a Connector authenticates, checked and resolved.

use std::collections::BTreeMap;

use crosstie_crds::connector::{
    Authentication as Spec, AwsSignatureV4Authentication, ClientCertificate as SpecCertificate, HashAlgorithm,
    HmacAuthentication, OAuth1Authentication, SessionAuthentication, SignatureEncoding, TimestampFormat,
};

use super::Findings;
use crate::{
    plan::{
        self, Authentication, AwsSignatureV4, ClientCertificate, KeyedHash, OAuth1, SESSION_TOKEN, Session, hash_names,
    },
    template::{self, Template},
};

/// What to set when nothing is.
pub(super) const CHOICES: &str =
    "set one of header, bearer, basic, query, oauth1, awsSignatureV4, hmac, session and none";

/// Resolves `spec.auth`. `None` only together with findings.
pub(super) fn resolve(auth: &Spec, api_version: Option<&str>, findings: &mut Findings) -> Option<Authentication> {
    let mut site = Site { findings };
    if let Some(header) = &auth.header {
        let value = site.template("header.value", &header.value)?;
        return Some(Authentication::Header { name: header.name.clone(), value });
    }
    if let Some(bearer) = &auth.bearer {
        return Some(Authentication::Bearer { token: site.template("bearer.token", &bearer.token)? });
    }
    if let Some(basic) = &auth.basic {
        let username = site.template("basic.username", &basic.username);
        let password = site.template("basic.password", &basic.password);
        return Some(Authentication::Basic { username: username?, password: password? });
    }
    if let Some(query) = &auth.query {
        let value = site.template("query.value", &query.value)?;
        return Some(Authentication::Query { name: query.name.clone(), value });
    }
    if let Some(keys) = &auth.oauth1 {
        return site.oauth1(keys).map(Authentication::OAuth1);
    }
    if let Some(keys) = &auth.aws_signature_v4 {
        return site.aws(keys).map(Authentication::AwsSignatureV4);
    }
    if let Some(hash) = &auth.hmac {
        return site.hash(hash).map(Authentication::Hmac);
    }
    if let Some(session) = &auth.session {
        return site.session(session, api_version).map(Authentication::Session);
    }
    if auth.none.is_some() {
        return Some(Authentication::None);
    }
    site.findings.invalid("spec.auth", CHOICES);
    None
}

/// Resolves `spec.tls`. `None` only together with findings.
pub(super) fn certificate(spec: &SpecCertificate, findings: &mut Findings) -> Option<ClientCertificate> {
    let mut template = |field: &str, text: &str| {
        let path = format!("spec.tls.{field}");
        Template::parse(text).map_err(|error| findings.invalid(path, error.to_string())).ok()
    };
    let certificate = template("certificate", &spec.certificate);
    let key = template("key", &spec.key);
    let authorities = match &spec.authorities {
        None => None,
        Some(text) => Some(template("authorities", text)?),
    };
    Some(ClientCertificate { certificate: certificate?, key: key?, authorities })
}

/// A text is no template; a finding says so.
struct Unusable;

struct Site<'a> {
    findings: &'a mut Findings,
}

impl Site<'_> {
    fn invalid(&mut self, field: &str, message: impl Into<String>) {
        self.findings.invalid(format!("spec.auth.{field}"), message);
    }

    fn template(&mut self, field: &str, text: &str) -> Option<Template> {
        Template::parse(text).map_err(|error| self.invalid(field, error.to_string())).ok()
    }

    /// A template that may be left out.
    fn optional(&mut self, field: &str, text: Option<&String>) -> Result<Option<Template>, Unusable> {
        match text {
            None => Ok(None),
            Some(text) => self.template(field, text).map(Some).ok_or(Unusable),
        }
    }

    /// A template in which a certain name has to stand.
    fn with(&mut self, field: &str, text: &str, name: &str) -> Option<Template> {
        let template = self.template(field, text)?;
        if !template.names().any(|found| found == name) {
            self.invalid(field, format!("put {{{name}}} into it"));
            return None;
        }
        Some(template)
    }

    fn oauth1(&mut self, keys: &OAuth1Authentication) -> Option<OAuth1> {
        let realm = self.optional("oauth1.realm", keys.realm.as_ref());
        let consumer_key = self.template("oauth1.consumerKey", &keys.consumer_key);
        let consumer_secret = self.template("oauth1.consumerSecret", &keys.consumer_secret);
        let token = self.template("oauth1.token", &keys.token);
        let token_secret = self.template("oauth1.tokenSecret", &keys.token_secret);
        let (consumer_key, consumer_secret) = (consumer_key?, consumer_secret?);
        Some(OAuth1 { realm: realm.ok()?, consumer_key, consumer_secret, token: token?, token_secret: token_secret? })
    }

    fn aws(&mut self, keys: &AwsSignatureV4Authentication) -> Option<AwsSignatureV4> {
        let access_key_id = self.template("awsSignatureV4.accessKeyId", &keys.access_key_id);
        let secret_access_key = self.template("awsSignatureV4.secretAccessKey", &keys.secret_access_key);
        let session_token = self.optional("awsSignatureV4.sessionToken", keys.session_token.as_ref());
        Some(AwsSignatureV4 {
            service: keys.service.clone(),
            region: keys.region.clone(),
            access_key_id: access_key_id?,
            secret_access_key: secret_access_key?,
            session_token: session_token.ok()?,
        })
    }

    fn hash(&mut self, hash: &HmacAuthentication) -> Option<KeyedHash> {
        let secret = self.template("hmac.secret", &hash.secret);
        let message = self.template("hmac.message", &hash.message);
        let value = self.with("hmac.header.value", &hash.header.value, hash_names::SIGNATURE);
        Some(KeyedHash {
            algorithm: match hash.algorithm {
                HashAlgorithm::Sha1 => plan::HashAlgorithm::Sha1,
                HashAlgorithm::Sha256 => plan::HashAlgorithm::Sha256,
                HashAlgorithm::Sha512 => plan::HashAlgorithm::Sha512,
            },
            secret: secret?,
            message: message?,
            encoding: match hash.encoding {
                SignatureEncoding::Hex => plan::SignatureEncoding::Hex,
                SignatureEncoding::Base64 => plan::SignatureEncoding::Base64,
            },
            header: hash.header.name.clone(),
            value: value?,
            timestamp_header: hash.timestamp_header.clone(),
            timestamp_format: match hash.timestamp_format.unwrap_or_default() {
                TimestampFormat::EpochSeconds => plan::TimestampFormat::EpochSeconds,
                TimestampFormat::EpochMillis => plan::TimestampFormat::EpochMillis,
                TimestampFormat::Rfc3339 => plan::TimestampFormat::Rfc3339,
                TimestampFormat::HttpDate => plan::TimestampFormat::HttpDate,
            },
        })
    }

    fn session(&mut self, session: &SessionAuthentication, api_version: Option<&str>) -> Option<Session> {
        if api_version.is_none() && template::mentions(&session.path, "apiVersion") {
            self.invalid("session.path", "it needs a version and the preset has no default: set spec.apiVersion");
            return None;
        }
        let path = template::replace(&session.path, |name| api_version.filter(|_| name == "apiVersion"));
        let value = self.with("session.header.value", &session.header.value, SESSION_TOKEN);
        let body = session
            .body
            .iter()
            .map(|(name, text)| Some((name.clone(), self.template(&format!("session.body.{name}"), &text.0)?)));
        // Every entry is looked at, so that every problem is found.
        let body: Option<BTreeMap<_, _>> = body.collect::<Vec<_>>().into_iter().collect();
        Some(Session {
            path,
            body: body?,
            form: session.form.unwrap_or_default(),
            token: session.token.clone(),
            lifetime_seconds: session.lifetime_seconds,
            header: session.header.name.clone(),
            value: value?,
        })
    }
}
