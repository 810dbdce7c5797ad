//! Records that their source's whole list does not hold any more. That says nothing yet: a list comes back short or empty by a vendor's fault. So
//! it makes word of the record, which is asked for by itself, and only what the source does not find then is deleted.

use serde_json::Value;

use super::{LedgerEntry, Seen};
use crate::{canonical, json::put, version::Version};

/// Where such word says what it is.
const MARK: &str = "/crosstieUnlisted";

/// Word of a record that is not listed any more, by the pointer to records' keys: the word, and its hash. It is as much of a record as is left.
pub fn unlisted(pointer: &str, key: &str) -> (Value, String) {
    let mut word = Value::Null;
    put(&mut word, MARK, Value::Bool(true));
    put(&mut word, pointer, Value::String(key.to_owned()));
    let hash = canonical::hash(&word);
    (word, hash)
}

/// Whether what waits is such word, by its state and its content.
pub fn is_unlisted(seen: &Seen, word: &Value) -> bool {
    seen.version == Version::Unordered && word.pointer(MARK) == Some(&Value::Bool(true))
}

/// The state of a record that is gone, as it is settled: none orders it but that of its last version, so that nothing older brings it back.
pub fn gone(word: &Seen, ledger: Option<&LedgerEntry>) -> Seen {
    let version = ledger.map_or(word.version, |ledger| ledger.version);
    Seen { version, hash: word.hash.clone() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn word_of_a_record_holds_its_key_and_is_told_from_records() {
        let (word, hash) = unlisted("/node/id", "7");
        assert_eq!(word, json!({"crosstieUnlisted": true, "node": {"id": "7"}}));
        let seen = |version| Seen { version, hash: hash.clone() };
        assert!(is_unlisted(&seen(Version::Unordered), &word));
        assert!(!is_unlisted(&seen(Version::Counter(1)), &word) && !is_unlisted(&seen(Version::Unordered), &json!({})));
        let ledger = LedgerEntry {
            version: Version::Counter(3),
            source_hash: "a".into(),
            body_hash: Some("b".into()),
            present: true,
            identifier: None,
        };
        assert_eq!(gone(&seen(Version::Unordered), Some(&ledger)), seen(Version::Counter(3)));
    }
}
