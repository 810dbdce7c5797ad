//! Specs that the API server cannot see through, and records that do not fit.

use anyhow::{Result, ensure};
use crosstie_tests::shop::Shop;
use serde_json::json;

#[tokio::test]
async fn an_unknown_connector_is_named_and_the_flow_starts_when_it_appears() -> Result<()> {
    let shop = Shop::open("unknown-connector").await?;
    shop.add_orders(1, 3).await?;
    shop.apply(&[&shop.source(), &shop.orders()?]).await?;
    let message = shop.ready("integration", "orders", "False", "ConnectorNotFound").await?;
    ensure!(message.contains("netsuite"), "{message}");
    shop.apply(&[&shop.destination()]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.delivered(3).await?;
    shop.close().await
}

#[tokio::test]
async fn cel_that_does_not_parse_is_shown_with_its_field_while_the_last_good_plan_runs_on() -> Result<()> {
    let shop = Shop::open("broken-cel").await?;
    shop.add_orders(1, 3).await?;
    shop.start().await?;
    let mut broken = shop.orders()?;
    broken["spec"]["flows"][0]["map"]["memo"] = json!("record.note +");
    shop.apply(&[&broken]).await?;
    let message = shop.ready("integration", "orders", "False", "PlanInvalid").await?;
    ensure!(message.contains("map[memo]"), "{message}");
    shop.add_orders(11, 4).await?;
    shop.delivered(7).await?;
    shop.apply(&[&shop.orders()?]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.close().await
}

#[tokio::test]
async fn a_mapping_that_fails_on_one_record_sets_that_one_aside_and_no_other() -> Result<()> {
    let shop = Shop::open("one-bad-record").await?;
    shop.add_orders(1, 5).await?;
    shop.shopify.patch_record("orders", "3", &json!({"created_at": "a while ago"})).await?;
    shop.start().await?;
    shop.delivered(4).await?;
    let message = shop.condition("integration", "orders", "DeadLettersEmpty", "False", "DeadLetters").await?;
    ensure!(message.contains("flow orders"), "{message}");
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.shopify.patch_record("orders", "3", &json!({"created_at": "2026-07-01T10:00:00Z"})).await?;
    shop.delivered(5).await?;
    shop.condition("integration", "orders", "DeadLettersEmpty", "True", "NoDeadLetters").await?;
    shop.exactly_once().await?;
    shop.close().await
}
