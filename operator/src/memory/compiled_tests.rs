use crosstie_crds::{Connector, Integration, condition::Reason};
use crosstie_engine::compile::{self, Settings};
use serde_json::{Value, json};

use super::*;

fn connector(name: &str, preset: &str, generation: i64, url: &str) -> Connector {
    let object = json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("{name}-uid"), "generation": generation},
        "spec": {
            "preset": preset, "baseURL": url,
            "credentials": {"awsSecretsManager": {"secretId": format!("shop/{name}")}},
        },
    });
    serde_json::from_value(object).unwrap()
}

fn orders(generation: i64, expression: &str) -> Integration {
    let mut object: Value = serde_json::from_str(include_str!("../../tests/integration.json")).unwrap();
    object["metadata"]["generation"] = json!(generation);
    object["spec"]["flows"][0]["map"]["externalId"] = json!(expression);
    serde_json::from_value(object).unwrap()
}

/// A namespace with one Integration between two Connectors, and how often it was compiled.
struct World {
    table: Table<Key, Arc<Compiled>>,
    source: Connector,
    orders: Integration,
    compiled: u32,
}

impl World {
    fn new() -> Self {
        let source = connector("shopify", "Shopify", 1, "https://acme.myshopify.com");
        Self { table: Table::default(), source, orders: orders(1, "string(record.id)"), compiled: 0 }
    }

    fn look(&mut self) -> Arc<Compilation> {
        let destination = connector("netsuite", "NetSuite", 1, "https://123.suitetalk.api.netsuite.com");
        let from = [&self.orders.metadata, &self.source.metadata, &destination.metadata];
        let from = from.map(|meta| (meta.uid.clone(), meta.generation));
        let compiled = &mut self.compiled;
        self.table.recall(&Key::new("shop", "orders"), from.into(), || {
            *compiled += 1;
            let compiled = compile::integration(&self.orders, &self.source, &destination, &Settings::default());
            let plan = compiled.value.map(|plan| {
                let hash = plan.hash();
                (plan, hash)
            });
            Compilation { plan, findings: compiled.findings }
        })
    }
}

#[test]
fn a_plan_that_is_read_back_is_the_one_that_was_compiled() {
    let mut world = World::new();
    let first = world.look();
    let again = world.look();
    assert_eq!(world.compiled, 1, "it is not compiled again");
    assert_eq!(first, again);
    let (plan, hash) = again.plan.as_ref().unwrap();
    assert_eq!(plan.hash(), *hash, "what would be published has the hash that it is known by");
}

#[test]
fn a_change_of_a_connector_or_of_the_spec_is_compiled() {
    let mut world = World::new();
    let first = world.look();
    world.source = connector("shopify", "Shopify", 2, "https://other.myshopify.com");
    let moved = world.look();
    let (plan, hash) = moved.plan.as_ref().unwrap();
    assert_eq!(plan.source.base_url.host_str(), Some("other.myshopify.com"));
    assert_ne!(first.plan.as_ref().unwrap().1, *hash);
    world.orders = orders(2, "string(record.name)");
    let mapped = world.look();
    assert_eq!(mapped.plan.as_ref().unwrap().0.flows[0].map["externalId"], "string(record.name)");
    assert_eq!((world.compiled, world.look()), (3, mapped), "and remembered");
    world.source.metadata.uid = Some("made anew".into());
    world.look();
    assert_eq!(world.compiled, 4, "another Connector of the same name and generation is another one");
}

#[test]
fn findings_are_remembered_as_they_were() {
    let mut world = World::new();
    world.orders = orders(1, "string(record.");
    let first = world.look();
    assert_eq!(first.plan, None);
    assert_eq!(first.findings[0].reason, Reason::PlanInvalid);
    assert_eq!((world.look(), world.compiled), (first, 1));
}
