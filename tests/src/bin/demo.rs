//! `make demo`: Shopify orders become NetSuite sales orders on a real Kubernetes, and the shop's token is rotated while they do. Run by the
//! Makefile in the cluster's network, with everything built. Exits with an error when a count is wrong.

use std::{env, time::Instant};

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    cluster::{Cluster, repository},
    install,
    wait::{Seen, until},
    world::{Built, World, emulator_url, start_emulator, start_vendors},
};
use crosstie_vendors::{control::Client, wire::SeedRequest};
use serde_json::{Value, json};

const NAMESPACE: &str = "shop";
const FIRST_ORDERS: usize = 250;
const LATER_ORDERS: usize = 100;

/// Says what is done, with the seconds since the start.
struct Narrator {
    begun: Instant,
}

impl Narrator {
    fn say(&self, text: &str) {
        println!("{:>6.1} s  {text}", self.begun.elapsed().as_secs_f32());
    }
}

struct Demo {
    world: World,
    shopify: Client,
    netsuite: Client,
    narrator: Narrator,
}

#[tokio::main]
async fn main() -> Result<()> {
    let narrator = Narrator { begun: Instant::now() };
    let cluster = Cluster::find().await?;
    let built = Built::find()?;
    start_emulator(&cluster).await?;
    start_vendors(&cluster, &built.vendors).await?;
    narrator.say("the AWS emulator and the vendor simulator answer");
    let world = World::of(cluster);
    let (shopify, netsuite) =
        (Client::new(&world.vendors, "shopify", "acme")?, Client::new(&world.vendors, "netsuite", "main")?);
    let demo = Demo { world, shopify, netsuite, narrator };
    demo.prepare().await?;
    demo.world.install(&built.images, &emulator_url(&demo.world.cluster)).await?;
    demo.narrator.say("helm installed the operator into the namespace crosstie-system");
    demo.apply().await?;
    demo.flows().await?;
    demo.rotate().await?;
    demo.farewell();
    Ok(())
}

impl Demo {
    /// Fills the shop and stores both tokens in the emulator's Secrets Manager. Running the demo twice begins anew.
    async fn prepare(&self) -> Result<()> {
        self.world
            .kubectl
            .run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", "--timeout=90s"])
            .await?;
        for order in self.netsuite.records("salesOrder", 0, 10_000).await?.items {
            self.netsuite.delete_record("salesOrder", &order["id"].to_string().replace('"', "")).await?;
        }
        self.shopify.set_tokens(&["token-of-spring"]).await?;
        self.netsuite.set_tokens(&["ledger-token"]).await?;
        self.world.secrets.put_json("shop/shopify", &json!({"token": "token-of-spring"})).await?;
        self.world.secrets.put_json("shop/netsuite", &json!({"token": "ledger-token"})).await?;
        self.add_orders(1, FIRST_ORDERS).await?;
        self.netsuite.reset_stats().await?;
        self.shopify.reset_stats().await?;
        self.narrator.say(&format!("{FIRST_ORDERS} orders are in the shop; both tokens are in AWS Secrets Manager"));
        Ok(())
    }

    async fn add_orders(&self, first_id: usize, count: usize) -> Result<()> {
        let start_time = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(i64::try_from(count)? + 30);
        let (start_id, count) = (u64::try_from(first_id)?, u64::try_from(count)?);
        let request = SeedRequest {
            resource: "orders".into(),
            count,
            start_id,
            start_time,
            step_millis: 1000,
            seed: start_id,
            lines: None,
        };
        self.shopify.seed(&request).await.map(drop).context("cannot add orders to the shop")
    }

    async fn apply(&self) -> Result<()> {
        let folder = repository().join("examples/simulator/orders");
        let mut manifests = self.world.kubectl.run(&["kustomize", &folder.to_string_lossy()]).await?;
        manifests = manifests.replace("http://10.255.0.1:7100", &self.world.vendors);
        self.world.kubectl.apply(&manifests).await?;
        self.narrator.say("kubectl applied examples/orders (through examples/simulator/orders)");
        let applied = Instant::now();
        until("the first sales order", async || {
            let total = self.netsuite.records("salesOrder", 0, 1).await?.total;
            Ok(if total > 0 { Seen::Yes(()) } else { Seen::NotYet("none yet".into()) })
        })
        .await?;
        self.narrator.say(&format!(
            "the first sales order arrived {:.1} s after kubectl apply",
            applied.elapsed().as_secs_f32()
        ));
        Ok(())
    }

