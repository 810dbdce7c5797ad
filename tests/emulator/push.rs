//! A queue that says which secrets changed: the emulator's own events through EventBridge and SQS, lost, repeated and odd.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use crosstie_operator::{
    telemetry::Metrics,
    vault::{SecretKey, aws::queue::ChangeQueue, push::Push},
};
use crosstie_tests::{
    aws::{KEY_ID, REGION},
    aws_faults::{Fault, Rule},
    wait::{Seen, until},
};
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::vault::{World, own};

/// Longer than any test: what changes is found by a message or not at all.
const SELDOM: Duration = Duration::from_hours(1);
/// How long the queue hides what was received.
const HIDDEN: Duration = Duration::from_secs(3);

/// An operator's push over a queue, until it is dropped, which is as sudden as a crash. `told` says whether status was written.
fn push(world: &World, queue: &str, told: &Arc<AtomicBool>) -> DropGuard {
    let says = Arc::clone(told);
    let push = Push {
        queue: ChangeQueue::new(Arc::clone(&world.vault), queue, HIDDEN),
        secrets: Arc::clone(&world.secrets),
        used: world.used(),
        told: move |_: &SecretKey| says.load(Ordering::Relaxed),
        metrics: Metrics::default(),
    };
    let stop = CancellationToken::new();
    tokio::spawn(push.run(stop.clone()));
    stop.drop_guard()
}

async fn empties(world: &World, queue: &str) -> Result<()> {
    until("the queue is empty", async || {
        let left = world.emulator.messages(queue).await?;
        Ok(if left == (0, 0) { Seen::Yes(()) } else { Seen::NotYet(format!("{left:?} messages")) })
    })
    .await
}

#[tokio::test]
async fn a_rotation_is_taken_over_by_its_message_long_before_the_sweep() -> Result<()> {
    let world = World::start(SELDOM).await?;
    let queue = world.emulator.queue_of_changes("changes").await?;
    let owner = world.owner(KEY_ID, REGION);
    owner.put_json("shop/shopify", &json!({"token": "old"})).await?;
    world.reads(&own("shop/shopify"), "old").await?;
    let _running = push(&world, &queue, &Arc::new(AtomicBool::new(true)));
    for number in 0..5 {
        let token = format!("new-{number}");
        owner.put_json("shop/shopify", &json!({"token": token})).await?;
        world.comes_to(&own("shop/shopify"), &token).await?;
    }
    empties(&world, &queue).await
}

#[tokio::test]
async fn a_message_is_kept_until_status_is_written_and_a_crash_before_that_misses_nothing() -> Result<()> {
    let world = World::start(SELDOM).await?;
    let queue = world.emulator.queue_of_changes("changes").await?;
    let owner = world.owner(KEY_ID, REGION);
    owner.put_json("shop/shopify", &json!({"token": "old"})).await?;
    world.reads(&own("shop/shopify"), "old").await?;
    let told = Arc::new(AtomicBool::new(false));
    let crashing = push(&world, &queue, &told);
    owner.put_json("shop/shopify", &json!({"token": "new"})).await?;
    world.comes_to(&own("shop/shopify"), "new").await?;
    drop(crashing);
    ensure!(world.faults.count("DeleteMessage").await? == 0, "a message was deleted before status was written");
    // The next operator finds the message again, and reads once more.
    let before = world.faults.count("GetSecretValue").await?;
    told.store(true, Ordering::Relaxed);
    let _next = push(&world, &queue, &told);
    empties(&world, &queue).await?;
    ensure!(world.faults.count("GetSecretValue").await? > before, "the message was deleted without another look");
    Ok(())
}

#[tokio::test]
async fn messages_that_are_lost_are_made_up_for_by_the_sweep() -> Result<()> {
    let world = World::start(Duration::from_secs(2)).await?;
    let queue = world.emulator.queue_of_changes("changes").await?;
    let owner = world.owner(KEY_ID, REGION);
    owner.put_json("shop/shopify", &json!({"token": "old"})).await?;
    world.reads(&own("shop/shopify"), "old").await?;
    world.faults.set(&[Rule::new(Fault::LoseMessages).operation("ReceiveMessage")]).await?;
    let _running = push(&world, &queue, &Arc::new(AtomicBool::new(true)));
    owner.put_json("shop/shopify", &json!({"token": "new"})).await?;
    world.comes_to(&own("shop/shopify"), "new").await?;
    empties(&world, &queue).await?;
    ensure!(world.faults.count("DeleteMessage").await? == 0, "a message came through");
    Ok(())
}

#[tokio::test]
async fn a_message_that_nobody_understands_is_set_aside_and_the_next_one_heard() -> Result<()> {
    let world = World::start(SELDOM).await?;
    let queue = world.emulator.queue_of_changes("changes").await?;
    let owner = world.owner(KEY_ID, REGION);
    owner.put_json("shop/shopify", &json!({"token": "old"})).await?;
    world.reads(&own("shop/shopify"), "old").await?;
    world.emulator.send(&queue, "no event at all").await?;
    let _running = push(&world, &queue, &Arc::new(AtomicBool::new(true)));
    owner.put_json("shop/shopify", &json!({"token": "new"})).await?;
    world.comes_to(&own("shop/shopify"), "new").await?;
    until("only the odd message is left, out of the way", async || {
        let left = world.emulator.messages(&queue).await?;
        let aside = world.faults.count("ChangeMessageVisibility").await?;
        Ok(if left == (0, 1) && aside == 1 { Seen::Yes(()) } else { Seen::NotYet(format!("{left:?}, {aside} aside")) })
    })
    .await
}
