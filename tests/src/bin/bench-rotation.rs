//! `bench-rotation`: how long a rotation takes from its message in the queue to the value in the memory of a worker in a pod, with a hundred Connectors.
//! What is measured is longer: from before the secret is put to the first request with the new version, of a flow that reads every second. Run it through `make bench BENCH=rotation`, which starts the cluster that it runs in.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use crosstie_bench::{figure::Bench, figure::line, machine};
use crosstie_tests::{
    push::{Pod, Push},
    shop::Shop,
    wait::{Seen, until},
    world::World,
};
use serde_json::json;

const BENCH: Bench = Bench("rotation");
const NAMESPACE: &str = "bench-rotation";

#[derive(Parser)]
struct Options {
    /// How many Connectors, each with a secret of its own
    #[arg(long, env = "CROSSTIE_BENCH_CONNECTORS", default_value_t = 100)]
    connectors: usize,
    /// How many Integrations, each with a worker in a pod between two of the Connectors
    #[arg(long, env = "CROSSTIE_BENCH_WORKERS", default_value_t = 10)]
    workers: usize,
    /// How many rotations, one after the other, of secrets that workers read with
    #[arg(long, env = "CROSSTIE_BENCH_ROTATIONS", default_value_t = 300)]
    rotations: usize,
}

fn connector(number: usize) -> String {
    format!("system-{number}")
}

fn secret(number: usize) -> String {
    format!("{NAMESPACE}/{}", connector(number))
}

/// Makes the Connectors, and Integrations between the first of them, two each.
async fn prepare(shop: &Shop, options: &Options) -> Result<()> {
    let mut documents = Vec::new();
    for number in 0..options.connectors {
        shop.world.secrets.put_json(&secret(number), &json!({"token": "first"})).await?;
        let mut object = if number % 2 == 0 { shop.source() } else { shop.destination() };
        object["metadata"]["name"] = json!(connector(number));
        object["spec"]["credentials"]["awsSecretsManager"]["secretId"] = json!(secret(number));
        documents.push(object);
    }
    for worker in 0..options.workers {
        let mut object = shop.orders()?;
        object["metadata"]["name"] = json!(format!("orders-{worker}"));
        object["spec"]["source"]["connectorRef"]["name"] = json!(connector(2 * worker));
        object["spec"]["destination"]["connectorRef"]["name"] = json!(connector(2 * worker + 1));
        object["spec"]["flows"][0]["triggers"] = json!([{"everySeconds": 1}]);
        documents.push(object);
    }
    shop.apply(&documents.iter().collect::<Vec<_>>()).await?;
    until("every worker flows and every Connector has its credentials", async || {
        let ready = async |kind: &str| {
            let objects = shop.world.kubectl.list(NAMESPACE, kind).await?;
            let holds = |object: &&serde_json::Value| {
                let conditions = object["status"]["conditions"].as_array();
                conditions.is_some_and(|all| all.iter().any(|it| it["type"] == "Ready" && it["status"] == "True"))
            };
            anyhow::Ok(objects.iter().filter(holds).count())
        };
        let seen = (ready("connectors").await?, ready("integrations").await?);
        let done = seen == (options.connectors, options.workers);
        Ok(if done { Seen::Yes(()) } else { Seen::NotYet(format!("{seen:?} are ready")) })
    })
    .await
}

/// The figure below which so many of a hundred are.
fn percentile(sorted: &[Duration], percent: usize) -> Result<f64> {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    Ok(sorted.get(place).context("nothing was measured")?.as_secs_f64())
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let shop = Shop::open_in(World::get().await?, NAMESPACE).await?;
    line(&machine::note("rotation", &shop.world.cluster.data))?;
    // The vendors take any of these keys.
    let keys: Vec<String> =
        (0..=options.rotations).map(|number| format!("key-{number}")).chain(["first".into()]).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    shop.shopify.set_tokens(&keys).await?;
    shop.netsuite.set_tokens(&keys).await?;
    prepare(&shop, &options).await?;
    let push = Push::install(&shop.world).await?;
    let mut pods = Vec::new();
    for worker in 0..options.workers {
        pods.push(Pod::of(&shop.world, NAMESPACE, &format!("orders-{worker}")).await?);
    }
    let mut took = Vec::new();
    for number in 0..options.rotations {
        let worker = number % options.workers;
        let pod = pods.get(worker).context("no such worker")?;
        let value = json!({"token": format!("key-{number}")});
        took.push(push.rotate(pod, &connector(2 * worker), &secret(2 * worker), &value).await?);
    }
    push.empties().await?;
    took.sort();
    let figure = |metric: &str, value: f64| BENCH.figure(metric, value, "s");
    BENCH.figure("connectors", u32::try_from(options.connectors)?.into(), "1")?;
    BENCH.figure("rotations", u32::try_from(options.rotations)?.into(), "1")?;
    figure("secret_put_to_first_use_p50", percentile(&took, 50)?)?;
    figure("secret_put_to_first_use_p99", percentile(&took, 99)?)?;
    figure("secret_put_to_first_use_longest", percentile(&took, 100)?)?;
    shop.close().await
}
