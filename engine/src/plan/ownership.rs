//! Fields of the mapped body that the destination has a say in.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::mapping::FieldPath;

/// Fields that only the write which makes a record carries, by their paths in the mapped body; none of them stands in both lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Ownership {
    /// Those that must never reach a record which was there already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destination_owned: Vec<String>,
    /// Those that the first write of a record carries, whatever was there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub create_only: Vec<String>,
}

impl Ownership {
    /// Whether it names no field.
    pub fn is_empty(&self) -> bool {
        self.destination_owned.is_empty() && self.create_only.is_empty()
    }

    /// What of a mapped body is written over a record that is there. Objects that nothing is left of go as well: an empty one could clear what
    /// they stand for.
    pub fn rest(&self, body: &Value) -> Value {
        let mut rest = body.clone();
        if let Value::Object(fields) = &mut rest {
            self.destination_owned.iter().chain(&self.create_only).for_each(|path| take_out(fields, path));
        }
        rest
    }
}

fn take_out(fields: &mut Map<String, Value>, path: &str) {
    // Whoever wrote the plan has parsed it.
    if let Some(path) = FieldPath::of(path) {
        path.take_out(fields);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_over_a_record_that_is_there_lacks_what_is_owned() {
        let ownership = Ownership {
            destination_owned: vec!["shipAddress".into(), "entity.phone".into()],
            create_only: vec![r"a\.b".into(), "alone.x".into(), "not.there".into()],
        };
        let body = json!({
            "id": "1", "shipAddress": {"city": "x"}, "entity": {"phone": "1", "email": "e"}, "a.b": 1, "a": {"b": 2}, "alone": {"x": 1},
            "empty": {}, "not": 3,
        });
        let rest = json!({"id": "1", "entity": {"email": "e"}, "a": {"b": 2}, "empty": {}, "not": 3});
        assert_eq!(ownership.rest(&body), rest);
        assert_eq!(Ownership::default().rest(&body), body);
    }
}
