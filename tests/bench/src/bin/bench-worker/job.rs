//! The job: the orders of `examples/orders`, from a Shopify shop to a NetSuite account, both in the simulator; and the files that tell a worker
//! to do it.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use crosstie_engine::{
    compile::{self, Settings},
    credentials::{CredentialVersion, CredentialsDocument},
    plan::{Allowance, Plan},
    rate::Shares,
};
use serde_json::{Value, json};

/// The token that both systems accept.
pub const TOKEN: &str = "bench";
/// Requests a second: far above what can be reached.
const PLENTY: u32 = 1_000_000;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Records to move.
    pub records: u64,
    /// Writes under way at the same moment.
    pub in_flight: u32,
}

impl Job {
    /// Writes the files that an operator would mount.
    ///
    /// # Errors
    /// When the example does not compile, or a file cannot be written.
    pub fn mount(&self, folder: &Path, shop: &str, books: &str) -> Result<()> {
        let plan = self.plan(shop, books)?;
        let share = Allowance { requests: PLENTY, per_seconds: 1, concurrency: self.in_flight };
        write(folder, "plan/plan.json", &plan.to_json())?;
        write(folder, "shares/shares.json", &Shares { source: share, destination: share }.to_json())?;
        for (end, connector) in [("source", &plan.source.connector), ("destination", &plan.destination.connector)] {
            let current = CredentialVersion { version_id: "1".into(), values: [("token".into(), TOKEN.into())].into() };
            let document = CredentialsDocument { connector: connector.clone(), current, previous: None };
            write(folder, &format!("credentials/{end}/credentials.json"), &serde_json::to_string(&document)?)?;
        }
        Ok(())
    }

    fn plan(&self, shop: &str, books: &str) -> Result<Plan> {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/orders/integration.yaml");
        let text = fs::read_to_string(&example).with_context(|| format!("cannot read {}", example.display()))?;
        let integration = serde_saphyr::from_str(&text).context("the example's Integration is none")?;
        let source = serde_json::from_value(self.connector("shopify", "Shopify", shop))?;
        let destination = serde_json::from_value(self.connector("netsuite", "NetSuite", books))?;
        let settings = Settings { allow_cidrs: vec!["127.0.0.0/8".into()] };
        let compiled = compile::integration(&integration, &source, &destination, &settings);
        match compiled.value {
            Some(plan) => Ok(plan),
            None => bail!("the example does not compile: {:?}", compiled.findings),
        }
    }

    fn connector(&self, name: &str, preset: &str, base_url: &str) -> Value {
        json!({
            "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": name, "namespace": "bench"},
            "spec": {
                "preset": preset, "baseURL": base_url,
                "credentials": {"secretRef": {"name": "none"}},
                "rateLimit": {"requests": PLENTY, "perSeconds": 1, "concurrency": self.in_flight},
            },
        })
    }
}

fn write(folder: &Path, path: &str, content: &str) -> Result<()> {
    let path = folder.join(path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}
