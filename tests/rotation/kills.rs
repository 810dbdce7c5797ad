//! The operator killed at every step of rotations: before it hears of one, after it read the values, after it wrote the Secret, while it starts.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

use anyhow::{Result, ensure};
use crosstie_tests::wait::{Seen, until};
use serde_json::json;

use crate::operator::World;

const CONNECTOR: &str = "shopify";

/// When the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Before the secret changes.
    Before,
    /// Some time after it changed.
    After(Duration),
    /// After it read the values anew.
    Read,
    /// When the Secret has the new version, and status may not say it yet.
    Written,
    /// Before the secret changes, and the next one some time after its start.
    Starting(Duration),
}

/// Steps in a random order that a seed decides.
struct Steps(u64);

impl Steps {
    fn new() -> Self {
        let given = std::env::var("CROSSTIE_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("CROSSTIE_SEED={seed} makes the same choices again");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn next(&mut self) -> Step {
        match self.below(5) {
            0 => Step::Before,
            1 => Step::After(Duration::from_millis(self.below(1500))),
            2 => Step::Read,
            3 => Step::Written,
            _ => Step::Starting(Duration::from_millis(self.below(1500))),
        }
    }
}

/// Writes the secret anew and kills the operator at a step of that. Gives the new version's id.
async fn rotate(world: &mut World, number: u32, step: Step) -> Result<String> {
    if matches!(step, Step::Before | Step::Starting(_)) {
        world.kill().await?;
    }
    let reads = world.faults.count("GetSecretValue").await? + world.faults.count("BatchGetSecretValue").await?;
    let id = world.secrets.put_json(&world.secret(CONNECTOR), &json!({"token": format!("token-{number}")})).await?;
    match step {
        Step::Before => {}
        Step::After(wait) => tokio::time::sleep(wait).await,
        Step::Read => {
            until("the secret is read", async || {
                let now =
                    world.faults.count("GetSecretValue").await? + world.faults.count("BatchGetSecretValue").await?;
                Ok(if now > reads { Seen::Yes(()) } else { Seen::NotYet(format!("{now} reads")) })
            })
            .await?;
        }
        Step::Written => handed_out(world, &id).await?,
        Step::Starting(wait) => {
            world.run("info")?;
            tokio::time::sleep(wait).await;
        }
    }
    world.kill().await?;
    world.run("info")?;
    Ok(id)
}

/// Waits until the Connector's Secret has a version as the current one.
async fn handed_out(world: &World, id: &str) -> Result<()> {
    until("the Secret has the new version", async || {
        let document = world.document(CONNECTOR).await?.unwrap_or_default();
        let found = &document["current"]["versionId"];
        Ok(if *found == id { Seen::Yes(()) } else { Seen::NotYet(format!("{found} instead of {id}")) })
    })
    .await
}

#[tokio::test]
async fn an_operator_killed_at_any_step_of_many_rotations_misses_none() -> Result<()> {
    let rotations = std::env::var("CROSSTIE_ROTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(15);
    let mut world = World::start("rotation-kills").await?;
    let mut before = world.secrets.put_json(&world.secret(CONNECTOR), &json!({"token": "token-0"})).await?;
    world.connector(CONNECTOR).await?;
    world.run("info")?;
    handed_out(&world, &before).await?;
    let mut steps = Steps::new();
    for number in 1..=rotations {
        let step = steps.next();
        let id = rotate(&mut world, number, step).await?;
        handed_out(&world, &id).await?;
        let document = world.document(CONNECTOR).await?.unwrap_or_default();
        let token = &document["current"]["values"]["token"];
        ensure!(*token == format!("token-{number}"), "{step:?}: the Secret has the value {token} for {id}");
        let previous = &document["previous"]["versionId"];
        ensure!(*previous == before, "{step:?}: the version before is {previous} instead of {before}");
        until(&format!("status says what rotation {number}, killed {step:?}, came to"), async || {
            let status = world.status(CONNECTOR).await?;
            let said = status["versionId"] == id && status["previousVersionId"] == before;
            Ok(if said { Seen::Yes(()) } else { Seen::NotYet(status.to_string()) })
        })
        .await?;
        before = id;
    }
    println!("{rotations} rotations, none missed");
    world.kill().await?;
    Ok(std::fs::remove_file(&world.log)?)
}
