//! Presets: nothing in them is ignored, what they come to is reviewed as YAML, and what they say of an API is in descriptions that others wrote.

use std::{collections::BTreeMap, path::PathBuf};

use crosstie_crds::Connector;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    compile::{Findings, Settings, connector},
    delivery::carries,
    plan::{Batch, Method, Operation, Stream},
    preset,
};

const LONGEST: usize = 150;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../connectors")
}

/// Each preset's own text.
fn sources() -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    yaml.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// A preset, resolved without anything of a Connector's own: its system, streams and operations.
fn resolved(name: &str) -> (Value, Vec<Stream>, Vec<Operation>) {
    let spec =
        json!({"preset": name, "baseURL": "https://api.example.com", "credentials": {"secretRef": {"name": "x"}}});
    let document = json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": name.to_lowercase()}, "spec": spec,
    });
    let document: Connector = serde_json::from_value(document).unwrap();
    let mut findings = Findings::new();
    let resolved = connector::resolve(&document, &Settings::default(), &mut findings).unwrap();
    let streams = resolved.streams.iter().map(|stream| resolved.stream(&stream.name, &mut findings).unwrap()).collect();
    let operations = resolved.operations.iter();
    let operations = operations.map(|operation| resolved.operation(&operation.name, &mut findings).unwrap()).collect();
    assert_eq!(findings.list, [], "{name}");
    (serde_json::to_value(&resolved.system).unwrap(), streams, operations)
}

#[test]
fn every_file_is_a_preset_of_its_own_and_none_is_long() {
    let sources = sources();
    let known = preset::names();
    assert_eq!(sources.len(), known.len(), "a file in connectors/ is not built in: {known:?}");
    for (file, text) in sources {
        assert!(text.lines().count() < LONGEST, "{file} has {} lines", text.lines().count());
        let name = known.iter().find(|name| name.to_lowercase() == file);
        assert!(name.is_some(), "no preset is named like {file}.yaml");
    }
}

#[test]
fn nothing_that_a_preset_says_is_ignored() {
    for (file, text) in sources() {
        let written: Value = serde_saphyr::from_str(&text).unwrap();
        let understood: preset::Preset = serde_saphyr::from_str(&text).unwrap();
        let understood = serde_json::to_value(&understood).unwrap();
        assert!(
            carries(&understood, &written),
            "{file}.yaml has a member that nobody reads, or that is read otherwise"
        );
    }
}

#[test]
fn what_each_preset_comes_to_is_as_it_was_reviewed() {
    for name in preset::names() {
        let (system, streams, operations) = resolved(name);
        let whole = json!({"system": system, "streams": streams, "operations": operations});
        insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_yaml_snapshot!(name.to_lowercase(), whole);
        });
    }
}

