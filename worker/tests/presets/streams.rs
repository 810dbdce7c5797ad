//! Every stream of every preset, read once: what the preset asks for is understood by its vendor's dialect, and what comes has the key and the version
//! that the preset names. A stream for which there is no case here fails the test.

use std::collections::BTreeMap;

use crosstie_engine::{
    compile::{self, Offered, Settings},
    preset,
    window::{Bounds, Position},
};
use crosstie_vendors::{Simulator, control::Client, wire::SeedRequest};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::{TOKEN, client_with, connector};

/// When what is listed was made.
const MADE: &str = "2026-01-01T12:00:00Z";

/// What a vendor is given for a stream, and how many records of it are to be found then.
struct Case {
    given: Given,
    found: usize,
    /// Members of the stream in the Connector.
    more: Value,
}

enum Given {
    /// Three generated records of a collection.
    Seeded(&'static str),
    /// Records of a collection, by their ids.
    Records(&'static str, Vec<(&'static str, Value)>),
    /// What it has from the beginning.
    Nothing,
}

fn seeded(collection: &'static str) -> Case {
    Case { given: Given::Seeded(collection), found: 3, more: json!({}) }
}

fn records(collection: &'static str, records: Vec<(&'static str, Value)>) -> Case {
    let found = records.len();
    Case { given: Given::Records(collection, records), found, more: json!({}) }
}

/// An event of Stripe's about an object.
fn event(kind: &str, object: &Value) -> Value {
    json!({"object": "event", "type": kind, "created": seconds(), "data": {"object": object}})
}

fn seconds() -> i64 {
    MADE.parse::<Timestamp>().unwrap().as_second()
}

/// Cases by preset and stream.
fn cases() -> BTreeMap<String, Case> {
    let refunds = json!([{"id": 71, "created_at": MADE}, {"id": 72, "created_at": MADE}]);
    let order = json!({"created_at": MADE, "updated_at": MADE, "refunds": refunds});
    let webhook = json!({"topic": "orders/create", "address": "https://hooks.example.com/shop", "created_at": MADE, "updated_at": MADE});
    let contact = json!({"LastName": "Buyer", "CreatedDate": "2026-01-01T12:00:00.000+0000", "LastModifiedDate": "2026-01-01T12:00:00.000+0000"});
    let placed = json!({"datetime": "2026-01-01T12:00:00+00:00", "event_properties": {"total": 3}});
    let ts = format!("{}.000100", seconds());
    let message = json!({"type": "message", "channel": "C0SUPPORT", "text": "Where is it?", "ts": ts});
    let ts: &'static str = ts.leak();
    let cases = [
        ("HubSpot/deals", seeded("deals")),
        ("HubSpot/contacts", seeded("contacts")),
        ("HubSpot/companies", seeded("companies")),
        ("Intercom/conversations", seeded("conversations")),
        ("Jira/issues", seeded("issues")),
        ("Klaviyo/profiles", seeded("profiles")),
        ("Klaviyo/events", records("events", vec![("e-1", placed)])),
        ("Mailchimp/members", seeded("members")),
        ("NetSuite/salesOrders", seeded("salesOrder")),
        ("NetSuite/creditMemos", seeded("creditMemo")),
        ("NetSuite/customers", seeded("customer")),
        ("NetSuite/customerRecords", seeded("customer")),
        ("REST/shipments", seeded("shipments")),
        ("REST/stock", seeded("stock")),
        ("REST/orders", seeded("orders")),
        ("Salesforce/accounts", seeded("Account")),
        ("Salesforce/contacts", records("Contact", vec![("003000000000001", contact)])),
        ("SAP/salesOrders", seeded("SalesOrder")),
        ("SAP/businessPartners", seeded("A_BusinessPartner")),
        ("Shopify/orders", seeded("orders")),
        ("Shopify/customers", seeded("customers")),
        ("Shopify/refunds", Case { found: 2, ..records("orders", vec![("7", order)]) }),
        ("Shopify/products", seeded("products")),
        // It has two from the beginning.
        ("Shopify/locations", Case { found: 5, ..seeded("locations") }),
        ("Shopify/webhookSubscriptions", records("webhooks", vec![("8", webhook)])),
        ("Shopify/ordersGraphQL", seeded("orders")),
        // Of three, one is archived.
        ("Slack/conversations", Case { given: Given::Nothing, found: 2, more: json!({}) }),
        (
            "Slack/messages",
            Case { more: json!({"query": {"channel": "C0SUPPORT"}}), ..records("messages", vec![(ts, message)]) },
        ),
        ("Stripe/payments", seeded("events")),
        ("Stripe/refunds", records("events", vec![("evt_1", event("refund.created", &json!({"id": "re_1"})))])),
        ("Stripe/customers", records("events", vec![("evt_1", event("customer.updated", &json!({"id": "cus_1"})))])),
        ("Stripe/charges", seeded("charges")),
        ("Zendesk/tickets", seeded("tickets")),
        ("Zendesk/users", seeded("users")),
    ];
    cases.into_iter().map(|(name, case)| (name.to_owned(), case)).collect()
}

