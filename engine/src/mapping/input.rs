//! What an evaluation is given: a record as it was read, or a value.

use serde_json::Value;

use crate::json::Json;

/// A record to evaluate on: JSON as it was read, or a value that is looked at as such.
#[derive(Debug)]
pub enum Record<'r> {
    /// As it was read.
    Read(&'r Json<'r>),
    /// A value.
    Value(Json<'r>),
}

impl<'r> Record<'r> {
    pub(super) fn json(&self) -> &Json<'r> {
        match self {
            Self::Read(json) => json,
            Self::Value(json) => json,
        }
    }
}

impl<'r, 'a: 'r> From<&'r Json<'a>> for Record<'r> {
    fn from(json: &'r Json<'a>) -> Self {
        Self::Read(json)
    }
}

impl<'r> From<&'r Value> for Record<'r> {
    fn from(value: &'r Value) -> Self {
        Self::Value(Json::from(value))
    }
}
