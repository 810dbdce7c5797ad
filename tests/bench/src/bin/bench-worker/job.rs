//! The job: the orders of `examples/orders`, from a Shopify shop to a NetSuite account, both in the simulator; or in batches to a Salesforce org,
//! because NetSuite takes none. And the files that tell a worker to do it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use crosstie_bench::process::write;
use crosstie_crds::Integration;
use crosstie_engine::{
    compile::{self, Settings},
    credentials::{CredentialVersion, CredentialsDocument},
    plan::{Allowance, Plan},
    rate::Shares,
};
use serde_json::{Value, json};

/// The token that both systems accept.
pub const TOKEN: &str = "bench";
/// The field that identifies a record in Salesforce.
const EXTERNAL_ID: &str = "External_Id__c";
/// Requests a second: far above what can be reached.
const PLENTY: u32 = 1_000_000;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Records to move.
    pub records: u64,
    /// Writes under way at the same moment.
    pub in_flight: u32,
    /// How many records a write carries, if it carries several.
    pub batch: Option<u32>,
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

    /// The file that tells Benthos to do it.
    ///
    /// # Errors
    /// When the file is for another job.
    pub fn for_benthos(&self) -> Result<PathBuf> {
        let file = match (self.in_flight, self.batch) {
            (32, None) => "single.yaml",
            (32, Some(100)) => "batches.yaml",
            _ => bail!("Benthos has files for 32 writes under way, single or of 100 records, and none for {self:?}"),
        };
        Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("benthos").join(file))
    }

    fn plan(&self, shop: &str, books: &str) -> Result<Plan> {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/orders/integration.yaml");
        let text = fs::read_to_string(&example).with_context(|| format!("cannot read {}", example.display()))?;
        let mut integration: Integration =
            serde_saphyr::from_str(&text).context("the example's Integration is none")?;
        if let Some(batch) = self.batch {
            in_batches(&mut integration, batch)?;
        }
        let source = serde_json::from_value(self.connector("shopify", "Shopify", shop))?;
        // The example's Connector keeps its name, whatever it leads to.
        let preset = if self.batch.is_some() { "Salesforce" } else { "NetSuite" };
        let destination = serde_json::from_value(self.connector("netsuite", preset, books))?;
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

/// The same orders, mapped alike, to a custom object that is written in batches.
fn in_batches(integration: &mut Integration, batch: u32) -> Result<()> {
    let flow = integration.spec.flows.first_mut().context("the example has no flow")?;
    let id = flow.map.remove("externalId").context("the example does not map externalId")?;
    flow.map.insert(EXTERNAL_ID.to_owned(), id);
    (flow.write.operation, flow.write.batch_size) = ("upsertCustomOrder".to_owned(), Some(batch));
    Ok(())
}
