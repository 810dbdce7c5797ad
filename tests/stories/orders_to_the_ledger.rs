//! Story 1: an apparel shop's Shopify orders become NetSuite sales orders, in NetSuite's fields and formats, each exactly once; a changed order is
//! updated, a cancelled one stays out; and the shop's token is rotated while orders come in. What of it comes by webhook is in `refunds`, and which field
//! is whose in `owners`.

#[path = "orders_to_the_ledger/owners.rs"]
mod owners;
#[path = "orders_to_the_ledger/refunds.rs"]
mod refunds;

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    example::rendered,
    shop::Shop,
    wait::{Seen, until},
};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

#[tokio::test]
async fn shopify_orders_become_netsuite_sales_orders_through_a_rotation() -> Result<()> {
    let shop = Shop::open("ledger").await?;
    shop.add_orders(1, 120).await?;
    let cancelled =
        shop.shopify.patch_record("orders", "7", &json!({"cancelled_at": Timestamp::now().to_string()})).await?;
    ensure!(cancelled["cancelled_at"].is_string(), "the simulator did not cancel the order");

    shop.start().await?;
    shop.delivered(119).await?;
    every_field_arrived(&shop).await?;
    shop.exactly_once().await?;
    a_person_sees_that_it_flows(&shop).await?;

    a_changed_order_is_updated_and_no_other(&shop).await?;
    a_rotation_costs_nothing(&shop).await?;
    shop.close().await
}

/// The fixtures and the Integration of an example that builds on another one, in the shop's namespace, reading every second and not every quarter of an
/// hour.
async fn example(shop: &Shop, folder: &str) -> Result<[Value; 2]> {
    let documents = rendered(shop, folder).await?;
    let find = |kind: &str| {
        let found = documents.iter().find(|found| found["kind"] == kind);
        let mut found = found.cloned().with_context(|| format!("the example has no {kind}"))?;
        found["metadata"]["namespace"] = json!(shop.namespace);
        anyhow::Ok(found)
    };
    let (cases, mut integration) = (find("ConfigMap")?, find("Integration")?);
    let flows = integration["spec"]["flows"].as_array_mut().context("no flows")?;
    for trigger in flows.iter_mut().flat_map(|flow| flow["triggers"].as_array_mut()).flatten() {
        if trigger["everySeconds"].is_number() {
            trigger["everySeconds"] = json!(1);
        }
    }
    Ok([cases, integration])
}

async fn every_field_arrived(shop: &Shop) -> Result<()> {
    let orders = shop.shopify.records("orders", 0, 1000).await?.items;
    for order in orders.iter().filter(|order| order["cancelled_at"].is_null()) {
        let id = order["id"].to_string();
        let sales = shop.netsuite.record("salesOrder", &format!("eid:{id}")).await?;
        let sales = sales.with_context(|| format!("order {id} did not arrive"))?;
        let same = |field: &str, found: &Value, wanted: &Value| {
            ensure!(found == wanted, "order {id}: {field} is {found}, not {wanted}");
            Ok(())
        };
        same("externalId", &sales["externalId"], &json!(id))?;
        same("otherRefNum", &sales["otherRefNum"], &order["name"])?;
        same("tranDate", &sales["tranDate"], &json!(date_in_new_york(&order["created_at"])?))?;
        let email = order["customer"]["email"].as_str().unwrap_or("guest@example.com");
        same("entity.email", &sales["entity"]["email"], &json!(email))?;
        let address = &order["shipping_address"];
        for (theirs, ours) in [
            ("addressee", "name"),
            ("addr1", "address1"),
            ("city", "city"),
            ("zip", "zip"),
            ("country", "country_code"),
        ] {
            same(theirs, &sales["shippingAddress"][theirs], &address[ours])?;
        }
        let lines = order["line_items"].as_array().context("an order without lines")?;
        let items = sales["item"]["items"].as_array().context("a sales order without items")?;
        ensure!(lines.len() == items.len(), "order {id}: {} lines became {} items", lines.len(), items.len());
        for (line, item) in lines.iter().zip(items) {
            same("sku", &item["sku"], &line["sku"])?;
            same("quantity", &item["quantity"], &line["quantity"])?;
            let price: f64 = line["price"].as_str().context("a price that is no text")?.parse()?;
            ensure!(item["rate"].as_f64() == Some(price), "order {id}: rate is {}, not {price}", item["rate"]);
        }
    }
    Ok(())
}

