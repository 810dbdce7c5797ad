//! The request's body of a write: which fields of the mapped body go in, where they go among constant members, and in which format. Pure.

mod form;
mod xml;

use bytes::Bytes;
use crosstie_engine::{
    body::Body,
    inlay,
    plan::{BodyFormat, Operation, Shape, names_a_record},
};
use serde_json::{Map, Value};

use crate::target::{Filling, Unfilled};

/// A body, and its media type.
pub struct Made {
    pub bytes: Bytes,
    pub content_type: &'static str,
}

/// Why a mapped body makes no request's body.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmade {
    /// Something that constant members name is not there.
    #[error(transparent)]
    Unfilled(#[from] Unfilled),
    /// It cannot be written in the operation's format.
    #[error("the mapped body cannot be written as {format}: {problem}")]
    Format {
        /// The format.
        format: &'static str,
        /// What is wrong, without values.
        problem: String,
    },
}

/// The body of a single write.
pub fn made(operation: &Operation, body: &Body, identifier: Option<&str>) -> Result<Made, Unmade> {
    let Shape { format, wrap, fields } = &operation.shape;
    let plain = wrap.is_empty() && fields.is_empty();
    if plain && *format == BodyFormat::Json {
        let bytes = match &**body {
            Value::Object(members) if !operation.omit.is_empty() => text(&without(members, &operation.omit)),
            _ => Bytes::copy_from_slice(body.text().as_bytes()),
        };
        return Ok(Made { bytes, content_type: "application/json" });
    }
    let filling = Filling { body, identifier, since: None };
    let body = match &**body {
        Value::Object(members) => without(members, &operation.omit),
        body => body.clone(),
    };
    let document = if plain { body } else { among(filled(fields, filling)?, wrap, body) };
    Ok(match format {
        BodyFormat::Json => Made { bytes: text(&document), content_type: "application/json" },
        BodyFormat::Form => {
            let bytes = form::encode(&document).map_err(|problem| Unmade::Format { format: "a form", problem })?;
            Made { bytes: bytes.into(), content_type: "application/x-www-form-urlencoded" }
        }
        BodyFormat::Xml { root } => {
            let bytes = xml::encode(root, &document).map_err(|problem| Unmade::Format { format: "XML", problem })?;
            Made { bytes: bytes.into(), content_type: "application/xml" }
        }
    })
}

/// Constant members with what they name of the record.
pub fn filled(fields: &Map<String, Value>, filling: Filling) -> Result<Value, Unfilled> {
    let of = |name: &str| match name.strip_prefix("body.") {
        Some(field) => filling.value(field).cloned(),
        None => filling.identifier.filter(|identifier| !identifier.is_empty()).map(Value::from),
    };
    inlay::fill(&Value::Object(fields.clone()), &names_a_record, &of).map_err(|inlay::Missing(name)| {
        match name.strip_prefix("body.") {
            Some(field) => Unfilled::Missing { field: field.to_owned() },
            None => Unfilled::NoIdentifier,
        }
    })
}

/// A body at a pointer among other members. Where both have a member, objects are joined and the body's own wins.
pub fn among(mut members: Value, pointer: &str, body: Value) -> Value {
    let mut wrapped = body;
    for token in pointer.split('/').skip(1).collect::<Vec<_>>().into_iter().rev() {
        let name = token.replace("~1", "/").replace("~0", "~");
        wrapped = Value::Object(Map::from_iter([(name, wrapped)]));
    }
    lay_over(&mut members, wrapped);
    members
}

fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                match under.get_mut(&name) {
                    Some(existing) => lay_over(existing, value),
                    None => {
                        under.insert(name, value);
                    }
                }
            }
        }
        (under, over) => *under = over,
    }
}

fn without(members: &Map<String, Value>, omit: &[String]) -> Value {
    let kept = members.iter().filter(|(name, _)| !omit.contains(name));
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The body's bytes. `Display` writes the same at twice the cost, and cannot fail.
pub fn text(body: &Value) -> Bytes {
    serde_json::to_vec(body).map_or_else(|_| Bytes::from(body.to_string()), Bytes::from)
}

#[cfg(test)]
mod tests;
