//! Guesses by names: what most vendors call their lists, keys, times, cursors and parameters. Names are compared without case and separators. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::openapi::{Call, Document, is_of};

/// Longest name of a stream or operation.
const LONGEST_NAME: usize = 63;

/// Members that hold the list of an answer, in the order in which they are believed.
pub(super) const LISTS: [&str; 8] = ["data", "items", "results", "records", "value", "values", "entries", "list"];
/// Fields that identify a record.
pub(super) const KEYS: [&str; 6] = ["id", "uid", "uuid", "gid", "key", "code"];
/// Fields that order a record's states.
pub(super) const VERSIONS: [&str; 16] = [
    "updatedat",
    "updated",
    "updatedtime",
    "updatedon",
    "updateddate",
    "dateupdated",
    "lastupdated",
    "lastupdatedat",
    "modifiedat",
    "modified",
    "modifiedtime",
    "modifiedon",
    "lastmodified",
    "lastmodifiedat",
    "lastmodifieddate",
    "lastmodifiedtime",
];
/// Parameters that take the lower end of a window of changes.
const SINCE: [&str; 14] = [
    "updatedatmin",
    "updatedsince",
    "updatedafter",
    "updatedfrom",
    "updatedgte",
    "updatedatgte",
    "updatedgt",
    "modifiedsince",
    "modifiedafter",
    "lastmodifiedafter",
    "changedsince",
    "since",
    "minupdatedat",
    "fromupdatedat",
];
/// Parameters that take the upper end.
const UNTIL: [&str; 10] = [
    "updatedatmax",
    "updateduntil",
    "updatedbefore",
    "updatedto",
    "updatedlte",
    "updatedatlte",
    "updatedlt",
    "modifiedbefore",
    "until",
    "maxupdatedat",
];
/// Parameters that take a cursor, and members of an answer that hold it.
const CURSOR_PARAMETERS: [&str; 8] =
    ["cursor", "pagetoken", "nexttoken", "continuationtoken", "nextpagetoken", "pageafter", "startingafter", "after"];
const CURSOR_MEMBERS: [&str; 8] =
    ["nextcursor", "nextpagetoken", "nexttoken", "continuationtoken", "cursor", "endcursor", "startingafter", "after"];
/// Members of an answer that hold the next page's address.
const NEXT_MEMBERS: [&str; 5] = ["next", "nextpage", "nexturl", "nextpageurl", "nextlink"];
/// Objects of an answer in which those are looked for.
const ENVELOPES: [&str; 8] = ["links", "paging", "pagination", "pages", "meta", "responsemetadata", "page", "next"];

/// How changes are asked for.
pub(super) fn cursor(parameters: &[(&str, &Value)], version: &str) -> Option<Value> {
    let texts: Vec<&str> =
        parameters.iter().filter(|(_, schema)| is_of(schema, "string")).map(|(name, _)| *name).collect();
    let since = pick(&texts, &SINCE)?;
    let mut cursor = json!({"field": format!("/{}", escaped(version)), "param": since, "lookbackSeconds": 300});
    if let Some(until) = pick(&texts, &UNTIL) {
        cursor["untilParam"] = json!(until);
    }
    Some(cursor)
}

/// How the next page is got.
pub(super) fn pagination(document: &Document, call: Call<'_>, parameters: &[(&str, &Value)]) -> Option<Value> {
    let names: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
    let properties = document.answer(call).map(|schema| document.properties(schema)).unwrap_or_default();
    // Texts in the answer and in its envelopes, by their pointers.
    let mut members = Vec::new();
    collect(document, &properties, "", &mut members);
    let every: Vec<&str> = properties.keys().copied().collect();
    let member = |wanted: &[&str]| {
        wanted
            .iter()
            .find_map(|wanted| members.iter().find(|(_, name)| plain(name) == *wanted))
            .map(|(pointer, _)| pointer.clone())
    };
    if let (Some(param), Some(pointer)) = (pick(&names, &CURSOR_PARAMETERS), member(&CURSOR_MEMBERS)) {
        return Some(json!({"cursor": {"pointer": pointer, "param": param}}));
    }
    // The cursor is the last record's key, where an answer says itself whether more follows.
    if let (Some(param), Some(more)) = (pick(&names, &["startingafter"]), pick(&every, &["hasmore"])) {
        return Some(
            json!({"cursor": {"lastRecord": "/id", "param": param, "hasMore": format!("/{}", escaped(more))}}),
        );
    }
    if let (Some(param), Some(limit)) =
        (pick(&names, &["offset", "skip", "start"]), pick(&names, &["limit", "count", "top", "pagesize"]))
    {
        return Some(json!({"offset": {"param": param, "limitParam": limit, "limit": 100}}));
    }
    if let (Some(param), Some(size)) =
        (pick(&names, &["page", "pagenumber"]), pick(&names, &["perpage", "pagesize", "limit", "size"]))
    {
        return Some(json!({"page": {"param": param, "first": 1, "sizeParam": size, "size": 100}}));
    }
    if let Some(pointer) = member(&NEXT_MEMBERS) {
        return Some(json!({"nextURL": {"pointer": pointer}}));
    }
    document.has_link_header(call).then(|| json!({"linkHeader": {}}))
}

/// Texts of an object by their pointers, and those of the envelopes in it.
fn collect<'a>(
    document: &'a Document,
    properties: &BTreeMap<&'a str, &'a Value>,
    at: &str,
    into: &mut Vec<(String, &'a str)>,
) {
    for (name, schema) in properties {
        let pointer = format!("{at}/{}", escaped(name));
        if is_of(schema, "string") {
            into.push((pointer.clone(), *name));
        }
        if ENVELOPES.contains(&plain(name).as_str()) && at.len() < LONGEST_NAME {
            collect(document, &document.properties(schema), &pointer, into);
        }
    }
}

/// The first of the names that is wanted, in the order of the wishes.
pub(super) fn pick<'a>(names: &[&'a str], wanted: &[&str]) -> Option<&'a str> {
    wanted.iter().find_map(|wanted| names.iter().find(|name| plain(name) == *wanted)).copied()
}

/// A name without case and separators.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// A field's name as a template can hold it.
pub(super) fn field(name: &str) -> String {
    name.chars().filter(|letter| letter.is_ascii_alphanumeric() || "_-".contains(*letter)).collect()
}

/// A name within a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A name that is not taken yet: the operation's own, or the path's last words.
pub(super) fn named(path: &str, call: Option<Call<'_>>, taken: &mut BTreeSet<String>) -> String {
    let words: Vec<String> =
        path.split('/').filter(|part| !part.is_empty() && !part.contains('{')).map(field_of_path).collect();
    let id = call.and_then(|call| call.id().map(field));
    let method = call.map(|call| call.method).unwrap_or_default();
    let candidates = (1..=words.len().max(1)).map(|count| {
        let last = &words[words.len().saturating_sub(count)..];
        [method]
            .into_iter()
            .filter(|method| !method.is_empty())
            .chain(last.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join("-")
    });
    let kind = if method.is_empty() { "stream" } else { "operation" };
    let numbered = (1..).map(|number| format!("{kind}-{number}"));
    let usable = |name: &String| name.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let mut all = id
        .into_iter()
        .chain(candidates)
        .chain(numbered)
        .filter(usable)
        .map(|name| name.chars().take(LONGEST_NAME).collect::<String>());
    let name = all.find(|name| !taken.contains(name)).unwrap_or_else(|| format!("unnamed-{}", taken.len()));
    taken.insert(name.clone());
    name
}

fn field_of_path(part: &str) -> String {
    field(part.trim_end_matches(".json"))
}
