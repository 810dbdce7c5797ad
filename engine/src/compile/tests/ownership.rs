//! Fields that the destination has a say in: what compiles, and what is found.

use serde_json::{Value, json};

use super::{Compiled, compile, netsuite, only, orders, shopify, with};
use crate::plan::{Ownership, Plan};

/// The orders with an ownership, and with an address and a memo in their map.
fn owning(ownership: Value) -> Value {
    let map = json!({
        "externalId": "string(record.id)", "entity.email": "record.?customer.?email", "memo": "record.note",
        "shipAddress.city": "record.city", "shipAddress.zip": "record.zip",
    });
    with(with(orders(), "/spec/flows/0/map", map), "/spec/flows/0/ownership", ownership)
}

fn compiled(ownership: Value) -> Compiled<Plan> {
    compile(shopify(), netsuite(), owning(ownership))
}

/// What is found when the operation is this one.
fn found_with(operation: &Value, orders: Value) -> String {
    let destination = with(netsuite(), "/spec/operations", json!([operation]));
    let mut write = orders["spec"]["flows"][0]["write"].clone();
    write["operation"] = operation["name"].clone();
    only(&compile(shopify(), destination, with(orders, "/spec/flows/0/write", write))).1
}

#[test]
fn an_ownership_goes_into_the_plan_and_no_older_worker_takes_it_on() {
    let plan = compiled(json!({"destinationOwned": ["shipAddress"], "createOnly": ["memo"]})).value.unwrap();
    let (destination_owned, create_only) = (vec!["shipAddress".into()], vec!["memo".into()]);
    assert_eq!(plan.flows[0].operation.ownership, Ownership { destination_owned, create_only });
    assert_eq!(plan.format_version, 5);
}

#[test]
fn what_can_be_kept_apart_is_a_field_that_is_mapped_once_and_not_needed() {
    for (ownership, said) in [
        (json!({"createOnly": ["memmo"]}), "createOnly: the map writes no field `memmo`"),
        (json!({"createOnly": ["a..b"]}), "createOnly: `a..b`: the destination path has an empty name"),
        (json!({"createOnly": ["externalId"]}), "needs the field `externalId` in every write"),
        (json!({"createOnly": ["shipAddress.city"], "destinationOwned": ["shipAddress"]}), "one is inside the other"),
        (json!({"createOnly": ["memo"], "destinationOwned": ["memo"]}), "`memo` and `memo` are one field"),
    ] {
        let message = only(&compiled(ownership)).1;
        assert!(message.contains("spec.flows[orders].ownership.") && message.contains(said), "{message}");
    }
}

#[test]
fn a_field_inside_what_is_mapped_as_a_whole_can_be_kept_apart() {
    let plan = compile(
        shopify(),
        netsuite(),
        with(owning(json!({"createOnly": ["entity.phone"]})), "/spec/flows/0/map/entity", json!("record.customer")),
    );
    assert!(only(&plan).1.contains("conflicts"), "the map names both an object and a part of it");
    let map = json!({"externalId": "string(record.id)", "entity": "record.customer"});
    let orders = with(owning(json!({"createOnly": ["entity.phone"]})), "/spec/flows/0/map", map);
    assert_eq!(compile(shopify(), netsuite(), orders).findings, []);
}

#[test]
fn an_operation_has_to_be_able_to_tell_and_to_leave_out() {
    let destination_owned = || owning(json!({"destinationOwned": ["memo"]}));
    let create_only = || owning(json!({"createOnly": ["memo"]}));
    let plain = json!({"name": "ensure", "method": "PUT", "path": "/x/{body.externalId}", "outcome": {}});
    let message = found_with(&plain, destination_owned());
    assert!(message.contains("operation ensure cannot tell whether the destination has a record already"), "{message}");
    let mut since = plain.clone();
    since["outcome"] = json!({"lookup": {
        "path": "/x", "query": {"after": "{since}"}, "key": "/items/*/externalId", "keyField": "externalId",
    }});
    let message = found_with(&since, destination_owned());
    assert!(message.contains("cannot tell") && message.contains("a lookup without {since}"), "{message}");
    let replaces = json!({
        "name": "ensure", "method": "PUT", "path": "/x/{body.externalId}", "replaces": true,
        "outcome": {"lookup": {"path": "/x/{body.externalId}", "key": "/id", "keyField": "externalId"}},
    });
    for orders in [destination_owned(), create_only()] {
        let message = found_with(&replaces, orders);
        assert!(message.contains("ownership: operation ensure replaces records as a whole"), "{message}");
    }
    // A record that is written once is never left anything out of, and a POST makes a record of its own.
    let once = |orders| with(orders, "/spec/flows/0/write", json!({"operation": "ensure", "mode": "Create"}));
    let posts = json!({"name": "ensure", "method": "POST", "path": "/x", "outcome": {}});
    let destination = |operation: Value| with(netsuite(), "/spec/operations", json!([operation]));
    assert_eq!(compile(shopify(), destination(posts), once(destination_owned())).findings, []);
    assert_eq!(compile(shopify(), destination(replaces), once(create_only())).findings, []);
    assert!(only(&compile(shopify(), destination(plain), once(destination_owned()))).1.contains("cannot tell"));
}

#[test]
fn something_is_left_to_write_over_a_record_that_is_there() {
    let posts = json!({"name": "ensure", "method": "POST", "path": "/x", "outcome": {}});
    let map = json!({"memo": "record.note"});
    let message = found_with(&posts, with(owning(json!({"createOnly": ["memo"]})), "/spec/flows/0/map", map));
    assert!(message.contains("ownership: nothing is left to write once a record is there"), "{message}");
}
