//! Flows that carry the same records to and fro: what compiles, and what is found.

use serde_json::{Value, json};

use super::{Compiled, compile, findings, only, with};
use crate::plan::{Direction, Plan};

fn hubspot(name: &str) -> Value {
    json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"preset": "HubSpot", "baseURL": "https://api.hubapi.com", "credentials": {"awsSecretsManager": {"secretId": "shop/hubspot"}}},
    })
}

/// Contacts, to and fro.
fn contacts() -> Value {
    let flow = |name: &str, direction: &str, back: &str| {
        json!({
            "name": name, "direction": direction, "triggers": [{"everySeconds": 60}], "stream": "contacts",
            "pair": {"flow": back, "key": "record.properties.?external_id.orValue(null)"},
            "map": {"external_id": "record.id", "email": "record.properties.?email"},
            "write": {"operation": "upsertContact"},
        })
    };
    json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Integration", "metadata": {"name": "contacts", "namespace": "shop"},
        "spec": {
            "source": {"connectorRef": {"name": "left"}}, "destination": {"connectorRef": {"name": "right"}},
            "flows": [flow("contacts", "Forward", "contacts-back"), flow("contacts-back", "Reverse", "contacts")],
        },
    })
}

fn compiled(contacts: Value) -> Compiled<Plan> {
    compile(hubspot("left"), hubspot("right"), contacts)
}

fn changed(pointer: &str, value: Value) -> String {
    only(&compiled(with(contacts(), pointer, value))).1
}

#[test]
fn a_pair_goes_into_the_plan_and_no_older_worker_takes_it_on() {
    let plan = compiled(contacts()).value.unwrap();
    assert_eq!(plan.format_version, 6);
    let [to, fro] = &plan.flows[..] else { panic!("two flows") };
    assert_eq!((to.direction, fro.direction), (Direction::Forward, Direction::Reverse));
    let pair = to.pair.as_ref().unwrap();
    assert_eq!((pair.flow.as_str(), &pair.named_by[..]), ("contacts-back", &["external_id".to_owned()][..]));
}

#[test]
fn a_flow_that_goes_back_reads_the_destination_and_writes_to_the_source() {
    let mut alone = contacts();
    let mut flow = alone["spec"]["flows"][1].take();
    flow.as_object_mut().unwrap().remove("pair");
    alone["spec"]["flows"] = json!([flow]);
    let stripe = json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": "left", "namespace": "shop"},
        "spec": {"preset": "Stripe", "baseURL": "https://api.stripe.com", "credentials": {"awsSecretsManager": {"secretId": "shop/stripe"}}},
    });
    let message = only(&compile(stripe, hubspot("right"), alone.clone())).1;
    assert!(message.contains("Connector left has no operation `upsertContact`"), "{message}");
    assert_eq!(compile(hubspot("left"), hubspot("right"), alone).value.unwrap().format_version, 6);
}

#[test]
fn the_flows_of_a_pair_name_each_other_and_go_opposite_ways() {
    let unknown = compiled(with(contacts(), "/spec/flows/1/pair/flow", json!("contact")));
    let found = findings(&unknown);
    assert!(
        found
            .iter()
            .any(|(_, said)| said
                .contains("contacts-back].pair.flow: beside this flow the Integration has no `contact`"))
    );
    assert!(
        found
            .iter()
            .any(|(_, said)| said.contains("contacts].pair.flow: the flow `contacts-back` does not name this one"))
    );
    let alike = compiled(with(contacts(), "/spec/flows/1/direction", json!("Forward")));
    assert!(findings(&alike).iter().all(|(_, said)| said.contains("both flows go Forward")), "{alike:?}");
}

#[test]
fn a_pair_needs_single_reads_and_writes_of_parts_to_what_has_a_name() {
    let read_alone = json!({
        "name": "contacts", "path": "/contacts", "key": "/id", "version": "/updatedAt", "records": "/results",
    });
    let left = with(hubspot("left"), "/spec/preset", json!("REST"));
    let left = with(left, "/spec/baseURL", json!("https://left.example.com"));
    let left = with(left, "/spec/streams", json!([read_alone]));
    let operation = json!({
        "name": "upsertContact", "method": "PUT", "path": "/contacts/{body.external_id}", "replaces": true, "outcome": {},
    });
    let left = with(left, "/spec/operations", json!([operation]));
    let left = with(left, "/spec/auth", json!({"bearer": {"token": "{token}"}}));
    let mut left = with(left, "/spec/rateLimit", json!({"requests": 10}));
    left["spec"].as_object_mut().unwrap().remove("preset");
    let found = findings(&compile(left, hubspot("right"), contacts()));
    for said in ["set `one` on it", "whose update names {identifier}", "replaces records as a whole"] {
        assert!(found.iter().any(|(_, found)| found.contains(said)), "{said}: {found:?}");
    }
    for (pointer, value, said) in [
        ("/spec/flows/0/write/mode", json!("Create"), "leave mode out"),
        ("/spec/flows/0/write/mode", json!("Update"), "is decided by both ends"),
        ("/spec/flows/0/write/batchSize", json!(5), "one by one"),
        ("/spec/flows/0/ownership", json!({"createOnly": ["email"]}), "leave ownership out"),
        ("/spec/flows/0/pair/key", json!("xref('contacts-back', record.id)"), "leave `xref` and `lookup` out"),
        ("/spec/flows/0/pair/key", json!("record."), "pair.key"),
    ] {
        let message = changed(pointer, value);
        assert!(message.contains("spec.flows[contacts].") && message.contains(said), "{message}");
    }
}

#[test]
fn webhooks_come_from_the_source_alone() {
    let message = changed("/spec/flows/1/triggers", json!([{"webhook": {"topics": ["contact.creation"]}}]));
    assert!(message.contains("spec.flows[contacts-back].triggers") && message.contains("spec.source"), "{message}");
}
