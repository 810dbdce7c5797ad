//! The error language: which of a system's rules an answer meets, and what the vendor says in it. Pure. What follows from a meaning is decided in
//! `classify`.

use std::borrow::Cow;

use crosstie_engine::plan::{BodyTest, Condition, ErrorRule, HeaderTest, Place, RetryAfter, Test};
use http::HeaderMap;
use serde_json::Value;

use crate::{
    call::Answer,
    document::{self, Unreadable},
    observe::Purpose,
    response,
};

/// What a rule was asked about.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub purpose: Purpose,
    /// Name of the stream or operation.
    pub name: &'a str,
}

/// What the rules say of an answer.
pub enum Said<'a> {
    /// None matches: HTTP's own meaning counts.
    Nothing,
    /// This one matches; the answer's body, where it was read.
    Rule(&'a ErrorRule, Option<Value>),
    /// One would decide by a body that could not be had, is no JSON, or holds more values than are read.
    Unclear,
}

/// Asks a system's rules about an answer, in their order.
pub fn said<'a>(rules: &'a [ErrorRule], asked: Asked, answer: &Answer) -> Said<'a> {
    let mut body = Body::Unread;
    for rule in rules {
        if !is_for(&rule.when, asked) || !head_meets(&rule.when, answer) {
            continue;
        }
        let Some(wanted) = &rule.when.body else {
            let document = names_the_body(rule).then(|| body.read(answer).cloned()).flatten();
            return Said::Rule(rule, document);
        };
        if body.surely_lacks(answer, &wanted.pointer) {
            if wanted.test == Test::Exists(false) {
                return Said::Rule(rule, None);
            }
            continue;
        }
        // However it is read: nothing that was not looked at is taken for good.
        if answer.status.is_success() && body.holds_too_much(answer) {
            return Said::Unclear;
        }
        match body.read(answer) {
            Some(document) if meets(wanted, document) => return Said::Rule(rule, Some(document.clone())),
            // What says that the call went well is only believed whole; what says that it did not stands by its status.
            None if answer.status.is_success() && asked.purpose == Purpose::Write => return Said::Unclear,
            None if wanted.test == Test::Exists(false) && answer.body.is_ok() => return Said::Rule(rule, None),
            Some(_) | None => {}
        }
    }
    Said::Nothing
}

/// An answer's body, read when a rule first asks for it.
enum Body {
    Unread,
    /// What it says; null when it is empty.
    Read(Value),
    /// It was lost, or is no JSON.
    Unreadable,
    /// It holds more values than are read.
    TooMuch,
}

impl Body {
    fn read(&mut self, answer: &Answer) -> Option<&Value> {
        if matches!(self, Self::Unread) {
            *self = match &answer.body {
                Ok(body) if body.is_empty() => Self::Read(Value::Null),
                Ok(body) => match document::value(body) {
                    Ok(document) => Self::Read(document),
                    Err(Unreadable::TooLarge | Unreadable::TooMany) => Self::TooMuch,
                    Err(Unreadable::Malformed { .. }) => Self::Unreadable,
                },
                Err(_) => Self::Unreadable,
            };
        }
        match self {
            Self::Read(document) => Some(document),
            Self::Unread | Self::Unreadable | Self::TooMuch => None,
        }
    }

    fn holds_too_much(&mut self, answer: &Answer) -> bool {
        self.read(answer).is_none() && matches!(self, Self::TooMuch)
    }

    /// Whether a body that was not read yet surely has nothing at a pointer. Spares reading large pages twice for what only errors have.
    fn surely_lacks(&self, answer: &Answer, pointer: &str) -> bool {
        let (Self::Unread, Ok(body)) = (self, &answer.body) else { return false };
        document::surely_lacks(body, pointer)
    }
}

fn is_for(when: &Condition, asked: Asked) -> bool {
    let named = |names: &[String]| names.iter().any(|name| name == asked.name);
    if when.operations.is_empty() && when.streams.is_empty() {
        return true;
    }
    match asked.purpose {
        Purpose::Write | Purpose::LookUp => named(&when.operations),
        Purpose::ReadPage | Purpose::ReadOne | Purpose::ReadTime | Purpose::Consult => named(&when.streams),
        Purpose::LogIn => false,
    }
}

fn head_meets(when: &Condition, answer: &Answer) -> bool {
    let status = when.statuses.is_empty() || when.statuses.contains(&answer.status.as_u16());
    status && when.header.as_ref().is_none_or(|wanted| has_header(&answer.headers, wanted))
}

fn has_header(headers: &HeaderMap, wanted: &HeaderTest) -> bool {
    headers.get_all(&wanted.name).iter().any(|value| {
        let Some(part) = &wanted.contains else { return true };
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        value.contains(&part.to_ascii_lowercase())
    })
}

/// Whether a rule reads more of the body than its condition does.
fn names_the_body(rule: &ErrorRule) -> bool {
    let wait = rule.retry_after.as_ref().is_some_and(|retry_after| matches!(retry_after.at, Place::Pointer(_)));
    wait || rule.message.is_some()
}

fn meets(wanted: &BodyTest, document: &Value) -> bool {
    let found = at(document, &wanted.pointer);
    match &wanted.test {
        Test::In(texts) => {
            found.iter().filter_map(|value| scalar(value)).any(|found| texts.iter().any(|t| *t == found))
        }
        Test::Exists(wanted) => found.iter().any(|value| is_something(value)) == *wanted,
        Test::Contains(part) => {
            found.iter().any(|value| value.as_str().is_some_and(|text| text.contains(part.as_str())))
        }
    }
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => Some("null".into()),
        Value::Bool(truth) => Some(if *truth { "true" } else { "false" }.into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::String(text) => Some(text.as_str().into()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Everything at a pointer in which `*` stands for every item and every member.
fn at<'a>(document: &'a Value, pointer: &str) -> Vec<&'a Value> {
    let mut found = vec![document];
    for token in pointer.split('/').skip(1) {
        found = match token {
            "*" => found.into_iter().flat_map(inside).collect(),
            token => {
                let step = format!("/{token}");
                found.into_iter().filter_map(|value| value.pointer(&step)).collect()
            }
        };
    }
    found
}

fn inside(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// The vendor's own code in an answer that met a rule: at the rule's place for it, or where vendors usually put it.
pub fn code(rule: &ErrorRule, document: Option<&Value>) -> Option<String> {
    let document = document?;
    match &rule.message {
        Some(pointer) => at(document, pointer).into_iter().find_map(response::code),
        None => response::error_code_in(document),
    }
}

/// What stands at the place that says how long to wait.
pub fn wait_text<'a>(
    retry_after: &RetryAfter,
    headers: &'a HeaderMap,
    document: Option<&'a Value>,
) -> Option<Cow<'a, str>> {
    match &retry_after.at {
        Place::Header(name) => headers.get(name)?.to_str().ok().map(|text| text.trim().into()),
        Place::Pointer(pointer) => at(document?, pointer).first().and_then(|value| scalar(value)),
    }
}

#[cfg(test)]
mod tests;
