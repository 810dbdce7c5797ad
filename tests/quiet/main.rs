//! Two minutes in which nothing should happen. Other tests may run beside it, as long as they disturb neither operator nor API server: what concerns
//! their namespaces is not looked at, and what the operator does for them is no reason to write here.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    install,
    shop::Shop,
    wait::{Seen, until},
};
use serde_json::{Value, json};

/// Writes by the operator in a part of the audit log, without its Lease and without what concerns the namespaces of other tests: what and on what.
fn operator_writes(log: &str, namespace: &str) -> Vec<String> {
    let operator = format!("system:serviceaccount:{}:crosstie", install::NAMESPACE);
    let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = entries.filter(|entry| {
        let object = &entry["objectRef"];
        let elsewhere =
            object["namespace"].as_str().is_some_and(|other| other != namespace && other != install::NAMESPACE);
        entry["user"]["username"] == operator && object["resource"] != "leases" && !elsewhere
    });
    ours.map(|entry| format!("{} {}", entry["verb"], entry["requestURI"])).collect()
}

#[tokio::test]
async fn in_two_idle_minutes_the_operator_writes_nothing_but_its_lease() -> Result<()> {
    let shop = Shop::open("quiet").await?;
    shop.add_orders(1, 5).await?;
    let mut orders = shop.orders()?;
    orders["spec"]["flows"][0]["triggers"] = json!([{"everySeconds": 900}]);
    let mut suspended = orders.clone();
    suspended["metadata"]["name"] = json!("resting");
    suspended["spec"]["suspend"] = json!(true);
    shop.apply(&[&shop.source(), &shop.destination(), &orders, &suspended]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.ready("integration", "resting", "True", "Suspended").await?;
    shop.delivered(5).await?;

    let audit = shop.world.cluster.data.join("audit.log");
    let read = || std::fs::read_to_string(&audit).with_context(|| format!("no audit log at {}", audit.display()));
    ensure!(
        !operator_writes(&read()?, &shop.namespace).is_empty(),
        "the audit log shows none of the operator's writes"
    );
    // Figures of the first minute may follow; then it must be quiet.
    let mut settled = read()?.len();
    until("a first quiet half minute", async || {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let log = read()?;
        let writes = operator_writes(&log[settled..], &shop.namespace);
        settled = log.len();
        Ok(if writes.is_empty() { Seen::Yes(()) } else { Seen::NotYet(writes.join("\n")) })
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let log = read()?;
    let writes = operator_writes(&log[settled..], &shop.namespace);
    ensure!(writes.is_empty(), "the operator wrote while nothing happened:\n{}", writes.join("\n"));
    let lease = log[settled..].contains("\"leases\"");
    ensure!(lease, "the audit log shows no renewal of the Lease: the operator was not there");
    shop.close().await
}
