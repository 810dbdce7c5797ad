//! Write modes: what they ask of operations and streams, and what is found.

use serde_json::{Value, json};

use super::{Compiled, compile, findings, netsuite, only, orders, shopify, with};
use crate::plan::{KnownBy, OnWhenFalse, Operation, Plan, Proof};

fn writing(write: &Value) -> Value {
    let mut all = json!({"operation": "ensure"});
    all.as_object_mut().unwrap().extend(write.as_object().unwrap().clone());
    with(orders(), "/spec/flows/0/write", all)
}

fn destination(operation: &Value) -> Value {
    let delete = json!({"name": "remove", "method": "DELETE", "path": "/x/{body.externalId}", "outcome": {}});
    with(netsuite(), "/spec/operations", json!([operation, delete]))
}

fn updating(operation: &Value, write: &Value) -> Compiled<Plan> {
    let mut write = write.clone();
    write["mode"] = json!("Update");
    compile(shopify(), destination(operation), writing(&write))
}

fn updates(operation: &Value, write: &Value) -> Operation {
    let compiled = updating(operation, write);
    assert_eq!(compiled.findings, []);
    let mut plan = compiled.value.unwrap();
    assert_eq!(plan.format_version, 7, "an older worker would make records");
    assert_eq!(Plan::parse(plan.to_json().as_bytes()).unwrap(), plan);
    plan.flows.remove(0).operation
}

fn ensure(changes: &Value) -> Value {
    let mut operation = json!({"name": "ensure", "method": "PUT", "path": "/x/{body.externalId}", "outcome": {}});
    operation.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    operation
}

fn lookup() -> Value {
    json!({"path": "/x/{body.externalId}", "key": "/id", "keyField": "externalId"})
}

#[test]
fn whether_a_record_is_there_is_looked_up_or_answered_or_the_operation_looks_itself() {
    let both = json!({"lookup": lookup(), "idempotencyHeader": {"name": "Key", "windowSeconds": 60}});
    let looked_up = updates(&ensure(&json!({"outcome": both})), &json!({}));
    assert_eq!(looked_up.only_there, Some(KnownBy::LookUp));
    assert_eq!(looked_up.outcome.idempotency, None, "what is in doubt is looked up");
    assert_eq!(looked_up.outcome.lookup.unwrap().evidence.proof, Some(Proof::Fields), "it was there before");
    let answered = updates(&ensure(&json!({"method": "POST", "creates": false})), &json!({}));
    assert_eq!(answered.only_there, Some(KnownBy::Answer));
    let conditional = json!({"ifMatch": {}, "outcome": {"lookup": lookup()}});
    assert_eq!(updates(&ensure(&conditional), &json!({})).only_there, Some(KnownBy::Itself));
    let finds = json!({
        "name": "ensure", "identifier": {"pointer": "/id"},
        "find": {"path": "/search", "query": {"q": "{body.externalId}"}, "record": "/found", "identifier": "/id",
                 "key": "/externalId", "keyField": "externalId"},
        "create": {"method": "POST", "path": "/x"}, "update": {"method": "PUT", "path": "/x/{identifier}"},
    });
    assert_eq!(updates(&finds, &json!({})).only_there, Some(KnownBy::Itself));
}

#[test]
fn a_batch_is_looked_up_record_by_record() {
    let batch = json!({"maxRecords": 10, "path": "/x"});
    for creates in [Value::Null, json!(false)] {
        let mut operation = ensure(&json!({"batch": batch, "outcome": {"lookup": lookup()}}));
        if creates == json!(false) {
            operation["creates"] = creates;
        }
        assert_eq!(updates(&operation, &json!({"batchSize": 10})).only_there, Some(KnownBy::LookUp));
    }
    let blind = updating(&ensure(&json!({"batch": batch, "creates": false})), &json!({"batchSize": 10}));
    let message = only(&blind).1;
    assert!(message.contains("cannot tell") && message.contains("or leave batchSize out"), "{message}");
}

#[test]
fn an_operation_that_might_make_a_record_is_refused() {
    let since = json!({"outcome": {"lookup": {
        "path": "/x", "query": {"after": "{since}"}, "key": "/items/*/externalId", "keyField": "externalId",
    }}});
    for operation in [ensure(&json!({})), ensure(&since)] {
        let message = only(&updating(&operation, &json!({}))).1;
        assert!(message.starts_with("spec.flows[orders].write.mode: operation ensure cannot tell"), "{message}");
        assert!(message.contains("`creates: false`") && message.contains("without {since}"), "{message}");
    }
    let posts = ensure(&json!({"method": "POST", "path": "/x", "outcome": {"lookup": lookup()}}));
    let message = only(&updating(&posts, &json!({}))).1;
    assert!(message.contains("makes a record with each call"), "{message}");
    let owning =
        with(writing(&json!({"mode": "Update"})), "/spec/flows/0/ownership", json!({"createOnly": ["entity.email"]}));
    let message = only(&compile(shopify(), destination(&ensure(&json!({"outcome": {"lookup": lookup()}}))), owning)).1;
    assert!(message.contains("ownership: mode Update makes no record"), "{message}");
}

