//! JSON merge patch, RFC 7396: for settings and for the control API's PATCH of a record.

use serde_json::{Map, Value};

/// Applies `patch` to `target`: objects are merged, null removes, anything else replaces.
pub(crate) fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(changes) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            if let Value::Object(fields) = target {
                for (name, change) in changes {
                    if change.is_null() {
                        fields.shift_remove(&name);
                    } else {
                        merge(fields.entry(name).or_insert(Value::Null), change);
                    }
                }
            }
        }
        other => *target = other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_merged_null_removes_and_lists_are_replaced() {
        let mut target = json!({"a": {"b": 1, "c": 2}, "list": [1, 2], "gone": true});
        merge(&mut target, json!({"a": {"b": 3}, "list": [9], "gone": null, "new": {"x": null, "y": 1}}));
        assert_eq!(target, json!({"a": {"b": 3, "c": 2}, "list": [9], "new": {"y": 1}}));
    }
}
