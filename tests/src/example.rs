//! A folder of `examples/`, applied as a person would, with accounts of the simulator in place of the real ones.

use anyhow::{Context as _, Result};
use crosstie_vendors::control::Client;
use serde_json::{Value, json};

use crate::{cluster::repository, shop::Shop};

/// The Connectors and Integrations of an example's files, by their order in the folder.
///
/// # Errors
/// When a file cannot be read, or is no YAML.
pub fn documents(folder: &str) -> Result<Vec<Value>> {
    let folder = repository().join("examples").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|kind| kind == "yaml") && !file.ends_with("kustomization.yaml"));
    files.sort();
    let mut documents = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let found: Vec<Value> = serde_saphyr::from_multiple(&text).with_context(|| file.display().to_string())?;
        documents
            .extend(found.into_iter().filter(|found| found["kind"] == "Connector" || found["kind"] == "Integration"));
    }
    Ok(documents)
}

/// The documents of an example that builds on another one, as `kubectl kustomize` puts them together; `lint` has nothing to say of them.
///
/// # Errors
/// When they cannot be put together, or with what `lint` says.
pub async fn rendered(shop: &Shop, folder: &str) -> Result<Vec<Value>> {
    let kubectl = &shop.world.kubectl;
    let place = repository().join("examples").join(folder);
    let text = kubectl.run(&["kustomize", &place.to_string_lossy()]).await?;
    let file = shop.world.cluster.data.join(format!("{}-{folder}.yaml", shop.namespace));
    std::fs::write(&file, &text)?;
    kubectl.crosstie(&["lint", "-f", &file.to_string_lossy()]).await?;
    Ok(serde_saphyr::from_multiple(&text)?)
}

/// Applies an example in a shop's namespace: its Connectors lead to these accounts, by their names, with the secrets `NAMESPACE/NAME`. `change` may
/// change each Integration.
///
/// # Errors
/// When a Connector has no account, or with what the API server said.
pub async fn apply(shop: &Shop, folder: &str, accounts: &[(&str, &Client)], change: impl Fn(&mut Value)) -> Result<()> {
    let mut documents = documents(folder)?;
    for document in &mut documents {
        let name = document["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        document["metadata"]["namespace"] = json!(shop.namespace);
        if document["kind"] == "Connector" {
            let (_, account) =
                accounts.iter().find(|(of, _)| *of == name).with_context(|| format!("no account {name}"))?;
            document["spec"]["baseURL"] = json!(account.base_url());
            // A path at the host stands below the account's own.
            if let Some(token_url) = document.pointer_mut("/spec/credentials/oauth2/tokenURL")
                && let Some(path) = token_url.as_str().filter(|path| path.starts_with('/'))
            {
                *token_url = json!(format!("{}{path}", account.base_url()));
            }
            document["spec"]["credentials"]["awsSecretsManager"]["secretId"] =
                json!(format!("{}/{name}", shop.namespace));
            // As many at once as the example says; as fast as may be.
            document["spec"]["rateLimit"]["requests"] = json!(1000);
            document["spec"]["rateLimit"]["perSeconds"] = json!(1);
        } else if document["kind"] == "Integration" {
            change(document);
        }
    }
    shop.apply(&documents.iter().collect::<Vec<_>>()).await.map(drop)
}
