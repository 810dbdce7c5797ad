//! A plan and its fixtures: which are tried, and what is said of those that differ.

use crosstie_crds::{
    Connector,
    integration::{Expression, Flow as SpecFlow},
};
use crosstie_engine::compile;
use serde_json::json;

use super::*;

fn plan(flows: &[&str]) -> Plan {
    let connector = |name: &str, preset: &str| -> Connector {
        serde_json::from_value(json!({
            "apiVersion": "crosstie.dev/v1alpha1",
            "kind": "Connector",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {
                "preset": preset,
                "baseURL": "https://a.example.com",
                "credentials": {"awsSecretsManager": {"secretId": format!("shop/{name}")}},
            },
        }))
        .unwrap()
    };
    let mut object: Integration = serde_json::from_str(include_str!("../../tests/integration.json")).unwrap();
    let flow = &mut object.spec.flows[0];
    flow.map.insert("rate".into(), Expression("decimal(record.price)".into()));
    let flow = flow.clone();
    object.spec.flows = flows.iter().map(|name| SpecFlow { name: (*name).into(), ..flow.clone() }).collect();
    let [source, destination] = [connector("shopify", "Shopify"), connector("netsuite", "NetSuite")];
    let compiled = compile::integration_among(&object, &source, &destination, &[], &compile::Settings::default());
    assert_eq!(compiled.findings, []);
    compiled.value.unwrap()
}

/// A ConfigMap of the flow `orders` that holds this text.
fn cases(text: &str) -> Vec<Named> {
    let map = ConfigMap { data: Some([("cases.yaml".to_owned(), text.to_owned())].into()), ..ConfigMap::default() };
    vec![("orders".to_owned(), "order-cases".to_owned(), Some(Arc::new(map)))]
}

fn fixture(name: &str, price: &str, rate: &str) -> String {
    format!(
        "---\nfixture: {name}\nrecord: {{id: 7, price: \"{price}\"}}\nexpect: {{body: {{externalId: \"7\", rate: {rate}}}}}\n"
    )
}

fn failed(named: &[Named], flows: &[&str]) -> (Reason, String) {
    match verify("orders", &plan(flows), named) {
        Verification::Failed(trouble) => (trouble.reason, trouble.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plan_passes_when_every_case_is_as_it_has_to_be() {
    let text = fixture("one", "1.50", "1.5") + &fixture("two", "2", "2.00");
    assert_eq!(verify("orders", &plan(&["orders"]), &cases(&text)), Verification::Passed(2));
}

#[test]
fn a_case_that_differs_is_named_with_field_expected_and_got() {
    let (reason, message) = failed(&cases(&(fixture("fine", "1", "1") + &fixture("odd", "1.50", "2"))), &["orders"]);
    assert_eq!(reason, Reason::FixtureFailed);
    assert!(message.starts_with("fixture `odd` of flow orders differs: rate: expected 2, got 1.5"), "{message}");
}

#[test]
fn what_is_said_of_many_cases_is_short() {
    let text: String = (0..40).map(|number| fixture(&format!("case {number}"), "1", "2")).collect();
    let (_, message) = failed(&cases(&text), &["orders"]);
    assert!(message.contains("; so do `case 1`, `case 2` and 37 more."), "{message}");
    let long = "x".repeat(5000);
    let (_, message) = failed(&cases(&fixture(&long, "1", &format!("\"{long}\""))), &["orders"]);
    assert!(message.chars().count() < 500, "{message}");
}

#[test]
fn cases_of_other_flows_and_integrations_are_passed_over() {
    let mine = fixture("mine", "1", "1") + "flow: orders\nintegration: orders\n";
    let others =
        fixture("flow", "1", "2") + "flow: refunds\n" + &fixture("integration", "1", "2") + "integration: other\n";
    let nobody = fixture("neither", "1", "2");
    let text = mine + &others + &nobody;
    assert_eq!(verify("orders", &plan(&["orders", "refunds"]), &cases(&text)), Verification::Passed(1));
}

#[test]
fn fixtures_that_cannot_be_used_are_told_with_what_to_do() {
    let mut missing = cases("");
    missing[0].2 = None;
    for (named, expected) in [
        (missing, "there is none with the label crosstie.dev/fixtures=\"true\": create it, or label it"),
        (cases(""), "ConfigMap order-cases holds no fixture of flow orders: add one"),
        (cases("fixture: [\n"), "cases.yaml in ConfigMap order-cases holds no fixtures of this format: "),
        (cases("fixture: a\nrecord: {}\nexpected: {}\n"), "holds no fixtures of this format: "),
    ] {
        let (reason, message) = failed(&named, &["orders"]);
        assert_eq!(reason, Reason::FixturesUnusable);
        assert!(message.contains(expected), "{message}");
    }
}
