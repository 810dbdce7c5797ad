//! The CustomResourceDefinitions, made from the types and adjusted to what an API server understands best.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::{Connector, Integration, SyncReport};

/// Every CustomResourceDefinition of the project, in the order they are installed.
///
/// # Errors
/// When an adjusted schema is no CustomResourceDefinition any more; a mistake in this crate.
pub fn definitions() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    [Connector::crd(), Integration::crd(), SyncReport::crd()]
        .into_iter()
        .map(|definition| {
            let mut value = serde_json::to_value(definition)?;
            if let Some(versions) = value.pointer_mut("/spec/versions") {
                adjust(versions);
            }
            serde_json::from_value(value)
        })
        .collect()
}

/// Drops what misleads an API server: `nullable`, because a null would then count as set in CEL's `has()`, and number
/// formats that OpenAPI does not know, because each draws a warning. Joins the lines of descriptions, because `kubectl explain` wraps
/// them to the reader's width.
fn adjust(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("nullable") == Some(&Value::Bool(true)) {
                members.remove("nullable");
            }
            if let Some(Value::String(format)) = members.get("format")
                && matches!(format.as_str(), "uint8" | "uint16" | "uint32" | "uint64" | "uint")
            {
                let signed = if matches!(format.as_str(), "uint64" | "uint") { "int64" } else { "int32" };
                members.insert("format".into(), signed.into());
            }
            if let Some(Value::String(description)) = members.get_mut("description") {
                *description =
                    description.split("\n\n").map(|text| text.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
            }
            members.values_mut().for_each(adjust);
        }
        Value::Array(items) => items.iter_mut().for_each(adjust),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_explains_itself() {
        fn undescribed(path: &str, schema: &Value, found: &mut Vec<String>) {
            if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
                for (name, property) in properties {
                    let path = format!("{path}.{name}");
                    if property.get("description").and_then(Value::as_str).is_none_or(str::is_empty) {
                        found.push(path.clone());
                    }
                    undescribed(&path, property, found);
                }
            }
            for inner in ["items", "additionalProperties"] {
                if let Some(schema) = schema.get(inner) {
                    undescribed(&format!("{path}[]"), schema, found);
                }
            }
        }
        for definition in definitions().unwrap() {
            let value = serde_json::to_value(&definition).unwrap();
            let mut found = Vec::new();
            for part in ["spec", "status"] {
                let schema = value.pointer(&format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}"));
                undescribed(part, schema.expect("every kind has spec and status"), &mut found);
            }
            assert_eq!(found, Vec::<String>::new(), "{}", definition.spec.names.kind);
        }
    }

    #[test]
    fn every_list_and_map_of_a_spec_is_bounded() {
        fn unbounded(path: &str, schema: &Value, found: &mut Vec<String>) {
            let kind = schema.get("type").and_then(Value::as_str);
            if kind == Some("array") && schema.get("maxItems").is_none() {
                found.push(path.into());
            }
            if schema.get("additionalProperties").is_some_and(Value::is_object) && schema.get("maxProperties").is_none()
            {
                found.push(path.into());
            }
            if kind == Some("string") && schema.get("maxLength").is_none() && schema.get("enum").is_none() {
                found.push(path.into());
            }
            for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                unbounded(&format!("{path}.{name}"), property, found);
            }
            for inner in ["items", "additionalProperties"] {
                if let Some(schema) = schema.get(inner) {
                    unbounded(&format!("{path}[]"), schema, found);
                }
            }
        }
        for definition in definitions().unwrap() {
            let value = serde_json::to_value(&definition).unwrap();
            let mut found = Vec::new();
            let spec = value.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
            unbounded("spec", spec, &mut found);
            assert_eq!(found, Vec::<String>::new(), "{}", definition.spec.names.kind);
        }
    }
}
