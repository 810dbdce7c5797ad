//! What no flow of the round trips uses: every other operation of a preset is sent and understood.

use crosstie_connect::{Outgoing, VendorClient, Written};
use crosstie_engine::compile::{self, Offered, Settings};
use crosstie_vendors::{Simulator, control::Client};
use serde_json::{Value, json};

use super::{client_with, connector, vendor};

/// A vendor under its preset; `below` follows the simulator's address in baseURL.
async fn offered(simulator: &Simulator, name: &str, preset: &str, below: &str) -> (Client, VendorClient, Offered) {
    let vendor = vendor(simulator, name).await;
    let mut object = connector(name, preset, &vendor);
    object.spec.base_url.push_str(below);
    let compiled = compile::offered(&object, &Settings { allow_cidrs: vec!["127.0.0.0/8".into()] });
    assert_eq!(compiled.findings, []);
    let offered = compiled.value.unwrap();
    let values = [("token", super::TOKEN), ("email", "agent@example.com")];
    let values = values.map(|(key, value)| (key.to_owned(), value.to_owned()));
    (vendor, client_with(&offered.system, values.into()), offered)
}

/// Writes one after the other, with what the vendor called the last record that it named.
async fn written(client: &VendorClient, offered: &Offered, steps: &[(&str, Value)]) {
    let mut named = None;
    for (name, body) in steps {
        let operation = offered.operations.iter().find(|operation| operation.name == *name).unwrap();
        // Who creates or updates by itself is not told what an earlier write was called.
        let identifier = named.as_deref().filter(|_| operation.find.is_none());
        let outgoing = Outgoing { body: &body.clone().into(), identifier, idempotency_key: Some("key-1") };
        match client.write(operation, outgoing).await {
            Written::Applied { identifier, .. } => named = identifier.or(named),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// Operations and bodies, one after the other.
type Steps = Vec<(&'static str, Value)>;

/// What is written to whom, and how often something is created, updated and deleted there then.
fn writes() -> Vec<([&'static str; 3], Steps, [u64; 3])> {
    let company = |name: &str| ("upsertCompany", json!({"external_id": "c-1", "name": name}));
    let user =
        |name: &str| ("createOrUpdateUser", json!({"external_id": "u-1", "name": name, "email": "a@example.com"}));
    let issue =
        json!({"project": {"key": "SHOP"}, "issuetype": {"name": "Task"}, "summary": "x", "labels": ["order-1"]});
    let ticket = json!({"external_id": "t-1", "subject": "x", "comment": {"body": "y"}});
    let memo = json!({"externalId": "m-1", "entity": {"id": "5"}, "item": {"items": [{"item": {"id": "1"}, "quantity": 1, "rate": 2}]}});
    let event = json!({
        "unique_id": "e-1", "properties": {"total": 3}, "metric": {"data": {"type": "metric", "attributes": {"name": "Placed Order"}}},
        "profile": {"data": {"type": "profile", "attributes": {"external_id": "p-1"}}},
    });
    let hash = "b418773a2c51fb9777a1648346fa7394";
    let member = json!({"subscriber_hash": hash, "email_address": "a@example.com", "status_if_new": "subscribed"});
    let order = json!({"External_Id__c": "o-1", "Name": "One"});
    vec![
        (
            ["hubspot", "HubSpot", ""],
            vec![
                company("Acme"),
                company("Acme Ltd"),
                ("upsertDeal", json!({"external_id": "d-1", "dealname": "x"})),
                ("archiveDeal", json!({"external_id": "d-1"})),
            ],
            [2, 1, 1],
        ),
        (
            ["intercom", "Intercom", ""],
            vec![
                ("createContact", json!({"external_id": "u-1", "email": "a@example.com"})),
                ("deleteContact", json!({"external_id": "u-1"})),
            ],
            [1, 0, 1],
        ),
        (["jira", "Jira", ""], vec![("createIssue", issue.clone()), ("deleteIssue", issue)], [1, 0, 1]),
        (["klaviyo", "Klaviyo", ""], vec![("trackEvent", event)], [1, 0, 0]),
        (
            ["mailchimp", "Mailchimp", "/3.0/lists/57afe96172"],
            vec![
                ("upsertMember", member),
                ("updateMember", json!({"subscriber_hash": hash, "status": "unsubscribed"})),
                ("archiveMember", json!({"subscriber_hash": hash})),
            ],
            [1, 1, 1],
        ),
        (["netsuite", "NetSuite", ""], vec![("upsertCreditMemo", memo.clone()), ("deleteCreditMemo", memo)], [1, 0, 1]),
        (["rest", "REST", ""], vec![("createShipment", json!({"id": "s-1", "status": "packed"}))], [1, 0, 0]),
        (
            ["salesforce", "Salesforce", ""],
            vec![("upsertCustomOrder", order.clone()), ("deleteCustomOrder", order)],
            [1, 0, 1],
        ),
        (
            ["zendesk", "Zendesk", ""],
            vec![user("Ann"), user("Ann B."), ("createTicket", ticket.clone()), ("deleteTicket", ticket)],
            [2, 1, 1],
        ),
    ]
}

#[tokio::test]
async fn every_operation_that_no_flow_here_uses_is_understood() {
    let simulator = Simulator::start().await.unwrap();
    for ([name, preset, below], steps, expected) in writes() {
        let (vendor, client, offered) = offered(&simulator, name, preset, below).await;
        written(&client, &offered, &steps).await;
        let items = vendor.all_writes(0, 100).await.unwrap().items;
        let sum = items.values().fold([0; 3], |[creates, updates, deletes], writes| {
            [creates + writes.creates, updates + writes.updates, deletes + writes.deletes]
        });
        assert_eq!(sum, expected, "{name}: {items:?}");
    }
}
