//! Roles that Connectors bring: whose secrets they open, whom they are given to, and what a refusal says.

use std::time::Duration;

use anyhow::{Result, ensure};
use crosstie_crds::condition::Reason;
use crosstie_tests::{
    aws::{KEY_ID, REGION},
    aws_faults::{Fault, Rule},
};
use serde_json::json;

use crate::vault::{World, lent, own};

/// Longer than any test: only what is asked for is read.
const SELDOM: Duration = Duration::from_hours(1);
const ABROAD: &str = "222222222222";

#[tokio::test]
async fn a_role_opens_its_own_accounts_secret_and_no_other_of_the_same_name() -> Result<()> {
    let world = World::start(SELDOM).await?;
    world.owner(KEY_ID, REGION).put_json("shop/shopify", &json!({"token": "ours"})).await?;
    world.owner(ABROAD, REGION).put_json("shop/shopify", &json!({"token": "theirs"})).await?;
    world.reads(&lent("shop/shopify", ABROAD, "shop/shopify"), "theirs").await?;
    world.reads(&own("shop/shopify"), "ours").await?;
    let calls = world.faults.calls().await?;
    let ids: Vec<_> = calls.iter().filter_map(|call| call.external_id.as_deref()).collect();
    ensure!(ids == ["shop/shopify"], "the external ids were {ids:?}");
    let readers: std::collections::BTreeSet<&str> =
        calls.iter().filter(|call| call.operation == "GetSecretValue").map(|call| call.key_id.as_str()).collect();
    ensure!(readers.len() == 2 && readers.contains(KEY_ID), "it was read as {readers:?}");
    Ok(())
}

#[tokio::test]
async fn connectors_with_the_same_role_and_secret_read_it_each_for_itself() -> Result<()> {
    let world = World::start(SELDOM).await?;
    world.owner(ABROAD, REGION).put_json("shared", &json!({"token": "t"})).await?;
    for external_id in ["shop/a", "bank/a"] {
        world.reads(&lent("shared", ABROAD, external_id), "t").await?;
    }
    let calls = world.faults.calls().await?;
    let mut ids: Vec<_> = calls.iter().filter_map(|call| call.external_id.as_deref()).collect();
    ids.sort_unstable();
    ensure!(ids == ["bank/a", "shop/a"], "the external ids were {ids:?}");
    Ok(())
}

#[tokio::test]
async fn a_role_that_is_not_given_says_what_to_allow_and_heals_without_a_restart() -> Result<()> {
    let world = World::start(SELDOM).await?;
    world.owner(KEY_ID, REGION).put_json("shop/shopify", &json!({"token": "ours"})).await?;
    world.owner(ABROAD, REGION).put_json("shop/shopify", &json!({"token": "theirs"})).await?;
    let denied = lent("shop/shopify", ABROAD, "shop/shopify");
    world.faults.set(&[Rule::new(Fault::Deny).operation("AssumeRole")]).await?;
    let message = world.refused(&denied, Reason::AccessDenied).await?;
    ensure!(message.contains("role/crosstie") && message.contains("external id shop/shopify"), "{message}");
    world.reads(&own("shop/shopify"), "ours").await?;
    world.faults.clear().await?;
    world.reads(&denied, "theirs").await
}

#[tokio::test]
async fn a_secret_that_is_denied_takes_no_other_with_it() -> Result<()> {
    let world = World::start(SELDOM).await?;
    let owner = world.owner(KEY_ID, REGION);
    for name in ["shop/a", "shop/b", "shop/c"] {
        owner.put_json(name, &json!({"token": name})).await?;
    }
    world.faults.set(&[Rule::new(Fault::Deny).name("shop/b")]).await?;
    let keys = ["shop/a", "shop/b", "shop/c"].map(own);
    for key in &keys {
        world.uses(key);
        world.secrets.look(key);
    }
    let message = world.refused(&keys[1], Reason::AccessDenied).await?;
    ensure!(message.contains("shop/b") && message.contains("the operator's role"), "{message}");
    world.reads(&keys[0], "shop/a").await?;
    world.reads(&keys[2], "shop/c").await?;
    world.faults.clear().await?;
    world.reads(&keys[1], "shop/b").await
}
