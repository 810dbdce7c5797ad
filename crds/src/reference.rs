//! The API's reference page, made from the schemas: the same texts that `kubectl explain` shows, on one page.

use std::fmt::{self, Write as _};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};

/// The page in Markdown.
///
/// # Errors
/// Only when text cannot be put together, which does not happen in memory.
pub fn markdown(definitions: &[CustomResourceDefinition]) -> Result<String, fmt::Error> {
    let mut page = String::from(
        "<!-- Generated from the types in crds/ by `make generate`; do not edit. -->\n\n# API reference\n\n\
         `crosstie.dev/v1alpha1`. The same texts are in `kubectl explain`. A `*` marks fields that must be set.\n",
    );
    for definition in definitions {
        let schema = definition.spec.versions.first().and_then(|version| version.schema.as_ref());
        let Some(schema) = schema.and_then(|schema| schema.open_api_v3_schema.as_ref()) else { continue };
        let names = &definition.spec.names;
        write!(page, "\n## {}\n\n{}\n", names.kind, schema.description.as_deref().unwrap_or_default())?;
        let short = names.short_names.clone().unwrap_or_default().join(", ");
        write!(page, "\n`kubectl get {}`, short: {short}.\n\n| field | type | |\n| --- | --- | --- |\n", names.plural)?;
        for part in ["spec", "status"] {
            if let Some(schema) = schema.properties.as_ref().and_then(|properties| properties.get(part)) {
                fields(&mut page, part, schema)?;
            }
        }
    }
    Ok(page)
}

fn fields(page: &mut String, path: &str, schema: &JSONSchemaProps) -> fmt::Result {
    for (name, field) in schema.properties.iter().flatten() {
        let required = schema.required.as_ref().is_some_and(|required| required.contains(name));
        let path = format!("{path}.{name}");
        let star = if required { "*" } else { "" };
        let text = field.description.as_deref().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        writeln!(page, "| `{path}`{star} | {} | {text} |", kind(field))?;
        for rule in field.x_kubernetes_validations.iter().flatten() {
            writeln!(page, "| | rule | {} |", rule.message.as_deref().unwrap_or(&rule.rule))?;
        }
        nested(page, &path, field)?;
    }
    Ok(())
}

fn nested(page: &mut String, path: &str, field: &JSONSchemaProps) -> fmt::Result {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
    };
    fields(page, path, field)?;
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &field.items {
        fields(page, &format!("{path}[]"), items)?;
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &field.additional_properties {
        fields(page, &format!("{path}[…]"), values)?;
    }
    Ok(())
}

fn kind(field: &JSONSchemaProps) -> String {
    let values = field.enum_.iter().flatten().map(|value| value.0.to_string().replace('"', "")).collect::<Vec<_>>();
    if !values.is_empty() {
        return values.join(", ");
    }
    let name = field.type_.as_deref().unwrap_or("any");
    match name {
        "array" => "list".into(),
        "object" if field.additional_properties.is_some() => "map".into(),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_fields_of_every_depth_with_their_texts() {
        let page = markdown(&crate::definitions().unwrap()).unwrap();
        assert!(
            page.contains("| `spec.flows[].triggers[].everySeconds` | integer | Read this often, in seconds."),
            "{page}"
        );
        assert!(page.contains("| `spec.baseURL`* | string |"));
        assert!(page.contains("set exactly one of pointer and header under identifier"));
        assert!(page.contains("| `spec.flows[].onUnknownOutcome` | Hold, Resend |"));
    }
}
