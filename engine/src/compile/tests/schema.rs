//! Presets against the schema that the API server checks Connectors by: what a preset says could stand in a Connector as it is.

use std::path::PathBuf;

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::preset;

/// What a schema has against a value, each with where it stands.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn unless(&mut self, holds: bool, at: &str, problem: impl Into<String>) {
        if !holds {
            self.0.push(format!("{at}: {}", problem.into()));
        }
    }
}

/// The schema of `spec` of Connectors, as it is generated from the types.
fn spec_schema() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crds/generated/crosstie.dev_connectors.yaml");
    let definition: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

fn sized(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

fn number(schema: &Value, name: &str) -> Option<f64> {
    schema.get(name).and_then(Value::as_f64)
}

/// Checks a value by what structural schemas may say.
fn check(schema: &Value, value: &Value, at: &str, problems: &mut Problems) {
    let kind = schema["type"].as_str().unwrap_or("any");
    match value {
        Value::Object(members) => {
            problems.unless(matches!(kind, "object" | "any"), at, "an object");
            check_members(schema, members, at, problems);
        }
        Value::Array(items) => {
            problems.unless(matches!(kind, "array" | "any"), at, "a list");
            let size = sized(items.len());
            problems.unless(number(schema, "maxItems").is_none_or(|most| size <= most), at, "too many items");
            problems.unless(number(schema, "minItems").is_none_or(|least| size >= least), at, "too few items");
            for (index, item) in items.iter().enumerate() {
                check(&schema["items"], item, &format!("{at}[{index}]"), problems);
            }
        }
        Value::String(text) => {
            problems.unless(matches!(kind, "string" | "any"), at, "a text");
            let size = sized(text.chars().count());
            problems.unless(number(schema, "maxLength").is_none_or(|most| size <= most), at, "too long");
            problems.unless(number(schema, "minLength").is_none_or(|least| size >= least), at, "too short");
            let pattern = schema["pattern"].as_str().map(|pattern| Regex::new(pattern).unwrap());
            problems.unless(pattern.is_none_or(|pattern| pattern.is_match(text)), at, "not of the pattern");
            let known = schema["enum"].as_array();
            problems.unless(known.is_none_or(|known| known.contains(value)), at, "none of the words");
        }
        Value::Number(figure) => {
            let figure = figure.as_f64().unwrap();
            problems.unless(matches!(kind, "integer" | "number" | "any"), at, "a number");
            problems.unless(number(schema, "maximum").is_none_or(|most| figure <= most), at, "too much");
            problems.unless(number(schema, "minimum").is_none_or(|least| figure >= least), at, "too little");
        }
        Value::Bool(_) => problems.unless(matches!(kind, "boolean" | "any"), at, "true or false"),
        Value::Null => problems.unless(kind == "any", at, "null"),
    }
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    // Functions for URLs are Kubernetes' own.
    for rule in rules.filter_map(|rule| rule["rule"].as_str()).filter(|rule| !rule.contains("isURL(")) {
        problems.unless(holds(rule, value), at, format!("not {rule}"));
    }
}

fn check_members(schema: &Value, members: &Map<String, Value>, at: &str, problems: &mut Problems) {
    let size = sized(members.len());
    problems.unless(number(schema, "maxProperties").is_none_or(|most| size <= most), at, "too many members");
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        problems.unless(members.contains_key(name), at, format!("lacks {name}"));
    }
    let free = schema["x-kubernetes-preserve-unknown-fields"] == true || schema.get("type").is_none();
    for (name, value) in members {
        let at = format!("{at}.{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(schema), _) | (None, Some(schema)) => check(schema, value, &at, problems),
            (None, None) => problems.unless(free, &at, "no such member"),
        }
    }
}

/// Whether a rule holds. In rules, names that are words of CEL stand between underlines.
fn holds(rule: &str, value: &Value) -> bool {
    let program = cel::Program::compile(rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
    let mut context = cel::Context::default();
    let value = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (if name == "in" { "__in__".to_owned() } else { name.clone() }, value.clone()))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    };
    context.add_variable("self", &value).unwrap();
    match program.execute(&context).unwrap_or_else(|error| panic!("{rule}: {error} of {value}")) {
        cel::Value::Bool(holds) => holds,
        other => panic!("{rule}: {other:?}"),
    }
}

fn problems(spec: &Value) -> Vec<String> {
    let mut problems = Problems::default();
    check(&spec_schema(), spec, "spec", &mut problems);
    problems.0
}

#[test]
fn every_preset_could_stand_in_a_connector_as_it_is() {
    let schema = spec_schema();
    for name in preset::names() {
        let written = serde_json::to_value(preset::find(name).unwrap()).unwrap();
        let mut spec = json!({"baseURL": "https://api.example.com", "credentials": {"secretRef": {"name": "x"}}});
        let members = written.as_object().unwrap().iter();
        for (member, value) in
            members.filter(|(member, value)| schema["properties"].get(member).is_some() && !value.is_null())
        {
            spec[member] = value.clone();
        }
        assert_eq!(problems(&spec), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_schema_is_really_asked() {
    let good = json!({
        "preset": "REST", "baseURL": "https://api.example.com", "credentials": {"secretRef": {"name": "x"}},
        "streams": [{"name": "a", "path": "/a", "key": "/id"}],
    });
    assert_eq!(problems(&good), Vec::<String>::new());
    for (pointer, value, problem) in [
        ("/baseURL", json!(7), "spec.baseURL: a number"),
        ("/streams/0/path", json!("a"), "spec.streams[0].path: not of the pattern"),
        ("/streams/0/name", json!("a".repeat(200)), "spec.streams[0].name: too long"),
        ("/streams/0/method", json!("PUT"), "spec.streams[0].method: none of the words"),
        ("/streams/0/pages", json!({}), "spec.streams[0].pages: no such member"),
        ("/rateLimit", json!({"requests": 0}), "spec.rateLimit.requests: too little"),
        ("/rateLimit", json!({"requests": 1}), "spec.rateLimit: not has(self.requests) == has(self.perSeconds)"),
    ] {
        let mut changed = good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[name] = value;
        let found = problems(&changed);
        assert!(found.contains(&problem.to_owned()), "{pointer}: {found:?}");
    }
}
