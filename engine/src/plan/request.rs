//! How a write is made where one request by one method is not all. Pointers are JSON pointers (RFC 6901).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{LookUp, Method, Operation, Place, is_default};
use crate::template::Template;

/// How a request's body is made of the mapped body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// Its format.
    #[serde(default, skip_serializing_if = "is_default")]
    pub format: BodyFormat,
    /// Pointer to where the mapped body goes; empty when it is the request's body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wrap: String,
    /// Members beside it; texts may name `body.FIELD` and `identifier`, see [`inlay`](crate::inlay).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// Format of a request's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub enum BodyFormat {
    /// JSON.
    #[default]
    Json,
    /// A form, nested by brackets.
    Form,
    /// XML.
    Xml {
        /// Name of the root element.
        root: String,
    },
}

/// Looking for a record before it is written. The operation's own method, path, query and shape are those of a create.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Find {
    /// How it is looked for; `identifier` is there.
    pub lookup: LookUp,
    /// Method of an update.
    pub method: Method,
    /// Path of an update.
    pub path: Template,
    /// Query of an update.
    pub query: BTreeMap<String, Template>,
    /// How the body of an update is made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shape: Shape,
}

/// Writes only over the state that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IfMatch {
    /// Pointer, within the record found, to its entity tag; the header `ETag` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

/// A write that is answered 202 and carried out later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Where the answer says under which URL it is.
    pub location: Place,
    /// Pointer, in its state, to the word that says how far it is.
    pub done: String,
    /// Words that say that it was applied.
    pub done_values: Vec<String>,
    /// Words that say that nothing was applied.
    pub failed_values: Vec<String>,
    /// Pointer, in its state, to what the vendor called the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// How often it is read, in seconds; at least 1.
    pub every_seconds: u32,
    /// How long it is waited for, in seconds.
    pub timeout_seconds: u32,
}

/// A token that every write has to carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Csrf {
    /// Path, below the base URL, of the GET request that fetches it.
    pub path: String,
    /// The header that asks for it, brings it and carries it.
    pub header: String,
    /// What the header says to ask for it.
    pub fetch_value: String,
}

impl Operation {
    /// The operation that updates a record that was found; none where nothing is looked for.
    pub fn update(&self) -> Option<Self> {
        let find = self.find.as_ref()?;
        Some(Self {
            method: find.method,
            path: find.path.clone(),
            query: find.query.clone(),
            shape: find.shape.clone(),
            find: None,
            ..self.clone()
        })
    }
}
