//! From an OpenAPI document to a Connector that lints, with a note wherever a person has to look. What names mean is guessed in `guess`. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    guess::{KEYS, LISTS, VERSIONS, cursor, escaped, field, named, pagination, pick, plain},
    openapi::{Call, Document, is_of},
};

/// Most streams, and most operations, that a Connector holds.
pub(super) const MOST: usize = 64;

/// A Connector to begin with.
pub(super) struct Scaffold {
    /// Its spec.
    pub(super) spec: Value,
    /// What a person has to look at.
    pub(super) notes: Vec<String>,
}

/// What a person chose.
pub(super) struct Choice<'a> {
    /// Address, where the document's own is not meant.
    pub(super) base_url: Option<&'a str>,
    /// Beginnings of paths that are meant; all when there are none.
    pub(super) paths: &'a [String],
    /// Name of the secret in AWS Secrets Manager.
    pub(super) secret: &'a str,
}

/// Makes a Connector's spec.
pub(super) fn scaffold(document: &Document, choice: &Choice<'_>) -> Scaffold {
    let mut notes = Vec::new();
    let base_url = choice.base_url.map(str::to_owned).or_else(|| document.server());
    if base_url.is_none() {
        notes.push("baseURL: the document names no whole address; set the one of your account".to_owned());
    }
    let auth = authentication(document, &mut notes);
    let chosen =
        |path: &str| choice.paths.is_empty() || choice.paths.iter().any(|start| path.starts_with(start.as_str()));
    let calls: Vec<Call<'_>> = document.calls().filter(|call| chosen(call.path) && !call.is_deprecated()).collect();
    let (streams, operations) = (streams(document, &calls, &mut notes), operations(document, &calls, &mut notes));
    let mut spec = json!({
        "baseURL": base_url.unwrap_or_else(|| "https://api.example.com".to_owned()),
        "credentials": {"awsSecretsManager": {"secretId": choice.secret}},
        "auth": auth,
    });
    for (name, list) in [("streams", streams), ("operations", operations)] {
        if !list.is_empty() {
            spec[name] = Value::Array(list);
        }
    }
    Scaffold { spec, notes }
}

fn authentication(document: &Document, notes: &mut Vec<String>) -> Value {
    for scheme in document.security() {
        let (kind, place) = (scheme["type"].as_str().unwrap_or_default(), scheme["in"].as_str().unwrap_or_default());
        let way = scheme["scheme"].as_str().unwrap_or_default().to_ascii_lowercase();
        match (kind, way.as_str(), place) {
            ("http", "bearer", _) => return json!({"bearer": {"token": "{token}"}}),
            ("http", "basic", _) => return json!({"basic": {"username": "{username}", "password": "{password}"}}),
            ("apiKey", _, "header") => {
                let name = scheme["name"].as_str().unwrap_or("Authorization");
                return json!({"header": {"name": name, "value": "{apiKey}"}});
            }
            ("oauth2" | "openIdConnect", _, _) => {
                notes.push("auth: the document asks for OAuth 2.0; the secret has to hold an access token".to_owned());
                return json!({"bearer": {"token": "{accessToken}"}});
            }
            _ => {}
        }
    }
    notes.push("auth: the document says nothing that is understood; correct what stands here".to_owned());
    json!({"bearer": {"token": "{token}"}})
}

fn streams(document: &Document, calls: &[Call<'_>], notes: &mut Vec<String>) -> Vec<Value> {
    let (mut streams, mut taken) = (Vec::new(), BTreeSet::new());
    let (mut without_key, mut beyond) = (Vec::new(), 0);
    let (mut whole, mut one_page) = (Vec::new(), Vec::new());
    for call in calls.iter().filter(|call| call.method == "get" && call.path_names().next().is_none()) {
        let Some((records, item)) = document.answer(*call).and_then(|schema| list_of(document, schema, call.path))
        else {
            continue;
        };
        match stream(document, *call, &records, item) {
            None => without_key.push(call.path.to_owned()),
            Some(_) if streams.len() == MOST => beyond += 1,
            Some(mut stream) => {
                let name = named(call.path, None, &mut taken);
                if !stream.contains_key("cursor") {
                    whole.push(name.clone());
                }
                if !stream.contains_key("pagination") {
                    one_page.push(name.clone());
                }
                stream.insert("name".to_owned(), json!(name));
                streams.push(Value::Object(first("name", stream)));
            }
        }
    }
    for (names, said) in [
        (whole, "streams have no cursor, because no parameter for changes was found: every read lists everything"),
        (one_page, "streams have no pagination, because none was recognised: only the first page is read"),
        (without_key, "lists were left out, because nothing tells their records or the states of those apart"),
    ] {
        if !names.is_empty() {
            let more = if names.len() > 5 { ", …" } else { "" };
            let shown = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            notes.push(format!("{} {said}: {shown}{more}", names.len()));
        }
    }
    if beyond > 0 {
        notes.push(format!("{beyond} more lists: a Connector holds {MOST} streams; choose with --path"));
    }
    streams
}

/// Where an answer holds its records, and what they look like.
fn list_of<'a>(document: &'a Document, schema: &'a Value, path: &str) -> Option<(String, &'a Value)> {
    if let Some(items) = document.items(schema) {
        return Some((String::new(), items));
    }
    let properties = document.properties(schema);
    let lists: Vec<(&str, &Value)> = properties
        .iter()
        .filter_map(|(name, property)| Some((*name, document.items(property)?)))
        .filter(|(_, items)| is_of(items, "object"))
        .collect();
    let last = path.rsplit('/').next().unwrap_or_default().split('.').next().unwrap_or_default();
    let named = |wanted: &str| lists.iter().find(|(name, _)| plain(name) == plain(wanted));
    let found = named(last)
        .or_else(|| LISTS.iter().find_map(|list| named(list)))
        .or_else(|| lists.first().filter(|_| lists.len() == 1));
    found.map(|(name, items)| (format!("/{}", escaped(name)), *items))
}

