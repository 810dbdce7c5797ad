//! Which events a verified webhook carries, and what one of them brings to a flow.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    canonical,
    delivery::mark_untimed,
    glob,
    json::{Json, put},
    plan::{Brings, EventRoute, Place, Receiver, Rest, Stream},
    version::Version,
};

/// Most events in one body.
const MOST_EVENTS: usize = 1000;
/// Longest id and topic that are kept, in bytes.
const LONGEST_NAME: usize = 256;

/// One event of a webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// The vendor's id.
    pub id: Option<String>,
    /// What kind of thing happened.
    pub topic: String,
    /// Hash of its content.
    pub hash: String,
    /// Its content.
    pub value: Json<'a>,
}

/// Why no event can be made out in a verified body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// There is no list where it should be.
    #[error("the body has no list of events where the Connector's `webhooks.events` says")]
    NoList,
    /// There are more than are taken.
    #[error("the body has more than {MOST_EVENTS} events")]
    TooMany,
}

/// The events of a body.
///
/// # Errors
/// [`Malformed`].
pub fn events<'a, 'b>(
    receiver: &Receiver,
    header: &dyn Fn(&str) -> Option<&'a str>,
    body: Json<'b>,
) -> Result<Vec<Event<'b>>, Malformed> {
    let values = match &receiver.events {
        None => vec![body],
        Some(pointer) => match body.pointer(pointer) {
            Some(Json::List(items)) => items.clone(),
            Some(_) | None => return Err(Malformed::NoList),
        },
    };
    if values.len() > MOST_EVENTS {
        return Err(Malformed::TooMany);
    }
    // A header cannot tell several events apart.
    let single = values.len() == 1;
    let id = |value: &Json| match &receiver.event_id {
        Some(Place::Header(_)) if !single => None,
        Some(place) => text_at(place, header, value),
        None => None,
    };
    let event = |value: Json<'b>| Event {
        id: id(&value),
        topic: receiver.topic.as_ref().and_then(|place| text_at(place, header, &value)).unwrap_or_else(|| "*".into()),
        hash: canonical::hash_of(&value),
        value,
    };
    Ok(values.into_iter().map(event).collect())
}

/// The text or number at a place. One that is too long is as good as none.
pub fn text_at<'a>(place: &Place, header: &dyn Fn(&str) -> Option<&'a str>, value: &Json) -> Option<String> {
    let text = match place {
        Place::Header(name) => header(&name.to_ascii_lowercase()).map(str::to_owned),
        Place::Pointer(pointer) => match value.pointer(pointer) {
            Some(Json::Text(text)) => Some(text.to_string()),
            Some(Json::Number(number)) => Some(number.to_string()),
            Some(Json::Null | Json::Bool(_) | Json::List(_) | Json::Object(_)) | None => None,
        },
    };
    text.filter(|text| !text.is_empty() && text.len() <= LONGEST_NAME)
}

/// The first of a flow's routes that fits a topic.
pub fn route<'a>(routes: &'a [EventRoute], topic: &str) -> Option<&'a EventRoute> {
    let fits = |patterns: &[String]| patterns.iter().any(|pattern| glob::matches(pattern, topic));
    routes.iter().find(|route| fits(&route.wanted) && fits(&route.topics))
}

/// What an event brings to a flow.
#[derive(Clone, Debug, PartialEq)]
pub enum Brought<'e, 'a> {
    /// A record in the shape of the stream: the event's content, or a part of it.
    Record(&'e Json<'a>),
    /// A record that was deleted, with the version of its end where the stream says, if streams have versions.
    Deleted(Value, Version),
    /// Word of a record of this key.
    Key(String),
    /// Nothing that can be made out: why.
    Unreadable(String),
}

