//! Zendesk Support: tickets and users. Paths, credentials (bearer, or an agent's `email/token` as basic), errors and headers; reads are in
//! `read`, writes in `write`.
//!
//! From Zendesk's API reference: "Introduction" (pagination, idempotency), "Incremental Exports", "Tickets", "Users", "Rate limits".

mod read;
mod write;

use std::borrow::Cow;
use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::dialect::{self, json, utc};
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::random::Stream;
use crate::store::{Layout, State};
use crate::tokens::{Identity, Tokens};
use crate::vendor::{Finish, Refusal, Vendor};
use crate::wire::{SeedRequest, Settings};

/// Answers that are kept for their idempotency keys.
const ANSWERS: &str = "idempotent_answers";
/// Requests a minute of a team plan.
const PER_MINUTE: u32 = 700;

/// The vendor.
pub(crate) struct Zendesk;

fn layout(resource: &str) -> Option<Layout> {
    let times = Layout { created_field: Some("created_at"), updated_field: Some("updated_at"), ..dialect::LAYOUT };
    match resource {
        // Several tickets may have the same external id.
        "tickets" => Some(times),
        "users" => Some(Layout { external_field: Some("external_id"), ..times }),
        ANSWERS => Some(Layout { external_field: Some("key"), ..dialect::LAYOUT }),
        _ => None,
    }
}

fn not_found() -> Reply {
    json(StatusCode::NOT_FOUND, &json!({"error": "RecordNotFound", "description": "Not found"}))
}

/// An error of a record, in Zendesk's form.
fn invalid(field: &str, description: &str) -> Reply {
    let details = json!({field: [{"description": description, "error": "BlankValue"}]});
    let body = json!({"error": "RecordInvalid", "description": "Record validation errors", "details": details});
    json(StatusCode::UNPROCESSABLE_ENTITY, &body)
}

fn bad(error: &str, description: &str) -> Reply {
    json(StatusCode::BAD_REQUEST, &json!({"error": error, "description": description}))
}

/// What a path below `/api/v2` means. Paths may end in `.json`.
fn words<'a>(segments: &'a [Cow<'a, str>]) -> Vec<&'a str> {
    segments.iter().map(|segment| segment.strip_suffix(".json").unwrap_or(segment)).collect()
}

impl Vendor for Zendesk {
    fn name(&self) -> &'static str {
        "zendesk"
    }

    fn settings(&self) -> Settings {
        dialect::settings(1_000)
    }

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    fn identify(&self, call: &Call, tokens: &mut Tokens) -> Identity {
        let basic = call.header("authorization").and_then(|value| value.strip_prefix("Basic ")).and_then(|encoded| {
            let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
            let (user, token) = decoded.split_once(':')?;
            user.ends_with("/token").then(|| token.to_owned())
        });
        basic.map_or_else(|| dialect::bearer(call, tokens), |token| tokens.identify(&token))
    }

    fn idempotency_key<'a>(&self, call: &'a Call) -> Option<&'a str> {
        call.header("idempotency-key")
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Unauthorized => json(StatusCode::UNAUTHORIZED, &json!({"error": "Couldn't authenticate you"})),
            Refusal::TooConcurrent => self.refuse(Refusal::TooFast { retry_after_seconds: None }),
            Refusal::TooFast { retry_after_seconds } => {
                let description = "Number of allowed API requests per minute exceeded";
                let body = json!({"error": "APIRateLimitExceeded", "description": description});
                let seconds = retry_after_seconds.unwrap_or(1.0);
                json(StatusCode::TOO_MANY_REQUESTS, &body).header("Retry-After", seconds.to_string())
            }
        }
    }

    fn answer(&self, call: &Call, _: &Settings, state: &Mutex<State>) -> Reply {
        let segments = call.segments();
        let words = words(&segments);
        let ["api", "v2", path @ ..] = &words[..] else { return not_found() };
        let mut state = hold(state);
        match (&call.method, path) {
            (&Method::GET, ["tickets"]) => read::list("tickets", call, &mut state),
            (&Method::GET, ["users"]) => read::list("users", call, &mut state),
            (&Method::GET, ["users", "search"]) => read::search_users(call, &mut state),
            (&Method::GET, ["incremental", "tickets", "cursor"]) => read::export(call, &mut state),
            (&Method::GET, ["tickets", id]) => read::one("tickets", "ticket", id, &mut state),
            (&Method::GET, ["users", id]) => read::one("users", "user", id, &mut state),
            (&Method::POST, ["tickets"]) => write::create_ticket(call, &mut state),
            (&Method::PUT, ["tickets", id]) => write::update_ticket(id, call, &mut state),
            (&Method::DELETE, ["tickets", id]) => write::delete_ticket(id, &mut state),
            (&Method::POST, ["users", "create_or_update"]) => write::create_or_update_user(call, &mut state),
            _ => not_found(),
        }
    }

    fn finish(&self, reply: Reply, call: &Call, finish: Finish<'_>) -> Reply {
        let remaining = PER_MINUTE.saturating_sub(finish.bucket_used).to_string();
        reply
            .header("X-Request-Id", call.request_id.clone())
            .header("X-Rate-Limit", PER_MINUTE.to_string())
            .header("X-Rate-Limit-Remaining", remaining.clone())
            .header("ratelimit-limit", PER_MINUTE.to_string())
            .header("ratelimit-remaining", remaining)
            .header("ratelimit-reset", "30")
    }

    fn generate(&self, request: &SeedRequest, _: &Settings, id: u64, at: Timestamp) -> Option<Value> {
        let mut random = Stream::new(request.seed, id);
        let (created, generated) = (utc(at), at.as_second());
        match request.resource.as_str() {
            "tickets" => {
                let kind = ["Where is my order?", "Refund for order", "Partial shipment of order"];
                let subject = format!("{} {id}", random.pick(&kind));
                Some(json!({
                    "id": id, "subject": subject, "description": "Please help.", "status": "open", "priority": "normal",
                    "tags": ["shop"], "external_id": null, "requester_id": 1, "created_at": created,
                    "updated_at": created, "generated_timestamp": generated,
                }))
            }
            "users" => {
                let (name, email) = (format!("User {id}"), format!("user{id}@example.com"));
                Some(json!({"id": id, "name": name, "email": email, "created_at": created, "updated_at": created}))
            }
            _ => None,
        }
    }
}
