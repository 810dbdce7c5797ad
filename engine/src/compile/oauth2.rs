//! How access tokens are got, checked and resolved: a Connector's `credentials.oauth2` over its preset's.

use crosstie_crds::connector::{
    Credentials, OAuth2, OAuth2Algorithm, OAuth2Assertion, OAuth2ClientAuthentication, OAuth2Grant, Text,
};
use url::Url;

use super::Findings;
use crate::{
    grant::{self, Assertion, AssertionAlgorithm, ClientAuthentication, Grant, GrantKind},
    plan::Egress,
    template::Template,
};

/// How long a token is valid where nobody says it.
const LIFETIME_SECONDS: u32 = 3600;
/// How long an assertion is valid where the spec does not say it.
const ASSERTION_SECONDS: u32 = 180;

/// Resolves the grant. `None` only together with findings.
pub(super) fn resolve(
    oauth2: &OAuth2,
    credentials: &Credentials,
    base_url: &Url,
    egress: &Egress,
    findings: &mut Findings,
) -> Option<Grant> {
    let mut site = Site { findings };
    let kind = match oauth2.grant {
        Some(OAuth2Grant::ClientCredentials) => GrantKind::ClientCredentials,
        Some(OAuth2Grant::RefreshToken) => GrantKind::RefreshToken,
        Some(OAuth2Grant::JwtBearer) => GrantKind::JwtBearer,
        None => return site.none("grant", "set it to ClientCredentials, RefreshToken or JwtBearer"),
    };
    let client = match (oauth2.client_authentication, kind) {
        (Some(OAuth2ClientAuthentication::Basic), _)
        | (None, GrantKind::ClientCredentials | GrantKind::RefreshToken) => ClientAuthentication::Basic,
        (Some(OAuth2ClientAuthentication::Body), _) => ClientAuthentication::Body,
        (Some(OAuth2ClientAuthentication::Assertion), _) => ClientAuthentication::Assertion,
        (Some(OAuth2ClientAuthentication::None), _) | (None, GrantKind::JwtBearer) => ClientAuthentication::None,
    };
    let token_url = site.token_url(oauth2.token_url.as_deref(), base_url, egress);
    let asserts = kind == GrantKind::JwtBearer || client == ClientAuthentication::Assertion;
    let assertion = match (&oauth2.assertion, &token_url) {
        (Some(assertion), Some(token_url)) if asserts => Some(site.assertion(assertion, token_url)?),
        (None, _) if asserts => {
            return site
                .none("assertion", "say what is asserted and how it is signed: the grant or the client needs it");
        }
        (Some(_) | None, _) => None,
    };
    site.refresh_token(kind, oauth2, credentials);
    Some(Grant {
        kind,
        token_url: token_url?,
        client,
        scopes: oauth2.scopes.clone(),
        assertion,
        lifetime_seconds: oauth2.lifetime_seconds.unwrap_or(LIFETIME_SECONDS),
    })
}

struct Site<'a> {
    findings: &'a mut Findings,
}

impl Site<'_> {
    fn invalid(&mut self, field: &str, message: impl Into<String>) {
        self.findings.invalid(format!("spec.credentials.oauth2.{field}"), message);
    }

    fn none<T>(&mut self, field: &str, message: impl Into<String>) -> Option<T> {
        self.invalid(field, message);
        None
    }

    /// The URL, at a host that credentials may be sent to.
    fn token_url(&mut self, text: Option<&str>, base_url: &Url, egress: &Egress) -> Option<Url> {
        let Some(text) = text else {
            return self.none("tokenURL", "say where tokens are got; the preset does not know it");
        };
        let url = match base_url.join(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() && url.fragment().is_none() => url,
            Ok(_) | Err(_) => {
                let message = "write an http or https URL without fragment, or a path at baseURL's host";
                return self.none("tokenURL", message);
            }
        };
        let host = url.host_str().unwrap_or_default();
        let known = base_url.host_str() == Some(host) || egress.allow_hosts.iter().any(|allowed| allowed == host);
        if !known {
            let message = format!("the client's secret may not be sent to {host}: add it to spec.egress.allowHosts");
            return self.none("tokenURL", message);
        }
        Some(url)
    }

    /// A refresh token stands in a secret of its own, which is where a new one is written.
    fn refresh_token(&mut self, kind: GrantKind, oauth2: &OAuth2, credentials: &Credentials) {
        let field = "refreshTokenSecretId";
        match (kind, &oauth2.refresh_token_secret_id, &credentials.aws_secrets_manager) {
            (GrantKind::RefreshToken, _, None) => {
                self.invalid(
                    "grant",
                    "a refresh token is kept in AWS Secrets Manager: set spec.credentials.awsSecretsManager",
                );
            }
            (GrantKind::RefreshToken, None, Some(_)) => {
                self.invalid(field, "name the secret of its own that holds the refresh token");
            }
            (GrantKind::RefreshToken, Some(own), Some(client)) if *own == client.secret_id => {
                self.invalid(
                    field,
                    "name another secret than the client's: the operator writes new refresh tokens there",
                );
            }
            (GrantKind::ClientCredentials | GrantKind::JwtBearer, Some(_), _) => {
                self.invalid(field, "leave it out, or set grant to RefreshToken");
            }
            (GrantKind::RefreshToken, Some(_), Some(_))
            | (GrantKind::ClientCredentials | GrantKind::JwtBearer, None, _) => {}
        }
    }

    fn assertion(&mut self, assertion: &OAuth2Assertion, token_url: &Url) -> Option<Assertion> {
        let client = || Text(format!("{{{}}}", grant::CLIENT_ID));
        let or = |text: &Option<Text>, other: Text| text.clone().unwrap_or(other);
        let issuer = self.template("issuer", &or(&assertion.issuer, client()));
        let subject = self.template("subject", &or(&assertion.subject, client()));
        let audience = self.template("audience", &or(&assertion.audience, Text(token_url.to_string())));
        let key_id = match &assertion.key_id {
            None => None,
            Some(text) => Some(self.template("keyId", text)?),
        };
        let claims = assertion.claims.iter();
        let claims = claims.map(|(name, text)| Some((name.clone(), self.template(&format!("claims.{name}"), text)?)));
        // Every claim is looked at, so that every problem is found.
        let claims = claims.collect::<Vec<_>>().into_iter().collect::<Option<_>>();
        Some(Assertion {
            algorithm: match assertion.algorithm {
                OAuth2Algorithm::Rs256 => AssertionAlgorithm::Rs256,
                OAuth2Algorithm::Ps256 => AssertionAlgorithm::Ps256,
                OAuth2Algorithm::Es256 => AssertionAlgorithm::Es256,
            },
            key_id,
            issuer: issuer?,
            subject: subject?,
            audience: audience?,
            claims: claims?,
            lifetime_seconds: assertion.lifetime_seconds.unwrap_or(ASSERTION_SECONDS),
        })
    }

    fn template(&mut self, field: &str, text: &Text) -> Option<Template> {
        let field = format!("assertion.{field}");
        Template::parse(&text.0).map_err(|error| self.invalid(&field, error.to_string())).ok()
    }
}
