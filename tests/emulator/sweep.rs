//! The sweep on a real store of secrets: what it finds by looking, and what throttling and slowness hold up.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crosstie_crds::condition::Reason;
use crosstie_operator::vault::secrets::Entry;
use crosstie_tests::{
    aws::{KEY_ID, REGION},
    aws_faults::{Fault, Rule},
};
use serde_json::json;

use crate::vault::{World, own};

const OFTEN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_rotation_is_found_by_looking_with_both_versions_and_no_value_is_read_twice() -> Result<()> {
    let world = World::start(OFTEN).await?;
    let owner = world.owner(KEY_ID, REGION);
    let first = owner.put_json("shop/shopify", &json!({"token": "old"})).await?;
    world.reads(&own("shop/shopify"), "old").await?;
    let second = owner.put_json("shop/shopify", &json!({"token": "new"})).await?;
    world.comes_to(&own("shop/shopify"), "new").await?;
    let entry = world.secrets.look(&own("shop/shopify")).context("nothing is known")?;
    let held = entry.held.context("nothing is held")?;
    ensure!(held.current.version_id == second, "{held:?}");
    ensure!(held.previous.as_ref().is_some_and(|previous| previous.version_id == first), "{held:?}");
    ensure!(held.made_at.is_some(), "the version has no age");
    ensure!(held.description.as_ref().is_some_and(|described| described.current == second), "{held:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_known_of_a_secret_prints_its_versions_and_none_of_its_values() -> Result<()> {
    let world = World::start(OFTEN).await?;
    let owner = world.owner(KEY_ID, REGION);
    let seeds: Vec<String> = (0..100).map(|number| format!("CTSEED{number:06}")).collect();
    let mut ids = Vec::new();
    for part in seeds.chunks(50) {
        let mut values: serde_json::Map<String, serde_json::Value> =
            part.iter().enumerate().map(|(number, seed)| (format!("key{number}"), json!(seed))).collect();
        values.insert("token".into(), json!(part[0]));
        ids.push(owner.put_json("shop/shopify", &values.into()).await?);
        world.comes_to(&own("shop/shopify"), &part[0]).await?;
    }
    let entry = world.secrets.look(&own("shop/shopify")).context("nothing is known")?;
    let held = entry.held.clone().context("nothing is held")?;
    let printed = format!("{entry:?} {entry:#?} {:?} {:?}", held.current, held.previous);
    ensure!(held.current.values.len() == 51, "the values were not read");
    ensure!(ids.iter().all(|id| printed.contains(id.as_str())), "the versions are not there: {printed}");
    ensure!(!printed.contains("CTSEED"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn throttling_of_one_region_leaves_its_last_good_values_and_the_other_region_alone() -> Result<()> {
    let world = World::start(OFTEN).await?;
    let (here, there) = (own("shop/shopify"), {
        let mut key = own("shop/shopify");
        key.account.region = Some("us-east-1".into());
        key
    });
    for region in [REGION, "us-east-1"] {
        world.owner(KEY_ID, region).put_json("shop/shopify", &json!({"token": "old"})).await?;
    }
    world.reads(&here, "old").await?;
    world.reads(&there, "old").await?;
    world.faults.set(&[Rule::new(Fault::Throttle).region(REGION)]).await?;
    for region in [REGION, "us-east-1"] {
        world.owner(KEY_ID, region).put_json("shop/shopify", &json!({"token": "new"})).await?;
    }
    world.refused(&here, Reason::Throttled).await?;
    world.comes_to(&there, "new").await?;
    let entry = world.secrets.look(&here).context("nothing is known")?;
    ensure!(entry.held.is_some_and(|held| held.current.values["token"] == "old"), "the last good value is gone");
    world.faults.clear().await?;
    world.comes_to(&here, "new").await
}

#[tokio::test]
async fn a_region_that_is_slow_does_not_hold_up_another() -> Result<()> {
    let world = World::start(OFTEN).await?;
    let mut slow = own("shop/slow");
    slow.account.region = Some("us-east-1".into());
    world.owner(KEY_ID, "us-east-1").put_json("shop/slow", &json!({"token": "slow"})).await?;
    world.owner(KEY_ID, REGION).put_json("shop/fast", &json!({"token": "fast"})).await?;
    world.faults.set(&[Rule::new(Fault::Delay { millis: 60_000 }).region("us-east-1")]).await?;
    world.uses(&slow);
    world.secrets.look(&slow);
    world.reads(&own("shop/fast"), "fast").await?;
    world.refused(&slow, Reason::VaultUnavailable).await?;
    world.faults.clear().await?;
    world.reads(&slow, "slow").await
}

#[tokio::test]
async fn a_role_that_may_only_read_values_reads_them() -> Result<()> {
    let world = World::start(OFTEN).await?;
    let owner = world.owner(KEY_ID, REGION);
    for name in ["shop/a", "shop/b"] {
        owner.put_json(name, &json!({"token": "old"})).await?;
    }
    let rules = ["BatchGetSecretValue", "DescribeSecret"].map(|name| Rule::new(Fault::Deny).operation(name));
    world.faults.set(&rules).await?;
    for name in ["shop/a", "shop/b"] {
        world.reads(&own(name), "old").await?;
        owner.put_json(name, &json!({"token": "new"})).await?;
        world.comes_to(&own(name), "new").await?;
    }
    let entry = world.secrets.look(&own("shop/a")).context("nothing is known")?;
    ensure!(entry.held.is_some_and(|held| held.description.is_none()), "it was described all the same");
    Ok(())
}

#[tokio::test]
async fn secrets_that_are_read_together_are_described_by_a_list() -> Result<()> {
    let world = World::start(Duration::from_secs(20)).await?;
    let owner = world.owner(KEY_ID, REGION);
    let keys: Vec<_> = (0..12).map(|number| own(&format!("shop/{number}"))).collect();
    for key in &keys {
        for token in ["old", "new"] {
            owner.put_json(&key.secret_id, &json!({"token": token})).await?;
        }
    }
    for key in &keys {
        world.uses(key);
    }
    for key in &keys {
        world.secrets.look(key);
    }
    for key in &keys {
        let described = |entry: &Entry| entry.held.as_ref().is_some_and(|held| held.description.is_some());
        let entry = world.known(key, "the secret is described", described).await?;
        let held = entry.held.context("nothing is held")?;
        let description = held.description.as_ref().context("nothing is described")?;
        ensure!(description.current == held.current.version_id, "{held:?}");
        ensure!(description.previous.is_some() && description.previous == held.previous_version_id, "{held:?}");
    }
    let (lists, alone) = (world.faults.count("ListSecrets").await?, world.faults.count("DescribeSecret").await?);
    ensure!(lists > 0 && alone < keys.len(), "{lists} lists, {alone} descriptions of one secret");
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_too_old_is_replaced_by_aws_once_and_a_refusal_is_known() -> Result<()> {
    let world = World::start(OFTEN).await?;
    let (key, owner) = (own("shop/shopify"), world.owner(KEY_ID, REGION));
    let old = owner.put_json("shop/shopify", &json!({"token": "old"})).await?;
    world.reads(&key, "old").await?;
    world.faults.set(&[Rule::new(Fault::Deny).operation("RotateSecret")]).await?;
    world.secrets.rotate(&key, "another version".into());
    let refused = |entry: &Entry| entry.not_rotated.is_some();
    let entry = world.known(&key, "the refusal is known", refused).await?;
    let fault = entry.not_rotated.context("it was not refused")?;
    ensure!(fault.reason == Reason::AccessDenied && fault.message.contains("secretsmanager:RotateSecret"), "{fault}");
    world.faults.clear().await?;
    for _ in 0..3 {
        world.secrets.rotate(&key, old.clone());
    }
    let rotated = |entry: &Entry| entry.held.as_ref().is_some_and(|held| held.current.version_id != old);
    let entry = world.known(&key, "the secret has a new version", rotated).await?;
    let previous = entry.held.and_then(|held| held.previous_version_id);
    ensure!(previous.as_ref() == Some(&old), "the version before is {previous:?}");
    let calls = world.faults.calls().await?;
    let asked = calls.iter().filter(|call| call.operation == "RotateSecret" && !call.refused).count();
    ensure!(asked == 1, "AWS was asked {asked} times");
    Ok(())
}
