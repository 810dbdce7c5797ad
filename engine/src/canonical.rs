//! One way to write a value as JSON bytes and to hash it: members sorted by name (as RFC 8785 sorts them for ASCII names), no
//! spaces. Equal values have equal hashes, on any machine and in any version.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::json::{Json, print};

/// The value as JSON with sorted members. A value that cannot be JSON (a map with keys that are not strings) becomes `null`; the
/// types of this project never are.
pub fn json<T: Serialize>(value: &T) -> String {
    text(&serde_json::to_value(value).unwrap_or(Value::Null))
}

/// [`json`] of what is a value already.
pub fn text(value: &Value) -> String {
    print::sorted_text(value)
}

/// SHA-256 of [`json`], as 64 hexadecimal digits.
pub fn hash(value: &Value) -> String {
    hash_text(&text(value))
}

/// The same of JSON that was read and not copied.
pub fn hash_of(value: &Json) -> String {
    hash_text(&print::text(value, print::Order::Sorted))
}

/// The same of a value of which [`json`] is at hand.
pub fn hash_text(json: &str) -> String {
    hex(&Sha256::digest(json))
}

/// The first 16 hexadecimal digits of the SHA-256 of [`json`]: enough to tell versions of one object apart, short enough to read.
pub fn short_hash<T: Serialize>(value: &T) -> String {
    hex(&Sha256::digest(json(value))[..8])
}

/// SHA-256 over parts, each preceded by its length so that no two lists of parts run together; 64 hexadecimal digits.
pub fn hash_parts(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_members_does_not_matter() {
        assert_eq!(
            hash(&json!({"b": [1, {"d": 2, "c": 3}], "a": "ü"})),
            hash(&json!({"a": "ü", "b": [1, {"c": 3, "d": 2}]}))
        );
        let read = Json::read(r#"{"b": [0], "a": "\u00fc", "b": [1, {"d": 2, "c": 3}]}"#).unwrap();
        assert_eq!(hash_of(&read), hash(&read.to_value()), "of two members of a name the last one");
        assert_eq!(json(&json!({"b": 1, "a": null})), r#"{"a":null,"b":1}"#);
    }

    #[test]
    fn hashes_never_change_from_version_to_version() {
        let value = json!({"b": [1, -2.5, 1e300, true], "a": {"z": "\u{1}\"\\/ü", "y": null}, "": {}});
        assert_eq!(json(&value), r#"{"":{},"a":{"y":null,"z":"\u0001\"\\/ü"},"b":[1,-2.5,1e+300,true]}"#);
        assert_eq!(hash(&value), hex(&Sha256::digest(json(&value))));
        assert!(hash(&value).starts_with(&short_hash(&value)));
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(hash_parts(&[b"ab", b"c"]), hash_parts(&[b"a", b"bc"]));
    }
}
