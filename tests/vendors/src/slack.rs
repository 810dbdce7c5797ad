//! Slack's Web API: errors come as `ok: false` with status 200, pages by `response_metadata.next_cursor`, and the same post twice is two
//! posts: there is no idempotency.
//!
//! From the OpenAPI document that Slack published for its Web API (methods, parameters, answers, error codes) and the types of its Node
//! library (`metadata`, `include_all_metadata`).

use std::sync::Mutex;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::dialect::{self, json};
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::store::{Layout, Record, RecordId, State};
use crate::vendor::{Refusal, Vendor};
use crate::wire::Settings;

const CONVERSATIONS: &str = "conversations";
const MESSAGES: &str = "messages";
/// Longest text that a message may have.
const LONGEST_TEXT: usize = 40_000;

/// The vendor.
pub(crate) struct Slack;

fn layout(resource: &str) -> Option<Layout> {
    let layout = Layout { numeric_id: false, ..dialect::LAYOUT };
    match resource {
        CONVERSATIONS => Some(layout),
        MESSAGES => Some(Layout { id_field: "ts", updated_field: Some("ts"), ..layout }),
        _ => None,
    }
}

fn failed(error: &str) -> Reply {
    json(StatusCode::OK, &json!({"ok": false, "error": error}))
}

/// A request's argument: of the query, or of a JSON body.
struct Arguments<'a> {
    call: &'a Call,
    body: Value,
}

impl Arguments<'_> {
    fn text(&self, name: &str) -> Option<String> {
        match &self.body[name] {
            Value::Null => self.call.param(name).map(ToOwned::to_owned),
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text == "true" || text == "1")
    }

    /// Where the page starts and how many items it has at most.
    fn page(&self, most: usize) -> Option<(usize, usize)> {
        let cursor = self.text("cursor").filter(|text| !text.is_empty());
        let offset = cursor.map_or(Some(0), |text| text.strip_prefix("next:")?.parse().ok())?;
        let limit = self.text("limit").map_or(Some(100), |text| text.parse::<usize>().ok())?;
        Some((offset, limit.clamp(1, most)))
    }
}

impl Vendor for Slack {
    fn name(&self) -> &'static str {
        "slack"
    }

    fn settings(&self) -> Settings {
        dialect::settings(999)
    }

    fn furnish(&self, state: &mut State, _: &Settings) {
        for (id, name) in [("C0SALES", "sales"), ("C0SUPPORT", "support"), ("C0OLD", "old")] {
            if let Some(channels) = state.collection(CONVERSATIONS) {
                let channel =
                    json!({"name": name, "is_channel": true, "is_member": true, "is_archived": name == "old"});
                let _new = channels.put(&RecordId::parse(id), channel);
            }
        }
    }

    fn layouts(&self) -> fn(&str) -> Option<Layout> {
        layout
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Unauthorized => failed("invalid_auth"),
            Refusal::TooConcurrent => self.refuse(Refusal::TooFast { retry_after_seconds: None }),
            Refusal::TooFast { retry_after_seconds } => {
                let seconds = retry_after_seconds.unwrap_or(1.0).to_string();
                let body = json!({"ok": false, "error": "ratelimited"});
                json(StatusCode::TOO_MANY_REQUESTS, &body).header("Retry-After", seconds)
            }
        }
    }

    fn answer(&self, call: &Call, _: &Settings, state: &Mutex<State>) -> Reply {
        let body = dialect::object(call).map(Value::Object).unwrap_or_default();
        let arguments = Arguments { call, body };
        let mut state = hold(state);
        match call.path.as_str() {
            "/auth.test" => {
                json(StatusCode::OK, &json!({"ok": true, "team_id": "T0", "user_id": "U0", "bot_id": "B0"}))
            }
            "/chat.postMessage" => post(&arguments, &mut state),
            "/conversations.history" => history(&arguments, &mut state),
            "/conversations.list" => list(&arguments, &mut state),
            "/conversations.info" => match channel(&arguments, &mut state) {
                Some(channel) => json(StatusCode::OK, &json!({"ok": true, "channel": channel})),
                None => failed("channel_not_found"),
            },
            _ => failed("unknown_method"),
        }
    }

    fn format_time(&self, time: Timestamp, _: &Settings) -> Value {
        timestamp(time.as_microsecond()).into()
    }
}

/// Slack's `ts`: seconds with six places, unique in a conversation.
fn timestamp(micros: i64) -> String {
    format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000))
}

fn channel(arguments: &Arguments, state: &mut State) -> Option<Value> {
    let wanted = arguments.text("channel")?;
    state.collection(CONVERSATIONS)?.get(&RecordId::parse(&wanted)).map(Record::value)
}

