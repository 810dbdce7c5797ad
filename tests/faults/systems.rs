//! Systems that are down, slow down, or refuse every key; and each recovered.

use anyhow::{Result, ensure};
use crosstie_tests::shop::Shop;
use crosstie_vendors::wire::{Fault, FaultRule};
use serde_json::{Value, json};

fn failing(code: u16) -> FaultRule {
    FaultRule::new(Fault::Status { code, headers: [].into(), body: Value::Null })
}

#[tokio::test]
async fn a_source_that_is_down_is_named_and_nothing_is_missed_when_it_is_back() -> Result<()> {
    let shop = Shop::open("source-down").await?;
    shop.add_orders(1, 3).await?;
    shop.start().await?;
    shop.delivered(3).await?;
    shop.shopify.add_fault(&failing(503)).await?;
    shop.ready("integration", "orders", "False", "SourceUnavailable").await?;
    shop.add_orders(11, 5).await?;
    shop.shopify.clear_faults().await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.delivered(8).await?;
    shop.exactly_once().await?;
    shop.close().await
}

#[tokio::test]
async fn a_destination_that_is_down_makes_records_wait_in_order_and_fills_no_dead_letters() -> Result<()> {
    let shop = Shop::open("destination-down").await?;
    shop.add_orders(1, 3).await?;
    shop.start().await?;
    shop.netsuite.add_fault(&failing(500).method("PUT")).await?;
    shop.add_orders(11, 40).await?;
    shop.ready("integration", "orders", "False", "DestinationUnavailable").await?;
    shop.condition("integration", "orders", "DeadLettersEmpty", "True", "NoDeadLetters").await?;
    shop.netsuite.clear_faults().await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.delivered(43).await?;
    shop.exactly_once().await?;
    shop.close().await
}

#[tokio::test]
async fn calls_whose_answer_never_comes_are_found_by_look_up_and_not_repeated() -> Result<()> {
    let shop = Shop::open("lost-answers").await?;
    shop.add_orders(1, 30).await?;
    shop.netsuite
        .add_fault(&FaultRule::new(Fault::ErrorAfterCommit { code: 502 }).method("PUT").percent(30, 7))
        .await?;
    shop.start().await?;
    shop.delivered(30).await?;
    shop.netsuite.clear_faults().await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.exactly_once().await?;
    shop.close().await
}

#[tokio::test]
async fn a_key_that_the_vendor_refuses_is_said_and_the_right_one_heals_it_without_a_restart() -> Result<()> {
    let shop = Shop::open("revoked").await?;
    shop.add_orders(1, 3).await?;
    shop.start().await?;
    shop.netsuite.revoke_token("netsuite-1").await?;
    shop.add_orders(11, 3).await?;
    shop.ready("integration", "orders", "False", "CredentialsRejected").await?;
    shop.netsuite.set_tokens(&["netsuite-2"]).await?;
    shop.world.secrets.put_json("revoked/netsuite", &json!({"token": "netsuite-2"})).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.delivered(6).await?;
    let pods = shop.world.kubectl.list("revoked", "pods").await?;
    ensure!(
        pods.len() == 1 && pods[0]["status"]["containerStatuses"][0]["restartCount"] == 0,
        "the worker was restarted"
    );
    shop.close().await
}
