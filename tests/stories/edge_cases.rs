//! Story 2: orders that are not like the others. Each becomes what its fixture says, all the way to the ledger; and a mapping that gets one of
//! them wrong never reaches production: status says which, the worker goes on with the last good plan, and going back heals at once.

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    cluster::repository,
    shop::Shop,
    wait::{Seen, until},
};
use serde_json::{Value, json};

/// ConfigMap that the example names.
const CASES: &str = "order-cases";

#[tokio::test]
async fn unusual_orders_arrive_as_their_fixtures_say_and_a_mapping_that_gets_one_wrong_does_not() -> Result<()> {
    let shop = Shop::open("edge-cases").await?;
    let texts = texts()?;
    let fixtures = fixtures(&texts)?;
    ensure!(fixtures.len() >= 12, "only {} fixtures", fixtures.len());
    for fixture in &fixtures {
        shop.shopify.put_record("orders", &fixture["record"]["id"].to_string(), &fixture["record"]).await?;
    }
    let good = orders(&shop, CASES)?;
    shop.apply(&[&cases(&shop, CASES, &texts), &shop.source(), &shop.destination(), &good]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.condition("integration", "orders", "Verified", "True", "FixturesPassed").await?;
    for fixture in &fixtures {
        arrives(&shop, fixture).await?;
    }
    a_mapping_that_gets_one_wrong_is_kept_back(&shop, &good, written(&fixtures)).await?;
    a_first_mapping_that_gets_one_wrong_never_starts(&shop).await?;
    shop.close().await
}

/// The example's files of fixtures, by name.
fn texts() -> Result<Vec<(String, String)>> {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(entry.path())?))
    };
    std::fs::read_dir(repository().join("examples/orders/fixtures"))?.map(read).collect()
}

fn fixtures(texts: &[(String, String)]) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for (name, text) in texts {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).with_context(|| name.clone())?;
        all.extend(documents.into_iter().filter(|document| document.get("fixture").is_some()));
    }
    Ok(all)
}

/// How many of them are written.
fn written(fixtures: &[Value]) -> usize {
    fixtures.iter().filter(|fixture| fixture["expect"]["body"].is_object()).count()
}

fn cases(shop: &Shop, name: &str, texts: &[(String, String)]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": shop.namespace, "labels": {"crosstie.dev/fixtures": "true"}},
        "data": texts.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

/// The example's Integration, tried on the fixtures of this ConfigMap.
fn orders(shop: &Shop, cases: &str) -> Result<Value> {
    let mut orders = shop.orders()?;
    orders["spec"]["flows"][0]["fixtures"] = json!([{"configMapRef": {"name": cases}}]);
    Ok(orders)
}

/// The same with a mapping that loses the order's name.
fn broken(orders: &Value) -> Value {
    let mut broken = orders.clone();
    broken["spec"]["flows"][0]["map"]["otherRefNum"] = json!("string(record.id)");
    broken
}

/// Waits until the ledger says of an order what its fixture does.
async fn arrives(shop: &Shop, fixture: &Value) -> Result<()> {
    let (name, id) = (&fixture["fixture"], &fixture["record"]["id"]);
    let expected = &fixture["expect"]["body"];
    let waited = until(&format!("{name} is in the ledger as expected"), async || {
        let found = shop.netsuite.record("salesOrder", &format!("eid:{id}")).await?;
        Ok(match (found, expected.is_object()) {
            (None, false) => Seen::Yes(()),
            (Some(found), true) if holds(&found, expected) => Seen::Yes(()),
            (found, _) => Seen::NotYet(format!("{}", found.unwrap_or_default())),
        })
    })
    .await;
    match waited {
        Ok(()) => Ok(()),
        Err(error) => anyhow::bail!("{error:#}\n{}", shop.describe().await),
    }
}

/// Whether a value holds all that is expected; vendors add fields of their own.
fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(field, expected)| holds(found.get(field).unwrap_or(&Value::Null), expected))
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, expected)| holds(found, expected))
        }
        (Value::Number(found), Value::Number(expected)) => found.as_f64() == expected.as_f64(),
        (found, expected) => found == expected,
    }
}

async fn a_mapping_that_gets_one_wrong_is_kept_back(shop: &Shop, good: &Value, written: usize) -> Result<()> {
    let plan = plan_hash(shop).await?;
    shop.apply(&[&broken(good)]).await?;
    let said = shop.condition("integration", "orders", "Verified", "False", "FixtureFailed").await?;
    for part in ["of flow orders differs", "otherRefNum: expected \"#", "got \"", "kubectl crosstie test"] {
        ensure!(said.contains(part), "`{part}` is not in: {said}");
    }
    let said = shop.ready("integration", "orders", "True", "Flowing").await?;
    ensure!(said.contains("is held back: fixture `"), "{said}");
    shop.condition("integration", "orders", "Stalled", "True", "FixtureFailed").await?;

    shop.add_orders(9001, 20).await?;
    shop.delivered(written + 20).await?;
    let order = shop.shopify.record("orders", "9001").await?.context("no order 9001")?;
    let sales = shop.netsuite.record("salesOrder", "eid:9001").await?.context("order 9001 did not arrive")?;
    ensure!(sales["otherRefNum"] == order["name"], "written by the plan that was held back: {sales}");
    ensure!(plan_hash(shop).await? == plan, "the plan that was held back was published");

    shop.apply(&[good]).await?;
    shop.condition("integration", "orders", "Verified", "True", "FixturesPassed").await?;
    let said = shop.ready("integration", "orders", "True", "Flowing").await?;
    ensure!(!said.contains("held back"), "{said}");
    ensure!(plan_hash(shop).await? == plan, "going back made another plan");
    shop.exactly_once().await
}

async fn plan_hash(shop: &Shop) -> Result<String> {
    let map = shop.world.kubectl.get(&shop.namespace, "configmap", "orders-plan").await?.context("no plan")?;
    Ok(map["metadata"]["annotations"]["crosstie.dev/plan-hash"].as_str().context("a plan without a hash")?.to_owned())
}

async fn a_first_mapping_that_gets_one_wrong_never_starts(shop: &Shop) -> Result<()> {
    let case = |expected: &str| {
        let text = format!("fixture: cancelled\nrecord: {{cancelled_at: now}}\nexpect: {expected}\n");
        cases(shop, "few-cases", &[("cases.yaml".to_owned(), text)])
    };
    let mut anew = orders(shop, "few-cases")?;
    anew["metadata"]["name"] = json!("anew");
    anew["spec"]["flows"][0]["startFrom"] = json!("Now");
    shop.apply(&[&anew]).await?;
    let said = shop.ready("integration", "anew", "False", "FixturesUnusable").await?;
    ensure!(said.contains("ConfigMap few-cases") && said.contains("crosstie.dev/fixtures"), "{said}");
    shop.apply(&[&case("{body: {}}")]).await?;
    let said = shop.ready("integration", "anew", "False", "FixtureFailed").await?;
    ensure!(said.contains("fixture `cancelled`"), "{said}");
    ensure!(
        shop.world.kubectl.get(&shop.namespace, "deployment", "anew-sync").await?.is_none(),
        "a worker was made for a plan that failed"
    );
    // A fixture that changes counts at once.
    shop.apply(&[&case("leftOut")]).await?;
    shop.condition("integration", "anew", "Verified", "True", "FixturesPassed").await?;
    shop.ready("integration", "anew", "True", "Flowing").await.map(drop)
}
