//! Manifests from files and folders. Documents of other kinds are passed over, as `kubectl` would apply them beside ours.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use crosstie_crds::{Connector, Integration};
use crosstie_engine::fixture::Fixture;
use serde_json::Value;

/// What files hold of Crosstie's kinds, by namespace and name, and fixtures.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    pub(crate) connectors: BTreeMap<(String, String), Connector>,
    pub(crate) integrations: BTreeMap<(String, String), Integration>,
    /// In the order of the files.
    pub(crate) fixtures: Vec<Fixture>,
}

/// The files that a command works on.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// Files, or folders with files, that hold Connectors, Integrations and fixtures; - for standard input
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Files {
    /// Reads files, and the YAML and JSON files of folders and their subfolders.
    pub(crate) fn read(&self) -> Result<Manifests> {
        let mut manifests = Manifests::default();
        let mut kustomization = None;
        for path in &self.files {
            if path.as_os_str() == "-" {
                let text = io::read_to_string(io::stdin()).context("cannot read standard input")?;
                manifests.add(&text).context("in standard input")?;
                continue;
            }
            for file in listed(path)? {
                let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
                manifests.add(&text).with_context(|| format!("in {}", file.display()))?;
                if is_kustomization(&file) {
                    kustomization = file.parent().map(Path::to_owned);
                }
            }
        }
        match kustomization {
            _ if !manifests.connectors.is_empty() || !manifests.integrations.is_empty() => Ok(manifests),
            Some(folder) => bail!(
                "the files hold no Connector and no Integration, only what is to be made of others: \
                 kubectl kustomize {} | kubectl crosstie … -f -",
                folder.display()
            ),
            None => bail!("the files hold no Connector and no Integration: name files or folders with -f"),
        }
    }
}

fn is_kustomization(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "kustomization.yaml" || name == "kustomization.yml")
}

fn listed(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let entries = fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
    for entry in entries {
        let entry = entry?.path();
        let manifest =
            entry.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        if entry.is_dir() || manifest {
            files.extend(listed(&entry)?);
        }
    }
    files.sort();
    Ok(files)
}

impl Manifests {
    fn add(&mut self, text: &str) -> Result<()> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).context("this is no YAML")?;
        for document in documents {
            let items = match document.get("items").and_then(Value::as_array) {
                Some(items) if document["kind"] == "List" => items.clone(),
                Some(_) | None => vec![document],
            };
            for item in items {
                self.add_object(item)?;
            }
        }
        Ok(())
    }

    fn add_object(&mut self, object: Value) -> Result<()> {
        let is_fixture = ["fixture", "expect"].iter().any(|field| object.get(field).is_some());
        if is_fixture && object.get("kind").is_none() {
            let name = object["fixture"].as_str().unwrap_or("without a name").to_owned();
            self.fixtures.push(serde_json::from_value(object).with_context(|| format!("fixture `{name}`"))?);
            return Ok(());
        }
        let group = object["apiVersion"].as_str().unwrap_or_default();
        if !group.starts_with("crosstie.dev/") {
            return Ok(());
        }
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().context("an object without metadata.name")?.to_owned();
        let namespace = metadata["namespace"].as_str().unwrap_or_default().to_owned();
        match object["kind"].as_str().unwrap_or_default() {
            "Connector" => {
                let connector = serde_json::from_value(object).with_context(|| format!("Connector {name}"))?;
                self.connectors.insert((namespace, name), connector);
            }
            "Integration" => {
                let integration = serde_json::from_value(object).with_context(|| format!("Integration {name}"))?;
                self.integrations.insert((namespace, name), integration);
            }
            _ => {}
        }
        Ok(())
    }
}