fn post(arguments: &Arguments, state: &mut State) -> Reply {
    // Posting also takes a channel's name.
    let named = |state: &mut State| {
        let name = arguments.text("channel")?;
        let all = dialect::all(state.collection(CONVERSATIONS)?);
        all.into_iter().find(|channel| channel["name"] == name.trim_start_matches('#'))
    };
    let Some(channel) = channel(arguments, state).or_else(|| named(state)) else { return failed("channel_not_found") };
    if channel["is_archived"] == true {
        return failed("is_archived");
    }
    let text = arguments.text("text").unwrap_or_default();
    if text.is_empty() && arguments.body["blocks"].is_null() {
        return failed("no_text");
    }
    if text.chars().count() > LONGEST_TEXT {
        return failed("msg_too_long");
    }
    let metadata = &arguments.body["metadata"];
    let is_whole = metadata["event_type"].is_string() && metadata["event_payload"].is_object();
    if !(metadata.is_null() || is_whole) {
        return failed("invalid_metadata_format");
    }
    let Some(messages) = state.collection(MESSAGES) else { return failed("internal_error") };
    let mut micros = arguments.call.now.as_microsecond();
    while messages.get(&RecordId::parse(&timestamp(micros))).is_some() {
        micros += 1;
    }
    let ts = timestamp(micros);
    let mut message = json!({"type": "message", "channel": channel["id"], "text": text, "bot_id": "B0", "user": "U0"});
    for name in ["blocks", "metadata", "thread_ts"] {
        if !arguments.body[name].is_null() {
            message[name] = arguments.body[name].clone();
        }
    }
    match state.commit(MESSAGES, &RecordId::parse(&ts), message.clone()) {
        Some(Ok(effect)) => {
            let mut answer = json!({"ok": true, "channel": channel["id"], "ts": ts, "message": message});
            if arguments.call.header("content-type").is_some_and(|kind| !kind.contains("charset")) {
                answer["warning"] = json!("missing_charset");
                answer["response_metadata"] = json!({"warnings": ["missing_charset"]});
            }
            json(StatusCode::OK, &answer).effect(effect)
        }
        Some(Err(_)) | None => failed("internal_error"),
    }
}

/// Newest first; `oldest` and `latest` are exclusive unless `inclusive` is set.
fn history(arguments: &Arguments, state: &mut State) -> Reply {
    let Some(channel) = channel(arguments, state) else { return failed("channel_not_found") };
    let Some((offset, limit)) = arguments.page(999) else { return failed("invalid_cursor") };
    let bound = |name: &str| match arguments.text(name) {
        None => Ok(None),
        Some(text) => crate::store::micros(&Value::from(text)).map(Some).ok_or(()),
    };
    let Ok(oldest) = bound("oldest") else { return failed("invalid_ts_oldest") };
    let Ok(latest) = bound("latest") else { return failed("invalid_ts_latest") };
    let inside = i64::from(!arguments.flag("inclusive"));
    let Some(messages) = state.collection(MESSAGES) else { return failed("internal_error") };
    let (from, until) = (oldest.map(|micros| micros + inside), latest.map(|micros| micros - inside));
    let mut found = dialect::changed(messages, from, until);
    found.retain(|message| message["channel"] == channel["id"]);
    found.reverse();
    let mut page = dialect::page(found, offset, limit);
    if !arguments.flag("include_all_metadata") {
        for message in page.items.iter_mut().filter_map(Value::as_object_mut) {
            message.shift_remove("metadata");
        }
    }
    let mut answer = json!({"ok": true, "messages": page.items, "has_more": page.next.is_some(), "pin_count": 0});
    if let Some(next) = page.next {
        answer["response_metadata"] = json!({"next_cursor": format!("next:{next}")});
    }
    json(StatusCode::OK, &answer)
}

/// On the last page the next cursor is an empty text.
fn list(arguments: &Arguments, state: &mut State) -> Reply {
    let Some((offset, limit)) = arguments.page(1_000) else { return failed("invalid_cursor") };
    let Some(collection) = state.collection(CONVERSATIONS) else { return failed("internal_error") };
    let mut all = dialect::all(collection);
    if arguments.flag("exclude_archived") {
        all.retain(|channel| channel["is_archived"] != true);
    }
    let page = dialect::page(all, offset, limit);
    let next = page.next.map(|next| format!("next:{next}")).unwrap_or_default();
    json(StatusCode::OK, &json!({"ok": true, "channels": page.items, "response_metadata": {"next_cursor": next}}))
}
