//! Presets against the simulator's dialects: what a preset says is compiled, sent, and understood.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "presets/commerce.rs"]
mod commerce;
mod common;
#[path = "presets/crm.rs"]
mod crm;
#[path = "presets/operations.rs"]
mod operations;
#[path = "presets/slack.rs"]
mod slack;
#[path = "presets/streams.rs"]
mod streams;

use std::collections::BTreeMap;

use crosstie_connect::{Authorities, CredentialStore, LookedUp, Outgoing, Row, Surroundings, VendorClient, Written};
use crosstie_connect::{RecordFault, WrittenBatch};
use crosstie_crds::{Connector, Integration};
use crosstie_engine::{
    body::Body,
    compile::{self, Settings},
    credentials::{CredentialVersion, CredentialsDocument},
    plan::{Flow, Method, Operation, Plan, System},
};
use crosstie_vendors::{
    Simulator,
    control::Client,
    wire::{Fault, FaultRule},
};
use serde_json::{Value, json};

const TOKEN: &str = "token-1";

async fn vendor(simulator: &Simulator, name: &str) -> Client {
    let vendor = simulator.control(name, "main").unwrap();
    vendor.set_tokens(&[TOKEN]).await.unwrap();
    vendor
}

fn connector(name: &str, preset: &str, vendor: &Client) -> Connector {
    let credentials = json!({"secretRef": {"name": "x"}});
    let spec = json!({"preset": preset, "baseURL": vendor.base_url(), "credentials": credentials});
    let document = json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    });
    serde_json::from_value(document).unwrap()
}

fn planned(source: &Connector, destination: &Connector, map: &Value, write: &Value) -> Plan {
    let flow = json!({
        "name": "orders", "triggers": [{"everySeconds": 60}], "stream": "orders", "map": map, "write": write,
    });
    compiled(&flow, source, destination)
}

/// The plan of an Integration with this one flow.
fn compiled(flow: &Value, source: &Connector, destination: &Connector) -> Plan {
    let document = json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Integration", "metadata": {"name": "i", "namespace": "shop"},
        "spec": {
            "source": {"connectorRef": {"name": "source"}}, "destination": {"connectorRef": {"name": "destination"}},
            "flows": [flow],
        },
    });
    let integration: Integration = serde_json::from_value(document).unwrap();
    let settings = Settings { allow_cidrs: vec!["127.0.0.0/8".into()] };
    let compiled = compile::integration(&integration, source, destination, &settings);
    assert_eq!(compiled.findings, []);
    compiled.value.unwrap()
}

fn client(system: &System) -> VendorClient {
    client_with(system, [("token".to_owned(), TOKEN.to_owned())].into())
}

fn client_with(system: &System, values: BTreeMap<String, String>) -> VendorClient {
    let current = CredentialVersion { version_id: "v1".into(), values };
    let document = CredentialsDocument { connector: system.connector.clone(), current, previous: None };
    let surroundings = Surroundings { authorities: Authorities::Only(Vec::new()), ..Surroundings::default() };
    VendorClient::surrounded(system, CredentialStore::new(&document), system.allowance, &surroundings).unwrap()
}

async fn salesforce(simulator: &Simulator, write: &Value) -> (Client, VendorClient, Flow) {
    let (shop, org) = (vendor(simulator, "shopify").await, vendor(simulator, "salesforce").await);
    let map = json!({"External_Id__c": "string(record.id)", "Name": "record.name"});
    let (source, destination) = (connector("source", "Shopify", &shop), connector("destination", "Salesforce", &org));
    let plan = planned(&source, &destination, &map, write);
    (org, client(&plan.destination), plan.flows[0].clone())
}

async fn write(client: &VendorClient, operation: &Operation, body: &Value) -> Option<String> {
    let outgoing = Outgoing { body: &body.clone().into(), identifier: None, idempotency_key: None };
    match client.write(operation, outgoing).await {
        Written::Applied { identifier, .. } => identifier,
        other => panic!("{other:?}"),
    }
}

async fn found(client: &VendorClient, operation: &Operation, body: &Value) -> LookedUp {
    client.look_up(operation, operation.outcome.lookup.as_ref().unwrap(), body, jiff::Timestamp::now()).await.unwrap()
}

#[tokio::test]
async fn salesforce_takes_an_account_one_by_one_and_deletes_it() {
    let simulator = Simulator::start().await.unwrap();
    let operations = json!({"operation": "upsertAccount", "deleteOperation": "deleteAccount"});
    let (org, client, flow) = salesforce(&simulator, &operations).await;
    let body = json!({"External_Id__c": "a/1", "Name": "One"});
    let first = write(&client, &flow.operation, &body).await;
    assert!(first.as_deref().is_some_and(|id| id.starts_with("001")), "{first:?}");
    assert_eq!(write(&client, &flow.operation, &body).await, first, "the same record, updated");
    assert!(matches!(found(&client, &flow.operation, &body).await, LookedUp::Present { .. }));
    let delete = flow.delete_operation.unwrap();
    assert_eq!(delete.method, Method::Delete);
    for _ in 0..2 {
        write(&client, &delete, &body).await;
        assert_eq!(found(&client, &delete, &body).await, LookedUp::Absent);
    }
    let writes = org.writes("Account", "a/1").await.unwrap();
    assert_eq!((writes.creates, writes.updates, writes.deletes), (1, 1, 1));
}

