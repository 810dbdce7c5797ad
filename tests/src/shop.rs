//! One test's own corner: a namespace, a Shopify shop and a NetSuite account in the simulator, and their secrets. What specs look like here is
//! what `examples/orders` has, with shorter intervals.

use anyhow::{Context as _, Result, bail};
use crosstie_vendors::{control::Client, wire::SeedRequest};
use serde_json::{Value, json};

use crate::{
    wait::{Seen, until},
    world::World,
};

/// A namespace with a shop and a ledger behind it.
pub struct Shop {
    /// What it stands on.
    pub world: World,
    /// Its namespace, which is also the name of its vendor accounts.
    pub namespace: String,
    /// Control of its Shopify account.
    pub shopify: Client,
    /// Control of its NetSuite account.
    pub netsuite: Client,
}

impl Shop {
    /// Opens one: namespace made, tokens valid, secrets stored.
    ///
    /// # Errors
    /// When the world is not well.
    pub async fn open(name: &str) -> Result<Self> {
        Self::open_in(World::get().await?, name).await
    }

    /// The same in a world that was got already.
    ///
    /// # Errors
    /// When the world is not well.
    pub async fn open_in(world: World, name: &str) -> Result<Self> {
        let shopify = Client::new(&world.vendors, "shopify", name)?;
        let netsuite = Client::new(&world.vendors, "netsuite", name)?;
        shopify.set_tokens(&["shopify-1"]).await?;
        netsuite.set_tokens(&["netsuite-1"]).await?;
        world.secrets.put_json(&format!("{name}/shopify"), &json!({"token": "shopify-1"})).await?;
        world.secrets.put_json(&format!("{name}/netsuite"), &json!({"token": "netsuite-1"})).await?;
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        });
        world.kubectl.apply(&namespace.to_string()).await?;
        Ok(Self { world, namespace: name.to_owned(), shopify, netsuite })
    }

    /// Adds orders to the shop, all changed within the last minute: a flow that runs already looks back no further than its lookback.
    ///
    /// # Errors
    /// When the simulator refuses.
    pub async fn add_orders(&self, first_id: u64, count: u64) -> Result<()> {
        self.seed(first_id, count, None).await
    }

    /// The same with so many lines each.
    ///
    /// # Errors
    /// When the simulator refuses.
    pub async fn add_large_orders(&self, first_id: u64, count: u64, lines: u32) -> Result<()> {
        self.seed(first_id, count, Some(lines.into())).await
    }

    async fn seed(&self, first_id: u64, count: u64, lines: Option<u64>) -> Result<()> {
        let step_millis = u32::try_from(50_000 / count.max(1))?.min(1000);
        let start_time = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(60);
        let request = SeedRequest {
            resource: "orders".into(),
            count,
            start_id: first_id,
            start_time,
            step_millis,
            seed: first_id,
            lines,
        };
        self.shopify.seed(&request).await.map(drop).context("cannot add orders")
    }

    /// The Connector `shopify`.
    pub fn source(&self) -> Value {
        self.connector("shopify", "Shopify", &self.shopify.base_url())
    }

    /// The Connector `netsuite`.
    pub fn destination(&self) -> Value {
        self.connector("netsuite", "NetSuite", &self.netsuite.base_url())
    }

    fn connector(&self, name: &str, preset: &str, base_url: &str) -> Value {
        json!({
            "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "preset": preset, "baseURL": base_url,
                "credentials": {"awsSecretsManager": {"secretId": format!("{}/{name}", self.namespace)}},
                "rateLimit": {"requests": 1000, "perSeconds": 1},
            },
        })
    }

    /// The Integration `orders` of the example, reading every second and retrying soon; without its fixtures, which are a ConfigMap of their own.
    ///
    /// # Errors
    /// When the example cannot be read.
    pub fn orders(&self) -> Result<Value> {
        let path = crate::cluster::repository().join("examples/orders/integration.yaml");
        let mut orders: Value = serde_saphyr::from_str(&std::fs::read_to_string(path)?)?;
        orders["metadata"]["namespace"] = json!(self.namespace);
        orders["spec"]["flows"][0]["triggers"] = json!([{"everySeconds": 1}]);
        if let Some(flow) = orders["spec"]["flows"][0].as_object_mut() {
            flow.remove("fixtures");
        }
        orders["spec"]["errorPolicy"] = json!({"retries": 1, "backoff": {"initialSeconds": 1, "maxSeconds": 2}});
        Ok(orders)
    }

    /// Applies objects.
    ///
    /// # Errors
    /// With what the API server said.
    pub async fn apply(&self, objects: &[&Value]) -> Result<String> {
        let documents: Vec<String> = objects.iter().map(ToString::to_string).collect();
        self.world.kubectl.apply(&documents.join("\n---\n")).await
    }

    /// Applies both Connectors and the Integration, and waits until data flows.
    ///
    /// # Errors
    /// When it never does, with the state of everything.
    pub async fn start(&self) -> Result<()> {
        self.apply(&[&self.source(), &self.destination(), &self.orders()?]).await?;
        self.ready("integration", "orders", "True", "Flowing").await.map(drop)
    }

    /// Waits until an object is Ready with a status and a reason; gives the condition's message.
    ///
    /// # Errors
    /// When it never is, with the state of everything.
    pub async fn ready(&self, kind: &str, name: &str, status: &str, reason: &str) -> Result<String> {
        self.condition(kind, name, "Ready", status, reason).await
    }

    /// Waits until an object has a condition with a status and a reason, for its current spec; gives the condition's message.
    ///
    /// # Errors
    /// When it never has, with the state of everything.
    pub async fn condition(
        &self,
        kind: &str,
        name: &str,
        condition: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        let what = format!("{kind} {name} has {condition}={status} reason={reason}");
        let waited = until(&what, async || {
            let Some(object) = self.world.kubectl.get(&self.namespace, kind, name).await? else {
                return Ok(Seen::NotYet("it does not exist".into()));
            };
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let found = conditions.iter().find(|found| found["type"] == condition);
            let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            Ok(match found {
                Some(found) if current && found["status"] == status && found["reason"] == reason => {
                    Seen::Yes(found["message"].as_str().unwrap_or_default().to_owned())
                }
                Some(found) => Seen::NotYet(format!("current={current} {found}")),
                None => Seen::NotYet("it has no such condition".into()),
            })
        })
        .await;
        match waited {
            Ok(message) => Ok(message),
            Err(error) => bail!("{error:#}\n{}", self.describe().await),
        }
    }

    /// Waits until the ledger holds so many sales orders.
    ///
    /// # Errors
    /// When it never does, with the state of everything.
    pub async fn delivered(&self, count: usize) -> Result<()> {
        let waited = until(&format!("{count} sales orders"), async || {
            let total = self.netsuite.records("salesOrder", 0, 1).await?.total;
            Ok(if total == count { Seen::Yes(()) } else { Seen::NotYet(format!("{total} sales orders")) })
        })
        .await;
        match waited {
            Ok(()) => Ok(()),
            Err(error) => bail!("{error:#}\n{}", self.describe().await),
        }
    }

    /// Fails unless every sales order was written exactly once.
    ///
    /// # Errors
    /// With the first keys that were written more often.
    pub async fn exactly_once(&self) -> Result<()> {
        let writes = self.netsuite.stats().await?.writes;
        if writes.applied != writes.distinct {
            bail!("written more than once: {:?}", writes.keys_with_more_than_one_write);
        }
        Ok(())
    }

    /// Closes it: the namespace is deleted in the background.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn close(self) -> Result<()> {
        self.world.kubectl.run(&["delete", "namespace", &self.namespace, "--wait=false"]).await.map(drop)
    }

    /// The state of everything, for a person who has to find out why a test failed.
    pub async fn describe(&self) -> String {
        let kubectl = &self.world.kubectl;
        let mut text = String::new();
        let asked: [&[&str]; 5] = [
            &["get", "connectors,integrations,syncreports,deployments,pods,pvc,secrets,configmaps", "-o", "wide"],
            &["get", "integrations,connectors,syncreports", "-o", "yaml"],
            &["describe", "pods"],
            &["logs", "-l", "app.kubernetes.io/managed-by=crosstie", "--tail=60", "--prefix", "--ignore-errors"],
            &["get", "events", "--sort-by=.lastTimestamp"],
        ];
        for question in asked {
            let arguments: Vec<&str> = ["-n", &self.namespace].iter().chain(question).copied().collect();
            let answer = kubectl.run(&arguments).await.unwrap_or_else(|error| format!("{error:#}"));
            text += "--- kubectl ";
            text += &arguments.join(" ");
            text += "\n";
            text += &answer;
            text += "\n";
        }
        let operator =
            ["-n", crate::install::NAMESPACE, "logs", "-l", "app.kubernetes.io/name=crosstie", "--tail=60", "--prefix"];
        let answer = kubectl.run(&operator).await.unwrap_or_else(|error| format!("{error:#}"));
        text + "--- operator\n" + &answer
    }
}