    async fn flows(&self) -> Result<()> {
        self.delivered(FIRST_ORDERS).await?;
        until("Ready=True reason=Flowing", async || {
            let orders = self.world.kubectl.get(NAMESPACE, "integration", "orders").await?.unwrap_or_default();
            let conditions = orders["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.iter().find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default();
            let flows = ready["status"] == "True" && ready["reason"] == "Flowing";
            Ok(if flows { Seen::Yes(()) } else { Seen::NotYet(ready.to_string()) })
        })
        .await?;
        self.narrator.say("the Integration is Ready: Flowing");
        self.show().await
    }

    async fn show(&self) -> Result<()> {
        println!("\n$ kubectl -n {NAMESPACE} get connectors,integrations");
        println!("{}\n", self.world.kubectl.run(&["-n", NAMESPACE, "get", "connectors,integrations"]).await?);
        let orders = self.shopify.records("orders", 0, 1).await?.total;
        let sales = self.netsuite.records("salesOrder", 0, 1).await?.total;
        println!("orders in Shopify: {orders}     sales orders in NetSuite: {sales}\n");
        ensure!(orders == sales, "the counts differ");
        Ok(())
    }

    async fn delivered(&self, count: usize) -> Result<()> {
        until(&format!("{count} sales orders"), async || {
            let total = self.netsuite.records("salesOrder", 0, 1).await?.total;
            Ok(if total == count { Seen::Yes(()) } else { Seen::NotYet(format!("{total}")) })
        })
        .await?;
        self.narrator.say(&format!("{count} sales orders are in NetSuite"));
        Ok(())
    }

    /// A new token, both valid for a while, the old one revoked: no request may be refused and no record fail.
    async fn rotate(&self) -> Result<()> {
        self.shopify.set_tokens(&["token-of-spring", "token-of-autumn"]).await?;
        let version = self.world.secrets.put_json("shop/shopify", &json!({"token": "token-of-autumn"})).await?;
        self.narrator.say(&format!("rotated the shop's token in AWS Secrets Manager: version {version}"));
        self.add_orders(10_001, LATER_ORDERS).await?;
        until("the worker uses the new version", async || {
            let connector = self.world.kubectl.get(NAMESPACE, "connector", "shopify").await?.unwrap_or_default();
            let credentials: &Value = &connector["status"]["credentials"];
            let done = credentials["versionId"] == version && credentials["workers"] == "1/1";
            Ok(if done { Seen::Yes(()) } else { Seen::NotYet(credentials.to_string()) })
        })
        .await?;
        self.narrator.say("the Connector's status shows the new version, in use by 1/1 workers, without a restart");
        ensure!(self.shopify.revoke_token("token-of-spring").await?, "the old token was not valid any more");
        self.narrator.say("revoked the old token");
        self.add_orders(20_001, LATER_ORDERS).await?;
        self.delivered(FIRST_ORDERS + 2 * LATER_ORDERS).await?;
        let refused = self.shopify.stats().await?.with_status(401);
        ensure!(refused == 0, "{refused} requests were refused during the rotation");
        let writes = self.netsuite.stats().await?.writes;
        ensure!(
            writes.applied == writes.distinct,
            "orders were written twice: {:?}",
            writes.keys_with_more_than_one_write
        );
        let dead = self.world.kubectl.get(NAMESPACE, "integration", "orders").await?.unwrap_or_default();
        ensure!(dead["status"]["sync"]["deadLetters"] == 0, "records failed: {}", dead["status"]["sync"]);
        self.narrator.say("no request was refused, no order failed, none was written twice");
        self.show().await
    }

    fn farewell(&self) {
        if env::var_os("DEMO_ONCE").is_some_and(|once| !once.is_empty()) {
            println!("The cluster is taken down again now. Without DEMO_ONCE it stays, to look around in.");
            return;
        }
        let kubeconfig = self.world.cluster.kubeconfig_for_people.display();
        let kubectl = self.world.cluster.programs.join("kubectl");
        println!("Everything keeps running. Three ways to look around:");
        println!("  export KUBECONFIG={kubeconfig}; alias kubectl={}", kubectl.display());
        println!("  kubectl -n {NAMESPACE} describe integration orders");
        println!("  kubectl -n {NAMESPACE} logs deployment/orders-sync --tail=20");
        println!("  kubectl explain integration.spec.flows");
        println!("\nThe operator runs in {}. `make demo-down` ends it all.", install::NAMESPACE);
    }
}
