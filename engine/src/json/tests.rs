//! JSON that borrows, read, hashed and printed as the values of `serde_json` are.

use serde_json::json;

use super::*;

const TEXT: &str = r#" {"b": [1, -2.5, 18446744073709551615, {"x": "a\"ü"}], "a/b": {"~": true}, "n\u0061me": null, "b2": "", "c": {}, "d": []} "#;

#[test]
fn it_says_what_a_value_of_the_same_text_says() {
    let (json, value) = (Json::read(TEXT).unwrap(), serde_json::from_str::<Value>(TEXT).unwrap());
    assert_eq!(json.to_value(), value);
    assert_eq!(Json::from(&value), json);
    assert_eq!(serde_json::to_string(&json).unwrap(), value.to_string());
    let pointers =
        ["", "/b/0", "/b/3/x", "/b/4", "/b/00", "/b/+1", "/a~1b/~0", "/name", "/b2/x", "/c", "/d/0", "b", "/"];
    for pointer in pointers {
        assert_eq!(json.pointer(pointer).map(Json::to_value).as_ref(), value.pointer(pointer), "{pointer}");
    }
}

#[test]
fn only_what_has_escapes_is_copied() {
    let Json::Object(members) = Json::read(r#"{"a": "b", "\u0061": "\n"}"#).unwrap() else { panic!() };
    let borrowed = members
        .list
        .iter()
        .map(|(name, value)| (matches!(name, Cow::Borrowed(_)), matches!(value, Json::Text(Cow::Borrowed(_)))));
    assert_eq!(borrowed.collect::<Vec<_>>(), [(true, true), (false, false)]);
}

#[test]
fn the_last_member_of_a_name_counts() {
    let json = Json::read(r#"{"b": 1, "a": 2, "b": 3}"#).unwrap();
    assert_eq!(json.pointer("/b"), Some(&Json::Number(3.into())));
    assert_eq!(json.to_value(), json!({"b": 3, "a": 2}));
    let Json::Object(members) = &json else { panic!() };
    let sorted: Vec<_> = members.sorted().into_iter().map(|(name, value)| (name, value.to_value())).collect();
    assert_eq!(sorted, [("a", json!(2)), ("b", json!(3))]);
}

#[test]
fn of_many_members_each_is_found_and_the_last_of_a_name_counts() {
    let member = |number: usize| format!("\"m{}\": {number}", number % 50);
    let text = format!("{{{}}}", (0..120).map(member).collect::<Vec<_>>().join(","));
    let (json, value) = (Json::read(&text).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
    assert_eq!(json.to_value(), value);
    let Json::Object(members) = &json else { panic!() };
    for number in 0..51 {
        let name = format!("m{number}");
        assert_eq!(members.get(&name).map(Json::to_value).as_ref(), value.get(&name), "{name}");
    }
    let names: Vec<&str> = members.sorted().into_iter().map(|(name, _)| name).collect();
    assert!(names.is_sorted() && names.len() == 50 && members.len() == 50);
}

#[test]
fn a_part_has_what_is_at_its_pointers_and_nothing_else() {
    let part = Json::read(TEXT).unwrap().part(["/b/3/x", "/none", "/a~1b/~0"]);
    assert_eq!(part, json!({"b": {"3": {"x": "a\"ü"}}, "a/b": {"~": true}}));
    assert_eq!(part.pointer("/b/3/x"), Some(&json!("a\"ü")));
}

#[test]
fn what_is_no_json_is_not_read() {
    let deep = "[".repeat(200);
    for text in ["", "{", "[1,]", "{\"a\":}", "\"a", "01", "nul", "1 2", "{1: 2}", "\"\u{1}\"", deep.as_str()] {
        assert!(Json::read(text).is_err(), "{text}");
    }
}