#[tokio::test]
async fn salesforce_takes_orders_in_batches_with_a_result_for_each() {
    let simulator = Simulator::start().await.unwrap();
    let (org, client, flow) =
        salesforce(&simulator, &json!({"operation": "upsertCustomOrder", "batchSize": 200})).await;
    let fault = Fault::RefuseRows { percent: 100, containing: Some("poison".into()), seed: 0 };
    org.add_fault(&FaultRule::new(fault)).await.unwrap();
    let bodies: Vec<Body> = (0..200)
        .map(|n| json!({"External_Id__c": n.to_string(), "Name": if n == 7 { "poison" } else { "fine" }}).into())
        .collect();
    let bodies: Vec<&Body> = bodies.iter().collect();
    let WrittenBatch::Answered { rows, .. } = client.write_batch(&flow.operation, &bodies, None).await else {
        panic!("not answered")
    };
    assert_eq!(rows.len(), 200);
    for (n, row) in rows.iter().enumerate() {
        match row {
            Row::Applied { identifier } => assert!(identifier.is_some() && n != 7, "{n}"),
            Row::Refused { fault: RecordFault { code, .. } } => {
                assert_eq!((n, code.as_deref()), (7, Some("UNABLE_TO_LOCK_ROW")));
            }
        }
    }
    assert_eq!(org.stats().await.unwrap().writes.creates, 199);
    // One more than the vendor takes is refused whole.
    let extra = Body::from(json!({"External_Id__c": "200", "Name": "fine"}));
    let many: Vec<&Body> = bodies.iter().copied().chain([&extra]).collect();
    let written = client.write_batch(&flow.operation, &many, None).await;
    assert!(matches!(&written, WrittenBatch::Refused { fault } if fault.status == Some(400)), "{written:?}");
}

#[tokio::test]
async fn netsuite_deletes_by_external_id_and_what_is_gone_counts_as_deleted() {
    let simulator = Simulator::start().await.unwrap();
    let (shop, books) = (vendor(&simulator, "shopify").await, vendor(&simulator, "netsuite").await);
    let map = json!({"externalId": "string(record.id)", "entity.id": "'5'"});
    let operations = json!({"operation": "upsertSalesOrder", "deleteOperation": "deleteSalesOrder"});
    let (source, destination) = (connector("source", "Shopify", &shop), connector("destination", "NetSuite", &books));
    let plan = planned(&source, &destination, &map, &operations);
    let (client, flow) = (client(&plan.destination), &plan.flows[0]);
    let body = json!({"externalId": "1", "entity": {"id": "5"}});
    assert!(write(&client, &flow.operation, &body).await.is_some());
    let delete = flow.delete_operation.as_ref().unwrap();
    for _ in 0..2 {
        write(&client, delete, &body).await;
        assert_eq!(found(&client, delete, &body).await, LookedUp::Absent);
    }
    assert_eq!(books.writes("salesOrder", "1").await.unwrap().deletes, 1);
}

#[tokio::test]
async fn shopify_gives_single_orders_and_customers_by_their_ids() {
    let simulator = Simulator::start().await.unwrap();
    let (shop, books) = (vendor(&simulator, "shopify").await, vendor(&simulator, "netsuite").await);
    for (resource, id) in [("orders", "7"), ("customers", "8")] {
        shop.put_record(resource, id, &json!({"id": id.parse::<u64>().unwrap(), "note": "x"})).await.unwrap();
    }
    let looking_up = "lookup('customers', string(record.id)).?email";
    let map = json!({"externalId": "string(record.id)", "entity.id": "'5'", "memo": looking_up});
    let (source, destination) = (connector("source", "Shopify", &shop), connector("destination", "NetSuite", &books));
    let plan = planned(&source, &destination, &map, &json!({"operation": "upsertSalesOrder"}));
    let (client, flow) = (client(&plan.source), &plan.flows[0]);
    let order = client.read_one(&flow.stream, "7").await.unwrap().unwrap();
    assert_eq!((&order["id"], &order["note"]), (&json!(7), &json!("x")));
    assert_eq!(client.read_one(&flow.lookups[0], "8").await.unwrap().unwrap()["id"], json!(8));
    assert_eq!(client.read_one(&flow.stream, "8").await.unwrap(), None);
}
