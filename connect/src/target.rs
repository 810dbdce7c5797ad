//! Which URL a call goes to; for pages see `ask`. Pure. Values of records become one path segment or one query value each: whatever is in them, they cannot
//! lead to another path.

use std::collections::BTreeMap;

use crosstie_engine::{
    plan::{Batch, IDENTIFIER, KEY, ReadOne, SINCE, SINCE_EPOCH},
    template::{Template, TemplateError},
};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::Url;

use crate::{clock, response};

/// What is escaped in a path segment: all but the unreserved characters (RFC 3986).
pub const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a record must provide for a path or query, and does not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    /// No text or number of that name.
    #[error("the body has no text or number `{field}`, which path or query need: let the map provide it")]
    Missing {
        /// Name of the field.
        field: String,
    },
    /// `.` or `..` as a whole path segment.
    #[error("a field of the body makes `.` or `..` of a path segment, which would lead to another path")]
    DotSegment,
    /// What the vendor called the record is not known.
    #[error("path or query need what the vendor called the record, and no write of it has said so")]
    NoIdentifier,
    /// A template that names something else.
    #[error("path or query name `{name}`, which is nothing known of a record: write {{body.FIELD}} or {{identifier}}")]
    Unknown {
        /// The name.
        name: String,
    },
}

/// What fills the templates of an operation.
#[derive(Clone, Copy)]
pub struct Filling<'a> {
    pub body: &'a Value,
    /// What the vendor called the record.
    pub identifier: Option<&'a str>,
    /// A time before the write was decided; look-ups have it.
    pub since: Option<Timestamp>,
}

impl<'a> Filling<'a> {
    /// A field of the body, see [`field`].
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        field(self.body, name)
    }

    fn text(&self, name: &str) -> Result<String, Unfilled> {
        if name == IDENTIFIER {
            let identifier = self.identifier.filter(|identifier| !identifier.is_empty());
            return identifier.map(str::to_owned).ok_or(Unfilled::NoIdentifier);
        }
        let since = self.since.and_then(|since| match name {
            SINCE => Some(clock::whole_seconds(since).to_string()),
            SINCE_EPOCH => Some(since.as_second().to_string()),
            _ => None,
        });
        if let Some(since) = since {
            return Ok(since);
        }
        let field = name.strip_prefix("body.").ok_or_else(|| Unfilled::Unknown { name: name.to_owned() })?;
        field_text(self.body, field).ok_or_else(|| Unfilled::Missing { field: field.to_owned() })
    }
}

/// The URL that an operation's templates make of a record.
pub fn filled(
    base: &Url,
    path: &Template,
    query: &BTreeMap<String, Template>,
    filling: Filling,
) -> Result<Url, Unfilled> {
    let path = fill(path, filling, |text| utf8_percent_encode(text, SEGMENT).to_string())?;
    if path.split('?').next().is_some_and(|path| path.split('/').any(is_dot_segment)) {
        return Err(Unfilled::DotSegment);
    }
    let query = query.iter().map(|(name, value)| Ok((name.as_str(), fill(value, filling, str::to_owned)?)));
    Ok(below(base, &path, &query.collect::<Result<_, Unfilled>>()?))
}

fn fill(template: &Template, filling: Filling, escape: impl Fn(&str) -> String) -> Result<String, Unfilled> {
    template.fill(|name| filling.text(name).ok().map(|text| escape(&text))).map_err(|error| match error {
        TemplateError::Missing { name } => filling.text(&name).err().unwrap_or(Unfilled::Unknown { name }),
        TemplateError::Malformed { text } => Unfilled::Unknown { name: text },
    })
}

/// The URL of a single record; none for a key that cannot name one, because it would make another path.
pub fn one(base: &Url, one: &ReadOne, key: &str) -> Option<Url> {
    if key.is_empty() {
        return None;
    }
    let named = |name: &str| (name == KEY).then_some(key);
    let path = one.path.fill(|name| named(name).map(|key| utf8_percent_encode(key, SEGMENT).to_string())).ok()?;
    if path.split('?').next().is_some_and(|path| path.split('/').any(is_dot_segment)) {
        return None;
    }
    let query = one
        .query
        .iter()
        .map(|(name, value)| Some((name.as_str(), value.fill(|name| named(name).map(str::to_owned)).ok()?)));
    Some(below(base, &path, &query.collect::<Option<_>>()?))
}

/// The URL that a batch goes to.
pub fn batch(base: &Url, batch: &Batch) -> Url {
    let query = batch.query.iter().map(|(name, value)| (name.as_str(), value.clone()));
    below(base, &batch.path, &query.collect())
}

