//! Dead letters, looked at and replayed with `kubectl crosstie dlq`, by whom that is allowed to; and flows that are read again with `resync`.

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    shop::Shop,
    wait::{Seen, until},
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_letter_is_found_shown_and_replayed_after_the_mapping_was_mended() -> Result<()> {
    let shop = Shop::open("letters").await?;
    shop.add_orders(1, 3).await?;
    shop.shopify.patch_record("orders", "2", &json!({"note": {"gift": true}})).await?;
    let mut broken = shop.orders()?;
    broken["spec"]["flows"][0]["map"]["memo"] = json!("record.note + '!'");
    shop.apply(&[&shop.source(), &shop.destination(), &broken]).await?;
    shop.condition("integration", "orders", "DeadLettersEmpty", "False", "DeadLetters").await?;
    let crosstie = async |arguments: &[&str]| {
        let of = ["orders", "-n", "letters"];
        let (command, rest) = arguments.split_at(2);
        shop.world.kubectl.crosstie(&[command, &of, rest].concat()).await
    };
    let table = crosstie(&["dlq", "list"]).await?;
    let letters: Vec<Value> = serde_json::from_str(&crosstie(&["dlq", "list", "-o", "json"]).await?)?;
    ensure!(letters.iter().any(|letter| letter["key"] == "2") && table.contains("memo"), "{table}");
    let ids: Vec<String> = letters.iter().map(|letter| letter["id"].to_string()).collect();
    let status = shop.world.kubectl.get("letters", "integration", "orders").await?.context("it exists")?;
    ensure!(status["status"]["sync"]["oldestDeadLetterTime"].is_string(), "{}", status["status"]);
    let gift = letters.iter().find(|letter| letter["key"] == "2").context("it is there")?;
    let whole = crosstie(&["dlq", "show", &gift["id"].to_string()]).await?;
    ensure!(whole.contains("\"gift\": true"), "{whole}");
    ensure!(crosstie(&["dlq", "replay"]).await.is_err(), "nothing is replayed unless it is said which");
    let dry = crosstie(&["dlq", "replay", "--cause", "memo", "--dry-run"]).await?;
    ensure!(dry.contains("nothing was changed"), "{dry}");

    shop.apply(&[&shop.orders()?]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    let replayed = crosstie(&["dlq", "replay", "--all"]).await?;
    ensure!(replayed.contains(&format!("{} replayed, 0 left", ids.len())), "{replayed}");
    shop.delivered(3).await?;
    shop.condition("integration", "orders", "DeadLettersEmpty", "True", "NoDeadLetters").await?;
    shop.exactly_once().await?;
    shop.close().await
}

#[tokio::test]
async fn whoever_may_not_forward_ports_sees_no_letters_and_is_told_which_right_that_takes() -> Result<()> {
    let shop = Shop::open("letters-rights").await?;
    shop.start().await?;
    let kubectl = &shop.world.kubectl;
    let account = |name: &str| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "letters-rights"}});
    let role = |name: &str, forwards: bool| {
        let mut rules = vec![json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]})];
        if forwards {
            rules.push(json!({"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]}));
        }
        let metadata = json!({"name": name, "namespace": "letters-rights"});
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules})
    };
    let binding = |name: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": "letters-rights"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "letters-rights"}],
        })
    };
    for (name, forwards) in [("looks-on", false), ("decides", true)] {
        shop.apply(&[&account(name), &role(name, forwards), &binding(name)]).await?;
    }
    let asks = ["dlq", "list", "orders", "-n", "letters-rights"];
    let refused = kubectl.with_rights_of("letters-rights", "looks-on").await?.crosstie(&asks).await;
    let said = refused.err().context("whoever may not forward ports saw the letters")?.to_string();
    ensure!(said.contains("get and create pods/portforward"), "{said}");
    let found = kubectl.with_rights_of("letters-rights", "decides").await?.crosstie(&asks).await?;
    ensure!(found.contains("no dead letters"), "{found}");
    shop.close().await
}

#[tokio::test]
async fn a_flow_is_read_again_after_its_mapping_was_corrected_and_only_what_differs_is_written() -> Result<()> {
    let shop = Shop::open("resync").await?;
    shop.add_orders(1, 3).await?;
    shop.start().await?;
    shop.delivered(3).await?;
    let resync = async || {
        let command = ["resync", "orders", "--flow", "orders", "--from", "Beginning", "-n", "resync"];
        let said = shop.world.kubectl.crosstie(&command).await?;
        ensure!(said.contains("orders: is read again from the beginning"), "{said}");
        Ok(())
    };
    let mut corrected = shop.orders()?;
    corrected["spec"]["flows"][0]["map"]["memo"] = json!("'corrected ' + string(record.id)");
    shop.apply(&[&corrected]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    resync().await?;
    until("every order is written as it is mapped now", async || {
        let orders = shop.netsuite.records("salesOrder", 0, 10).await?.items;
        let done = orders
            .iter()
            .filter(|order| order["memo"].as_str().is_some_and(|memo| memo.starts_with("corrected")))
            .count();
        Ok(if done == 3 { Seen::Yes(()) } else { Seen::NotYet(format!("{done} orders")) })
    })
    .await?;
    let applied = shop.netsuite.stats().await?.writes.applied;
    ensure!(applied == 6, "{applied} writes of 3 orders that were written twice");
    // Nothing differs any more; what comes afterwards shows that it was read.
    resync().await?;
    shop.add_orders(10, 1).await?;
    shop.delivered(4).await?;
    let applied = shop.netsuite.stats().await?.writes.applied;
    ensure!(applied == 7, "{applied} writes, although nothing differed");
    shop.close().await
}