/// What a description that others wrote has of an API.
#[derive(Deserialize)]
struct Facts {
    source: String,
    #[serde(default)]
    everywhere: Vec<String>,
    paths: BTreeMap<String, Option<Described>>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Described {
    query: Vec<String>,
    body: Vec<String>,
    answer: Vec<String>,
}

/// One request that a preset makes: method and path, names of its query, of its body's top, and the pointers that it follows in the answer.
struct Request {
    operation: String,
    query: Vec<String>,
    body: Vec<String>,
    answer: Vec<String>,
}

/// A part of a stream or operation as JSON, whatever it is called in Rust.
fn texts(value: &Value, pointer: &str) -> Vec<String> {
    match value.pointer(pointer) {
        Some(Value::Object(members)) => members.keys().cloned().collect(),
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | None => Vec::new(),
    }
}

fn requests_of_stream(stream: &Stream) -> Vec<Request> {
    let value = serde_json::to_value(stream).unwrap();
    let method = texts(&value, "/method").first().map_or("GET".to_owned(), |method| method.to_uppercase());
    let mut query = texts(&value, "/query");
    for pointer in ["/cursor/param", "/cursor/untilParam", "/pagination/cursor/param"] {
        query.extend(texts(&value, pointer));
    }
    let mut answer = texts(&value, "/records");
    for pointer in ["/pagination/cursor/pointer", "/pagination/cursor/hasMore", "/pagination/nextUrl/pointer"] {
        answer.extend(texts(&value, pointer));
    }
    let listed =
        Request { operation: format!("{method} {}", stream.path), query, body: texts(&value, "/body"), answer };
    let one = stream.one.as_ref().map(|one| Request {
        operation: format!("GET {}", one.path),
        query: one.query.keys().cloned().collect(),
        body: Vec::new(),
        answer: vec![one.record.clone()],
    });
    [listed].into_iter().chain(one).collect()
}

fn written(operation: &Operation) -> Request {
    let value = serde_json::to_value(operation).unwrap();
    Request {
        operation: format!("{} {}", named(operation.method), operation.path),
        query: operation.query.keys().cloned().collect(),
        body: operation.shape.wrap.split('/').nth(1).map(str::to_owned).into_iter().collect(),
        answer: texts(&value, "/identifier/pointer"),
    }
}

fn requests_of_operation(operation: &Operation) -> Vec<Request> {
    let find = operation.find.as_ref().map(|find| &find.lookup);
    let lookup = operation.outcome.lookup.as_ref().or(find).map(|lookup| {
        let record = lookup.place.clone().filter(|place| !place.is_empty()).unwrap_or_else(|| lookup.key.clone());
        Request {
            operation: format!("GET {}", lookup.path),
            query: lookup.query.keys().cloned().collect(),
            body: Vec::new(),
            answer: [Some(record), lookup.evidence.more.clone()].into_iter().flatten().collect(),
        }
    });
    // What an update answers is not read: the record's identifier is known by then.
    let update = operation.update().map(|update| Request { answer: Vec::new(), ..written(&update) });
    let batch = operation.batch.as_ref().map(request_of_batch);
    [written(operation)].into_iter().chain(update).chain(lookup).chain(batch).collect()
}

fn request_of_batch(batch: &Batch) -> Request {
    let list = batch.records.split('/').nth(1).map(str::to_owned);
    let results = batch.results.iter();
    let answer = results.flat_map(|results| {
        let failed = results.failed.as_ref().map(|failed| failed.records.clone());
        [Some(results.records.clone()), failed].into_iter().flatten()
    });
    Request {
        operation: format!("{} {}", named(batch.method), batch.path),
        query: batch.query.keys().cloned().collect(),
        body: list.into_iter().chain(batch.fields.keys().cloned()).collect(),
        answer: answer.collect(),
    }
}

fn named(method: Method) -> &'static str {
    match method {
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

/// Whether a path with values for its parameters, or templates, is one of a description's.
fn is_described(described: &str, asked: &str) -> bool {
    let (described, asked): (Vec<&str>, Vec<&str>) = (described.split('/').collect(), asked.split('/').collect());
    described.len() == asked.len()
        && described.iter().zip(&asked).all(|(one, other)| one == other || (one.starts_with('{') && one.ends_with('}')))
}

fn check(vendor: &str, facts: &Facts, request: &Request) {
    let exact = facts.paths.iter().find(|(described, _)| **described == request.operation);
    let found = exact.or_else(|| facts.paths.iter().find(|(described, _)| is_described(described, &request.operation)));
    let Some((_, described)) = found else {
        panic!("{vendor}: {} is not in {}", request.operation, facts.source);
    };
    let described = described.clone().unwrap_or_default();
    let tops: Vec<String> =
        request.answer.iter().filter_map(|pointer| pointer.split('/').nth(1)).map(str::to_owned).collect();
    for (kind, asked, known) in [
        ("parameter", &request.query, &described.query),
        ("member of the request", &request.body, &described.body),
        ("member of the answer", &tops, &described.answer),
    ] {
        for name in asked.iter().filter(|name| *name != "*") {
            let is_known = known.contains(name) || facts.everywhere.contains(name);
            assert!(is_known, "{vendor}: {}: the {kind} `{name}` is not in {}", request.operation, facts.source);
        }
    }
}

#[test]
fn what_presets_ask_for_is_in_descriptions_that_others_wrote() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/compile/tests/facts");
    let mut checked = 0;
    for name in preset::names() {
        let Ok(text) = std::fs::read_to_string(folder.join(format!("{}.yaml", name.to_lowercase()))) else { continue };
        let facts: Facts = serde_saphyr::from_str(&text).unwrap();
        let (_, streams, operations) = resolved(name);
        let requests = streams.iter().flat_map(requests_of_stream);
        for request in requests.chain(operations.iter().flat_map(requests_of_operation)) {
            check(name, &facts, &request);
            checked += 1;
        }
    }
    assert!(checked >= 80, "only {checked} requests were compared: facts or presets are missing");
}
