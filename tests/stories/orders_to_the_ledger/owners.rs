//! Story 1, which field is whose: the e-mail address is the CRM's and the shipping address is order management's. What they enter in the ledger stays,
//! whatever the shop makes of it: on sales orders that the sync made, on those that were there before it, and across a worker that dies.

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    shop::Shop,
    wait::{Seen, until},
};
use serde_json::{Value, json};

use super::example;

const NAMESPACE: &str = "owners";
/// An order that the sync makes a sales order of.
const MADE: u64 = 5;
/// An order of which order management made a sales order before the sync ever saw it.
const ENTERED: u64 = 7;

#[tokio::test]
async fn what_the_crm_and_order_management_own_is_never_overwritten() -> Result<()> {
    let shop = Shop::open(NAMESPACE).await?;
    shop.add_orders(1, 20).await?;
    let entered = json!({
        "externalId": ENTERED.to_string(), "entity": {"email": "crm@example.com"},
        "shippingAddress": {"addressee": "Dock 7", "addr1": "1 Warehouse Way", "city": "Newark"},
    });
    shop.netsuite.put_record("salesOrder", "900007", &entered).await?;
    let [cases, integration] = example(&shop, "orders-with-owners").await?;
    shop.apply(&[&shop.source(), &shop.destination(), &cases, &integration]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.delivered(20).await?;

    the_write_that_makes_a_sales_order_carries_everything(&shop).await?;
    changes(&shop, ENTERED, "first").await?;
    keeps(&shop, ENTERED, "crm@example.com", "1 Warehouse Way").await?;

    let corrected =
        json!({"entity": {"email": "corrected@example.com"}, "shippingAddress": {"addr1": "2 Corrected Road"}});
    shop.netsuite.patch_record("salesOrder", &format!("eid:{MADE}"), &corrected).await?;
    changes(&shop, MADE, "first").await?;
    keeps(&shop, MADE, "corrected@example.com", "2 Corrected Road").await?;

    let worker = "app.kubernetes.io/component=sync-worker";
    let kill = ["-n", NAMESPACE, "delete", "pod", "-l", worker, "--grace-period=0", "--force", "--wait=false"];
    shop.world.kubectl.run(&kill).await?;
    for (order, email, address) in
        [(MADE, "corrected@example.com", "2 Corrected Road"), (ENTERED, "crm@example.com", "1 Warehouse Way")]
    {
        changes(&shop, order, "second").await?;
        keeps(&shop, order, email, address).await?;
    }
    shop.condition("integration", "orders", "DeadLettersEmpty", "True", "NoDeadLetters").await?;
    shop.close().await
}

async fn sales_order(shop: &Shop, order: u64) -> Result<Value> {
    let found = shop.netsuite.record("salesOrder", &format!("eid:{order}")).await?;
    found.with_context(|| format!("order {order} is not in the ledger"))
}

async fn the_write_that_makes_a_sales_order_carries_everything(shop: &Shop) -> Result<()> {
    let order = shop.shopify.record("orders", &MADE.to_string()).await?.context("the order is there")?;
    let sales = sales_order(shop, MADE).await?;
    let email = order["customer"]["email"].as_str().unwrap_or("guest@example.com");
    ensure!(sales["entity"]["email"] == email, "{sales}");
    ensure!(sales["shippingAddress"]["addr1"] == order["shipping_address"]["address1"], "{sales}");
    Ok(())
}

/// The shop changes an order, its e-mail and its address too, and the change arrives.
async fn changes(shop: &Shop, order: u64, note: &str) -> Result<()> {
    let change = json!({
        "note": note, "customer": {"email": "shop@example.com"}, "shipping_address": {"address1": "3 Shop Street"},
    });
    shop.shopify.patch_record("orders", &order.to_string(), &change).await?;
    let waited = until(&format!("the change of order {order} arrived"), async || {
        let sales = sales_order(shop, order).await?;
        Ok(if sales["memo"] == note { Seen::Yes(()) } else { Seen::NotYet(sales["memo"].to_string()) })
    })
    .await;
    match waited {
        Ok(()) => Ok(()),
        Err(error) => anyhow::bail!("{error:#}\n{}", shop.describe().await),
    }
}

async fn keeps(shop: &Shop, order: u64, email: &str, address: &str) -> Result<()> {
    let sales = sales_order(shop, order).await?;
    let owned = (&sales["entity"]["email"], &sales["shippingAddress"]["addr1"]);
    ensure!(owned == (&json!(email), &json!(address)), "order {order}: {owned:?} was to be {email}, {address}");
    ensure!(!sales["item"]["items"].is_null(), "order {order}: what is the shop's did not arrive: {sales}");
    Ok(())
}
