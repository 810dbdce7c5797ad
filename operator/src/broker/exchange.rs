//! From what is stored to a request for a token, and from what was granted to a token. Pure.

use std::time::Duration;

use crosstie_connect::grants::{self, Granted, TokenRequest};
use crosstie_crds::condition::Reason;
use crosstie_engine::{
    credentials::{ALLOWED_HOSTS, CredentialVersion},
    grant::{
        ACCESS_TOKEN, Assertion, AssertionAlgorithm, CLIENT_ID, CLIENT_SECRET, ClientAuthentication, Grant, GrantKind,
        OF_THE_GRANT, PRIVATE_KEY, REFRESH_TOKEN,
    },
    template::Template,
};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::ledger::{Source, Token};
use crate::vault::VaultFault;

/// The request that a grant makes of what is stored.
///
/// # Errors
/// When a key is missing, or a secret may not be sent there.
pub fn request(
    grant: &Grant,
    client: &CredentialVersion,
    refresh: Option<&CredentialVersion>,
) -> Result<TokenRequest, VaultFault> {
    let host = grant.token_url.host_str().unwrap_or_default();
    if let Some(bound) = [Some(client), refresh].into_iter().flatten().find(|version| !version.may_go_to(host)) {
        let message = format!(
            "version {} may not be sent to {host}, where tokens are got: have the host added to the secret's {ALLOWED_HOSTS}",
            bound.version_id
        );
        return Err(VaultFault::new(Reason::HostNotAllowed, message));
    }
    let secret = || value(client, CLIENT_SECRET);
    let asserted = || match &grant.assertion {
        Some(assertion) => asserted(assertion, grant, client),
        None => Err(VaultFault::new(Reason::PlanInvalid, "spec.credentials.oauth2.assertion is missing: set it")),
    };
    let client_authentication = match grant.client {
        ClientAuthentication::Basic => grants::ClientAuthentication::Basic(secret()?),
        ClientAuthentication::Body => grants::ClientAuthentication::Body(secret()?),
        ClientAuthentication::Assertion => grants::ClientAuthentication::Assertion(asserted()?),
        ClientAuthentication::None => grants::ClientAuthentication::Public,
    };
    let kind = match (grant.kind, refresh) {
        (GrantKind::ClientCredentials, _) => grants::Grant::ClientCredentials,
        (GrantKind::RefreshToken, Some(refresh)) => grants::Grant::RefreshToken(value(refresh, REFRESH_TOKEN)?),
        (GrantKind::RefreshToken, None) => {
            return Err(VaultFault::new(Reason::SecretMissing, "there is no secret with the refresh token: make it"));
        }
        (GrantKind::JwtBearer, _) => grants::Grant::JwtBearer(asserted()?),
    };
    let client_id = client.values.get(CLIENT_ID).cloned();
    let nameless = matches!(grant.client, ClientAuthentication::None | ClientAuthentication::Assertion);
    Ok(TokenRequest {
        token_url: grant.token_url.clone(),
        client_id: match client_id {
            None if nameless => String::new(),
            None => return Err(missing(client, CLIENT_ID)),
            Some(id) => id,
        },
        client: client_authentication,
        grant: kind,
        scopes: grant.scopes.clone(),
    })
}

fn value(version: &CredentialVersion, key: &str) -> Result<SecretString, VaultFault> {
    version.values.get(key).map(|value| value.clone().into()).ok_or_else(|| missing(version, key))
}

fn missing(version: &CredentialVersion, key: &str) -> VaultFault {
    let message = format!("version {} lacks the key {key}, which tokens are got with: add it", version.version_id);
    VaultFault::new(Reason::KeyMissing, message)
}

fn asserted(assertion: &Assertion, grant: &Grant, client: &CredentialVersion) -> Result<grants::Assertion, VaultFault> {
    let fill = |template: &Template| {
        let absent = template.names().find(|name| !client.values.contains_key(*name));
        match absent {
            Some(name) => Err(missing(client, name)),
            None => Ok(template.fill(|name| client.values.get(name).cloned()).unwrap_or_default()),
        }
    };
    let claims =
        assertion.claims.iter().map(|(name, text)| Ok::<_, VaultFault>((name.clone(), Value::from(fill(text)?))));
    let mut claims: std::collections::BTreeMap<String, Value> = claims.collect::<Result<_, VaultFault>>()?;
    if !grant.scopes.is_empty() {
        claims.entry("scope".to_owned()).or_insert_with(|| grant.scopes.clone().into());
    }
    Ok(grants::Assertion {
        algorithm: match assertion.algorithm {
            AssertionAlgorithm::Rs256 => grants::AssertionAlgorithm::Rs256,
            AssertionAlgorithm::Ps256 => grants::AssertionAlgorithm::Ps256,
            AssertionAlgorithm::Es256 => grants::AssertionAlgorithm::Es256,
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

/// The token as workers are handed it: with what else is stored for them, and without what it was got with.
pub fn token(
    id: &str,
    granted: &Granted,
    grant: &Grant,
    client: &CredentialVersion,
    source: Source,
    asked_at: Timestamp,
) -> Token {
    let others = client.values.iter().filter(|(key, _)| !OF_THE_GRANT.contains(&key.as_str()));
    let mut version = CredentialVersion {
        version_id: id.to_owned(),
        values: others.map(|(key, value)| (key.clone(), value.clone())).collect(),
    };
    version.values.insert(ACCESS_TOKEN.to_owned(), granted.access_token.expose_secret().to_owned());
    let lifetime = granted.lifetime.and_then(|lifetime| SignedDuration::try_from(lifetime).ok());
    let lifetime = lifetime.unwrap_or(SignedDuration::from_secs(grant.lifetime_seconds.into()));
    Token { version, issued_at: asked_at, expires_at: asked_at + lifetime, source, early: 0 }
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
