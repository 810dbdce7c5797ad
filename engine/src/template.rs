//! Templates: text with `{name}` to be replaced. Parsed once; filling one names what is missing. What a name stands for (a credential, a
//! field of the body, the API version) is the caller's business.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A parsed template. Serialises as its text.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
}

/// Why a text is no template, or a template cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// An opening brace without its closing one, or nothing between them.
    #[error("`{text}` has an unfinished or empty {{name}}: write a name between braces, such as {{token}}")]
    Malformed {
        /// The whole text.
        text: String,
    },
    /// Nothing is known by that name.
    #[error("there is no `{name}` to put in")]
    Missing {
        /// The name.
        name: String,
    },
}

impl Template {
    /// Parses a text.
    ///
    /// # Errors
    /// [`TemplateError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let malformed = || TemplateError::Malformed { text: text.to_owned() };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            let after = &after[1..];
            let close = after.find('}').ok_or_else(malformed)?;
            let name = &after[..close];
            if name.is_empty() || name.contains(['{', ' ']) {
                return Err(malformed());
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Name(name.to_owned()));
            rest = &after[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The names to be replaced, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The names that stand before the first question mark, in order: of a path that brings a query of its own, those of the path alone.
    pub fn names_before_query(&self) -> impl Iterator<Item = &str> {
        let path = self.parts.iter().take_while(|part| match part {
            Part::Name(_) => true,
            Part::Text(text) => !text.contains('?'),
        });
        path.filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Replaces every name by what `value` gives for it.
    ///
    /// # Errors
    /// [`TemplateError::Missing`] when `value` gives nothing.
    pub fn fill<V: AsRef<str>>(&self, value: impl Fn(&str) -> Option<V>) -> Result<String, TemplateError> {
        let missing = |name: &String| TemplateError::Missing { name: name.clone() };
        let values = self.parts.iter().map(|part| match part {
            Part::Text(_) => Ok(None),
            Part::Name(name) => value(name).map(Some).ok_or_else(|| missing(name)),
        });
        let values = values.collect::<Result<Vec<Option<V>>, _>>()?;
        let parts = self.parts.iter().zip(&values).map(|(part, value)| match (part, value) {
            (Part::Text(text), _) => text.as_str(),
            (Part::Name(_), value) => value.as_ref().map_or("", AsRef::as_ref),
        });
        // What is filled in may be secret: a text that grew would leave parts of it where it was before.
        let mut out = String::with_capacity(parts.clone().map(str::len).sum());
        out.extend(parts);
        Ok(out)
    }

    /// Replaces every name by the bytes that `put` appends for it. None when it says that it has nothing.
    pub fn fill_bytes(&self, mut put: impl FnMut(&str, &mut Vec<u8>) -> bool) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Name(name) if put(name, &mut out) => {}
                Part::Name(_) => return None,
            }
        }
        Some(out)
    }

    /// Replaces one name everywhere and keeps the others.
    #[must_use]
    pub fn bind(self, name: &str, value: &str) -> Self {
        let mut parts: Vec<Part> = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            let part = match part {
                Part::Name(found) if found == name => Part::Text(value.to_owned()),
                Part::Name(_) | Part::Text(_) => part,
            };
            // Neighbouring texts become one, so that a bound template equals the one parsed from its own text.
            match (parts.last_mut(), part) {
                (Some(Part::Text(before)), Part::Text(text)) => before.push_str(&text),
                (_, part) => parts.push(part),
            }
        }
        Self { parts }
    }
}

/// What stands between braces in a text, with nothing but letters, digits and dots in it, and looks like a name.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    let within = text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(within, _)| within);
    within.filter(|within| {
        within.starts_with(|first: char| first.is_ascii_alphabetic())
            && within.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'))
    })
}

/// The same of every text within a JSON value.
pub fn names_within<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.extend(names(text)),
        Value::Array(items) => items.iter().for_each(|item| names_within(item, found)),
        Value::Object(members) => members.values().for_each(|member| names_within(member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a text has a name between braces in it.
pub fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| text[..at].ends_with('{') && text[at + name.len()..].starts_with('}'))
}

/// The same of every text within a JSON value; names of members are no texts.
pub fn mentions_within(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => mentions(text, name),
        Value::Array(items) => items.iter().any(|item| mentions_within(item, name)),
        Value::Object(members) => members.values().any(|member| mentions_within(member, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Replaces names between braces by what `value` gives for them. Braces around anything else are text, and so is what was put in: it is not
/// looked at again. For texts of other languages, in which braces mean something of their own.
pub fn replace<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let name = from[1..].split_once('}').map(|(name, _)| name);
        match name.and_then(|name| Some((name, value(name)?))) {
            Some((name, put)) => {
                out.push_str(put);
                rest = &from[name.len() + 2..];
            }
            None => {
                out.push('{');
                rest = &from[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

impl std::fmt::Display for Template {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => formatter.write_str(text)?,
                Part::Name(name) => write!(formatter, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateError;
    fn try_from(text: String) -> Result<Self, TemplateError> {
        Self::parse(&text)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_and_missing_ones_are_named() {
        let template = Template::parse("{email}/token:{token}").unwrap();
        let known = |name: &str| (name == "email").then(|| "ops@example.com".to_owned());
        assert_eq!(template.fill(known), Err(TemplateError::Missing { name: "token".into() }));
        let filled = template.bind("token", "t").fill(known).unwrap();
        assert_eq!(filled, "ops@example.com/token:t");
    }

    #[test]
    fn in_other_languages_only_known_names_are_replaced_and_what_is_put_in_is_not_looked_at_again() {
        let known = |name: &str| match name {
            "since" => Some("{until}"),
            "cursor" => Some("c"),
            _ => None,
        };
        for (text, filled) in [
            ("a >= {since} and b", "a >= {until} and b"),
            ("{ orders(after: \"{cursor}\") { id } }", "{ orders(after: \"c\") { id } }"),
            ("{{cursor}}", "{c}"),
            ("{cursor", "{cursor"),
            ("{}{ü}{cursor}{", "{}{ü}c{"),
        ] {
            assert_eq!(replace(text, known), filled);
        }
        assert!(mentions("x{since}", "since") && !mentions("{sinces} since {since", "since"));
        let body = serde_json::json!({"{since}": ["{until}"]});
        assert!(mentions_within(&body, "until") && !mentions_within(&body, "since"));
    }

    #[test]
    fn unfinished_names_are_refused() {
        for text in ["{", "{}", "a{b", "{a b}", "{{x}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_template_prints_as_it_was_written() {
        let text = "/admin/{apiVersion}/x/{body.id}.json";
        assert_eq!(Template::parse(text).unwrap().to_string(), text);
    }
}
