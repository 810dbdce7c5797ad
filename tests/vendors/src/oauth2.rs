//! The token endpoint that every vendor has once an OAuth 2.0 client was set: a form with `grant_type`, posted to any path. RFC 6749, sections 4.4
//! and 6: client credentials and refresh tokens.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::message::{Call, Reply, parse_query};
use crate::tokens::Tokens;
use crate::wire::{OAuth2Client, OAuth2Grants};

const JSON: &str = "application/json";

/// Who may get tokens, and what was granted.
#[derive(Debug, Default)]
pub(crate) struct OAuth2 {
    client: Option<OAuth2Client>,
    /// The client's secrets that are accepted: more than one while it is changed.
    secrets: Vec<String>,
    grants: OAuth2Grants,
}

impl OAuth2 {
    pub(crate) fn replace(&mut self, client: OAuth2Client) {
        let secrets = vec![client.client_secret.clone()];
        *self = Self { client: Some(client), secrets, grants: OAuth2Grants::default() };
    }

    /// Accepts these secrets of the client and no others; what was granted stays.
    pub(crate) fn accept(&mut self, secrets: Vec<String>) {
        self.secrets = secrets;
    }

    /// Adds a refresh token, as a user's consent does.
    pub(crate) fn consent(&mut self, refresh_token: String) -> bool {
        self.client.as_mut().map(|client| client.refresh_tokens.push(refresh_token)).is_some()
    }

    pub(crate) fn grants(&self) -> OAuth2Grants {
        self.grants.clone()
    }

    /// The answer, if it is a request for a token.
    pub(crate) fn answer(&mut self, call: &Call, tokens: &mut Tokens) -> Option<Reply> {
        let client = self.client.as_mut().filter(|_| call.method == Method::POST)?;
        let form = parse_query(std::str::from_utf8(&call.body).ok()?);
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let kind = field("grant_type")?;
        let basic = call.basic();
        let (id, secret) = match &basic {
            Some((id, secret)) => (Some(id.as_str()), Some(secret.as_str())),
            None => (field("client_id"), field("client_secret")),
        };
        let known = self.secrets.iter().any(|known| Some(known.as_str()) == secret);
        let problem = if id != Some(client.client_id.as_str()) || !known {
            Some((StatusCode::UNAUTHORIZED, "invalid_client"))
        } else {
            match kind {
                "client_credentials" => None,
                "refresh_token" => {
                    let known =
                        client.refresh_tokens.iter().any(|token| Some(token.as_str()) == field("refresh_token"));
                    (!known).then_some((StatusCode::BAD_REQUEST, "invalid_grant"))
                }
                _ => Some((StatusCode::BAD_REQUEST, "unsupported_grant_type")),
            }
        };
        if let Some((status, code)) = problem {
            self.grants.refused += 1;
            return Some(Reply::json(status, JSON, &json!({"error": code})));
        }
        self.grants.granted += 1;
        let number = self.grants.granted;
        let access_token = format!("{}{number}", client.access_token_prefix);
        let mut body =
            json!({"access_token": access_token, "token_type": "Bearer", "expires_in": client.lifetime_seconds});
        if let Some(used) = field("refresh_token") {
            self.grants.used.push(used.to_owned());
            let next = if client.rotates { format!("{used}.{number}") } else { used.to_owned() };
            client.refresh_tokens.retain(|token| token != used);
            client.refresh_tokens.push(next.clone());
            body["refresh_token"] = json!(next);
        }
        let before = self.grants.access_token.replace(access_token.clone());
        if let Some(before) = before.filter(|_| client.revokes) {
            tokens.revoke(&before);
        }
        tokens.accept(access_token);
        Some(Reply::json(StatusCode::OK, JSON, &body))
    }
}
