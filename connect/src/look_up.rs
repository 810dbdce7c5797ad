//! What a look-up found. Pure. It proves something only when it shows the very key that was asked for.

use serde_json::Value;

use crate::{outcome::LookedUp, response};

/// Judges a response by the key at a pointer. Where the pointer leads through a list, or to one, the list must have one member: with none the
/// record is absent, with more nobody can tell which it is.
pub fn judge(mut document: Value, pointer: &str, wanted: &str) -> LookedUp {
    match key_at(&document, pointer) {
        At::Nothing => LookedUp::Absent,
        At::Many => LookedUp::Several,
        At::Key { found, member } => {
            if found.as_deref() != Some(wanted) {
                return LookedUp::Stranger { found };
            }
            let body = member.and_then(|member| document.pointer_mut(&member).map(Value::take)).unwrap_or(document);
            LookedUp::Present { body }
        }
    }
}

enum At {
    /// An empty list.
    Nothing,
    /// A list of more than one.
    Many,
    Key {
        found: Option<String>,
        /// Pointer to the one member of the outermost list on the way.
        member: Option<String>,
    },
}

fn key_at(document: &Value, pointer: &str) -> At {
    let mut value = Some(document);
    let mut member = None;
    let mut walked = String::new();
    for token in pointer.split('/').skip(1) {
        if let Some(Value::Array(list)) = value {
            match list.len() {
                0 => return At::Nothing,
                1 => member = member.or_else(|| Some(format!("{walked}/0"))),
                _ => return At::Many,
            }
        }
        walked = format!("{walked}/{token}");
        value = document.pointer(&walked);
    }
    match value {
        Some(Value::Array(list)) if list.is_empty() => At::Nothing,
        Some(Value::Array(list)) if list.len() > 1 => At::Many,
        Some(Value::Array(list)) => At::Key { found: list.first().and_then(response::key_text), member },
        other => At::Key { found: other.and_then(response::key_text), member },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_with_the_key_is_present() {
        let body = json!({"id": "77", "externalId": 5001});
        assert_eq!(judge(body.clone(), "/externalId", "5001"), LookedUp::Present { body });
    }

    #[test]
    fn a_record_with_another_key_or_none_is_a_stranger() {
        assert_eq!(
            judge(json!({"externalId": "6"}), "/externalId", "5"),
            LookedUp::Stranger { found: Some("6".into()) }
        );
        assert_eq!(judge(json!({"name": "5"}), "/externalId", "5"), LookedUp::Stranger { found: None });
        assert_eq!(judge(json!({"externalId": null}), "/externalId", "5"), LookedUp::Stranger { found: None });
    }

    #[test]
    fn of_a_list_the_one_member_counts() {
        let list =
            |keys: &[&str]| json!({"items": keys.iter().map(|key| json!({"ext": key, "a": 1})).collect::<Vec<_>>()});
        assert_eq!(judge(list(&["5"]), "/items/0/ext", "5"), LookedUp::Present { body: json!({"ext": "5", "a": 1}) });
        assert_eq!(judge(list(&["6"]), "/items/0/ext", "5"), LookedUp::Stranger { found: Some("6".into()) });
        assert_eq!(judge(list(&["5", "5"]), "/items/0/ext", "5"), LookedUp::Several);
        assert_eq!(judge(list(&[]), "/items/0/ext", "5"), LookedUp::Absent);
        assert_eq!(judge(json!([]), "/0/ext", "5"), LookedUp::Absent);
    }

    #[test]
    fn a_pointer_to_a_list_of_keys_is_judged_alike() {
        assert_eq!(judge(json!({"ids": ["5"]}), "/ids", "5"), LookedUp::Present { body: json!({"ids": ["5"]}) });
        assert_eq!(judge(json!({"ids": ["5", "6"]}), "/ids", "5"), LookedUp::Several);
        assert_eq!(judge(json!({"ids": []}), "/ids", "5"), LookedUp::Absent);
    }
}
