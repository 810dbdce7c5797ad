//! From what is stored to a request for a token, and from what was granted to what is used and kept of it. Pure; one place for the operator's
//! broker and the command line.

use std::{collections::BTreeMap, time::Duration};

use crosstie_engine::{
    credentials::{ALLOWED_HOSTS, CredentialVersion},
    grant::{self, ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, GrantKind, OF_THE_GRANT, PRIVATE_KEY, REFRESH_TOKEN},
    template::Template,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Assertion, AssertionAlgorithm, ClientAuthentication, Grant, Granted, TokenRequest};

/// Why nothing can be asked with what is stored. Names keys and versions, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unasked {
    /// The secret names the hosts it may go to, and this is none of them.
    #[error(
        "version {version} may not be sent to {host}, where tokens are got: have the host added to the secret's {ALLOWED_HOSTS}"
    )]
    HostNotAllowed {
        /// Of the secret.
        version: String,
        /// Where tokens are got.
        host: String,
    },
    /// A key that the grant needs is not there.
    #[error("version {version} lacks the key {key}, which tokens are got with: add it")]
    KeyMissing {
        /// Of the secret.
        version: String,
        /// The key.
        key: String,
    },
    /// The grant is a refresh token, and there is none.
    #[error("there is no secret with the refresh token: make it")]
    NoRefreshToken,
    /// Grant or client need an assertion, and nothing says what is asserted.
    #[error("spec.credentials.oauth2.assertion is missing: set it")]
    NoAssertion,
}

/// The request that a grant makes of what is stored: the client's credentials, and the refresh token where there is one.
///
/// # Errors
/// [`Unasked`] when a key is missing, or a secret may not be sent there.
pub fn request(
    grant: &grant::Grant,
    client: &CredentialVersion,
    refresh: Option<&CredentialVersion>,
) -> Result<TokenRequest, Unasked> {
    let host = grant.token_url.host_str().unwrap_or_default();
    if let Some(bound) = [Some(client), refresh].into_iter().flatten().find(|version| !version.may_go_to(host)) {
        return Err(Unasked::HostNotAllowed { version: bound.version_id.clone(), host: host.to_owned() });
    }
    let secret = || value(client, CLIENT_SECRET);
    let asserted = || match &grant.assertion {
        Some(assertion) => asserted(assertion, grant, client),
        None => Err(Unasked::NoAssertion),
    };
    let client_authentication = match grant.client {
        grant::ClientAuthentication::Basic => ClientAuthentication::Basic(secret()?),
        grant::ClientAuthentication::Body => ClientAuthentication::Body(secret()?),
        grant::ClientAuthentication::Assertion => ClientAuthentication::Assertion(asserted()?),
        grant::ClientAuthentication::None => ClientAuthentication::Public,
    };
    let kind = match (grant.kind, refresh) {
        (GrantKind::ClientCredentials, _) => Grant::ClientCredentials,
        (GrantKind::RefreshToken, Some(refresh)) => Grant::RefreshToken(value(refresh, REFRESH_TOKEN)?),
        (GrantKind::RefreshToken, None) => return Err(Unasked::NoRefreshToken),
        (GrantKind::JwtBearer, _) => Grant::JwtBearer(asserted()?),
    };
    let nameless = matches!(grant.client, grant::ClientAuthentication::None | grant::ClientAuthentication::Assertion);
    Ok(TokenRequest {
        token_url: grant.token_url.clone(),
        client_id: match client.values.get(CLIENT_ID) {
            None if nameless => String::new(),
            None => return Err(missing(client, CLIENT_ID)),
            Some(id) => id.clone(),
        },
        client: client_authentication,
        grant: kind,
        scopes: grant.scopes.clone(),
    })
}

fn value(version: &CredentialVersion, key: &str) -> Result<SecretString, Unasked> {
    version.values.get(key).map(|value| value.clone().into()).ok_or_else(|| missing(version, key))
}

fn missing(version: &CredentialVersion, key: &str) -> Unasked {
    Unasked::KeyMissing { version: version.version_id.clone(), key: key.to_owned() }
}

fn asserted(
    assertion: &grant::Assertion,
    grant: &grant::Grant,
    client: &CredentialVersion,
) -> Result<Assertion, Unasked> {
    let fill = |template: &Template| {
        let absent = template.names().find(|name| !client.values.contains_key(*name));
        match absent {
            Some(name) => Err(missing(client, name)),
            None => Ok(template.fill(|name| client.values.get(name).cloned()).unwrap_or_default()),
        }
    };
    let claims = assertion.claims.iter().map(|(name, text)| Ok::<_, Unasked>((name.clone(), Value::from(fill(text)?))));
    let mut claims: BTreeMap<String, Value> = claims.collect::<Result<_, Unasked>>()?;
    if !grant.scopes.is_empty() {
        claims.entry("scope".to_owned()).or_insert_with(|| grant.scopes.clone().into());
    }
    Ok(Assertion {
        algorithm: match assertion.algorithm {
            grant::AssertionAlgorithm::Rs256 => AssertionAlgorithm::Rs256,
            grant::AssertionAlgorithm::Ps256 => AssertionAlgorithm::Ps256,
            grant::AssertionAlgorithm::Es256 => AssertionAlgorithm::Es256,
        },
        key_id: assertion.key_id.as_ref().map(fill).transpose()?,
        private_key: value(client, PRIVATE_KEY)?,
        issuer: fill(&assertion.issuer)?,
        subject: fill(&assertion.subject)?,
        audience: fill(&assertion.audience)?,
        lifetime: Duration::from_secs(assertion.lifetime_seconds.into()),
        claims,
    })
}

/// What requests are made with: the access token, and what else is stored, without what the token was got with.
pub fn handed_out(id: &str, granted: &Granted, client: &CredentialVersion) -> CredentialVersion {
    let others = client.values.iter().filter(|(key, _)| !OF_THE_GRANT.contains(&key.as_str()));
    let mut version = CredentialVersion {
        version_id: id.to_owned(),
        values: others.map(|(key, value)| (key.clone(), value.clone())).collect(),
    };
    version.values.insert(ACCESS_TOKEN.to_owned(), granted.access_token.expose_secret().to_owned());
    version
}

/// The refresh token that takes the place of one: with what else its secret holds. None when the server gave none, or the same again.
pub fn replaced(id: &str, granted: &Granted, old: &CredentialVersion) -> Option<CredentialVersion> {
    let new = granted.refresh_token.as_ref()?.expose_secret();
    if old.values.get(REFRESH_TOKEN).is_some_and(|old| old == new) {
        return None;
    }
    let mut version = CredentialVersion { version_id: id.to_owned(), values: old.values.clone() };
    version.values.insert(REFRESH_TOKEN.to_owned(), new.to_owned());
    Some(version)
}