fn mirroring(changes: &[(&str, Value)]) -> Compiled<Plan> {
    let mut orders = writing(&json!({"mode": "Mirror", "deleteOperation": "remove"}));
    for (name, value) in changes {
        if value.is_null() {
            orders["spec"]["flows"][0].as_object_mut().unwrap().remove(*name);
        } else {
            orders["spec"]["flows"][0][*name] = value.clone();
        }
    }
    compile(shopify(), destination(&ensure(&json!({}))), orders)
}

#[test]
fn a_mirror_deletes_what_stops_to_take_part() {
    let compiled = mirroring(&[]);
    assert_eq!(compiled.findings, []);
    let plan = compiled.value.unwrap();
    assert_eq!(plan.flows[0].on_when_false, OnWhenFalse::Delete);
    assert!(plan.flows[0].delete_operation.is_some());
    assert_eq!(mirroring(&[("onWhenFalse", json!("Delete"))]).value.unwrap(), plan);
    for keeps in ["Ignore", "Update"] {
        let message = only(&mirroring(&[("onWhenFalse", json!(keeps))])).1;
        assert!(message.contains("onWhenFalse: mode Mirror keeps no record that stops"), "{message}");
    }
}

#[test]
fn a_mirror_needs_the_means_to_delete_and_to_know_what() {
    let message = only(&mirroring(&[("write", json!({"operation": "ensure", "mode": "Mirror"}))])).1;
    assert!(message.contains("write.deleteOperation: mode Mirror deletes"), "{message}");
    let message = only(&mirroring(&[("when", Value::Null)])).1;
    assert!(message.contains("write.mode: the stream `orders` does not say what was deleted"), "{message}");
    let told = json!([{"webhook": {"topics": ["orders/create", "orders/delete"]}}]);
    assert_eq!(mirroring(&[("when", Value::Null), ("triggers", told)]).findings, []);
    let not_told = json!([{"webhook": {"topics": ["orders/create"]}}]);
    assert_eq!(findings(&mirroring(&[("when", Value::Null), ("triggers", not_told)])).len(), 1);
}

/// Orders that are listed as a whole each time, with these changes of the stream.
fn listing(stream: &Value, flow: &[(&str, Value)]) -> Compiled<Plan> {
    let mut all = json!({"name": "everything", "path": "/orders", "key": "/id", "version": "/updated_at"});
    all.as_object_mut().unwrap().extend(stream.as_object().unwrap().clone());
    let source = with(shopify(), "/spec/streams", json!([all]));
    let mut orders = writing(&json!({"mode": "Mirror", "deleteOperation": "remove"}));
    orders["spec"]["flows"][0]["stream"] = json!("everything");
    for (name, value) in flow {
        orders["spec"]["flows"][0][*name] = value.clone();
    }
    compile(source, destination(&ensure(&json!({}))), orders)
}

#[test]
fn what_a_whole_list_does_not_hold_any_more_is_deleted_where_it_can_be_asked_for() {
    let one = json!({"one": {"path": "/orders/{key}"}});
    let compiled = listing(&one, &[]);
    assert_eq!(compiled.findings, []);
    let plan = compiled.value.unwrap();
    assert!(plan.flows[0].deletes_unlisted && plan.format_version == 7, "an older worker would keep it");
    assert_eq!(Plan::parse(plan.to_json().as_bytes()).unwrap(), plan);
    let message = only(&listing(&json!({}), &[])).1;
    assert!(message.contains("cannot be asked for: set `one` or `deleted` on the stream"), "{message}");
    let told = listing(&json!({"deleted": "/deleted_at"}), &[]).value.unwrap();
    assert!(!told.flows[0].deletes_unlisted, "nothing can be asked for");
    let by_name = json!({"externalId": "record.name"});
    let message = only(&listing(&one, &[("map", by_name.clone())])).1;
    assert!(message.contains("the field `map[externalId]`") && message.contains("make it of /id alone"), "{message}");
    let told = json!({"one": {"path": "/orders/{key}"}, "deleted": "/deleted_at"});
    assert!(!listing(&told, &[("map", by_name)]).value.unwrap().flows[0].deletes_unlisted);
    let cursor = json!({
        "one": {"path": "/orders/{key}"},
        "cursor": {"field": "/updated_at", "param": "since", "lookbackSeconds": 60},
    });
    assert!(!listing(&cursor, &[]).value.unwrap().flows[0].deletes_unlisted, "its list never holds all");
}
