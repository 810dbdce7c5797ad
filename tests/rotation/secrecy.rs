//! Secret values that can be told from everything else go through the operator: handed out, superseded, malformed, denied. Whatever it says is then
//! searched for them: its log at the most talkative, its metrics, and every object of the namespace but the Secrets that are to hold them.

use anyhow::{Context as _, Result, ensure};
use crosstie_crds::{condition::Reason, names};
use crosstie_tests::{
    aws_faults::{Fault, Rule},
    marked::{CONTROL, MARK, shown},
    wait::{Seen, until},
};
use serde_json::{Map, Value, json};

use crate::operator::World;

/// Values that one version of a secret has.
const IN_A_VERSION: usize = 10;
/// Connectors whose secrets are good.
const CONNECTORS: usize = 4;
/// Every kind that the operator makes or writes, but Secrets.
const KINDS: &str = "connectors,integrations,syncreports,configmaps,deployments,services,serviceaccounts,roles,rolebindings,networkpolicies,\
                     poddisruptionbudgets,persistentvolumeclaims,leases,events,events.events.k8s.io";

/// Seeded values, each given once.
#[derive(Default)]
struct Seeds(usize);

impl Seeds {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("{MARK}{:06}q{:016x}", self.0, self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A secret's value as JSON: a token and more.
    fn version(&mut self) -> Value {
        let more = (1..IN_A_VERSION).map(|number| (format!("key{number}"), json!(self.next())));
        let mut values: Map<String, Value> = more.collect();
        values.insert("token".into(), json!(self.next()));
        values.into()
    }
}

/// Secrets from which a careless error would show a part.
async fn spoil(world: &World, seeds: &mut Seeds) -> Result<()> {
    let spoilt = [
        ("bare", seeds.next(), Reason::SecretMalformed),
        ("cut", format!(r#"{{"token": "{}"#, seeds.next()), Reason::SecretMalformed),
        ("nested", json!({"token": {"a": seeds.next()}}).to_string(), Reason::SecretMalformed),
        ("list", json!([seeds.next()]).to_string(), Reason::SecretMalformed),
        ("lacking", json!({"other": seeds.next()}).to_string(), Reason::KeyMissing),
        (
            "elsewhere",
            json!({"token": seeds.next(), "allowedHosts": "other.example.com"}).to_string(),
            Reason::HostNotAllowed,
        ),
    ];
    for (name, value, reason) in &spoilt {
        world.secrets.put(&world.secret(name), value).await?;
        world.connector(name).await?;
        world.says(name, *reason).await?;
    }
    world.faults.set(&[Rule::new(Fault::Deny).name(&world.secret("denied"))]).await?;
    world.secrets.put_json(&world.secret("denied"), &seeds.version()).await?;
    world.connector("denied").await?;
    // It stays denied: once it is not, its value is handed out as any other.
    world.says("denied", Reason::AccessDenied).await.map(drop)
}

/// Everything the operator says, by where.
async fn said(world: &World) -> Result<Vec<(&'static str, String)>> {
    let objects =
        world.kubectl.run(&["-n", &world.namespace, "get", KINDS, "-o", "yaml", "--show-managed-fields"]).await?;
    let others = world.kubectl.list(&world.namespace, "secrets").await?;
    let (own, others): (Vec<Value>, Vec<Value>) = others.into_iter().partition(|secret| {
        let name = secret["metadata"]["name"].as_str().unwrap_or_default();
        (0..CONNECTORS).any(|number| name == names::credentials(&connector(number)))
    });
    // Of the Secrets themselves only the values may hold it.
    let own: Vec<Value> = own.into_iter().map(|secret| json!([secret["metadata"], secret["type"]])).collect();
    Ok(vec![
        ("log", String::from_utf8_lossy(&std::fs::read(&world.log)?).into_owned()),
        ("metrics", world.metrics().await?),
        ("objects", objects),
        ("other Secrets", json!(others).to_string()),
        ("Secrets beside their values", json!(own).to_string()),
    ])
}

fn connector(number: usize) -> String {
    format!("shop-{number}")
}

#[tokio::test]
async fn no_secret_value_is_in_anything_that_an_operator_says_or_writes_but_its_secrets() -> Result<()> {
    let count = std::env::var("CROSSTIE_SECRETS").ok().and_then(|text| text.parse().ok()).unwrap_or(120_usize);
    let (mut world, mut seeds) = (World::start("rotation-secrecy").await?, Seeds::default());
    world.run("trace")?;
    for rotation in 0..count.div_ceil(CONNECTORS * IN_A_VERSION) {
        for number in 0..CONNECTORS {
            let name = connector(number);
            let values = seeds.version();
            let id = world.secrets.put_json(&world.secret(&name), &values).await?;
            if rotation == 0 {
                world.connector(&name).await?;
            }
            until(&format!("{name} has the new version in Secret and status"), async || {
                let document = world.document(&name).await?.unwrap_or_default();
                // Only keys that the Connector uses are handed out; the others are in the operator's memory alone.
                let there = document["current"]["versionId"] == id;
                let there = there && document["current"]["values"]["token"] == values["token"];
                let said = world.status(&name).await?["versionId"] == id;
                Ok(if there && said { Seen::Yes(()) } else { Seen::NotYet(format!("{there}, {said}")) })
            })
            .await?;
        }
    }
    spoil(&world, &mut seeds).await?;
    let control = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "control", "namespace": world.namespace}, "data": {"a": CONTROL}});
    world.kubectl.apply(&control.to_string()).await?;
    let said = said(&world).await?;
    for (place, text) in &said {
        let found = shown(text);
        ensure!(found.is_empty(), "{} values are in the {place}, the first one here:\n{}", found.len(), found[0]);
    }
    // It was looked where it had to be: what was printed on purpose is found, and so is what is said of credentials.
    let of = |place: &str| said.iter().find(|(name, _)| *name == place).map(|(_, text)| text).context("no such place");
    ensure!(of("objects")?.contains(CONTROL), "the search finds nothing at all");
    ensure!(
        of("objects")?.contains("kind: Event") && of("objects")?.contains("versionId"),
        "events or status were not read"
    );
    ensure!(of("log")?.contains("TRACE"), "the log is not at its most talkative");
    ensure!(of("metrics")?.contains("crosstie_operator_aws_calls_total"), "these are no metrics");
    println!("{} values, {} bytes searched", seeds.0, said.iter().map(|(_, text)| text.len()).sum::<usize>());
    world.kill().await?;
    Ok(std::fs::remove_file(&world.log)?)
}
