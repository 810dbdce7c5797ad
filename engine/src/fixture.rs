//! Fixtures: one record of a flow, what is to become of it, and how what does become of it differs. Pure: whoever calls has read the files.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::mapping::{EvaluationError, Looked, Mapping, Resolve};

/// One case of a flow: a record as the source gives it, and what the mapping is to make of it.
#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fixture {
    /// What the case is, in a person's words.
    #[serde(rename = "fixture")]
    pub name: String,
    /// The Integration's name; not needed beside one Integration only.
    #[serde(default)]
    pub integration: Option<String>,
    /// The flow's name; not needed where the Integration has one flow only.
    #[serde(default)]
    pub flow: Option<String>,
    /// The record, as the source gives it.
    pub record: Value,
    /// What other systems are taken to know.
    #[serde(default)]
    pub given: Given,
    /// What is to become of the record.
    pub expect: Expect,
}

/// What other systems are taken to know while a fixture's record is mapped.
#[derive(Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Given {
    /// Answers of `xref`: by flow and key. What is not here is not at the destination yet: the record waits for it, which counts as an error.
    #[serde(default)]
    pub xrefs: BTreeMap<String, BTreeMap<String, Value>>,
    /// Answers of `lookup`: by stream and key; null for a record that does not exist. A mapping that asks for more fails.
    #[serde(default)]
    pub lookups: BTreeMap<String, BTreeMap<String, Value>>,
}

/// What is to become of a fixture's record.
#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Expect {
    /// This is written, whole: a field that is written and not named here is a difference.
    Body(Map<String, Value>),
    /// `when` is false for it.
    LeftOut,
    /// The mapping fails with an error that contains this text.
    Error(String),
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Body(Map<String, Value>),
    LeftOut,
    Error(String),
}

/// One place at which what came is not what was expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Path in the body, as `item.items[0].rate`; empty where the difference is not in a body.
    pub path: String,
    /// What was expected; none for a field that was not.
    pub expected: Option<Value>,
    /// What came; none for a field that is missing.
    pub got: Option<Value>,
}

impl Resolve for Given {
    fn xref(&self, flow: &str, key: &str) -> Option<Value> {
        self.xrefs.get(flow)?.get(key).cloned()
    }

    fn awaits(&self, _flow: &str, _key: &str) -> bool {
        true
    }

    fn lookup(&self, stream: &str, key: &str) -> Looked {
        match self.lookups.get(stream).and_then(|records| records.get(key)) {
            None => Looked::Unknown,
            Some(Value::Null) => Looked::Absent,
            Some(record) => Looked::Found(record.clone()),
        }
    }
}

/// The fixtures of a text of YAML documents.
///
/// # Errors
/// With what is wrong, in words that name the place.
pub fn read(text: &str) -> Result<Vec<Fixture>, String> {
    let documents: Vec<Option<Fixture>> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    Ok(documents.into_iter().flatten().collect())
}

impl Difference {
    /// The difference in one line; values that are longer than so many characters are cut.
    pub fn told(&self, longest: usize) -> String {
        let path = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        let [expected, got] = [&self.expected, &self.got].map(|value| shown(value.as_ref(), longest));
        format!("{path}expected {expected}, got {got}")
    }
}

fn shown(value: Option<&Value>, longest: usize) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl Fixture {
    /// Maps the record and says what differs; nothing when all is as expected.
    pub fn differences(&self, mapping: &Mapping) -> Vec<Difference> {
        let mut found = Vec::new();
        match (&self.expect, self.outcome(mapping)) {
            (Expect::LeftOut, Outcome::LeftOut) => {}
            (Expect::Body(expected), Outcome::Body(got)) => fields(expected, &got, "", &mut found),
            (Expect::Error(part), Outcome::Error(error)) if error.contains(part) => {}
            (expected, got) => {
                found.push(Difference { path: String::new(), expected: Some(expected.said()), got: Some(got.said()) });
            }
        }
        found
    }

    fn outcome(&self, mapping: &Mapping) -> Outcome {
        let mapped = mapping
            .selects(&self.record, &self.given)
            .and_then(|selected| if selected { mapping.apply(&self.record, &self.given).map(Some) } else { Ok(None) });
        match mapped {
            Ok(None) => Outcome::LeftOut,
            Ok(Some(Value::Object(body))) => Outcome::Body(body),
            Ok(Some(other)) => Outcome::Error(format!("the mapping made no object but {other}")),
            Err(EvaluationError::NeedsLookups { wanted }) => {
                let wanted: Vec<String> =
                    wanted.iter().map(|wanted| format!("lookup({:?}, {:?})", wanted.stream, wanted.key)).collect();
                Outcome::Error(format!(
                    "the fixture does not say what {} gives: add it to given.lookups",
                    wanted.join(", ")
                ))
            }
            Err(error @ (EvaluationError::Failed { .. } | EvaluationError::AwaitsReferences { .. })) => {
                Outcome::Error(error.to_string())
            }
        }
    }
}

impl Expect {
    fn said(&self) -> Value {
        match self {
            Self::Body(body) => Value::Object(body.clone()),
            Self::LeftOut => "left out, because `when` is false".into(),
            Self::Error(part) => format!("an error with `{part}`").into(),
        }
    }
}

impl Outcome {
    fn said(self) -> Value {
        match self {
            Self::Body(body) => Value::Object(body),
            Self::LeftOut => "left out, because `when` is false".into(),
            Self::Error(error) => format!("an error: {error}").into(),
        }
    }
}

