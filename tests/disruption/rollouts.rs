//! No rotation and no restart of the operator rolls a worker out: credentials are mounted files that it reads again, of whatever kind they are, so that
//! nothing of them, not even a hash, stands in a pod's template.

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    install,
    shop::Shop,
    wait::{Seen, until},
};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::{ALONE, kill_pods};

/// Connectors that one worker has the credentials of: its two ends, and as many channels of alerts as there may be.
const CHANNELS: usize = 8;

fn channel(number: usize) -> String {
    format!("channel-{number}")
}

/// The names of all ten.
fn connectors() -> Vec<String> {
    ["shopify", "netsuite"].map(String::from).into_iter().chain((0..CHANNELS).map(channel)).collect()
}

/// What would show a rollout: the Deployment's generation, its ReplicaSets, and its pods with their restarts.
async fn rolled_out(shop: &Shop) -> Result<Value> {
    let deployment = shop.world.kubectl.get(&shop.namespace, "deployment", "orders-sync").await?;
    let deployment = deployment.context("no Deployment")?;
    let sets = shop.world.kubectl.list(&shop.namespace, "replicasets").await?;
    let pods = shop.world.kubectl.list(&shop.namespace, "pods").await?;
    let pods: Vec<Value> = pods
        .iter()
        .map(|pod| json!([pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]]))
        .collect();
    Ok(json!([deployment["metadata"]["uid"], deployment["metadata"]["generation"], sets.len(), pods]))
}

/// Puts a new version into all ten secrets at once. The vendors take the new keys only.
async fn rotate(shop: &Shop, number: u32) -> Result<()> {
    let key = |name: &str| format!("{name}-{number}");
    let names = connectors();
    let puts = names.iter().map(|name| async move {
        let secret = format!("{}/{name}", shop.namespace);
        let id = shop.world.secrets.put_json(&secret, &json!({"token": key(name)})).await?;
        anyhow::Ok((name.clone(), id))
    });
    let begun = std::time::Instant::now();
    let ids = try_join_all(puts).await?;
    println!("ten secrets within {:?}", begun.elapsed());
    shop.shopify.set_tokens(&[&key("shopify")]).await?;
    shop.netsuite.set_tokens(&[&key("netsuite")]).await?;
    for (name, id) in &ids {
        until(&format!("{name} has its new version"), async || {
            let connector = shop.world.kubectl.get(&shop.namespace, "connector", name).await?.unwrap_or_default();
            let status = &connector["status"]["credentials"];
            Ok(if status["versionId"] == *id { Seen::Yes(()) } else { Seen::NotYet(status.to_string()) })
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn neither_ten_secrets_rotated_at_once_nor_a_restart_of_the_operator_rolls_a_worker_out() -> Result<()> {
    let _alone = ALONE.lock().await;
    let shop = Shop::open("rollouts").await?;
    let (mut all, mut alerts) = (vec![shop.source(), shop.destination()], Vec::new());
    for number in 0..CHANNELS {
        let name = channel(number);
        let secret = format!("{}/{name}", shop.namespace);
        shop.world.secrets.put_json(&secret, &json!({"token": "first"})).await?;
        let mut connector = shop.source();
        connector["metadata"]["name"] = json!(name);
        connector["spec"]["preset"] = json!("Slack");
        connector["spec"]["credentials"]["awsSecretsManager"]["secretId"] = json!(secret);
        all.push(connector);
        alerts.push(json!({"name": name, "slack": {"connectorRef": {"name": name}, "channel": "C0"}}));
    }
    let mut orders = shop.orders()?;
    orders["spec"]["alerts"] = json!(alerts);
    shop.add_orders(1, 3).await?;
    shop.apply(&all.iter().chain([&orders]).collect::<Vec<_>>()).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.delivered(3).await?;
    let before = rolled_out(&shop).await?;

    rotate(&shop, 1).await?;
    shop.add_orders(11, 3).await?;
    shop.delivered(6).await?;
    ensure!(rolled_out(&shop).await? == before, "a rotation rolled the worker out");

    kill_pods(&shop, install::NAMESPACE, "app.kubernetes.io/name=crosstie").await?;
    // What the next operator hands out shows that it has looked at everything.
    rotate(&shop, 2).await?;
    shop.add_orders(21, 3).await?;
    shop.delivered(9).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    ensure!(rolled_out(&shop).await? == before, "a restart of the operator rolled the worker out");
    shop.exactly_once().await?;
    shop.close().await
}
