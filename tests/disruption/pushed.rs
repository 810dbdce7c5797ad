//! Rotations that a queue tells an operator in a pod of.

use anyhow::Result;
use crosstie_tests::{
    push::{Pod, Push},
    shop::Shop,
};
use serde_json::json;

use crate::ALONE;

async fn rotations_come_by_message(shop: &Shop, push: &Push) -> Result<()> {
    let pod = Pod::of(&shop.world, &shop.namespace, "orders").await?;
    for number in 2..=6 {
        let token = format!("shopify-{number}");
        shop.shopify.set_tokens(&[&format!("shopify-{}", number - 1), &token]).await?;
        let secret = format!("{}/shopify", shop.namespace);
        let took = push.rotate(&pod, "shopify", &secret, &json!({"token": token})).await?;
        println!("in the worker's memory after {took:?}");
    }
    push.empties().await?;
    shop.shopify.set_tokens(&["shopify-6"]).await?;
    shop.add_orders(11, 3).await?;
    shop.delivered(6).await
}

#[tokio::test]
async fn a_message_brings_a_rotation_into_the_workers_memory_where_the_sweep_would_not() -> Result<()> {
    let _alone = ALONE.lock().await;
    let shop = Shop::open("pushed").await?;
    shop.add_orders(1, 3).await?;
    shop.start().await?;
    shop.delivered(3).await?;
    let push = Push::install(&shop.world).await?;
    let played = rotations_come_by_message(&shop, &push).await;
    push.uninstall().await?;
    played?;
    shop.exactly_once().await?;
    shop.close().await
}