fn date_in_new_york(time: &Value) -> Result<String> {
    let time: Timestamp = time.as_str().context("no creation time")?.parse()?;
    Ok(time.to_zoned(TimeZone::get("America/New_York")?).strftime("%Y-%m-%d").to_string())
}

async fn a_person_sees_that_it_flows(shop: &Shop) -> Result<()> {
    let table = shop.world.kubectl.run(&["-n", &shop.namespace, "get", "integrations"]).await?;
    let (head, row) = table.split_once('\n').context("no row")?;
    let head: Vec<&str> = head.split("  ").map(str::trim).filter(|name| !name.is_empty()).collect();
    let columns =
        ["NAME", "SOURCE", "DESTINATION", "READY", "REASON", "SUCCESS", "LAST SYNC", "QUEUE", "DEAD", "DRIFT", "AGE"];
    ensure!(head == columns, "columns are {head:?}");
    ensure!(
        row.contains("shopify") && row.contains("netsuite") && row.contains("True") && row.contains("Flowing"),
        "{row}"
    );
    Ok(())
}

async fn a_changed_order_is_updated_and_no_other(shop: &Shop) -> Result<()> {
    shop.netsuite.reset_stats().await?;
    shop.shopify.patch_record("orders", "9", &json!({"note": "leave it with the neighbour"})).await?;
    until("the changed note", async || {
        let sales = shop.netsuite.record("salesOrder", "eid:9").await?.unwrap_or_default();
        Ok(if sales["memo"] == "leave it with the neighbour" {
            Seen::Yes(())
        } else {
            Seen::NotYet(sales["memo"].to_string())
        })
    })
    .await?;
    let writes = shop.netsuite.stats().await?.writes;
    ensure!((writes.applied, writes.updates) == (1, 1), "one order changed, written were {writes:?}");
    Ok(())
}

async fn a_rotation_costs_nothing(shop: &Shop) -> Result<()> {
    let pod = worker_pod(shop).await?;
    shop.shopify.reset_stats().await?;
    shop.netsuite.reset_stats().await?;
    shop.shopify.set_tokens(&["shopify-1", "shopify-2"]).await?;
    let version =
        shop.world.secrets.put_json(&format!("{}/shopify", shop.namespace), &json!({"token": "shopify-2"})).await?;
    shop.add_orders(1001, 200).await?;
    until("status shows the new version on every worker", async || {
        let connector = shop.world.kubectl.get(&shop.namespace, "connector", "shopify").await?.unwrap_or_default();
        let credentials = &connector["status"]["credentials"];
        let done = credentials["versionId"] == version && credentials["workers"] == "1/1";
        Ok(if done { Seen::Yes(()) } else { Seen::NotYet(credentials.to_string()) })
    })
    .await?;
    ensure!(shop.shopify.revoke_token("shopify-1").await?, "the old token was not valid any more");
    shop.add_orders(2001, 50).await?;
    shop.delivered(119 + 250).await?;
    shop.exactly_once().await?;
    let refused = shop.shopify.stats().await?.with_status(401);
    ensure!(refused == 0, "{refused} requests were refused during the rotation");
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.condition("integration", "orders", "DeadLettersEmpty", "True", "NoDeadLetters").await?;
    let after = worker_pod(shop).await?;
    ensure!(pod == after, "the worker was restarted: {pod:?} became {after:?}");
    Ok(())
}

/// The worker's pod: its unique id, and how often its container was restarted.
async fn worker_pod(shop: &Shop) -> Result<(String, i64)> {
    let pods = shop.world.kubectl.list(&shop.namespace, "pods").await?;
    ensure!(pods.len() == 1, "{} pods", pods.len());
    let restarts = pods[0]["status"]["containerStatuses"][0]["restartCount"].as_i64().context("no container")?;
    Ok((pods[0]["metadata"]["uid"].to_string(), restarts))
}
