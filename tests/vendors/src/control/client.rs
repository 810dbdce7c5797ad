//! A typed client for the control API of one instance.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::wire::{
    FaultId, FaultRule, FaultState, LogPage, OAuth2Client, OAuth2Grants, OAuth2Secrets, RecordsPage, SeedRequest,
    Seeded, Settings, Stats, TokenSet, Writes, WritesPage,
};

/// Why a control request failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The simulator could not be reached, or its answer not be read.
    #[error("{method} {url}: no usable answer; is the simulator running there?")]
    Transport {
        /// The request's method.
        method: Method,
        /// Where it went.
        url: String,
        /// What the HTTP client said.
        #[source]
        source: reqwest::Error,
    },
    /// The simulator refused the request.
    #[error("{method} {url}: {status}: {message}")]
    Refused {
        /// The request's method.
        method: Method,
        /// Where it went.
        url: String,
        /// What it answered.
        status: StatusCode,
        /// The reason it gave.
        message: String,
    },
    /// An HTTP client cannot be made on this system.
    #[error("cannot make an HTTP client")]
    Setup(#[source] reqwest::Error),
}

/// Controls one instance.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    server: String,
    instance: String,
}

impl Client {
    /// A client for `/{vendor}/{instance}` of the simulator at `server` (`http://HOST:PORT`).
    ///
    /// # Errors
    /// [`ControlError::Setup`].
    pub fn new(server: &str, vendor: &str, instance: &str) -> Result<Self, ControlError> {
        let http = reqwest::Client::builder().no_proxy().build().map_err(ControlError::Setup)?;
        let server = server.trim_end_matches('/').to_owned();
        Ok(Self { http, server, instance: format!("{vendor}/{instance}") })
    }

    /// What a Connector's `baseURL` must be to reach this instance.
    pub fn base_url(&self) -> String {
        format!("{}/{}", self.server, self.instance)
    }

    /// Accepts these tokens and no others.
    pub async fn set_tokens(&self, valid: &[&str]) -> Result<(), ControlError> {
        let valid = valid.iter().map(|token| (*token).to_owned()).collect();
        self.set_credentials(&TokenSet { valid, oauth1: Vec::new() }).await
    }

    /// Accepts these credentials and no others.
    pub async fn set_credentials(&self, set: &TokenSet) -> Result<(), ControlError> {
        self.send(Method::PUT, "tokens", Some(set)).await.map(discard)
    }

    /// Stops accepting one token; says whether it was accepted before.
    pub async fn revoke_token(&self, token: &str) -> Result<bool, ControlError> {
        let answer = self.send(Method::POST, "tokens/revoke", Some(&json!({"token": token}))).await?;
        Ok(answer["revoked"] == json!(true))
    }

    /// From now on this client can get access tokens.
    pub async fn set_oauth2(&self, client: &OAuth2Client) -> Result<(), ControlError> {
        self.send(Method::PUT, "oauth2", Some(client)).await.map(discard)
    }

    /// Accepts these secrets of the OAuth 2.0 client and no others; access tokens that were granted stay valid.
    pub async fn set_client_secrets(&self, valid: &[&str]) -> Result<(), ControlError> {
        let valid = valid.iter().map(|secret| (*secret).to_owned()).collect();
        self.send(Method::PUT, "oauth2/secrets", Some(&OAuth2Secrets { valid })).await.map(discard)
    }

    /// A user consents: one more refresh token is valid.
    pub async fn consent(&self, refresh_token: &str) -> Result<(), ControlError> {
        self.send(Method::POST, "oauth2/consent", Some(&json!({"refreshToken": refresh_token}))).await.map(discard)
    }

    /// What was granted.
    pub async fn oauth2(&self) -> Result<OAuth2Grants, ControlError> {
        self.typed(Method::GET, "oauth2", NONE).await
    }

    /// Generates records; returns how many.
    pub async fn seed(&self, request: &SeedRequest) -> Result<u64, ControlError> {
        let seeded: Seeded = self.typed(Method::POST, "seed", Some(request)).await?;
        Ok(seeded.seeded)
    }

    /// Records in the order of their ids, as the vendor holds them; at most 10,000.
    pub async fn records(&self, resource: &str, offset: usize, limit: usize) -> Result<RecordsPage, ControlError> {
        self.typed(Method::GET, &format!("records/{resource}?offset={offset}&limit={limit}"), NONE).await
    }

