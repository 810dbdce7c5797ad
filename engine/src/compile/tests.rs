//! Specs in, plans or findings out.

use crosstie_crds::{Connector, Integration, condition::Reason};
use serde_json::{Value, json};

mod alerts;
mod authentication;
mod environment;
mod errors;
mod language;
mod modes;
mod oauth2;
mod ownership;
mod pairs;
mod presets;
mod reading;
mod schema;
mod webhooks;
mod writing;

use super::{Compiled, Settings, integration};
use crate::plan::{Allowance, Authentication, Pagination, Plan, StartFrom, Trigger};

fn shopify() -> Value {
    json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector",
        "metadata": {"name": "shopify", "namespace": "shop"},
        "spec": {
            "preset": "Shopify", "baseURL": "https://acme.myshopify.com/",
            "credentials": {"awsSecretsManager": {"secretId": "shop/shopify"}},
        },
    })
}

fn netsuite() -> Value {
    json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector",
        "metadata": {"name": "netsuite", "namespace": "shop"},
        "spec": {
            "preset": "NetSuite", "baseURL": "https://123.suitetalk.api.netsuite.com",
            "credentials": {"awsSecretsManager": {"secretId": "shop/netsuite"}},
        },
    })
}

fn orders() -> Value {
    json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Integration",
        "metadata": {"name": "orders", "namespace": "shop"},
        "spec": {
            "source": {"connectorRef": {"name": "shopify"}},
            "destination": {"connectorRef": {"name": "netsuite"}},
            "flows": [{
                "name": "orders",
                "triggers": [{"everySeconds": 900}],
                "stream": "orders",
                "startFrom": "Beginning",
                "when": "record.cancelled_at == null",
                "map": {"externalId": "string(record.id)", "entity.email": "record.?customer.?email"},
                "write": {"operation": "upsertSalesOrder"},
            }],
        },
    })
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match object.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        other => other[name] = value,
    }
    object
}

fn compile(source: Value, destination: Value, orders: Value) -> Compiled<Plan> {
    let source: Connector = serde_json::from_value(source).unwrap();
    let destination: Connector = serde_json::from_value(destination).unwrap();
    let orders: Integration = serde_json::from_value(orders).unwrap();
    integration(&orders, &source, &destination, &Settings { allow_cidrs: vec!["10.255.0.1/32".into()] })
}

fn findings(compiled: &Compiled<Plan>) -> Vec<(Reason, String)> {
    assert!(compiled.value.is_none(), "a plan with findings");
    compiled.findings.iter().map(|finding| (finding.reason, finding.to_string())).collect()
}

fn only(compiled: &Compiled<Plan>) -> (Reason, String) {
    let mut all = findings(compiled);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// The format that a plan would have if no preset said which answers are errors.
fn format_but_for_errors(plan: &Plan) -> u32 {
    let mut plan = plan.clone();
    plan.source.errors.clear();
    plan.destination.errors.clear();
    plan.format()
}

#[test]
fn a_plan_is_fully_resolved() {
    let plan = compile(shopify(), netsuite(), orders()).value.unwrap();
    assert_eq!(plan.source.base_url.as_str(), "https://acme.myshopify.com/");
    assert!(
        matches!(&plan.source.authentication, Authentication::Header { name, .. } if name == "X-Shopify-Access-Token")
    );
    assert_eq!(plan.source.authentication.keys(), ["token"]);
    assert_eq!(plan.source.egress.allow_cidrs, ["10.255.0.1/32"]);
    assert_eq!(plan.destination.allowance, Allowance { requests: 1000, per_seconds: 10, concurrency: 5 });
    let flow = &plan.flows[0];
    assert_eq!(flow.stream.path, "/admin/api/2026-07/orders.json");
    assert_eq!(flow.stream.pagination, Pagination::LinkHeader);
    assert_eq!((flow.start_from, &flow.triggers[0]), (StartFrom::Beginning, &Trigger::EverySeconds(900)));
    assert_eq!(flow.operation.path.to_string(), "/services/rest/record/v1/salesOrder/eid:{body.externalId}");
    assert_eq!(flow.operation.outcome.lookup.as_ref().unwrap().settle_seconds, 5);
    assert_eq!((plan.retry.retries, plan.retry.initial_seconds, plan.retry.max_seconds), (3, 120, 3600));
}

#[test]
fn a_plan_survives_its_own_format() {
    let plan = compile(shopify(), netsuite(), orders()).value.unwrap();
    let again = Plan::parse(plan.to_json().as_bytes()).unwrap();
    assert_eq!((again.hash(), &again), (plan.hash(), &plan));
    let newer = plan.to_json().replace(&format!("\"formatVersion\":{}", plan.format_version), "\"formatVersion\":8");
    assert!(Plan::parse(newer.as_bytes()).unwrap_err().to_string().contains("format 8"));
}

#[test]
fn calls_are_logged_for_some_days_unless_the_spec_says_otherwise_and_only_that_is_written_down() {
    let plan = |days: Option<u32>| {
        let orders = days.map_or_else(orders, |days| with(orders(), "/spec/callLogDays", json!(days)));
        compile(shopify(), netsuite(), orders).value.unwrap()
    };
    let usual = plan(None);
    assert_eq!(usual.call_log_days, crate::plan::CALL_LOG_DAYS);
    assert!(!usual.to_json().contains("callLogDays"), "plans stay what they were");
    for days in [0, 30] {
        let plan = plan(Some(days));
        assert_eq!((plan.call_log_days, plan.format_version), (days, usual.format_version));
        assert_eq!(Plan::parse(plan.to_json().as_bytes()).unwrap(), plan);
    }
}

#[test]
fn the_api_version_stands_in_one_place() {
    let plan = compile(with(shopify(), "/spec/apiVersion", json!("2026-10")), netsuite(), orders()).value.unwrap();
    assert_eq!(plan.flows[0].stream.path, "/admin/api/2026-10/orders.json");
}

#[test]
fn an_unknown_preset_is_named_with_the_known_ones() {
    let (reason, message) = only(&compile(with(shopify(), "/spec/preset", json!("Shoppify")), netsuite(), orders()));
    assert_eq!(reason, Reason::ConnectorNotReady);
    assert!(message.contains("Shoppify") && message.contains("Shopify"), "{message}");
}

#[test]
fn an_unknown_stream_and_an_unknown_operation_are_both_found() {
    let orders = with(orders(), "/spec/flows/0/stream", json!("ordres"));
    let orders = with(orders, "/spec/flows/0/write", json!({"operation": "upsertSalesOrders"}));
    let all = findings(&compile(shopify(), netsuite(), orders));
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].1.starts_with("spec.flows[orders].stream:") && all[0].1.contains("orders, customers"), "{all:?}");
    assert!(all[1].1.contains("upsertSalesOrder, "), "{all:?}");
}

