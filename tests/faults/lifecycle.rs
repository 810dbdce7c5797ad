//! Objects deleted while in use and applied again, two Integrations on one Connector, suspension.

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    shop::Shop,
    wait::{Seen, until},
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_connector_deleted_while_used_is_missed_by_name_and_healed_by_applying_it_again() -> Result<()> {
    let shop = Shop::open("deleted-connector").await?;
    shop.add_orders(1, 3).await?;
    shop.start().await?;
    shop.world.kubectl.run(&["-n", &shop.namespace, "delete", "connector", "netsuite"]).await?;
    let message = shop.ready("integration", "orders", "False", "ConnectorNotFound").await?;
    ensure!(message.contains("netsuite"), "{message}");
    shop.apply(&[&shop.destination()]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.add_orders(11, 2).await?;
    shop.delivered(5).await?;
    shop.exactly_once().await?;
    shop.close().await
}

/// Everything in the namespace that carries the Integration's label.
async fn owned(shop: &Shop) -> Result<Vec<String>> {
    let kinds = "deployments,replicasets,pods,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,syncreports,persistentvolumeclaims";
    let objects = shop.world.kubectl.list(&shop.namespace, kinds).await?;
    let labelled = objects.iter().filter(|object| object["metadata"]["labels"]["crosstie.dev/integration"] == "orders");
    Ok(labelled.map(|object| format!("{}/{}", object["kind"], object["metadata"]["name"]).replace('"', "")).collect())
}

#[tokio::test]
async fn a_deleted_integration_leaves_only_its_state_and_goes_on_where_it_was_when_applied_again() -> Result<()> {
    let shop = Shop::open("deleted-integration").await?;
    shop.add_orders(1, 20).await?;
    shop.start().await?;
    shop.delivered(20).await?;
    ensure!(owned(&shop).await?.len() > 5, "owned objects carry no label");
    shop.world.kubectl.run(&["-n", &shop.namespace, "delete", "integration", "orders"]).await?;
    until("only the state is left", async || {
        let left = owned(&shop).await?;
        Ok(if left == ["PersistentVolumeClaim/orders-state"] { Seen::Yes(()) } else { Seen::NotYet(left.join(" ")) })
    })
    .await?;
    shop.add_orders(101, 5).await?;
    shop.netsuite.reset_stats().await?;
    shop.apply(&[&shop.orders()?]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.delivered(25).await?;
    let writes = shop.netsuite.stats().await?.writes;
    ensure!(writes.applied == 5, "only the new orders were to be written: {writes:?}");
    shop.close().await
}

#[tokio::test]
async fn two_integrations_on_one_connector_share_its_allowance() -> Result<()> {
    let shop = Shop::open("two-flows").await?;
    shop.add_orders(1, 10).await?;
    shop.start().await?;
    let mut second = shop.orders()?;
    second["metadata"]["name"] = json!("again");
    second["spec"]["flows"][0]["map"]["externalId"] = json!("'again-' + string(record.id)");
    shop.apply(&[&second]).await?;
    shop.ready("integration", "again", "True", "Flowing").await?;
    shop.delivered(20).await?;
    for name in ["orders", "again"] {
        until(&format!("{name} keeps to half of the allowance"), async || {
            let shares = shop.world.kubectl.get(&shop.namespace, "configmap", &format!("{name}-shares")).await?;
            let shares = shares.context("no shares are published")?;
            let shares: Value = serde_json::from_str(shares["data"]["shares.json"].as_str().context("no document")?)?;
            let half = shares["source"]["requests"] == 500 && shares["destination"]["concurrency"] == 2;
            Ok(if half { Seen::Yes(()) } else { Seen::NotYet(shares.to_string()) })
        })
        .await?;
    }
    let connector = shop.world.kubectl.get(&shop.namespace, "connector", "shopify").await?.context("no connector")?;
    ensure!(connector["status"]["integrations"] == 2, "{}", connector["status"]);
    shop.exactly_once().await?;
    shop.close().await
}

#[tokio::test]
async fn a_suspended_integration_says_so_and_misses_nothing_when_it_is_resumed() -> Result<()> {
    let shop = Shop::open("suspended").await?;
    shop.add_orders(1, 3).await?;
    shop.start().await?;
    shop.delivered(3).await?;
    let mut orders = shop.orders()?;
    orders["spec"]["suspend"] = json!(true);
    shop.apply(&[&orders]).await?;
    shop.ready("integration", "orders", "True", "Suspended").await?;
    until("the worker is gone", async || {
        let pods = shop.world.kubectl.list(&shop.namespace, "pods").await?;
        Ok(if pods.is_empty() { Seen::Yes(()) } else { Seen::NotYet(format!("{} pods", pods.len())) })
    })
    .await?;
    shop.add_orders(11, 3).await?;
    shop.apply(&[&shop.orders()?]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.delivered(6).await?;
    shop.exactly_once().await?;
    shop.close().await
}

/// Applies a ConfigMap with one fixture, and gives the Integration that names it.
async fn tried(shop: &Shop) -> Result<Value> {
    let cases = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "cases", "namespace": shop.namespace, "labels": {"crosstie.dev/fixtures": "true"}},
        "data": {"cases.yaml": "fixture: cancelled\nrecord: {cancelled_at: now}\nexpect: leftOut\n"},
    });
    shop.apply(&[&cases]).await?;
    let mut orders = shop.orders()?;
    orders["spec"]["flows"][0]["fixtures"] = json!([{"configMapRef": {"name": "cases"}}]);
    Ok(orders)
}