fn fields(expected: &Map<String, Value>, got: &Map<String, Value>, path: &str, found: &mut Vec<Difference>) {
    let more = got.keys().filter(|name| !expected.contains_key(*name));
    for name in expected.keys().chain(more) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        values(expected.get(name), got.get(name), path, found);
    }
}

fn values(expected: Option<&Value>, got: Option<&Value>, path: String, found: &mut Vec<Difference>) {
    match (expected, got) {
        (Some(Value::Object(expected)), Some(Value::Object(got))) => fields(expected, got, &path, found),
        (Some(Value::Array(expected)), Some(Value::Array(got))) => {
            for index in 0..expected.len().max(got.len()) {
                values(expected.get(index), got.get(index), format!("{path}[{index}]"), found);
            }
        }
        (Some(Value::Number(a)), Some(Value::Number(b))) if same_number(&a.to_string(), &b.to_string()) => {}
        (expected, got) if expected == got => {}
        (expected, got) => found.push(Difference { path, expected: expected.cloned(), got: got.cloned() }),
    }
}

/// Whether two numbers are worth the same, however they are written.
fn same_number(a: &str, b: &str) -> bool {
    let parse = |text: &str| text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(text));
    match (parse(a), parse(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mapping::MappingSource;

    fn mapping() -> Mapping {
        let map = [
            ("id", "string(record.id)"),
            ("customer", "xref('customers', record.customer)"),
            ("lines", "record.lines.map(line, {'rate': decimal(line.price)})"),
            ("shop.name", "lookup('shops', record.shop).name"),
        ];
        let map = map.map(|(field, expression)| (field.to_owned(), expression.to_owned())).into();
        Mapping::compile(&MappingSource { when: Some("record.open"), map: &map }).unwrap()
    }

    fn fixture(change: impl Fn(&mut Value)) -> Fixture {
        let mut fixture = json!({
            "fixture": "an order",
            "record": {"id": 7, "open": true, "customer": "c", "lines": [{"price": "1.50"}], "shop": "s"},
            "given": {"xrefs": {"customers": {"c": "900"}}, "lookups": {"shops": {"s": {"name": "North"}}}},
            "expect": {"body": {"id": "7", "customer": "900", "lines": [{"rate": 1.5}], "shop": {"name": "North"}}},
        });
        change(&mut fixture);
        serde_json::from_value(fixture).unwrap()
    }

    fn told(fixture: &Fixture) -> Vec<(String, Option<Value>, Option<Value>)> {
        let told = |found: Difference| (found.path, found.expected, found.got);
        fixture.differences(&mapping()).into_iter().map(told).collect()
    }

    #[test]
    fn what_is_as_expected_makes_no_difference() {
        assert_eq!(told(&fixture(|_| {})), []);
        assert_eq!(told(&fixture(|it| it["expect"]["body"]["lines"][0]["rate"] = json!(1.50))), []);
    }

    #[test]
    fn each_field_that_differs_is_named_with_what_was_expected_and_what_came() {
        let fixture = fixture(|it| {
            it["expect"]["body"] =
                json!({"id": "8", "customer": "900", "lines": [{"rate": 2}, {"rate": 3}], "memo": "hello"});
        });
        let expected = [
            ("id".to_owned(), Some(json!("8")), Some(json!("7"))),
            ("lines[0].rate".to_owned(), Some(json!(2)), Some(json!(1.5))),
            ("lines[1]".to_owned(), Some(json!({"rate": 3})), None),
            ("memo".to_owned(), Some(json!("hello")), None),
            ("shop".to_owned(), None, Some(json!({"name": "North"}))),
        ];
        assert_eq!(told(&fixture), expected);
    }

    #[test]
    fn a_record_that_is_left_out_is_no_body_and_no_error() {
        let left_out = |expect: Value| {
            fixture(|it| {
                it["record"]["open"] = json!(false);
                it["expect"] = expect.clone();
            })
        };
        assert_eq!(told(&left_out(json!("leftOut"))), []);
        assert_eq!(told(&left_out(json!({"error": "anything"}))).len(), 1);
        assert_eq!(told(&fixture(|it| it["expect"] = json!("leftOut"))).len(), 1);
    }

    #[test]
    fn an_error_is_expected_by_a_part_of_its_text() {
        let broken = |part: &str| {
            fixture(|it| {
                it["record"]["lines"] = json!([{"price": "many"}]);
                it["expect"] = json!({"error": part});
            })
        };
        assert_eq!(told(&broken("map[lines]")), []);
        assert_eq!(told(&broken("the moon")).len(), 1);
    }

    #[test]
    fn a_cross_reference_that_is_not_given_is_waited_for() {
        let missing = |part: &str| {
            fixture(|it| {
                it["given"]["xrefs"] = json!({});
                it["expect"] = json!({"error": part});
            })
        };
        assert_eq!(told(&missing("waits until flow `customers`")), []);
    }

    #[test]
    fn a_look_up_that_is_not_given_is_said_and_one_given_as_null_finds_nothing() {
        let missing = fixture(|it| it["given"]["lookups"] = json!({}));
        let told = told(&missing);
        let got = told[0].2.as_ref().and_then(Value::as_str).unwrap();
        assert!(got.contains("lookup(\"shops\", \"s\")") && got.contains("given.lookups"), "{got}");
        let absent = fixture(|it| {
            it["given"]["lookups"]["shops"]["s"] = Value::Null;
            it["expect"]["body"].as_object_mut().unwrap().remove("shop");
        });
        assert_eq!(absent.differences(&mapping()), []);
    }
}
