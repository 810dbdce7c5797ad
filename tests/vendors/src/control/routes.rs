//! The server's side of the control API.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post, put};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::records::{self, RecordTarget};
use crate::dispatch::App;
use crate::instance::Instance;
use crate::transmit::plain_error;
use crate::wire::{
    FaultId, FaultRule, FaultState, LogPage, OAuth2Client, OAuth2Grants, OAuth2Secrets, Revocation, Settings, Stats,
    TokenSet, Writes, WritesPage,
};

const MAX_BODY: usize = 16 << 20;
const MAX_LIST: usize = 10_000;

pub(super) type Answer<T> = Result<Json<T>, Problem>;
pub(super) type Target = Path<(String, String)>;

/// Why a control request is refused.
pub(super) struct Problem(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        plain_error(self.0, &self.1)
    }
}

pub(super) fn not_found(what: &str) -> Problem {
    Problem(StatusCode::NOT_FOUND, format!("there is no such {what}"))
}

pub(super) fn bad(message: impl Into<String>) -> Problem {
    Problem(StatusCode::BAD_REQUEST, message.into())
}

/// All routes, below `/_control`.
pub(crate) fn router() -> Router<App> {
    let instance = Router::new()
        .route("/tokens", put(set_tokens))
        .route("/tokens/revoke", post(revoke))
        .route("/oauth2", get(grants).put(set_client))
        .route("/oauth2/consent", post(consent))
        .route("/oauth2/secrets", put(set_secrets))
        .route("/seed", post(records::seed))
        .route("/records/{resource}", get(records::list))
        .route(
            "/records/{resource}/{id}",
            get(records::read).put(records::write).patch(records::change).delete(records::remove),
        )
        .route("/stats", get(stats))
        .route("/stats/reset", post(reset))
        .route("/writes", get(all_writes))
        .route("/writes/{resource}/{key}", get(writes))
        .route("/log", get(log))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/settings", get(settings).put(change_settings));
    Router::new().nest("/{vendor}/{instance}", instance).layer(DefaultBodyLimit::max(MAX_BODY))
}

pub(super) fn find(app: &App, vendor: &str, instance: &str) -> Result<Arc<Instance>, Problem> {
    app.instances.get(vendor, instance).ok_or_else(|| not_found("vendor, or the instance's name is not allowed"))
}

pub(super) fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| bad(format!("the body cannot be used: {error}")))
}

async fn set_tokens(State(app): State<App>, Path((vendor, name)): Target, body: Bytes) -> Answer<Value> {
    let set: TokenSet = parse(&body)?;
    find(&app, &vendor, &name)?.tokens().replace(set);
    Ok(Json(json!({})))
}

async fn revoke(State(app): State<App>, Path((vendor, name)): Target, body: Bytes) -> Answer<Value> {
    let revocation: Revocation = parse(&body)?;
    let revoked = find(&app, &vendor, &name)?.tokens().revoke(&revocation.token);
    Ok(Json(json!({"revoked": revoked})))
}

async fn grants(State(app): State<App>, Path((vendor, name)): Target) -> Answer<OAuth2Grants> {
    Ok(Json(find(&app, &vendor, &name)?.oauth2().grants()))
}

async fn set_client(State(app): State<App>, Path((vendor, name)): Target, body: Bytes) -> Answer<Value> {
    let client: OAuth2Client = parse(&body)?;
    find(&app, &vendor, &name)?.oauth2().replace(client);
    Ok(Json(json!({})))
}

async fn set_secrets(State(app): State<App>, Path((vendor, name)): Target, body: Bytes) -> Answer<Value> {
    let secrets: OAuth2Secrets = parse(&body)?;
    find(&app, &vendor, &name)?.oauth2().accept(secrets.valid);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Consent {
    refresh_token: String,
}

async fn consent(State(app): State<App>, Path((vendor, name)): Target, body: Bytes) -> Answer<Value> {
    let consent: Consent = parse(&body)?;
    let known = find(&app, &vendor, &name)?.oauth2().consent(consent.refresh_token);
    if known { Ok(Json(json!({}))) } else { Err(bad("there is no OAuth 2.0 client: set one first")) }
}

#[derive(Deserialize)]
pub(super) struct Window {
    #[serde(default)]
    pub(super) offset: usize,
    limit: Option<usize>,
}

impl Window {
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(1_000).min(MAX_LIST)
    }
}

async fn stats(State(app): State<App>, Path((vendor, name)): Target) -> Answer<Stats> {
    Ok(Json(find(&app, &vendor, &name)?.stats()))
}

async fn reset(State(app): State<App>, Path((vendor, name)): Target) -> Answer<Value> {
    find(&app, &vendor, &name)?.reset_stats();
    Ok(Json(json!({})))
}

async fn all_writes(
    State(app): State<App>,
    Path((vendor, name)): Target,
    Query(window): Query<Window>,
) -> Answer<WritesPage> {
    Ok(Json(find(&app, &vendor, &name)?.state().ledger.page(window.offset, window.limit())))
}

async fn writes(State(app): State<App>, Path((vendor, name, resource, key)): RecordTarget) -> Answer<Writes> {
    Ok(Json(find(&app, &vendor, &name)?.state().ledger.of(&format!("{resource}/{key}"))))
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn log(State(app): State<App>, Path((vendor, name)): Target, Query(query): Query<Since>) -> Answer<LogPage> {
    Ok(Json(find(&app, &vendor, &name)?.traffic().log(query.since)))
}

async fn faults(State(app): State<App>, Path((vendor, name)): Target) -> Answer<Vec<FaultState>> {
    Ok(Json(find(&app, &vendor, &name)?.faults().list()))
}

async fn add_fault(State(app): State<App>, Path((vendor, name)): Target, body: Bytes) -> Answer<FaultId> {
    let rule: FaultRule = parse(&body)?;
    let id = find(&app, &vendor, &name)?.faults().add(rule).map_err(bad)?;
    Ok(Json(FaultId { id }))
}

async fn clear_faults(State(app): State<App>, Path((vendor, name)): Target) -> Answer<Value> {
    find(&app, &vendor, &name)?.faults().clear();
    Ok(Json(json!({})))
}

async fn remove_fault(State(app): State<App>, Path((vendor, name, id)): Path<(String, String, u64)>) -> Answer<Value> {
    let removed = find(&app, &vendor, &name)?.faults().remove(id);
    if removed { Ok(Json(json!({}))) } else { Err(not_found("fault")) }
}

async fn settings(State(app): State<App>, Path((vendor, name)): Target) -> Answer<Settings> {
    Ok(Json(find(&app, &vendor, &name)?.settings().as_ref().clone()))
}

async fn change_settings(State(app): State<App>, Path((vendor, name)): Target, body: Bytes) -> Answer<Settings> {
    let change: Value = parse(&body)?;
    let settings = find(&app, &vendor, &name)?.change_settings(change).map_err(bad)?;
    Ok(Json(settings.as_ref().clone()))
}
