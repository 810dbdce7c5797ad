//! Generated NetSuite records, the same for the same request.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::utc_time;
use crate::random::Stream;
use crate::wire::SeedRequest;

/// One record of a seed.
pub(super) fn generate(request: &SeedRequest, id: u64, at: Timestamp) -> Option<Value> {
    let mut choices = Stream::new(request.seed, id);
    match request.resource.as_str() {
        "customer" => Some(customer(id, at, &mut choices)),
        "salesOrder" => Some(transaction(["order", "SO"], id, at, &mut choices)),
        "creditMemo" => Some(transaction(["memo", "CM"], id, at, &mut choices)),
        _ => None,
    }
}

fn customer(id: u64, at: Timestamp, choices: &mut Stream) -> Value {
    json!({
        "id": id.to_string(),
        "externalId": format!("customer-{id}"),
        "entityId": format!("CUST{id}"),
        "companyName": format!("{} {id}", choices.pick(&["Example Trading", "Beispiel GmbH", "Exempel AB", "株式会社例"])),
        "email": format!("buyer{id}@example.com"),
        "subsidiary": {"id": "1"},
        "isInactive": false,
        "createdDate": utc_time(at),
        "lastModifiedDate": utc_time(at),
    })
}

/// A transaction with lines, whose external id and number begin with these words.
fn transaction(words: [&str; 2], id: u64, at: Timestamp, choices: &mut Stream) -> Value {
    let [external, number] = words;
    let count = 1 + choices.below(3);
    let lines: Vec<Value> = (1..=count)
        .map(|line| {
            let cents = 500 + choices.below(20_000);
            json!({
                "line": line,
                "item": {"id": (100 + choices.below(50)).to_string()},
                "quantity": 1 + choices.below(3),
                "rate": dollars(cents),
            })
        })
        .collect();
    json!({
        "id": id.to_string(),
        "externalId": format!("{external}-{id}"),
        "tranId": format!("{number}{id}"),
        "tranDate": at.strftime("%Y-%m-%d").to_string(),
        "entity": {"id": (1_000 + choices.below(500)).to_string()},
        "memo": choices.pick(&["", "Zerbrechlich – fragile", "net 30"]),
        "item": {"items": lines},
        "createdDate": utc_time(at),
        "lastModifiedDate": utc_time(at),
    })
}

fn dollars(cents: u64) -> Value {
    format!("{}.{:02}", cents / 100, cents % 100).parse::<f64>().map(Value::from).unwrap_or_default()
}
