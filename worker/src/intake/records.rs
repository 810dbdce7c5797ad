//! From a page's records to what the store takes: key, version, hash, payload. Pure. A record without key or version is set aside with its
//! cause; it never blocks the others.

use crosstie_engine::{canonical, delivery::Seen, plan::Stream, version::Version};
use serde_json::Value;

use crate::store::Incoming;

/// A record's hash, by which it is found again where pages overlap, and what the store takes of it.
pub fn incoming(record: &Value, stream: &Stream) -> (String, Incoming) {
    // `Display` writes the same at twice the cost, and cannot fail.
    let payload = serde_json::to_string(record).unwrap_or_else(|_| record.to_string());
    let key = key(record, &stream.key);
    match (key, seen(record, stream)) {
        (Ok(key), Ok(seen)) => (seen.hash.clone(), Incoming::Record { key, seen, payload }),
        (Ok(key), Err(error)) => {
            let hash = canonical::hash(record);
            (hash.clone(), Incoming::Faulty { key, hash, payload, cause: error, request_id: None })
        }
        (Err(cause), _) => {
            let hash = canonical::hash(record);
            (hash.clone(), Incoming::Faulty { key: String::new(), hash, payload, cause, request_id: None })
        }
    }
}

/// A record's state, by the stream's order.
///
/// # Errors
/// In words, when the record has no version where the stream says.
pub fn seen(record: &Value, stream: &Stream) -> Result<Seen, String> {
    let version = Version::in_stream(record, stream).map_err(|error| error.to_string())?;
    Ok(Seen::of(version, record))
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
        incoming(record, &stream)
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