#[tokio::test]
async fn what_is_deleted_by_hand_while_a_plan_is_held_back_is_made_again_from_the_last_good_one() -> Result<()> {
    let shop = Shop::open("deleted-while-held").await?;
    shop.add_orders(1, 3).await?;
    let good = tried(&shop).await?;
    shop.apply(&[&shop.source(), &shop.destination(), &good]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.delivered(3).await?;
    let before = owned(&shop).await?;
    let mut wrong = good.clone();
    wrong["spec"]["flows"][0]["when"] = json!("true");
    shop.apply(&[&wrong]).await?;
    shop.condition("integration", "orders", "Verified", "False", "FixtureFailed").await?;

    let kinds = "deployments,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,syncreports";
    let all = ["-n", &shop.namespace, "delete", kinds, "-l", "crosstie.dev/integration=orders"];
    shop.world.kubectl.run(&all).await?;
    // Those of ReplicaSets and pods are others; all else has the same name.
    let named = |all: &[String]| -> Vec<String> {
        let made = |name: &&String| !name.starts_with("ReplicaSet/") && !name.starts_with("Pod/");
        all.iter().filter(made).cloned().collect()
    };
    until("everything is there again", async || {
        let now = owned(&shop).await?;
        Ok(if named(&now) == named(&before) { Seen::Yes(()) } else { Seen::NotYet(now.join(" ")) })
    })
    .await?;
    shop.add_orders(11, 4).await?;
    shop.delivered(7).await?;
    let message = shop.ready("integration", "orders", "True", "Flowing").await?;
    ensure!(message.contains("is held back: fixture `cancelled`"), "{message}");
    shop.exactly_once().await?;
    shop.apply(&[&good]).await?;
    shop.condition("integration", "orders", "Verified", "True", "FixturesPassed").await?;
    shop.close().await
}

/// Uid of a ServiceAccount, and name and uid of the worker's pod.
async fn account_and_pod(shop: &Shop) -> Result<(Value, Value, Value)> {
    let kubectl = &shop.world.kubectl;
    let account = kubectl.get(&shop.namespace, "serviceaccount", "orders-sync").await?.context("no account")?;
    let pods = kubectl.list(&shop.namespace, "pods").await?;
    let alive = pods.iter().find(|pod| pod["metadata"]["deletionTimestamp"].is_null()).context("no pod")?;
    let uid = |object: &Value| object["metadata"]["uid"].clone();
    Ok((uid(&account), alive["metadata"]["name"].clone(), uid(alive)))
}

/// Waits until the worker's pod reports, which it cannot do with a token of an account that is gone.
async fn reports(shop: &Shop, pod: &Value) -> Result<()> {
    until(&format!("pod {pod} reports"), async || {
        let report = shop.world.kubectl.get(&shop.namespace, "syncreport", "orders").await?.context("no report")?;
        let workers = report["status"]["workers"].as_array().cloned().unwrap_or_default();
        let found = workers.iter().any(|worker| worker["pod"] == *pod);
        Ok(if found { Seen::Yes(()) } else { Seen::NotYet(format!("{workers:?}")) })
    })
    .await
}

#[tokio::test]
async fn a_service_account_deleted_by_hand_is_made_again_and_its_pod_replaced_once() -> Result<()> {
    let shop = Shop::open("deleted-account").await?;
    shop.add_orders(1, 3).await?;
    shop.start().await?;
    shop.delivered(3).await?;
    let (old, _, pod) = account_and_pod(&shop).await?;
    shop.world.kubectl.run(&["-n", &shop.namespace, "delete", "serviceaccount", "orders-sync"]).await?;
    let name = until("another account, and another pod of it", async || {
        let now = account_and_pod(&shop).await?;
        Ok(if now.0 != old && now.2 != pod { Seen::Yes(now.1) } else { Seen::NotYet(format!("{now:?}")) })
    })
    .await?;
    reports(&shop, &name).await?;
    shop.add_orders(11, 3).await?;
    shop.delivered(6).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    // One for each account: the pod was replaced once, and whatever else is looked at meanwhile replaces none.
    let sets = shop.world.kubectl.list(&shop.namespace, "replicasets").await?;
    ensure!(sets.len() == 2, "{} rollouts for two accounts", sets.len());
    shop.exactly_once().await?;
    shop.close().await
}
