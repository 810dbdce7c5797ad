//! Names in JSON that stand for something of a record: `{body.FIELD}`, `{identifier}`. Unlike in a [`Template`](crate::template::Template), only
//! names that are known there count; any other brace is text, because the texts may be GraphQL or JSON themselves.

use serde_json::{Map, Value};

/// A name that nothing is known by, for this record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub String);

/// Every known name in the texts of a value. Names of members are not looked into.
pub fn names(value: &Value, is_known: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    collect(value, is_known, &mut found);
    found
}

fn collect(value: &Value, is_known: &dyn Fn(&str) -> bool, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.extend(parts(text, is_known).filter_map(|part| match part {
            Part::Name(name) => Some(name.to_owned()),
            Part::Text(_) => None,
        })),
        Value::Array(items) => items.iter().for_each(|item| collect(item, is_known, found)),
        Value::Object(members) => members.values().for_each(|member| collect(member, is_known, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Replaces every known name. A text that is one name and nothing else becomes what the name stands for, whatever its type; within other text
/// only texts, numbers, true and false can stand.
///
/// # Errors
/// [`Missing`] for a known name that stands for nothing, or for something that cannot stand within text.
pub fn fill(
    value: &Value,
    is_known: &dyn Fn(&str) -> bool,
    of: &dyn Fn(&str) -> Option<Value>,
) -> Result<Value, Missing> {
    Ok(match value {
        Value::String(text) => fill_text(text, is_known, of)?,
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| fill(item, is_known, of)).collect::<Result<_, _>>()?)
        }
        Value::Object(members) => {
            let filled = members.iter().map(|(name, member)| Ok((name.clone(), fill(member, is_known, of)?)));
            Value::Object(filled.collect::<Result<Map<_, _>, Missing>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

fn fill_text(
    text: &str,
    is_known: &dyn Fn(&str) -> bool,
    of: &dyn Fn(&str) -> Option<Value>,
) -> Result<Value, Missing> {
    let wanted = |name: &str| of(name).ok_or_else(|| Missing(name.to_owned()));
    let parts: Vec<Part<'_>> = parts(text, is_known).collect();
    if let [Part::Name(name)] = parts[..] {
        return wanted(name);
    }
    let mut filled = String::with_capacity(text.len());
    for part in parts {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Name(name) => match wanted(name)? {
                Value::String(text) => filled.push_str(&text),
                scalar @ (Value::Number(_) | Value::Bool(_)) => filled.push_str(&scalar.to_string()),
                Value::Null | Value::Array(_) | Value::Object(_) => return Err(Missing(name.to_owned())),
            },
        }
    }
    Ok(Value::String(filled))
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// A text in parts; empty ones are left out.
fn parts<'a>(text: &'a str, is_known: &'a dyn Fn(&str) -> bool) -> impl Iterator<Item = Part<'a>> {
    let mut rest = text;
    let mut name = None;
    std::iter::from_fn(move || {
        if let Some(name) = name.take() {
            return Some(Part::Name(name));
        }
        if rest.is_empty() {
            return None;
        }
        let Some((start, found)) = first_known(rest, is_known) else {
            return Some(Part::Text(std::mem::take(&mut rest)));
        };
        let before = &rest[..start];
        rest = &rest[start + found.len() + 2..];
        if before.is_empty() {
            return Some(Part::Name(found));
        }
        name = Some(found);
        Some(Part::Text(before))
    })
}

fn first_known<'a>(text: &'a str, is_known: &dyn Fn(&str) -> bool) -> Option<(usize, &'a str)> {
    text.match_indices('{').find_map(|(start, _)| {
        let name = text[start + 1..].split_once('}')?.0;
        is_known(name).then_some((start, name))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_known(name: &str) -> bool {
        name == "identifier" || name.starts_with("body.")
    }

    fn filled(value: &Value) -> Result<Value, Missing> {
        fill(value, &is_known, &|name| match name {
            "identifier" => Some(json!("gid://1")),
            "body.quantity" => Some(json!(7)),
            "body.lines" => Some(json!([1, 2])),
            _ => None,
        })
    }

    #[test]
    fn known_names_are_replaced_and_other_braces_are_text() {
        let graphql =
            "mutation($input: In!) { update(id: \"{identifier}\", input: $input) { order { id } userErrors {field} } }";
        let expected = graphql.replace("{identifier}", "gid://1");
        let value = json!({"query": graphql, "n": ["{body.quantity}", "{{body.quantity}}", "x{", 1, null]});
        let wanted = json!({"query": expected, "n": [7, "{7}", "x{", 1, null]});
        assert_eq!(filled(&value), Ok(wanted));
        assert_eq!(names(&value, &is_known), ["identifier", "body.quantity", "body.quantity"]);
    }

    #[test]
    fn a_name_alone_keeps_its_type_and_within_text_only_scalars_stand() {
        assert_eq!(filled(&json!("{body.lines}")), Ok(json!([1, 2])));
        assert_eq!(filled(&json!("a{body.lines}")), Err(Missing("body.lines".into())));
        assert_eq!(filled(&json!(["{body.other}"])), Err(Missing("body.other".into())));
    }
}