/// What an event brings to a flow by a route of it. `now` stands in for the time of a deletion that nothing tells.
pub fn brought<'a, 'e, 'b>(
    route: &EventRoute,
    stream: &Stream,
    event: &'e Event<'b>,
    header: &dyn Fn(&str) -> Option<&'a str>,
    now: Timestamp,
) -> Brought<'e, 'b> {
    let record = |pointer: &str| match event.value.pointer(pointer) {
        Some(record @ Json::Object(_)) => Ok(record),
        Some(_) | None => Err(Brought::Unreadable(format!(
            "the event has no record at `{pointer}`: point the route's `record` at what has the stream's shape"
        ))),
    };
    let key = |pointer: &str| {
        text_at(&Place::Pointer(pointer.to_owned()), header, &event.value).ok_or_else(|| {
            Brought::Unreadable(format!(
                "the event has no text or number at `{pointer}`: point the route's `key` at the record's key"
            ))
        })
    };
    let brought = match &route.brings {
        Brings::Record(pointer) => record(pointer).map(Brought::Record),
        Brings::Key(pointer) => key(pointer).map(Brought::Key),
        Brings::Deleted { rest, version } => {
            let told = version.as_ref().and_then(|place| text_at(place, header, &event.value));
            let told = told.and_then(|text| Version::parse(&text));
            let rest = match rest {
                Rest::Record(pointer) => record(pointer).map(Json::to_value),
                Rest::Key(pointer) => key(pointer).map(|key| {
                    let mut record = Value::Null;
                    put(&mut record, &stream.key, Value::String(key));
                    record
                }),
            };
            rest.map(|mut record| {
                let last = Version::in_stream(&record, stream).ok();
                // Counters go on counting; where time orders states, nothing else says when this one ended.
                if told.is_none() && stream.one.is_some() && !matches!(last, Some(Version::Counter(_))) {
                    mark_untimed(&mut record);
                }
                let version = ended(last, told, now);
                if let Some(pointer) = stream.deleted.as_ref().filter(|pointer| !is_set(&record, pointer)) {
                    put(&mut record, pointer, Value::Bool(true));
                }
                Brought::Deleted(record, version)
            })
        }
    };
    brought.unwrap_or_else(|unreadable| unreadable)
}

/// The version of a record's end: later than any state of it that the event shows.
fn ended(last: Option<Version>, told: Option<Version>, now: Timestamp) -> Version {
    let after = |time: Timestamp| time.checked_add(Duration::from_micros(1)).unwrap_or(time);
    match (last, told) {
        (Some(Version::Time(last)), Some(Version::Time(told))) => Version::Time(told.max(after(last))),
        (Some(Version::Time(last)), _) => Version::Time(now.max(after(last))),
        (Some(Version::Counter(last)), Some(Version::Counter(told))) => {
            Version::Counter(told.max(last.saturating_add(1)))
        }
        (Some(Version::Counter(last)), _) => Version::Counter(last.saturating_add(1)),
        (Some(Version::Unordered) | None, Some(told @ (Version::Time(_) | Version::Counter(_)))) => told,
        (Some(Version::Unordered) | None, Some(Version::Unordered) | None) => Version::Time(now),
    }
}

