//! Access tokens by OAuth 2.0 grants: got, renewed at half their life, handed out alone; refresh tokens that rotate, used once each also by two
//! operators, and by one that is killed between using one and storing the next.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result, ensure};
use crosstie_crds::{condition::Reason, names};
use crosstie_tests::{
    aws_faults::{Fault, Rule},
    wait::{Seen, until},
};
use crosstie_vendors::{Simulator, control::Client, wire::OAuth2Client};
use serde_json::{Value, json};

use crate::operator::World;

const CONNECTOR: &str = "crm";
const SECRET: &str = "client-hush";

/// A vendor that grants tokens, and the Connector that wants them.
struct Vendor {
    _simulator: Simulator,
    control: Client,
}

impl Vendor {
    async fn start(lifetime_seconds: u64) -> Result<Self> {
        let simulator = Simulator::start().await?;
        let vendor = Self { control: simulator.control("hubspot", "main")?, _simulator: simulator };
        vendor.grants(lifetime_seconds).await?;
        Ok(vendor)
    }

    /// From now on tokens live so long; refresh tokens rotate.
    async fn grants(&self, lifetime_seconds: u64) -> Result<()> {
        let client = OAuth2Client {
            client_id: "client".into(),
            client_secret: SECRET.into(),
            refresh_tokens: vec!["rt".into()],
            lifetime_seconds,
            rotates: true,
            revokes: true,
            access_token_prefix: "at-".into(),
        };
        Ok(self.control.set_oauth2(&client).await?)
    }

    async fn connector(&self, world: &World, grant: &Value) -> Result<()> {
        self.client(world, 1).await?;
        world.secrets.put_json(&refresh(world), &json!({"refreshToken": "rt"})).await?;
        let mut oauth2 = json!({"tokenURL": format!("{}/oauth/v1/token", self.control.base_url())});
        for (name, value) in grant.as_object().context("no object")? {
            oauth2[name] = value.clone();
        }
        let object = json!({
            "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector",
            "metadata": {"name": CONNECTOR, "namespace": world.namespace},
            "spec": {
                "preset": "HubSpot", "baseURL": self.control.base_url(),
                "credentials": {"awsSecretsManager": {"secretId": world.secret(CONNECTOR)}, "oauth2": oauth2},
            },
        });
        world.kubectl.apply(&object.to_string()).await.map(drop)
    }

    /// Stores the client's credentials, which makes the operator get another token.
    async fn client(&self, world: &World, number: u32) -> Result<()> {
        let values = json!({"clientId": "client", "clientSecret": SECRET, "number": number.to_string()});
        world.secrets.put_json(&world.secret(CONNECTOR), &values).await.map(drop)
    }
}

fn refresh(world: &World) -> String {
    world.secret("crm-refresh")
}

fn refreshing(world: &World) -> Value {
    json!({"grant": "RefreshToken", "refreshTokenSecretId": refresh(world)})
}

/// Waits until workers are handed a token that was granted after so many others, and gives the document.
async fn handed_out(world: &World, after: u64) -> Result<Value> {
    until(&format!("a token after the one with the number {after} is handed out"), async || {
        let document = world.document(CONNECTOR).await?.unwrap_or_default();
        let token = document["current"]["values"]["token"].as_str().unwrap_or_default();
        let number = token.strip_prefix("at-").and_then(|number| number.parse().ok()).unwrap_or(0_u64);
        Ok(if number > after { Seen::Yes(document) } else { Seen::NotYet(document["current"].to_string()) })
    })
    .await
}

/// Versions of what the operator keeps and hands out.
async fn revisions(world: &World) -> Result<Vec<Value>> {
    let mut versions = Vec::new();
    for (kind, name) in [
        ("secret", names::tokens(CONNECTOR)),
        ("secret", names::credentials(CONNECTOR)),
        ("connector", CONNECTOR.to_owned()),
    ] {
        let object = world.kubectl.get(&world.namespace, kind, &name).await?.with_context(|| format!("no {name}"))?;
        versions.push(object["metadata"]["resourceVersion"].clone());
    }
    Ok(versions)
}

