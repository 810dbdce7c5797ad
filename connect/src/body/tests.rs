//! What becomes of mapped bodies.

use std::collections::BTreeMap;

use crosstie_engine::{
    plan::{Method, Operation, Outcome},
    template::Template,
};
use serde_json::json;

use super::*;

fn operation(shape: &Value, omit: &[&str]) -> Operation {
    Operation {
        name: "create".into(),
        method: Method::Post,
        path: Template::parse("/records").unwrap(),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        shape: serde_json::from_value(shape.clone()).unwrap(),
        find: None,
        if_match: None,
        only_there: None,
        job: None,
        omit: omit.iter().map(ToString::to_string).collect(),
        ownership: crosstie_engine::plan::Ownership::default(),
        identifier: None,
        outcome: Outcome::default(),
        batch: None,
    }
}

fn sent(shape: &Value, omit: &[&str], body: &Value) -> Result<(String, &'static str), Unmade> {
    let made = made(&operation(shape, omit), &body.clone().into(), Some("77"))?;
    Ok((String::from_utf8(made.bytes.to_vec()).unwrap(), made.content_type))
}

#[test]
fn a_body_goes_where_the_pointer_says_among_constant_members() {
    let fields = json!({"data": {"type": "profile", "id": "{identifier}"}, "meta": {"source": "{body.name}-{body.n}"}});
    let shape = json!({"wrap": "/data/attributes", "fields": fields});
    let (body, content_type) = sent(&shape, &["n"], &json!({"name": "Ann", "n": 5})).unwrap();
    let expected = json!({
        "data": {"type": "profile", "id": "77", "attributes": {"name": "Ann"}}, "meta": {"source": "Ann-5"},
    });
    assert_eq!((serde_json::from_str::<Value>(&body).unwrap(), content_type), (expected, "application/json"));
}

#[test]
fn what_is_mapped_wins_over_a_constant_member() {
    let shape = json!({"fields": {"kind": "a", "deep": {"x": 1, "y": 2}}});
    let (body, _) = sent(&shape, &[], &json!({"kind": "b", "deep": {"y": 3}})).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!({"kind": "b", "deep": {"x": 1, "y": 3}}));
}

#[test]
fn what_constant_members_name_has_to_be_there() {
    let shape = json!({"fields": {"a": "{body.missing}"}});
    let expected = Unmade::Unfilled(Unfilled::Missing { field: "missing".into() });
    assert_eq!(sent(&shape, &[], &json!({})), Err(expected));
    let body = json!({});
    let operation = operation(&json!({"fields": {"a": "{identifier}"}}), &[]);
    for identifier in [None, Some("")] {
        let unmade = made(&operation, &body.clone().into(), identifier).err();
        assert_eq!(unmade, Some(Unmade::Unfilled(Unfilled::NoIdentifier)));
    }
}

#[test]
fn a_form_is_nested_by_brackets() {
    let body = json!({
        "email": "a&b=c@example.com", "metadata": {"order id": 7, "ok": true}, "items": [{"price": "p1"}, {"price": "p2"}],
        "tags": ["x", "é"], "phone": null, "none": [],
    });
    let (text, content_type) = sent(&json!({"format": "form"}), &[], &body).unwrap();
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("email", "a&b=c@example.com"),
        ("items[0][price]", "p1"),
        ("items[1][price]", "p2"),
        ("metadata[ok]", "true"),
        ("metadata[order id]", "7"),
        ("none", ""),
        ("phone", ""),
        ("tags[0]", "x"),
        ("tags[1]", "é"),
    ];
    let mut sorted = pairs.clone();
    sorted.sort_unstable();
    assert_eq!((sorted, content_type), (expected.to_vec(), "application/x-www-form-urlencoded"));
    assert!(sent(&json!({"format": "form"}), &[], &json!([1])).is_err());
}

#[test]
fn xml_is_written_with_attributes_lists_and_escapes() {
    let body =
        json!({"@id": "7\"<", "line": [{"sku": "a&b"}, {"sku": "c\n"}], "note": null, "n": {"@u": "kg", "#text": 1.5}});
    let (text, content_type) = sent(&json!({"format": {"xml": {"root": "order"}}}), &[], &body).unwrap();
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><order id=\"7&quot;&lt;\"><line><sku>a&amp;b</sku></line><line><sku>c&#10;</sku>\
                    </line><n u=\"kg\">1.5</n><note></note></order>";
    assert_eq!(content_type, "application/xml");
    // Members of an object have no order of their own.
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    assert_eq!(sorted(&text), sorted(expected), "{text}");
    assert!(text.contains("<order id=\"7&quot;&lt;\">") && text.contains("<n u=\"kg\">1.5</n>"), "{text}");
}

#[test]
fn what_xml_cannot_hold_is_refused_without_its_value() {
    for (body, problem) in [
        (json!({"a b": 1}), "`a b` is no name"),
        (json!({"x><y": 1}), "is no name"),
        (json!({"1a": 1}), "`1a` is no name"),
        (json!({"a": "jane\u{1}"}), "`a` holds a control character"),
        (json!({"a": [[1]]}), "a list of lists"),
        (json!({"@a": {"b": 1}}), "neither text nor a number"),
    ] {
        let Err(unmade) = sent(&json!({"format": {"xml": {"root": "r"}}}), &[], &body) else {
            panic!("made of {body}")
        };
        assert!(unmade.to_string().contains(problem) && !unmade.to_string().contains("jane"), "{unmade}");
    }
}
