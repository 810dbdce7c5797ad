//! What is wanted of a record at the destination, before anything is mapped: a write, nothing, or that it be gone.

use serde_json::Value;

use super::Rule;
use crate::plan::{Flow, Method, OnWhenFalse, Operation};

/// What is wanted of a record at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// That it be there as it is mapped.
    Write,
    /// That it be there as it is mapped, if it is there at all: it took part and stopped to.
    Update,
    /// Nothing: what is there stays as it is.
    Leave,
    /// That it be gone, if it is there.
    Delete,
}

impl Wish {
    /// Of a record that meets the flow's condition, or does not, and is `there` at the destination, or is not.
    pub fn of_selected(flow: &Flow, selected: bool, there: bool) -> Self {
        if selected || !Rule::ConditionIsKept.holds() {
            return if flow.writes_once && there { Self::Leave } else { Self::Write };
        }
        match flow.on_when_false {
            OnWhenFalse::Ignore => Self::Leave,
            OnWhenFalse::Update if flow.writes_once => Self::Leave,
            OnWhenFalse::Update => Self::Update,
            OnWhenFalse::Delete => Self::of_deleted(flow),
        }
    }

    /// Of a record that its source no longer has. A flow that says nothing of deletes leaves it where it is.
    pub fn of_deleted(flow: &Flow) -> Self {
        if flow.delete_operation.is_some() { Self::Delete } else { Self::Leave }
    }
}

/// Whether the source says that it deleted a record.
pub fn is_deleted(flow: &Flow, record: &Value) -> bool {
    let mark = flow.stream.deleted.as_ref().and_then(|pointer| record.pointer(pointer));
    !matches!(mark, None | Some(Value::Null | Value::Bool(false)))
}

/// Whether an operation needs anything of the mapped body: DELETE sends none, and its path may name the record otherwise.
pub fn needs_body(operation: &Operation) -> bool {
    operation.method != Method::Delete
        || operation.outcome.lookup.is_some()
        || operation.names().any(|name| name.starts_with("body."))
}