/// The URL of a path that nothing is filled into.
pub fn plain(base: &Url, path: &str) -> Url {
    below(base, path, &BTreeMap::new())
}

/// A field of a body as text: by its whole name at the top, or else step by step along its dots, into lists by position.
pub fn field_text(body: &Value, name: &str) -> Option<String> {
    field(body, name).and_then(response::key_text)
}

/// A field of a body: by its whole name at the top, or else step by step along its dots, into lists by position.
pub fn field<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    body.get(name).or_else(|| name.split('.').try_fold(body, member))
}

fn member<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match value {
        Value::Array(members) => members.get(step.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => value.get(step),
    }
}

pub fn is_dot_segment(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// A URL below the base URL's path. A path may bring a query of its own.
pub fn below(base: &Url, path: &str, query: &BTreeMap<&str, String>) -> Url {
    let (path, own_query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut url = base.clone();
    url.set_path(&format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/')));
    url.set_query(own_query.filter(|query| !query.is_empty()));
    url.set_fragment(None);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn base() -> Url {
        Url::parse("https://api.example.com/root").unwrap()
    }

    fn path(template: &str, body: &Value) -> Result<String, Unfilled> {
        let path = Template::parse(template).unwrap();
        filled(&base(), &path, &BTreeMap::new(), Filling { body, identifier: None, since: None })
            .map(|url| url[url::Position::BeforePath..].to_owned())
    }

    #[test]
    fn values_become_one_path_segment_whatever_is_in_them() {
        for (value, segment) in [
            ("A-1_b.c~d", "A-1_b.c~d"),
            ("../../admin", "..%2F..%2Fadmin"),
            ("a/b?c#d", "a%2Fb%3Fc%23d"),
            ("a\\b", "a%5Cb"),
            ("%2e%2e", "%252e%252e"),
            ("x@y:z", "x%40y%3Az"),
            ("Zürich 1", "Z%C3%BCrich%201"),
            ("a\tb\r\nc\u{0}", "a%09b%0D%0Ac%00"),
            ("{body.id}", "%7Bbody.id%7D"),
        ] {
            assert_eq!(
                path("/x/eid:{body.id}/y", &json!({"id": value})),
                Ok(format!("/root/x/eid:{segment}/y")),
                "{value}"
            );
        }
    }

    #[test]
    fn a_value_that_makes_a_dot_segment_is_refused() {
        for (template, body) in [
            ("/x/{body.id}", json!({"id": ".."})),
            ("/x/{body.id}/y", json!({"id": "."})),
            ("/x/{body.id}{body.id}/y", json!({"id": "."})),
            ("/x/%2E{body.id}", json!({"id": "."})),
        ] {
            assert_eq!(path(template, &body), Err(Unfilled::DotSegment), "{template}");
        }
        assert_eq!(path("/x/{body.id}.json", &json!({"id": "."})).as_deref(), Ok("/root/x/..json"));
    }

    #[test]
    fn fields_are_found_by_their_whole_name_and_along_their_dots() {
        let body = json!({"a": {"b": 12, "c": 1.5}, "a.b": "whole"});
        assert_eq!(path("/{body.a.b}/{body.a.c}", &body).as_deref(), Ok("/root/whole/1.5"));
        assert_eq!(path("/{body.a.b}", &json!({"a": {"b": 12}})).as_deref(), Ok("/root/12"));
        assert_eq!(path("/{body.a.1.b}", &json!({"a": ["x", {"b": 12}]})).as_deref(), Ok("/root/12"));
    }

    #[test]
    fn a_field_that_is_missing_or_empty_is_named() {
        for body in [json!({}), json!({"id": ""}), json!({"id": null}), json!({"id": [1]}), json!("text")] {
            assert_eq!(path("/x/{body.id}", &body), Err(Unfilled::Missing { field: "id".into() }), "{body}");
        }
        assert_eq!(path("/x/{token}", &json!({})), Err(Unfilled::Unknown { name: "token".into() }));
    }

    #[test]
    fn a_path_may_bring_a_query_and_values_cannot_add_to_it() {
        let template = Template::parse("/find?email={body.email}").unwrap();
        let query = [("expand".to_owned(), Template::parse("{body.what}").unwrap())].into();
        let body = json!({"email": "a&admin=1#x", "what": "lines&x=1"});
        let url = filled(&base(), &template, &query, Filling { body: &body, identifier: None, since: None }).unwrap();
        assert_eq!(url.as_str(), "https://api.example.com/root/find?email=a%26admin%3D1%23x&expand=lines%26x%3D1");
    }
}
