//! Where no secret value may be: manifests, every object of the namespace and of the operator's but the Secrets that are to hold values, logs, and
//! metrics. The search is also made to find what was written on purpose, and what the Secrets hold.

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    cluster::repository,
    install,
    marked::{CONTROL, MARK, shown},
    shop::Shop,
};
use serde_json::{Value, json};

/// Secrets of the namespace that hold values: what workers are handed, and what the operator keeps of access tokens.
const HOLDERS: [&str; 3] = ["hubspot-credentials", "analytics-credentials", "analytics-tokens"];

/// The example names secrets and holds none.
pub fn no_key_is_in_the_manifests(example: &str) -> Result<()> {
    for entry in std::fs::read_dir(repository().join("examples").join(example))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        ensure!(!text.contains("kind: Secret") && shown(&text).is_empty(), "{} holds a key", path.display());
    }
    Ok(())
}

/// Searches everything.
pub async fn no_secret_value_is_seen(shop: &Shop) -> Result<()> {
    let kubectl = &shop.world.kubectl;
    let control = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "control", "namespace": shop.namespace},
        "data": {"a": CONTROL},
    });
    shop.apply(&[&control]).await?;
    let mut said = Vec::new();
    let kinds = kubectl.run(&["api-resources", "--namespaced", "--verbs=list", "-o", "name"]).await?;
    let kinds: Vec<&str> = kinds.lines().map(str::trim).filter(|kind| *kind != "secrets").collect();
    for namespace in [shop.namespace.as_str(), install::NAMESPACE] {
        let ask = ["-n", namespace, "get", &kinds.join(","), "-o", "yaml", "--show-managed-fields"];
        said.push((format!("objects of {namespace}"), kubectl.run(&ask).await?));
        let secrets = kubectl.list(namespace, "secrets").await?;
        let but_values: Vec<Value> = secrets.into_iter().map(without_values).collect();
        said.push((format!("Secrets of {namespace} beside their values"), json!(but_values).to_string()));
        said.extend(spoken(shop, namespace).await?);
    }
    let mut bytes = 0;
    for (place, text) in &said {
        let found = shown(text);
        ensure!(found.is_empty(), "{} values are in {place}, the first one here:\n{}", found.len(), found[0]);
        bytes += text.len();
    }
    it_was_looked_where_it_had_to_be(shop, &said).await?;
    println!("{} places searched, {bytes} bytes", said.len());
    Ok(())
}

/// Of the Secrets that hold values only those may.
fn without_values(mut secret: Value) -> Value {
    let name = secret["metadata"]["name"].as_str().unwrap_or_default();
    if HOLDERS.contains(&name) {
        secret["data"] = Value::Null;
    }
    secret
}

/// Logs and metrics of every pod of a namespace.
async fn spoken(shop: &Shop, namespace: &str) -> Result<Vec<(String, String)>> {
    let kubectl = &shop.world.kubectl;
    let mut said = Vec::new();
    for pod in kubectl.list(namespace, "pods").await? {
        let name = pod["metadata"]["name"].as_str().context("a pod without a name")?;
        let log = kubectl.run(&["-n", namespace, "logs", name, "--all-containers", "--tail=-1"]).await?;
        ensure!(!log.is_empty(), "pod {name} has no log");
        said.push((format!("the log of {name}"), log));
        let metrics = format!("/api/v1/namespaces/{namespace}/pods/{name}:8080/proxy/metrics");
        let metrics = kubectl.run(&["get", "--raw", &metrics]).await?;
        ensure!(metrics.contains("crosstie_"), "pod {name} has no metrics");
        said.push((format!("metrics of {name}"), metrics));
    }
    Ok(said)
}

/// What was written on purpose is found, and so are Events and status; and values are where they are meant to be.
async fn it_was_looked_where_it_had_to_be(shop: &Shop, said: &[(String, String)]) -> Result<()> {
    let objects = &said.first().context("nothing was searched")?.1;
    for known in [CONTROL, "kind: Event", "reason: CredentialsOld", "kind: SyncReport", "versionId:", "kind: Pod"] {
        ensure!(objects.contains(known), "{known} is not in what was searched");
    }
    for name in HOLDERS {
        let secret = shop.world.kubectl.get(&shop.namespace, "secret", name).await?;
        let data = secret.with_context(|| format!("no Secret {name}"))?["data"].to_string();
        ensure!(!shown(&data).is_empty(), "Secret {name} holds no value with the mark {MARK}");
    }
    Ok(())
}
