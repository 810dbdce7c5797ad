//! From a page's records to what the store takes: key, version, hash, payload. Pure. A record without key or version is set aside with its
//! cause; it never blocks the others.

use crosstie_engine::{canonical, delivery::Seen, json::Json, plan::Stream, version::Version, window::CursorValue};
use serde_json::Value;

use crate::store::Incoming;

/// What is taken of a record while the page it stands on is at hand.
pub struct Taken {
    /// Its hash, by which it is found again where pages overlap.
    pub hash: String,
    /// Its value of the stream's cursor; see [`value`].
    pub value: Option<CursorValue>,
    /// What the store takes.
    pub incoming: Incoming,
}

/// Takes a record of a page.
pub fn taken(record: &Json, stream: &Stream) -> Taken {
    let (hash, incoming) = incoming(record, stream);
    Taken { hash, value: value(record, stream), incoming }
}

/// A record's value of the stream's cursor, where windows are moved by it.
pub fn value(record: &Json, stream: &Stream) -> Option<CursorValue> {
    let cursor = stream.cursor.as_ref().filter(|cursor| cursor.counts() || stream.depth_cap.is_some())?;
    cursor.of(&record.part([cursor.field.as_str()]))
}

/// A record's hash, by which it is found again where pages overlap, and what the store takes of it.
pub fn incoming(record: &Json, stream: &Stream) -> (String, Incoming) {
    let hash = canonical::hash_of(record);
    (hash.clone(), known(record, stream, hash))
}

/// What the store takes of a record whose hash is known.
pub fn known(record: &Json, stream: &Stream, hash: String) -> Incoming {
    let payload = record.text();
    // What these read of the record, and nothing more.
    let pointers = [Some(&stream.key), stream.version.as_ref()];
    let part = record.part(pointers.into_iter().flatten().map(String::as_str));
    match (key(&part, &stream.key), version(&part, stream)) {
        (Ok(key), Ok(version)) => Incoming::Record { key, seen: Seen { version, hash }, payload },
        (Ok(key), Err(cause)) => Incoming::Faulty { key, hash, payload, cause, request_id: None },
        (Err(cause), _) => Incoming::Faulty { key: String::new(), hash, payload, cause, request_id: None },
    }
}

/// A record's state, by the stream's order.
///
/// # Errors
/// In words, when the record has no version where the stream says.
pub fn seen(record: &Value, stream: &Stream) -> Result<Seen, String> {
    Ok(Seen::of(version(record, stream)?, record))
}

fn version(record: &Value, stream: &Stream) -> Result<Version, String> {
    Version::in_stream(record, stream).map_err(|error| error.to_string())
}

/// A record's key, at a pointer.
///
/// # Errors
/// In words, when there is none.
pub fn key(record: &Value, pointer: &str) -> Result<String, String> {
    match record.pointer(pointer) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
            Err(format!(
                "the record has no text or number at `{pointer}`: point the stream's `key` at what identifies every record"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(record: &Value) -> (String, Incoming) {
        let stream = Stream { key: "/id".into(), version: Some("/version".into()), ..Stream::default() };
        incoming(&Json::from(record), &stream)
    }

    #[test]
    fn a_record_is_taken_with_its_key_and_version() {
        let record = json!({"version": 3, "id": 17, "name": "ü"});
        let (order, incoming) = take(&record);
        let seen = Seen::of(Version::Counter(3), &record);
        assert_eq!(order, seen.hash);
        assert_eq!(incoming, Incoming::Record { key: "17".into(), seen, payload: record.to_string() });
    }

    #[test]
    fn a_record_without_a_key_is_set_aside_and_known_by_its_content() {
        for record in
            [json!({"version": 3}), json!({"id": null, "version": 3}), json!({"id": "", "version": 3}), json!([])]
        {
            let (order, incoming) = take(&record);
            let Incoming::Faulty { key, hash, cause, .. } = incoming else { panic!("{record} was taken") };
            assert_eq!((key.as_str(), &hash), ("", &order));
            assert!(cause.contains("`/id`"), "{cause}");
        }
    }

    #[test]
    fn a_record_without_a_version_is_set_aside_under_its_key() {
        let (order, incoming) = take(&json!({"id": "a", "version": "soon"}));
        let Incoming::Faulty { key, hash, cause, .. } = incoming else { panic!("taken") };
        assert_eq!((&order, key.as_str()), (&hash, "a"));
        assert!(cause.contains("`/version`") && !cause.contains("soon"), "{cause}");
    }
}