    /// One record, by id or as `eid:EXTERNALID`; none when there is none.
    pub async fn record(&self, resource: &str, id: &str) -> Result<Option<Value>, ControlError> {
        match self.send(Method::GET, &record_path(resource, id), NONE).await {
            Ok(record) => Ok(Some(record)),
            Err(ControlError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets one record as it is; absent times become the vendor's now.
    pub async fn put_record(&self, resource: &str, id: &str, record: &Value) -> Result<Value, ControlError> {
        self.send(Method::PUT, &record_path(resource, id), Some(record)).await
    }

    /// Merges a change (RFC 7396) into one record and sets its updated time to the vendor's now, unless the change
    /// itself sets it. Returns the new record.
    pub async fn patch_record(&self, resource: &str, id: &str, change: &Value) -> Result<Value, ControlError> {
        self.send(Method::PATCH, &record_path(resource, id), Some(change)).await
    }

    /// Removes one record without a trace.
    pub async fn delete_record(&self, resource: &str, id: &str) -> Result<(), ControlError> {
        self.send(Method::DELETE, &record_path(resource, id), NONE).await.map(discard)
    }

    /// Adds a fault; returns its id.
    pub async fn add_fault(&self, rule: &FaultRule) -> Result<u64, ControlError> {
        let added: FaultId = self.typed(Method::POST, "faults", Some(rule)).await?;
        Ok(added.id)
    }

    /// All faults with how often they struck, spent ones too.
    pub async fn faults(&self) -> Result<Vec<FaultState>, ControlError> {
        self.typed(Method::GET, "faults", NONE).await
    }

    /// Removes one fault.
    pub async fn remove_fault(&self, id: u64) -> Result<(), ControlError> {
        self.send(Method::DELETE, &format!("faults/{id}"), NONE).await.map(discard)
    }

    /// Removes all faults.
    pub async fn clear_faults(&self) -> Result<(), ControlError> {
        self.send(Method::DELETE, "faults", NONE).await.map(discard)
    }

    /// How the instance behaves.
    pub async fn settings(&self) -> Result<Settings, ControlError> {
        self.typed(Method::GET, "settings", NONE).await
    }

    /// Changes the settings that `change` names (RFC 7396); returns all of them.
    pub async fn change_settings(&self, change: &Value) -> Result<Settings, ControlError> {
        self.typed(Method::PUT, "settings", Some(change)).await
    }

    /// What the instance received.
    pub async fn stats(&self) -> Result<Stats, ControlError> {
        self.typed(Method::GET, "stats", NONE).await
    }

    /// Starts all counts and the log anew.
    pub async fn reset_stats(&self) -> Result<(), ControlError> {
        self.send(Method::POST, "stats/reset", NONE).await.map(discard)
    }

    /// What was written to one external id (or `id:ID`); zeros for one never written.
    pub async fn writes(&self, resource: &str, key: &str) -> Result<Writes, ControlError> {
        self.typed(Method::GET, &format!("writes/{}/{}", encode(resource), encode(key)), NONE).await
    }

    /// What was written to each key, in the order of the keys; at most 10,000.
    pub async fn all_writes(&self, offset: usize, limit: usize) -> Result<WritesPage, ControlError> {
        self.typed(Method::GET, &format!("writes?offset={offset}&limit={limit}"), NONE).await
    }

    /// Requests decided after the one with sequence `since`, oldest first; at most 10,000.
    pub async fn log(&self, since: u64) -> Result<LogPage, ControlError> {
        self.typed(Method::GET, &format!("log?since={since}"), NONE).await
    }

    async fn send<B: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<Value, ControlError> {
        self.typed(method, path, body).await
    }

    async fn typed<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ControlError> {
        let url = format!("{}/_control/{}/{path}", self.server, self.instance);
        let mut request: RequestBuilder = self.http.request(method.clone(), &url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let transport = |source| ControlError::Transport { method: method.clone(), url: url.clone(), source };
        let response = request.send().await.map_err(transport)?;
        let status = response.status();
        if status.is_success() {
            return response.json().await.map_err(transport);
        }
        let text = response.text().await.map_err(transport)?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let message = answer["error"].as_str().map_or(text, ToOwned::to_owned);
        Err(ControlError::Refused { method, url, status, message })
    }
}

const NONE: Option<&Value> = None;

fn discard(_: Value) {}

fn record_path(resource: &str, id: &str) -> String {
    format!("records/{}/{}", encode(resource), encode(id))
}

fn encode(segment: &str) -> String {
    percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC).to_string()
}