/// A stream without its name; none when its records cannot be told apart.
fn stream(document: &Document, call: Call<'_>, records: &str, item: &Value) -> Option<Map<String, Value>> {
    let fields = document.properties(item);
    let names: Vec<&str> = fields.keys().copied().collect();
    let key = pick(&names, &KEYS)?;
    let version = pick(&names, &VERSIONS).filter(|name| !is_of(fields[name], "boolean"));
    let one = one(document, call);
    if version.is_none() && one.is_none() {
        return None;
    }
    let mut stream = Map::new();
    stream.insert("path".into(), json!(call.path));
    if !records.is_empty() {
        stream.insert("records".into(), json!(records));
    }
    stream.insert("key".into(), json!(format!("/{}", escaped(key))));
    stream.extend(version.map(|version| ("version".to_owned(), json!(format!("/{}", escaped(version))))));
    stream.extend(one.map(|one| ("one".to_owned(), one)));
    let parameters = document.parameters(call, "query");
    let cursor = version.and_then(|version| cursor(&parameters, version));
    stream.extend(cursor.map(|cursor| ("cursor".to_owned(), cursor)));
    let pagination = pagination(document, call, &parameters);
    stream.extend(pagination.map(|pagination| ("pagination".to_owned(), pagination)));
    Some(stream)
}

/// How a single record is read: by the list's path and one more name.
fn one(document: &Document, list: Call<'_>) -> Option<Value> {
    let start = list.path.trim_end_matches(".json");
    let below = |path: &str| {
        let rest = path.strip_prefix(start)?.strip_prefix("/{")?;
        let (_, end) = rest.split_once('}')?;
        (end.is_empty() || end == ".json").then(|| format!("{start}/{{key}}{end}"))
    };
    let (call, path) =
        document.calls().filter(|call| call.method == "get").find_map(|call| Some((call, below(call.path)?)))?;
    let fields = document.answer(call).map(|schema| document.properties(schema)).unwrap_or_default();
    let wrapped = fields
        .iter()
        .find(|(_, field)| fields.len() == 1 && is_of(field, "object") && !document.properties(field).is_empty());
    let mut one = json!({"path": path});
    if let Some((name, _)) = wrapped {
        one["record"] = json!(format!("/{}", escaped(name)));
    }
    Some(one)
}

fn operations(document: &Document, calls: &[Call<'_>], notes: &mut Vec<String>) -> Vec<Value> {
    let (mut operations, mut taken) = (Vec::new(), BTreeSet::new());
    let (mut other_bodies, mut beyond, mut without_outcome) = (0, 0, 0);
    for call in calls.iter().filter(|call| call.method != "get") {
        if document.takes_other_bodies_only(*call) {
            other_bodies += 1;
        } else if document.request(*call).is_none() && call.method != "delete" {
            // Without a body there is nothing that a mapping could write.
        } else if operations.len() == MOST {
            beyond += 1;
        } else {
            let name = named(call.path, Some(*call), &mut taken);
            let operation = operation(document, *call, &name);
            without_outcome += usize::from(operation["outcome"] == json!({}));
            operations.push(operation);
        }
    }
    if without_outcome > 0 {
        notes.push(format!(
            "{without_outcome} operations have `outcome: {{}}`: nothing tells whether a call took effect when its answer never came. Add a look-up or \
             an idempotency header to those you use, see docs/connectors.md"
        ));
    }
    if other_bodies > 0 {
        notes.push(format!("{other_bodies} operations were left out because they take no JSON"));
    }
    if beyond > 0 {
        notes.push(format!("{beyond} more operations: a Connector holds {MOST}; choose with --path"));
    }
    operations
}

fn operation(document: &Document, call: Call<'_>, name: &str) -> Value {
    let mut path = call.path.to_owned();
    let names: Vec<&str> = call.path_names().collect();
    for (index, inner) in names.iter().enumerate() {
        // The last name of a delete is what the system called the record when it was written.
        let filled = if call.method == "delete" && index + 1 == names.len() {
            "{identifier}".to_owned()
        } else {
            format!("{{body.{}}}", field(inner))
        };
        path = path.replacen(&format!("{{{inner}}}"), &filled, 1);
    }
    let mut operation = json!({"name": name, "method": call.method.to_ascii_uppercase(), "path": path});
    let omitted: Vec<String> = names.iter().map(|name| field(name)).collect();
    if call.method != "delete" && !omitted.is_empty() {
        operation["omit"] = json!(omitted);
    }
    let answered = document.answer(call).map(|schema| document.properties(schema)).unwrap_or_default();
    let answered: Vec<&str> = answered.into_keys().collect();
    if let Some(key) = pick(&answered, &KEYS).filter(|_| call.method != "delete") {
        operation["identifier"] = json!({"pointer": format!("/{}", escaped(key))});
    }
    let headers = document.parameters(call, "header");
    let header = headers.iter().map(|(name, _)| *name).find(|name| plain(name).contains("idempotency"));
    operation["outcome"] = match header {
        Some(header) => json!({"idempotencyHeader": {"name": header, "windowSeconds": 86400}}),
        None => json!({}),
    };
    operation
}

/// An object with one member before all others.
fn first(name: &str, mut object: Map<String, Value>) -> Map<String, Value> {
    let mut ordered = Map::new();
    if let Some(value) = object.remove(name) {
        ordered.insert(name.to_owned(), value);
    }
    ordered.extend(object);
    ordered
}

#[cfg(test)]
#[path = "scaffold_tests.rs"]
mod tests;