#[test]
fn cel_that_does_not_parse_is_found_with_its_field() {
    let orders = with(orders(), "/spec/flows/0/map/memo", json!("record.note +"));
    let (reason, message) = only(&compile(shopify(), netsuite(), orders));
    assert_eq!(reason, Reason::PlanInvalid);
    assert!(message.starts_with("spec.flows[orders].map[memo]"), "{message}");
}

#[test]
fn a_map_without_the_field_that_the_operation_needs_is_found() {
    let orders = with(orders(), "/spec/flows/0/map", json!({"tranDate": "record.created_at"}));
    let (_, message) = only(&compile(shopify(), netsuite(), orders));
    assert!(message.contains("`externalId`"), "{message}");
}

#[test]
fn a_bad_cron_expression_is_found() {
    let orders = with(orders(), "/spec/flows/0/triggers", json!([{"cron": "every hour ok"}]));
    let (_, message) = only(&compile(shopify(), netsuite(), orders));
    assert!(message.contains("five fields"), "{message}");
}

#[test]
fn a_connector_without_preset_says_everything_itself() {
    let source = json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector",
        "metadata": {"name": "own", "namespace": "shop"},
        "spec": {
            "baseURL": "https://own.example.com",
            "credentials": {"awsSecretsManager": {"secretId": "shop/own"}},
            "auth": {"bearer": {"token": "{apiKey}"}},
            "streams": [{"name": "orders", "path": "/v{apiVersion}/orders", "key": "/id"}],
        },
    });
    let (_, message) = only(&compile(source.clone(), netsuite(), orders()));
    assert!(message.contains("version"), "{message}");
    let source = with(source, "/spec/streams/0/version", json!("/changed"));
    let (_, message) = only(&compile(source.clone(), netsuite(), orders()));
    assert!(message.contains("spec.apiVersion"), "{message}");
    let plan = compile(with(source, "/spec/apiVersion", json!("2")), netsuite(), orders()).value.unwrap();
    assert_eq!(plan.flows[0].stream.path, "/v2/orders");
    assert_eq!(plan.flows[0].stream.cursor, None);
}

#[test]
fn a_plan_too_large_for_its_place_is_found() {
    let long = format!("'{}'", "x".repeat(4000));
    let map: serde_json::Map<String, Value> = (0..255).map(|n| (format!("f{n}"), json!(long))).collect();
    let mut orders = with(orders(), "/spec/flows/0/map", Value::Object(map));
    orders = with(orders, "/spec/flows/0/map/externalId", json!("string(record.id)"));
    let (reason, message) = only(&compile(shopify(), netsuite(), orders));
    assert_eq!(reason, Reason::PlanTooLarge);
    assert!(message.contains("split"), "{message}");
}