#[tokio::test]
async fn a_clients_access_token_is_got_and_renewed_at_half_its_life_and_workers_see_it_alone() -> Result<()> {
    let mut world = World::start("tokens-client").await?;
    let vendor = Vendor::start(6).await?;
    vendor.connector(&world, &json!({"grant": "ClientCredentials"})).await?;
    world.run("trace")?;
    let first = handed_out(&world, 0).await?;
    let later = handed_out(&world, 2).await?;
    for document in [&first, &later] {
        ensure!(!document.to_string().contains(SECRET), "the client's secret is handed out");
        let values = document["current"]["values"].as_object().context("no values")?;
        ensure!(values.keys().collect::<Vec<_>>() == ["token"], "more than a token is handed out: {values:?}");
    }
    ensure!(later["previous"]["values"]["token"] != later["current"]["values"]["token"], "the one before is no other");
    ensure!(world.status(CONNECTOR).await?["expiresAt"].is_string(), "status does not say when the token ends");
    // With a life of an hour nothing happens any more, also when the Connector is looked at.
    vendor.grants(3600).await?;
    vendor.client(&world, 2).await?;
    until("status says that the token lives for an hour", async || {
        let status = world.status(CONNECTOR).await?;
        let number = vendor.control.oauth2().await?.granted;
        let (ends, since) = (status["expiresAt"].as_str(), status["rotatedAt"].as_str());
        let lives = ends.zip(since).and_then(|(ends, since)| {
            let (ends, since): (jiff::Timestamp, jiff::Timestamp) = (ends.parse().ok()?, since.parse().ok()?);
            Some(ends.duration_since(since).as_secs())
        });
        let settled = number == 1 && lives.is_some_and(|lives| lives > 3000);
        Ok(if settled { Seen::Yes(()) } else { Seen::NotYet(format!("{number} tokens, {status}")) })
    })
    .await?;
    let before = revisions(&world).await?;
    let looks = looks(&world).await?;
    world.kubectl.run(&["-n", &world.namespace, "label", "connector", CONNECTOR, "looked=at"]).await?;
    until("the Connector is looked at", async || {
        let now = self::looks(&world).await?;
        Ok(if now > looks { Seen::Yes(()) } else { Seen::NotYet(now.to_string()) })
    })
    .await?;
    let after = revisions(&world).await?;
    ensure!(before[..2] == after[..2], "a look that changes nothing writes: {before:?}, {after:?}");
    ensure!(vendor.control.oauth2().await?.granted == 1, "a token was asked for without need");
    let log = std::fs::read_to_string(&world.log)?;
    ensure!(!log.contains(SECRET) && !log.contains("\"at-"), "the log shows secrets");
    world.kill().await?;
    Ok(std::fs::remove_file(&world.log)?)
}

/// How often Connectors were looked at.
async fn looks(world: &World) -> Result<u64> {
    let metrics = world.metrics().await?;
    let line = metrics.lines().find(|line| {
        line.starts_with("crosstie_operator_reconciles_total") && line.contains("connector") && line.contains("ok")
    });
    Ok(line.and_then(|line| line.rsplit(' ').next()).and_then(|count| count.parse().ok()).unwrap_or(0))
}

#[tokio::test]
async fn two_operators_use_each_refresh_token_once_and_store_the_next_one_before_they_use_it() -> Result<()> {
    let mut world = World::start("tokens-two").await?;
    let vendor = Vendor::start(4).await?;
    vendor.connector(&world, &refreshing(&world)).await?;
    world.run("info")?;
    world.run_another().await?;
    until("six tokens were granted", async || {
        let granted = vendor.control.oauth2().await?.granted;
        Ok(if granted >= 6 { Seen::Yes(()) } else { Seen::NotYet(granted.to_string()) })
    })
    .await?;
    world.kill().await?;
    let grants = vendor.control.oauth2().await?;
    let distinct: BTreeSet<&String> = grants.used.iter().collect();
    ensure!(distinct.len() == grants.used.len() && grants.refused == 0, "a refresh token was used twice: {grants:?}");
    Ok(std::fs::remove_file(&world.log)?)
}

#[tokio::test]
async fn an_operator_killed_before_it_stored_a_refresh_token_says_so_and_a_new_one_by_hand_ends_it() -> Result<()> {
    let mut world = World::start("tokens-killed").await?;
    let vendor = Vendor::start(3600).await?;
    vendor.connector(&world, &refreshing(&world)).await?;
    world.run("info")?;
    let before = handed_out(&world, 0).await?;
    // The answer of the server comes; that AWS stored what it said does not.
    let millis = u64::try_from(Duration::from_hours(1).as_millis())?;
    let never = Rule::new(Fault::Delay { millis }).operation("PutSecretValue").name(&refresh(&world));
    world.faults.set(&[never]).await?;
    vendor.client(&world, 2).await?;
    until("the second token is granted", async || {
        let granted = vendor.control.oauth2().await?.granted;
        Ok(if granted == 2 { Seen::Yes(()) } else { Seen::NotYet(granted.to_string()) })
    })
    .await?;
    world.kill().await?;
    world.faults.clear().await?;
    world.run("info")?;
    let said = world.says(CONNECTOR, Reason::ReauthRequired).await?;
    let message = said["message"].as_str().unwrap_or_default();
    ensure!(message.contains("authorise the client again") && message.contains(&refresh(&world)), "it says {message}");
    ensure!(said["type"] == "CredentialsResolved" && said["status"] == "False", "{said}");
    let ready = world.says(CONNECTOR, Reason::Available).await?;
    ensure!(ready["type"] == "Ready" && ready["status"] == "True", "the token that is there lasts: {ready}");
    ensure!(world.document(CONNECTOR).await?.unwrap_or_default()["current"] == before["current"], "the token changed");
    vendor.control.consent("rt-by-hand").await?;
    world.secrets.put_json(&refresh(&world), &json!({"refreshToken": "rt-by-hand"})).await?;
    handed_out(&world, 2).await?;
    world.says(CONNECTOR, Reason::Resolved).await?;
    let grants = vendor.control.oauth2().await?;
    ensure!(grants.refused == 0, "a refresh token was used twice: {grants:?}");
    ensure!(grants.used.iter().map(String::as_str).collect::<Vec<_>>() == ["rt", "rt.1", "rt-by-hand"], "{grants:?}");
    world.kill().await?;
    Ok(std::fs::remove_file(&world.log)?)
}
