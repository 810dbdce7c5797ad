//! One way to write a value as JSON bytes and to hash it: members sorted by name (as RFC 8785 sorts them for ASCII names), no
//! spaces. Equal values have equal hashes, on any machine and in any version.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The value as JSON with sorted members. A value that cannot be JSON (a map with keys that are not strings) becomes `null`; the
/// types of this project never are.
pub fn json<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    let mut out = String::new();
    write(&value, &mut out);
    out
}

/// SHA-256 of [`json`], as 64 hexadecimal digits.
pub fn hash<T: Serialize>(value: &T) -> String {
    hex(&Sha256::digest(json(value)))
}

/// The first 16 hexadecimal digits of [`hash`]: enough to tell versions of one object apart, short enough to read.
pub fn short_hash<T: Serialize>(value: &T) -> String {
    hash(value).chars().take(16).collect()
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

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            out.push('{');
            for (index, name) in names.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write(&members[name], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&value.to_string()),
    }
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
        assert_eq!(json(&json!({"b": 1, "a": null})), r#"{"a":null,"b":1}"#);
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(hash_parts(&[b"ab", b"c"]), hash_parts(&[b"a", b"bc"]));
    }
}
