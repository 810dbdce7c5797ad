//! What disturbs a whole cluster, and so runs one test after the other: the operator and workers killed, the API server stopped.

mod pushed;
mod rollouts;

use anyhow::Result;
use crosstie_tests::{
    install,
    shop::Shop,
    wait::{Seen, until},
};
use serde_json::{Value, json};

/// One after the other, whatever the number of test threads.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn kill_pods(shop: &Shop, namespace: &str, selector: &str) -> Result<()> {
    let kill = ["-n", namespace, "delete", "pods", "-l", selector, "--grace-period=0", "--force", "--wait=false"];
    shop.world.kubectl.run(&kill).await.map(drop)
}

#[tokio::test]
async fn a_worker_pod_killed_again_and_again_delivers_every_order_exactly_once() -> Result<()> {
    let _alone = ALONE.lock().await;
    let shop = Shop::open("killed-worker").await?;
    shop.start().await?;
    shop.netsuite.change_settings(&json!({"concurrencyLimit": null})).await?;
    shop.add_orders(1, 1500).await?;
    for kill in 1..=5 {
        until("another hundred orders arrived", async || {
            let total = shop.netsuite.records("salesOrder", 0, 1).await?.total;
            Ok(if total >= kill * 100 { Seen::Yes(()) } else { Seen::NotYet(format!("{total}")) })
        })
        .await?;
        kill_pods(&shop, &shop.namespace, "crosstie.dev/integration=orders").await?;
    }
    shop.delivered(1500).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.exactly_once().await?;
    shop.close().await
}

#[tokio::test]
async fn an_operator_killed_in_the_middle_of_its_work_ends_where_an_undisturbed_one_would() -> Result<()> {
    let _alone = ALONE.lock().await;
    let shop = Shop::open("killed-operator").await?;
    shop.add_orders(1, 5).await?;
    let mut all: Vec<Value> = vec![shop.source(), shop.destination()];
    for number in 0..6 {
        let mut orders = shop.orders()?;
        orders["metadata"]["name"] = json!(format!("orders-{number}"));
        orders["spec"]["flows"][0]["map"]["externalId"] = json!(format!("'{number}-' + string(record.id)"));
        all.push(orders);
    }
    shop.apply(&all.iter().collect::<Vec<_>>()).await?;
    for seen in [1, 4, 6] {
        until(&format!("{seen} deployments were made"), async || {
            let made = shop.world.kubectl.list(&shop.namespace, "deployments").await?.len();
            Ok(if made >= seen { Seen::Yes(()) } else { Seen::NotYet(format!("{made}")) })
        })
        .await?;
        kill_pods(&shop, install::NAMESPACE, "app.kubernetes.io/name=crosstie").await?;
    }
    for number in 0..6 {
        shop.ready("integration", &format!("orders-{number}"), "True", "Flowing").await?;
    }
    shop.delivered(30).await?;
    shop.exactly_once().await?;
    shop.close().await
}

#[tokio::test]
async fn records_flow_while_the_api_server_is_away_and_status_catches_up_afterwards() -> Result<()> {
    let _alone = ALONE.lock().await;
    let shop = Shop::open("api-server-away").await?;
    shop.add_orders(1, 3).await?;
    shop.start().await?;
    shop.delivered(3).await?;
    let cluster = &shop.world.cluster;
    cluster.run("stop-part", &["apiserver", "--signal", "KILL"]).await?;
    shop.add_orders(11, 7).await?;
    let while_away = shop.delivered(10).await;
    cluster.run("start-part", &["apiserver"]).await?;
    while_away?;
    until("status counts what was delivered meanwhile", async || {
        let orders = shop.world.kubectl.get(&shop.namespace, "integration", "orders").await?.unwrap_or_default();
        let flow = &orders["status"]["flows"][0];
        Ok(if flow["delivered"] == 10 { Seen::Yes(()) } else { Seen::NotYet(flow.to_string()) })
    })
    .await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    let mut changed = shop.orders()?;
    changed["spec"]["flows"][0]["map"]["memo"] = json!("'after'");
    shop.apply(&[&changed]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.close().await
}
