//! Finding a record among those that a search showed. Pure. Only the one with the very key that was asked for is believed, and only an empty list or null
//! says that there is none: an answer that lacks what it should have is another answer, such as of a failure.

use crosstie_engine::plan::LookUp;
use serde_json::Value;

use crate::{
    look_up::{Unproven, has, is_more},
    outcome::LookedUp,
    response,
};

/// Judges what stands at `place`: a record or a list of records, each with its key at `key`. Of a list, those with another key do not count, unless
/// there are no others.
pub fn judge(document: Value, lookup: &LookUp, place: &str, wanted: &str) -> Result<LookedUp, Unproven> {
    let more = lookup.evidence.more.as_ref().filter(|more| is_more(&document, more)).cloned();
    match (at(document, place, &lookup.key, wanted)?, more) {
        (LookedUp::Absent | LookedUp::Stranger { .. }, Some(more)) => Err(Unproven::More { more }),
        (found, _) => Ok(found),
    }
}

fn at(mut document: Value, place: &str, key: &str, wanted: &str) -> Result<LookedUp, Unproven> {
    let of = |record: &Value| record.pointer(key).and_then(response::key_text);
    Ok(match document.pointer_mut(place).map(Value::take) {
        None if is_of_an_empty_list(&document, place) => LookedUp::Absent,
        None | Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            return Err(Unproven::NoRecord { place: place.to_owned() });
        }
        Some(Value::Null) => LookedUp::Absent,
        Some(Value::Array(records)) => {
            let none = records.is_empty();
            let first = records.first().and_then(of);
            let mut ours = records.into_iter().filter(|record| has(record, key, wanted));
            match (ours.next(), ours.next()) {
                (Some(body), None) => LookedUp::Present { body },
                (Some(_), Some(_)) => LookedUp::Several,
                (None, _) if none => LookedUp::Absent,
                (None, _) => LookedUp::Stranger { found: first },
            }
        }
        Some(body @ Value::Object(_)) if has(&body, key, wanted) => LookedUp::Present { body },
        Some(body @ Value::Object(_)) => LookedUp::Stranger { found: of(&body) },
    })
}

/// Whether a pointer names a member, by its number, of a list that has none.
fn is_of_an_empty_list(document: &Value, pointer: &str) -> bool {
    pointer.match_indices('/').any(|(at, _)| {
        let is_number = pointer[at + 1..].split('/').next().is_some_and(|segment| segment.parse::<usize>().is_ok());
        is_number && document.pointer(&pointer[..at]).and_then(Value::as_array).is_some_and(Vec::is_empty)
    })
}

#[cfg(test)]
mod tests {
    use crosstie_engine::plan::Evidence;
    use serde_json::json;

    use super::*;

    fn found(document: Value) -> LookedUp {
        judge(document, &lookup(), "/issues", "5").unwrap()
    }

    fn lookup() -> LookUp {
        let evidence = Evidence { more: Some("/more".into()), ..Evidence::default() };
        LookUp { key: "/fields/ext".into(), key_field: "ext".into(), evidence, ..LookUp::default() }
    }

    #[test]
    fn a_list_that_is_not_whole_proves_no_absence() {
        for issues in [json!([]), json!([issue("6")])] {
            let part = json!({"issues": issues, "more": "next"});
            assert_eq!(judge(part, &lookup(), "/issues", "5"), Err(Unproven::More { more: "/more".into() }));
        }
        let part = json!({"issues": [issue("5")], "more": true});
        assert_eq!(judge(part, &lookup(), "/issues", "5"), Ok(LookedUp::Present { body: issue("5") }));
    }

    fn issue(key: &str) -> Value {
        json!({"id": format!("id-{key}"), "fields": {"ext": key}})
    }

    #[test]
    fn the_one_with_the_key_is_found_whatever_else_a_search_shows() {
        assert_eq!(found(json!({"issues": [issue("6"), issue("5")]})), LookedUp::Present { body: issue("5") });
        assert_eq!(found(json!({"issues": issue("5")})), LookedUp::Present { body: issue("5") });
    }

    #[test]
    fn a_key_may_be_any_member_of_a_list() {
        let labelled = |labels: Value| json!({"id": "1", "fields": {"labels": labels}});
        let lookup = LookUp { key: "/fields/labels/*".into(), ..lookup() };
        let found = |issues: Value| judge(json!({ "issues": issues }), &lookup, "/issues", "5").unwrap();
        let ours = labelled(json!(["other", "5"]));
        assert_eq!(found(json!([labelled(json!(["6"])), ours])), LookedUp::Present { body: ours.clone() });
        assert_eq!(found(json!([labelled(json!(["6"]))])), LookedUp::Stranger { found: None });
    }

    #[test]
    fn nothing_is_absent_others_are_strangers_and_two_are_several() {
        for nothing in [json!({"issues": []}), json!({"issues": null})] {
            assert_eq!(found(nothing), LookedUp::Absent);
        }
        let stranger = LookedUp::Stranger { found: Some("6".into()) };
        assert_eq!(found(json!({"issues": [issue("6"), issue("7")]})), stranger);
        assert_eq!(found(json!({"issues": issue("6")})), stranger);
        assert_eq!(found(json!({"issues": [issue("5"), issue("5")]})), LookedUp::Several);
    }

    #[test]
    fn an_answer_without_what_it_should_hold_says_of_no_record_that_it_is_absent() {
        let judged = |document: Value, place: &str| judge(document, &lookup(), place, "5");
        let no_record = |place: &str| Err(Unproven::NoRecord { place: place.to_owned() });
        for other in [json!({}), json!({"ok": true}), json!({"Issues": []}), json!([]), json!("issues"), json!(null)] {
            assert_eq!(judged(other.clone(), "/issues"), no_record("/issues"), "{other}");
        }
        for issues in [json!(0), json!(""), json!("5"), json!(false)] {
            assert_eq!(judged(json!({ "issues": issues }), "/issues"), no_record("/issues"), "{issues}");
        }
        // Nothing at all in place of the record's surroundings is an error's, as in GraphQL.
        assert_eq!(judged(json!({"data": null}), "/data/issue"), no_record("/data/issue"));
        assert_eq!(judged(json!({"data": {"issue": null}}), "/data/issue"), Ok(LookedUp::Absent));
        // The first of an empty list is none.
        assert_eq!(judged(json!({"data": []}), "/data/0"), Ok(LookedUp::Absent));
        assert_eq!(judged(json!({"data": []}), "/data/0/issue"), Ok(LookedUp::Absent));
        assert_eq!(judged(json!({"data": []}), "/data/issue"), no_record("/data/issue"));
        let unfinished = json!({"more": true});
        assert_eq!(judged(unfinished, "/issues"), no_record("/issues"));
        assert_eq!(judged(json!(null), ""), Ok(LookedUp::Absent));
    }
}
