//! Story 1, in real time: a refund that Shopify tells of by a webhook becomes a credit memo, once, after its order; what Shopify never told is found by
//! reading.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    shop::Shop,
    wait::{Seen, until},
};
use crosstie_vendors::sign;
use serde_json::{Value, json};

use super::example;

const NAMESPACE: &str = "refunds";
const SECRET: &str = "shopify-signs-with-this";
/// An order that comes after its refund.
const LATE: u64 = 500;

#[tokio::test]
async fn refunds_become_credit_memos_at_once_and_after_their_orders() -> Result<()> {
    let shop = Shop::open(NAMESPACE).await?;
    let secret = json!({"token": "shopify-1", "webhookSecret": SECRET});
    shop.world.secrets.put_json(&format!("{NAMESPACE}/shopify"), &secret).await?;
    shop.add_orders(1, 20).await?;
    let [cases, integration] = example(&shop, "orders-and-refunds").await?;
    shop.apply(&[&shop.source(), &shop.destination(), &cases, &integration]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.delivered(20).await?;
    the_subscription_was_made(&shop).await?;
    let url = receiver(&shop).await?;

    let first = refund(9001, 3, "12.50");
    for _ in 0..3 {
        ensure!(send(&url, SECRET, "w-1", &first).await? == 200, "a webhook was not acknowledged");
    }
    ensure!(send(&url, "a guess", "w-2", &refund(9666, 4, "99.00")).await? == 401, "a forged refund was taken");
    let memo = memo(&shop, 9001).await?;
    let order = shop.shopify.record("orders", "3").await?.context("the order is there")?;
    ensure!(memo["entity"]["email"] == email(&order), "{memo}");
    ensure!(memo["otherRefNum"] == order["name"] && memo["tranDate"] == "2026-03-04", "{memo}");
    let line = &memo["item"]["items"][0];
    ensure!(line["sku"] == "SHIRT-M" && line["quantity"] == 1 && line["amount"] == json!(12.5), "{memo}");

    a_refund_waits_for_its_order(&shop, &url).await?;
    what_was_never_told_is_found(&shop).await?;
    let memos = shop.netsuite.records("creditMemo", 0, 10).await?;
    ensure!(memos.total == 3, "{} credit memos of three refunds: {:?}", memos.total, memos.items);
    shop.exactly_once().await?;
    shop.close().await
}

/// Shopify was asked to tell of refunds, at the address that status shows.
async fn the_subscription_was_made(shop: &Shop) -> Result<()> {
    let integration = shop.world.kubectl.get(NAMESPACE, "integration", "orders").await?.context("it exists")?;
    let address = integration["status"]["receiver"]["url"].clone();
    until("the subscription at Shopify", async || {
        let all = shop.shopify.records("webhooks", 0, 10).await?.items;
        let made = all.iter().any(|one| one["topic"] == "refunds/create" && one["address"] == address);
        Ok(if made && all.len() == 1 { Seen::Yes(()) } else { Seen::NotYet(format!("{all:?}")) })
    })
    .await
}

/// The receiver's address within the cluster.
async fn receiver(shop: &Shop) -> Result<String> {
    let kubectl = &shop.world.kubectl;
    let integration = kubectl.get(NAMESPACE, "integration", "orders").await?.context("it exists")?;
    let service = integration["status"]["receiver"]["service"].as_str().context("no Service in status")?;
    let service = kubectl.get(NAMESPACE, "service", service).await?.context("there is no Service")?;
    let address = service["spec"]["clusterIP"].as_str().context("the Service has no address")?;
    Ok(format!("http://{address}/{NAMESPACE}/orders"))
}

async fn a_refund_waits_for_its_order(shop: &Shop, url: &str) -> Result<()> {
    ensure!(send(url, SECRET, "w-3", &refund(9002, LATE, "5.00")).await? == 200, "a webhook was not acknowledged");
    until("the refund waits", async || {
        let integration = shop.world.kubectl.get(NAMESPACE, "integration", "orders").await?.unwrap_or_default();
        let flows = integration["status"]["flows"].as_array().cloned().unwrap_or_default();
        let flow = flows.into_iter().find(|flow| flow["name"] == "refunds").unwrap_or_default();
        let waits = flow["problem"].as_str().is_some_and(|problem| problem.contains("the record of flow `orders`"));
        Ok(if waits { Seen::Yes(()) } else { Seen::NotYet(flow.to_string()) })
    })
    .await?;
    ensure!(shop.netsuite.record("creditMemo", "eid:refund-9002").await?.is_none(), "it did not wait for its order");
    shop.add_orders(LATE, 1).await?;
    let memo = memo(shop, 9002).await?;
    let order = shop.shopify.record("orders", &LATE.to_string()).await?.context("the order is there")?;
    ensure!(memo["entity"]["email"] == email(&order), "{memo}");
    shop.condition("integration", "orders", "DeadLettersEmpty", "True", "NoDeadLetters").await.map(drop)
}

async fn what_was_never_told_is_found(shop: &Shop) -> Result<()> {
    let mut untold = refund(9003, 5, "7.25");
    untold["created_at"] = json!(jiff::Timestamp::now().to_string());
    shop.shopify.patch_record("orders", "5", &json!({"refunds": [untold]})).await?;
    memo(shop, 9003).await.map(drop)
}

/// Waits for the credit memo of a refund.
async fn memo(shop: &Shop, refund: u64) -> Result<Value> {
    let id = format!("eid:refund-{refund}");
    let waited = until(&format!("the credit memo {id}"), async || {
        let memo = shop.netsuite.record("creditMemo", &id).await?;
        Ok(memo.map_or_else(|| Seen::NotYet("there is none".into()), Seen::Yes))
    })
    .await;
    match waited {
        Ok(memo) => Ok(memo),
        Err(error) => anyhow::bail!("{error:#}\n{}", shop.describe().await),
    }
}

/// Whom an order is booked on: its customer, or the one for all guests.
fn email(order: &Value) -> &str {
    order["customer"]["email"].as_str().unwrap_or("guest@example.com")
}

fn refund(id: u64, order: u64, amount: &str) -> Value {
    json!({
        "id": id, "order_id": order, "created_at": "2026-03-04T12:00:00-05:00", "note": "did not fit",
        "refund_line_items": [{"quantity": 1, "subtotal": amount, "line_item": {"sku": "SHIRT-M"}}],
    })
}

/// Sends a refund as Shopify does. Gives the status of the answer.
async fn send(url: &str, secret: &str, id: &str, refund: &Value) -> Result<u16> {
    let body = refund.to_string();
    let signature = sign::shopify(secret, &body).context("no key")?;
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let request = client.post(url).header("X-Shopify-Hmac-SHA256", signature).header("X-Shopify-Webhook-Id", id);
    let request = request.header("X-Shopify-Topic", "refunds/create").body(body);
    Ok(request.send().await?.status().as_u16())
}
