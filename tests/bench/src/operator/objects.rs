//! What the benchmark creates: Connectors as people write them, each with a secret of its own, and suspended Integrations between them, mapped
//! as in `examples/orders`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Namespace of everything that is created.
pub const NAMESPACE: &str = "bench";

/// The repository's root.
pub fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Connector `number`: sources have even numbers, destinations odd ones.
///
/// # Errors
/// When the example cannot be read.
pub fn connector(number: usize) -> Result<Value> {
    let mut object = example("connectors.yaml", number % 2)?;
    let url = object["spec"]["baseURL"].as_str().context("the example's Connector has no baseURL")?;
    let url = url.replacen("https://", &format!("https://system-{number}."), 1);
    object["spec"]["baseURL"] = json!(url);
    object["spec"]["credentials"]["awsSecretsManager"]["secretId"] = json!(secret_name(number));
    object["metadata"] = json!({"name": connector_name(number), "namespace": NAMESPACE});
    Ok(object)
}

/// Integration `number` of `count`: each Connector is used by as many Integrations as any other.
///
/// # Errors
/// When the example cannot be read.
pub fn integration(number: usize, count: usize) -> Result<Value> {
    let pairs = count.div_ceil(2);
    let source = number % pairs;
    let destination = (number + number / pairs) % pairs;
    let mut object = example("integration.yaml", 0)?;
    object["spec"]["source"]["connectorRef"]["name"] = json!(connector_name(2 * source));
    object["spec"]["destination"]["connectorRef"]["name"] = json!(connector_name(2 * destination + 1));
    object["spec"]["suspend"] = json!(true);
    // They are a ConfigMap that nobody makes here, and no plan comes to be without them.
    if let Some(flow) = object["spec"]["flows"][0].as_object_mut() {
        flow.remove("fixtures");
    }
    object["metadata"] = json!({"name": format!("flow-{number}"), "namespace": NAMESPACE});
    Ok(object)
}

/// Name of the secret of Connector `number`.
pub fn secret_name(number: usize) -> String {
    format!("{NAMESPACE}/{}", connector_name(number))
}

fn connector_name(number: usize) -> String {
    format!("system-{number}")
}

fn example(file: &str, place: usize) -> Result<Value> {
    let text = std::fs::read_to_string(repository().join("examples/orders").join(file))?;
    let document = text.split("\n---\n").nth(place).with_context(|| format!("{file} has no document {place}"))?;
    Ok(serde_saphyr::from_str(document)?)
}

/// The generated CustomResourceDefinitions.
///
/// # Errors
/// When they cannot be read.
pub fn definitions() -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(repository().join("crds/generated"))? {
        all.push(serde_saphyr::from_str(&std::fs::read_to_string(file?.path())?)?);
    }
    Ok(all)
}

/// Definitions of the same kinds in another group, which nobody has asked for anything of yet.
///
/// # Errors
/// When they cannot be read.
pub fn copies(group: &str) -> Result<Vec<Value>> {
    let mut all = definitions()?;
    for definition in &mut all {
        let plural =
            definition["spec"]["names"]["plural"].as_str().context("a definition without a plural")?.to_owned();
        definition["metadata"]["name"] = json!(format!("{plural}.{group}"));
        definition["spec"]["group"] = json!(group);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_connector_has_a_secret_of_its_own_and_two_integrations() {
        let secrets: BTreeSet<String> = (0..10)
            .map(|number| {
                connector(number).unwrap()["spec"]["credentials"]["awsSecretsManager"]["secretId"].to_string()
            })
            .collect();
        assert_eq!(secrets.len(), 10);
        let pairs: BTreeSet<(String, String)> = (0..10)
            .map(|number| {
                let spec = &integration(number, 10).unwrap()["spec"];
                (spec["source"].to_string(), spec["destination"].to_string())
            })
            .collect();
        assert_eq!(pairs.len(), 10);
        for end in 0..10 {
            let name = format!("\"{}\"", connector_name(end));
            let users =
                pairs.iter().filter(|(source, destination)| source.contains(&name) || destination.contains(&name));
            assert_eq!(users.count(), 2, "{name}");
        }
    }
}
