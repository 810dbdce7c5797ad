//! From a verified body to what the store takes. Pure.

use std::sync::Arc;

use crosstie_engine::{
    canonical,
    delivery::Seen,
    json::Json,
    plan::{Brings, Flow, Place, Stream},
    version::Version,
    webhook::{self, Brought, Event, brought, route},
};
use http::{HeaderMap, Uri, header};
use jiff::Timestamp;
use serde_json::Value;

use super::{Reception, days_from};
use crate::{
    intake::{incoming, records},
    lane::Lane,
    store::{Incoming, TakenEvent, TakenEvents},
};

/// The member under which a dead letter holds an event that could not be read, as no record has it.
const EVENT: &str = "crosstie.dev/event";

/// Events to be stored, and whom each of them is counted for.
pub struct Taken {
    /// The events.
    pub events: TakenEvents,
    /// For each event, the one it is counted for; empty without a limit.
    pub counted_for: Vec<String>,
}

/// A body as JSON: itself, or the fields of a form, by their names as they are written.
pub fn body<'r>(headers: &HeaderMap, raw: &'r [u8]) -> Result<Json<'r>, String> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") {
        let fields = url::form_urlencoded::parse(raw);
        return Ok(Json::Object(fields.map(|(name, value)| (name, Json::Text(value))).collect()));
    }
    serde_json::from_slice(raw).map_err(|_| "the body is no JSON".to_owned())
}

/// The value of a parameter of an address.
pub fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.into_iter().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// What stands at a place, where that is a header.
pub fn header_at<'a>(place: &Place, header: &dyn Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
    match place {
        Place::Header(name) => header(&name.to_ascii_lowercase()),
        Place::Pointer(_) => None,
    }
}

/// The events of a verified body, with what each brings to each flow.
pub fn taken(
    reception: &Reception,
    lanes: &[Arc<Lane>],
    headers: &HeaderMap,
    value: Json,
    now: Timestamp,
) -> Result<Taken, String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let rules = &reception.rules;
    let events = webhook::events(rules, &header, value).map_err(|malformed| malformed.to_string())?;
    let counted_for = match &rules.limit {
        None => Vec::new(),
        Some(limit) => {
            let key = |event: &Event| limit.key.as_ref().and_then(|at| webhook::text_at(at, &header, &event.value));
            events.iter().map(|event| key(event).unwrap_or_default()).collect()
        }
    };
    let take = |event: Event| {
        let brings: Vec<(Arc<Lane>, Incoming)> = lanes
            .iter()
            .filter_map(|lane| {
                let incoming = brings(&lane.flow, &event, &header, now)?;
                Some((Arc::clone(lane), incoming))
            })
            .collect();
        let mark = mark(&event, &brings);
        let brings = brings.into_iter().map(|(lane, incoming)| (lane.scope, incoming)).collect();
        let Event { id, topic, hash, value: _ } = event;
        TakenEvent { id, mark, topic, hash, brings }
    };
    let taken = TakenEvents {
        source: reception.source.clone(),
        events: events.into_iter().map(take).collect(),
        keep_until: days_from(now, rules.audit_days),
        now,
    };
    Ok(Taken { events: taken, counted_for })
}

/// By what an event is known again: one that brings nothing, or nothing that can be read, never is, because the plan may be another by the time it is
/// sent again. Without an id, only one that brings whole states with their versions: of any other, the same content may well be news.
fn mark(event: &Event, brings: &[(Arc<Lane>, Incoming)]) -> Option<String> {
    if brings.iter().all(|(_, incoming)| matches!(incoming, Incoming::Faulty { .. })) {
        return None;
    }
    if let Some(id) = &event.id {
        return Some(format!("id {id}"));
    }
    let is_ordered = |incoming: &Incoming| match incoming {
        Incoming::Record { seen, .. } => seen.version != Version::Unordered,
        Incoming::Word { .. } => false,
        Incoming::Faulty { .. } => true,
    };
    let known_again = brings.iter().all(|(_, incoming)| is_ordered(incoming));
    known_again.then(|| format!("content {}", event.hash))
}

/// What an event brings to a flow, by the first of its routes that fits; none where none does. What cannot be read is kept with all that the routes
/// of another plan need to read it.
fn brings<'a>(
    flow: &Flow,
    event: &Event,
    header: &dyn Fn(&str) -> Option<&'a str>,
    now: Timestamp,
) -> Option<Incoming> {
    let route = route(&flow.events, &event.topic)?;
    let incoming = what_comes_in(brought(route, &flow.stream, event, header, now), event, &flow.stream);
    let Incoming::Faulty { key, cause, request_id, .. } = incoming else { return Some(incoming) };
    let headers = flow.events.iter().filter_map(|route| match &route.brings {
        Brings::Deleted { version: Some(Place::Header(name)), .. } => Some(name.to_ascii_lowercase()),
        Brings::Deleted { .. } | Brings::Record(_) | Brings::Key(_) => None,
    });
    let headers = headers.filter_map(|name| header(&name).map(|value| (name.into(), Json::Text(value.into()))));
    let kept = [
        ("topic".into(), Json::Text(event.topic.as_str().into())),
        ("headers".into(), Json::Object(headers.collect())),
        ("value".into(), event.value.clone()),
    ];
    let kept = Json::Object([(EVENT.into(), Json::Object(kept.into_iter().collect()))].into_iter().collect());
    // The same content under another topic says something else.
    let hash =
        canonical::hash_of(&Json::List([&event.topic, &event.hash].map(|text| Json::Text(text.into())).to_vec()));
    Some(Incoming::Faulty { key, hash, payload: kept.text(), cause, request_id })
}

/// What the event of a dead letter brings to its flow by the plan at work. None where the letter holds no event. `received` stands in for the time of
/// a deletion that nothing tells.
pub fn brings_again(flow: &Flow, letter: &Json, received: Timestamp) -> Option<Incoming> {
    let kept = letter.pointer(&format!("/{}", EVENT.replace('/', "~1")))?;
    let Some(Json::Text(topic)) = kept.pointer("/topic") else { return None };
    let headers = kept.pointer("/headers")?.to_value();
    let header = |name: &str| headers.get(name).and_then(Value::as_str);
    let value = kept.pointer("/value")?.clone();
    let event = Event { id: None, topic: topic.to_string(), hash: canonical::hash_of(&value), value };
    let again = brings(flow, &event, &header, received);
    Some(again.unwrap_or_else(|| faulty(&event.value, format!("no webhook route fits the topic `{topic}`"))))
}

/// What the store takes of what an event brought.
fn what_comes_in(brought: Brought, event: &Event, stream: &Stream) -> Incoming {
    match brought {
        // Usually it is all of the event, whose hash is known.
        Brought::Record(record) if std::ptr::eq(record, &raw const event.value) => {
            records::known(record, stream, event.hash.clone())
        }
        Brought::Record(record) => incoming(record, stream).1,
        Brought::Deleted(record, version) => match records::key(&record, &stream.key) {
            Ok(key) => Incoming::Record { key, seen: Seen::of(version, &record), payload: record.to_string() },
            Err(cause) => faulty(&Json::from(&record), cause),
        },
        Brought::Key(key) => Incoming::Word { key, hash: event.hash.clone(), payload: event.value.text() },
        Brought::Unreadable(cause) => faulty(&event.value, cause),
    }
}

fn faulty(record: &Json, cause: String) -> Incoming {
    Incoming::Faulty {
        key: String::new(),
        hash: canonical::hash_of(record),
        payload: record.text(),
        cause,
        request_id: None,
    }
}