/// Whether a record says at a pointer that it is deleted.
fn is_set(record: &Value, pointer: &str) -> bool {
    !matches!(record.pointer(pointer), None | Some(Value::Null | Value::Bool(false)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::delivery::is_untimed;
    use crate::plan::{HeaderPart, ReadOne, SignatureEncoding, Verification, WebhookHash};

    fn receiver() -> Receiver {
        Receiver {
            path: "/shop/orders".into(),
            origin: None,
            verification: Verification::Hash(WebhookHash {
                algorithm: crate::plan::HashAlgorithm::Sha256,
                secret: crate::template::Template::parse("{s}").unwrap(),
                secret_is_base64: false,
                message: crate::template::Template::parse("{body}").unwrap(),
                encoding: SignatureEncoding::Hex,
                signature: HeaderPart { header: "X".into(), prefix: String::new(), separator: None },
                timestamp: None,
            }),
            refusal_status: 401,
            events: None,
            event_id: Some(Place::Pointer("/id".into())),
            topic: Some(Place::Header("X-Topic".into())),
            challenge: None,
            subscription: None,
            limit: None,
            trusted_proxies: Vec::new(),
            max_body_bytes: 1024,
            audit_days: 7,
        }
    }

    fn read(text: &str) -> Json<'_> {
        Json::read(text).unwrap()
    }

    fn topic(name: &str) -> Option<&'static str> {
        (name == "x-topic").then_some("orders/delete")
    }

    #[test]
    fn a_body_is_one_event_or_the_list_that_it_carries() {
        let one = events(&receiver(), &topic, read(r#"{"id": 7}"#)).unwrap();
        assert_eq!((one[0].id.as_deref(), one[0].topic.as_str()), (Some("7"), "orders/delete"));
        let listing = Receiver { events: Some(String::new()), ..receiver() };
        let several = events(&listing, &topic, read(r#"[{"id": "a"}, {"id": null}]"#)).unwrap();
        assert_eq!(several.iter().map(|event| event.id.as_deref()).collect::<Vec<_>>(), [Some("a"), None]);
        assert_eq!(events(&listing, &topic, read("{}")), Err(Malformed::NoList));
        let many = Json::List(vec![read("{}"); MOST_EVENTS + 1]);
        assert_eq!(events(&listing, &topic, many), Err(Malformed::TooMany));
        let by_header = Receiver { event_id: Some(Place::Header("X-Topic".into())), ..listing };
        let several = events(&by_header, &topic, read("[{}, {}]")).unwrap();
        assert!(several.iter().all(|event| event.id.is_none()), "one id cannot stand for two events");
    }

    /// The record of a deletion with its version; none where nothing can be made out.
    fn deleted(stream: &Stream, rest: Rest, version: Option<Place>, value: &Value) -> Option<(Value, Version)> {
        let route = EventRoute { wanted: vec!["*".into()], topics: vec![], brings: Brings::Deleted { rest, version } };
        let event = Event { id: None, topic: "t".into(), hash: String::new(), value: value.into() };
        match brought(&route, stream, &event, &topic, Timestamp::from_second(1_000_000).unwrap()) {
            Brought::Deleted(record, version) => Some((record, version)),
            Brought::Unreadable(_) => None,
            other @ (Brought::Record(_) | Brought::Key(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_deletion_is_marked_where_the_stream_says_and_is_later_than_what_it_shows() {
        let stream = Stream {
            key: "/id".into(),
            version: Some("/at".into()),
            deleted: Some("/state/gone".into()),
            ..Stream::default()
        };
        let version = |told: Option<&str>, value: Value| {
            let told = told.map(|pointer| Place::Pointer(pointer.into()));
            let (record, version) = deleted(&stream, Rest::Record(String::new()), told, &value).unwrap();
            assert_eq!(record["state"], json!({"gone": true}));
            version.to_string()
        };
        let now = "1970-01-12T13:46:40Z";
        assert_eq!(version(None, json!({"id": 1})), now, "the time of receipt stands in");
        assert_eq!(version(None, json!({"at": "1970-01-01T00:00:00Z"})), now);
        assert_eq!(version(None, json!({"at": "2026-07-01T00:00:00Z"})), "2026-07-01T00:00:00.000001Z");
        assert_eq!(version(Some("/w"), json!({"w": "1970-01-02T00:00:00Z"})), "1970-01-02T00:00:00Z");
        let both = json!({"at": "2026-07-01T00:00:00Z", "w": "2026-07-01T00:00:00Z"});
        assert_eq!(version(Some("/w"), both), "2026-07-01T00:00:00.000001Z");
        assert_eq!(version(None, json!({"at": 7})), "8", "counters go on counting");
        let (record, _) = deleted(&stream, Rest::Key("/objectId".into()), None, &json!({"objectId": 5})).unwrap();
        assert_eq!(record, json!({"id": "5", "state": {"gone": true}}));
        let stream = Stream {
            one: Some(ReadOne {
                path: crate::template::Template::parse("/{key}").unwrap(),
                query: [].into(),
                record: String::new(),
                into: String::new(),
            }),
            ..stream
        };
        let marked = |value: Value| {
            let told = Some(Place::Pointer("/w".into()));
            let (record, _) = deleted(&stream, Rest::Record(String::new()), told, &value).unwrap();
            is_untimed(&record.to_string())
        };
        assert!(marked(json!({"id": 1})) && marked(json!({"id": 1, "at": "2026-07-01T00:00:00Z"})));
        assert!(!marked(json!({"id": 1, "w": "1970-01-02T00:00:00Z"})) && !marked(json!({"id": 1, "at": 7})));
        for (rest, value) in [(Rest::Record(String::new()), json!("text")), (Rest::Key("/k".into()), json!({}))] {
            assert_eq!(deleted(&stream, rest, None, &value), None);
        }
    }

    #[test]
    fn the_first_route_that_fits_what_the_flow_wants_decides() {
        let route = |wanted: &str, topics: &[&str], key: &str| EventRoute {
            wanted: vec![wanted.into()],
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            brings: Brings::Key(key.into()),
        };
        let events = vec![route("orders/*", &["orders/delete"], "/a"), route("orders/*", &["*"], "/b")];
        let chosen = |topic: &str| super::route(&events, topic).map(|route| route.brings.clone());
        assert_eq!(chosen("orders/delete"), Some(Brings::Key("/a".into())));
        assert_eq!(chosen("orders/create"), Some(Brings::Key("/b".into())));
        assert_eq!(chosen("refunds/create"), None);
    }
}