/// A preset's Connector at a vendor of its own, with more members of one stream.
async fn offered(simulator: &Simulator, preset: &str, stream: &str, more: &Value) -> (Client, Offered) {
    let vendor = simulator.control(&preset.to_lowercase(), &stream.to_lowercase()).unwrap();
    vendor.set_tokens(&[TOKEN]).await.unwrap();
    let mut object = connector("source", preset, &vendor);
    if preset == "Mailchimp" {
        object.spec.base_url.push_str("/3.0/lists/57afe96172");
    }
    if let Some(members) = more.as_object().filter(|members| !members.is_empty()) {
        let mut changed = members.clone();
        changed.insert("name".to_owned(), json!(stream));
        object.spec.streams = serde_json::from_value(json!([changed])).unwrap();
    }
    let compiled = compile::offered(&object, &Settings { allow_cidrs: vec!["127.0.0.0/8".into()] });
    assert_eq!(compiled.findings, [], "{preset}");
    (vendor, compiled.value.unwrap())
}

async fn give(vendor: &Client, given: Given) {
    match given {
        Given::Seeded(collection) => {
            let (resource, start_time) = (collection.to_owned(), MADE.parse().unwrap());
            let request =
                SeedRequest { resource, count: 3, start_id: 1, start_time, step_millis: 1_000, seed: 7, lines: None };
            assert_eq!(vendor.seed(&request).await.unwrap(), 3, "{collection}");
        }
        Given::Records(collection, records) => {
            for (id, record) in records {
                vendor.put_record(collection, id, &record).await.unwrap();
            }
        }
        Given::Nothing => {}
    }
}

async fn read(simulator: &Simulator, preset: &str, name: &str, case: Case) {
    let at = format!("{preset}'s {name}");
    let (vendor, offered) = offered(simulator, preset, name, &case.more).await;
    give(&vendor, case.given).await;
    let values = [("token", TOKEN), ("email", "agent@example.com"), ("username", "crosstie"), ("password", TOKEN)];
    let values = values.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let client = client_with(&offered.system, values.into());
    let stream = offered.streams.iter().find(|stream| stream.name == name).unwrap();
    let made: Timestamp = MADE.parse().unwrap();
    let bounds = Bounds { from: Some((made - 1.hour()).into()), until: Some((made + 1.hour()).into()) };
    let bounds = stream.cursor.as_ref().map(|_| &bounds);
    let page = client.read_page(stream, bounds, &Position::First).await;
    let page = page.unwrap_or_else(|failure| panic!("{at}: {failure}"));
    assert_eq!(page.records.len(), case.found, "{at}: {:?}", page.records);
    for record in &page.records {
        for pointer in [Some(&stream.key), stream.version.as_ref()].into_iter().flatten() {
            assert!(
                record.pointer(pointer).is_some_and(|value| !value.is_null()),
                "{at}: nothing at {pointer} of {record}"
            );
        }
    }
    // What an event is about is not kept by itself here.
    let Some(one) = stream.one.as_ref().filter(|one| one.into.is_empty()) else { return };
    let key = match page.records[0].pointer(&stream.key) {
        Some(Value::String(key)) => key.clone(),
        Some(key) => key.to_string(),
        None => panic!("{at}: no key"),
    };
    let single =
        client.read_one(stream, &key).await.unwrap_or_else(|failure| panic!("{at} by {}: {failure}", one.path));
    assert!(single.is_some(), "{at}: not there by its key");
}

#[tokio::test]
async fn every_stream_of_every_preset_is_read_and_understood() {
    let simulator = Simulator::start().await.unwrap();
    let mut cases = cases();
    for preset in preset::names() {
        let (_, offered) = offered(&simulator, preset, "main", &json!({})).await;
        for stream in offered.streams {
            let name = stream.name;
            let case = cases.remove(&format!("{preset}/{name}"));
            let case = case.unwrap_or_else(|| panic!("nothing here reads {preset}'s stream {name}: add a case"));
            read(&simulator, preset, &name, case).await;
        }
    }
    assert!(cases.is_empty(), "no preset has such streams: {:?}", cases.keys());
}
