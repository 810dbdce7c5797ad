//! What a look-up found. Pure. It proves something only when it shows the very key that was asked for, and absence only when all was shown.

use crosstie_engine::plan::LookUp;
use serde_json::Value;

use crate::{outcome::LookedUp, response};

/// Why a response proves nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// What is to be searched is no list.
    #[error("there is no list at `{place}` of the answer: correct `key` in the Connector, which leads there")]
    NoList {
        /// Pointer to where it should be.
        place: String,
    },
    /// Where what was found should stand is nothing that could be it.
    #[error(
        "at `{place}` of the answer stands neither a record, nor a list of records, nor null for none: correct `record` in the Connector, or let a \
         rule under `errors` say what such an answer means"
    )]
    NoRecord {
        /// Pointer to where it should be.
        place: String,
    },
    /// The record is not among what was answered, and there is more.
    #[error("the record is not in the part that was answered, and `{more}` says that there is more")]
    More {
        /// Pointer to what says so.
        more: String,
    },
}

/// Judges a response by the key at the look-up's pointer.
pub fn judge(document: Value, lookup: &LookUp, wanted: &str) -> Result<LookedUp, Unproven> {
    let more = lookup.evidence.more.as_ref().filter(|more| is_more(&document, more));
    let looked_up = match at_wildcard(&lookup.key) {
        Some((place, within)) => searched(document, place, within, wanted)?,
        None => alone(document, &lookup.key, wanted),
    };
    match more {
        Some(more) if looked_up == LookedUp::Absent => Err(Unproven::More { more: more.clone() }),
        Some(_) | None => Ok(looked_up),
    }
}

/// What stands before and behind the first segment of a pointer that is `*`.
fn at_wildcard(pointer: &str) -> Option<(&str, &str)> {
    let is_whole = |at: &usize| matches!(pointer.as_bytes().get(at + 2), None | Some(b'/'));
    let at = pointer.match_indices("/*").map(|(at, _)| at).find(is_whole)?;
    Some((&pointer[..at], &pointer[at + 2..]))
}

pub fn is_more(document: &Value, pointer: &str) -> bool {
    match document.pointer(pointer) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Bool(true) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => true,
    }
}

/// Searches all members of a list.
fn searched(mut document: Value, place: &str, within: &str, wanted: &str) -> Result<LookedUp, Unproven> {
    let Some(Value::Array(members)) = document.pointer_mut(place) else {
        return Err(Unproven::NoList { place: place.to_owned() });
    };
    let mut having = members.iter_mut().filter(|member| has(member, within, wanted));
    Ok(match (having.next(), having.next()) {
        (None, _) => LookedUp::Absent,
        (Some(one), None) => LookedUp::Present { body: one.take() },
        (Some(_), Some(_)) => LookedUp::Several,
    })
}

/// Whether a pointer, which may have `*`, leads to the key.
pub fn has(value: &Value, pointer: &str, wanted: &str) -> bool {
    match at_wildcard(pointer) {
        None => value.pointer(pointer).and_then(response::key_text).is_some_and(|found| found == wanted),
        Some((place, within)) => match value.pointer(place) {
            Some(Value::Array(members)) => members.iter().any(|member| has(member, within, wanted)),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) | None => false,
        },
    }
}

/// Where the pointer leads through a list, or to one, the list must have one member: with none the record is absent, with more nobody can
/// tell which it is.
fn alone(mut document: Value, pointer: &str, wanted: &str) -> LookedUp {
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

    use crosstie_engine::plan::Evidence;

    use super::*;

    fn lookup(key: &str, more: Option<&str>) -> LookUp {
        LookUp {
            path: "/orders".to_owned().try_into().unwrap(),
            query: std::collections::BTreeMap::new(),
            key: key.into(),
            key_field: "id".into(),
            settle_seconds: 0,
            evidence: Evidence { more: more.map(str::to_owned), ..Evidence::default() },
            body: None,
            place: None,
        }
    }

    fn judge(document: Value, key: &str, wanted: &str) -> LookedUp {
        super::judge(document, &lookup(key, None), wanted).unwrap()
    }

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

    #[test]
    fn of_a_list_that_is_searched_the_member_with_the_key_counts() {
        let posts = json!({"messages": [
            {"ts": "1", "text": "hello"}, {"ts": "2", "metadata": {"key": "5"}}, {"ts": "3", "metadata": {"key": "6"}},
        ]});
        let at = "/messages/*/metadata/key";
        let found = LookedUp::Present { body: json!({"ts": "2", "metadata": {"key": "5"}}) };
        assert_eq!(judge(posts.clone(), at, "5"), found);
        assert_eq!(judge(posts.clone(), at, "7"), LookedUp::Absent);
        assert_eq!(judge(json!({"messages": []}), at, "5"), LookedUp::Absent);
        let twice = json!({"messages": [{"metadata": {"key": 5}}, {"metadata": {"key": "5"}}]});
        assert_eq!(judge(twice, at, "5"), LookedUp::Several);
        let labels = json!([{"labels": ["a", "b"]}, {"labels": ["b", "b"]}, {"labels": "b"}, {}]);
        assert_eq!(
            judge(labels.clone(), "/*/labels/*", "a"),
            LookedUp::Present { body: json!({"labels": ["a", "b"]}) }
        );
        assert_eq!(judge(labels, "/*/labels/*", "b"), LookedUp::Several);
    }

    #[test]
    fn absence_is_not_believed_where_there_is_no_list_or_more_of_it() {
        let judged = |document: Value| super::judge(document, &lookup("/messages/*/key", Some("/has_more")), "5");
        let no_list: Result<LookedUp, _> = Err(Unproven::NoList { place: "/messages".into() });
        for document in [json!({"ok": true}), json!({"messages": {"key": "5"}}), json!("messages")] {
            assert_eq!(judged(document), no_list);
        }
        let page = |more: Value| json!({"messages": [{"key": "6"}], "has_more": more});
        for more in [json!(true), json!("next"), json!(1), json!({})] {
            assert_eq!(judged(page(more)), Err(Unproven::More { more: "/has_more".into() }));
        }
        for end in [json!(false), json!(null), json!("")] {
            assert_eq!(judged(page(end)), Ok(LookedUp::Absent));
        }
        let found = json!({"messages": [{"key": "5"}], "has_more": true});
        assert_eq!(judged(found), Ok(LookedUp::Present { body: json!({"key": "5"}) }));
    }

    #[test]
    fn only_a_whole_segment_is_a_wildcard() {
        assert_eq!(at_wildcard("/a/*/b"), Some(("/a", "/b")));
        assert_eq!(at_wildcard("/*"), Some(("", "")));
        assert_eq!(at_wildcard("/*a/*/b"), Some(("/*a", "/b")));
        assert_eq!(at_wildcard("/a*/b"), None);
    }
}
