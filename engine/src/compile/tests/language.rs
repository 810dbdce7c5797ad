//! Deletes, dependencies, batches, single reads and look-ups: what compiles, and what is found.

use serde_json::{Value, json};

use super::{compile, findings, only, orders, with};
use crate::plan::{DependsOn, Method, OnWhenFalse, Plan};

/// A source whose orders can be read one by one, and whose customers cannot.
fn source() -> Value {
    let list = |name: &str| json!({"name": name, "path": format!("/{name}"), "key": "/id", "version": "/changed"});
    let mut orders = list("orders");
    orders["deleted"] = json!("/deleted_at");
    orders["one"] = json!({"path": "/orders/{key}", "query": {"v": "{apiVersion}"}, "record": "/order"});
    connector("shop", &json!({"apiVersion": "7", "streams": [orders, list("customers")]}))
}

/// A destination that upserts orders one by one and in batches, and deletes and cancels them.
fn destination() -> Value {
    let results = json!({"succeeded": "/success", "identifier": "/id", "error": "/errors"});
    let batch = json!({
        "maxRecords": 200, "path": "/v{apiVersion}/orders/batch", "records": "/records",
        "fields": {"allOrNone": false}, "results": results,
    });
    let upsert = json!({
        "name": "upsertOrder", "method": "PATCH", "path": "/orders/{body.number}", "identifier": {"pointer": "/id"},
        "outcome": {}, "batch": batch,
    });
    let delete = json!({"name": "deleteOrder", "method": "DELETE", "path": "/orders/{identifier}", "outcome": {}});
    let cancel =
        json!({"name": "cancelOrder", "method": "POST", "path": "/orders/{body.number}/cancel", "outcome": {}});
    connector("books", &json!({"apiVersion": "7", "operations": [upsert, delete, cancel]}))
}

fn connector(name: &str, spec: &Value) -> Value {
    let mut whole = json!({
        "baseURL": "https://a.example.com", "auth": {"bearer": {"token": "{token}"}},
        "credentials": {"awsSecretsManager": {"secretId": "shop/x"}},
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let metadata = json!({"name": name, "namespace": "shop"});
    json!({"apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": metadata, "spec": whole})
}

fn flow(name: &str, changes: &Value) -> Value {
    let mut flow = json!({
        "name": name, "triggers": [{"everySeconds": 60}], "stream": "orders", "map": {"number": "string(record.id)"},
        "write": {"operation": "upsertOrder"},
    });
    flow.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    flow
}

fn flows(flows: &[Value]) -> Value {
    with(orders(), "/spec/flows", json!(flows))
}

fn planned(changes: &Value) -> Plan {
    let compiled = compile(source(), destination(), flows(&[flow("orders", changes)]));
    assert_eq!(compiled.findings, []);
    compiled.value.unwrap()
}

/// What is found of one flow with these changes; one thing only.
fn found(changes: &Value) -> String {
    only(&compile(source(), destination(), flows(&[flow("orders", changes)]))).1
}

/// What is found of a Connector after a change; one thing only.
fn found_of(connector: Value, pointer: &str, value: Value) -> String {
    let changed = with(connector, pointer, value);
    let (source, destination) =
        if changed["metadata"]["name"] == "shop" { (changed, destination()) } else { (source(), changed) };
    only(&compile(source, destination, flows(&[flow("orders", &json!({}))]))).1
}

#[test]
fn what_a_flow_leaves_out_behaves_as_ever() {
    let plan = planned(&json!({}));
    let flow = &plan.flows[0];
    assert_eq!((flow.on_when_false, flow.batch_size), (OnWhenFalse::Ignore, 1));
    assert_eq!((&flow.depends_on, &flow.delete_operation), (&None, &None));
}

#[test]
fn single_reads_deletes_and_batches_are_resolved() {
    let plan = planned(&json!({
        "when": "record.open", "onWhenFalse": "Delete",
        "write": {"operation": "upsertOrder", "deleteOperation": "deleteOrder", "batchSize": 100},
    }));
    let flow = &plan.flows[0];
    let one = flow.stream.one.as_ref().unwrap();
    assert_eq!((one.path.to_string().as_str(), one.record.as_str()), ("/orders/{key}", "/order"));
    assert_eq!(one.query["v"].to_string(), "7");
    assert_eq!(flow.stream.deleted.as_deref(), Some("/deleted_at"));
    assert_eq!((flow.on_when_false, flow.batch_size), (OnWhenFalse::Delete, 100));
    let delete = flow.delete_operation.as_ref().unwrap();
    assert_eq!((delete.method, delete.path.to_string().as_str()), (Method::Delete, "/orders/{identifier}"));
    let batch = flow.operation.batch.as_ref().unwrap();
    assert_eq!((batch.max_records, batch.method, batch.path.as_str()), (200, Method::Patch, "/v7/orders/batch"));
    assert_eq!((batch.records.as_str(), &batch.fields["allOrNone"]), ("/records", &json!(false)));
    assert_eq!(batch.results.as_ref().unwrap().identifier.as_deref(), Some("/id"));
    assert_eq!(plan.format_version, 2);
    assert_eq!(Plan::parse(plan.to_json().as_bytes()).unwrap(), plan);
}

#[test]
fn a_stream_without_a_version_needs_to_be_readable_one_by_one() {
    let mut without = source();
    without["spec"]["streams"][0].as_object_mut().unwrap().remove("version");
    let compiled = compile(without, destination(), flows(&[flow("orders", &json!({}))]));
    assert_eq!(compiled.value.unwrap().flows[0].stream.version, None);
    let mut without = source();
    without["spec"]["streams"][1].as_object_mut().unwrap().remove("version");
    let message = only(&compile(without, destination(), flows(&[flow("orders", &json!({}))]))).1;
    assert!(message.contains("spec.streams[customers].version") && message.contains("`one`"), "{message}");
}

#[test]
fn a_single_read_needs_the_key_and_nothing_else() {
    let message = found_of(source(), "/spec/streams/0/one", json!({"path": "/orders/first"}));
    assert!(message.contains("put {key} into the path"), "{message}");
    let message = found_of(source(), "/spec/streams/0/one", json!({"path": "/orders/{key}/{body.id}"}));
    assert!(message.contains("known are {apiVersion} and {key}"), "{message}");
    let in_query = with(source(), "/spec/streams/0/one", json!({"path": "/orders", "query": {"id": "{key}"}}));
    assert!(compile(in_query, destination(), flows(&[flow("orders", &json!({}))])).value.is_some());
}

#[test]
fn a_look_up_needs_a_stream_that_is_read_one_by_one() {
    let looking = |stream: &str| json!({"map": {"number": format!("lookup('{stream}', '7').?name")}});
    let plan = planned(&looking("orders"));
    assert_eq!(plan.flows[0].lookups, [plan.flows[0].stream.clone()]);
    assert_eq!(plan.format_version, 2);
    let message = found(&looking("customers"));
    assert!(message.contains("flows[orders].map") && message.contains("set `one` on that stream"), "{message}");
    let message = found(&looking("customer"));
    assert!(message.contains("no stream `customer`; it has orders, customers"), "{message}");
}

#[test]
fn records_that_stop_to_take_part_are_deleted_only_with_an_operation_for_it() {
    let message = found(&json!({"when": "record.open", "onWhenFalse": "Delete"}));
    assert!(message.contains("flows[orders].onWhenFalse: set write.deleteOperation"), "{message}");
    let message = found(&json!({"onWhenFalse": "Update"}));
    assert!(message.contains("set when as well"), "{message}");
}

#[test]
fn a_delete_may_be_any_operation_that_is_there_and_says_how_its_outcome_is_known() {
    let deleting = |name: &str| json!({"write": {"operation": "upsertOrder", "deleteOperation": name}});
    let plan = planned(&deleting("cancelOrder"));
    assert_eq!(plan.flows[0].delete_operation.as_ref().unwrap().method, Method::Post);
    let message = found(&deleting("removeOrder"));
    assert!(message.contains("write.deleteOperation: Connector books has no operation `removeOrder`"), "{message}");
    let bare = json!({"name": "cancelOrder", "method": "POST", "path": "/orders/{body.number}/cancel"});
    let message = found_of(destination(), "/spec/operations/2", bare);
    assert!(message.contains("spec.operations[cancelOrder].outcome"), "{message}");
}

#[test]
fn what_a_delete_is_named_by_must_be_known() {
    let deleting = json!({"write": {"operation": "upsertOrder", "deleteOperation": "deleteOrder"}});
    let bare = json!({"name": "upsertOrder", "method": "PATCH", "path": "/orders/{body.number}", "outcome": {}});
    let without = with(destination(), "/spec/operations/0", bare);
    let message = only(&compile(source(), without, flows(&[flow("orders", &deleting)]))).1;
    assert!(message.contains("write.deleteOperation") && message.contains("set `identifier` there"), "{message}");

    let batches = json!({"write": {"operation": "upsertOrder", "deleteOperation": "deleteOrder", "batchSize": 2}});
    let without = with(destination(), "/spec/operations/0/batch/results", json!({"succeeded": "/success"}));
    let message = only(&compile(source(), without, flows(&[flow("orders", &batches)]))).1;
    assert!(message.contains("set `batch.results.identifier` there"), "{message}");

    let by_field = json!({"name": "cancelOrder", "method": "DELETE", "path": "/orders/{body.code}", "outcome": {}});
    let other = with(destination(), "/spec/operations/2", by_field);
    let cancelling = json!({"write": {"operation": "upsertOrder", "deleteOperation": "cancelOrder"}});
    let message = only(&compile(source(), other, flows(&[flow("orders", &cancelling)]))).1;
    assert!(message.contains("operation cancelOrder needs the field `code`"), "{message}");

    let message = found(&json!({"write": {"operation": "deleteOrder"}}));
    assert!(message.contains("no record has before it is first written"), "{message}");
}

#[test]
fn a_batch_is_as_large_as_the_operation_takes_at_most() {
    let sized = |operation: &str, size: u32| json!({"write": {"operation": operation, "batchSize": size}});
    assert_eq!(planned(&sized("upsertOrder", 200)).flows[0].batch_size, 200);
    let message = found(&sized("upsertOrder", 201));
    assert!(message.contains("write.batchSize: operation upsertOrder takes at most 200 records a call"), "{message}");
    let message = found(&sized("cancelOrder", 2));
    assert!(message.contains("writes records one by one"), "{message}");
    assert_eq!(planned(&sized("cancelOrder", 1)).flows[0].batch_size, 1);
}

#[test]
fn a_batch_has_a_request_that_can_be_made() {
    let batch = "/spec/operations/0/batch";
    let message = found_of(destination(), &format!("{batch}/method"), json!("DELETE"));
    assert!(message.contains("upsertOrder].batch.method: set POST, PUT or PATCH"), "{message}");
    let message = found_of(destination(), &format!("{batch}/path"), json!("/orders/{body.number}"));
    assert!(message.contains("known are {apiVersion}"), "{message}");
    let message = found_of(destination(), &format!("{batch}/records"), json!(""));
    assert!(message.contains("batch.fields: a request that is the list itself has no members"), "{message}");
    let message = found_of(destination(), &format!("{batch}/fields"), json!({"records": 1}));
    assert!(message.contains("`records` is where the records go"), "{message}");
    let message = found_of(destination(), &format!("{batch}/fields"), json!({"a": "x".repeat(5000)}));
    assert!(message.contains("at most 4096 fit"), "{message}");
}

#[test]
fn a_flow_may_wait_for_another_by_a_key_of_the_record() {
    let key = "record.?customer.?id.orValue(null)";
    let waiting = flow("orders", &json!({"dependsOn": {"flow": "customers", "key": key}}));
    let plan = compile(source(), destination(), flows(&[waiting, flow("customers", &json!({}))])).value.unwrap();
    assert_eq!(plan.flows[0].depends_on, Some(DependsOn { flow: "customers".into(), key: key.into() }));
    assert_eq!(plan.format_version, 2);
}

#[test]
fn a_flow_waits_for_one_that_is_there_by_a_key_that_compiles() {
    let message = found(&json!({"dependsOn": {"flow": "customers", "key": "record.id"}}));
    assert!(message.contains("dependsOn.flow: this Integration has no flow `customers`; beside this one it has no"));
    let broken = flow("orders", &json!({"dependsOn": {"flow": "customers", "key": "record.id +"}}));
    let message = only(&compile(source(), destination(), flows(&[broken, flow("customers", &json!({}))]))).1;
    assert!(message.contains("flows[orders].dependsOn.key"), "{message}");
    let asking = flow("orders", &json!({"dependsOn": {"flow": "customers", "key": "xref('customers', 'a')"}}));
    let message = only(&compile(source(), destination(), flows(&[asking, flow("customers", &json!({}))]))).1;
    assert!(message.contains("leave `xref` and `lookup` out"), "{message}");
}

#[test]
fn flows_do_not_wait_for_each_other_in_a_circle() {
    let waiting = |name: &str, parent: &str| flow(name, &json!({"dependsOn": {"flow": parent, "key": "record.id"}}));
    let circle = [waiting("a", "b"), waiting("b", "c"), waiting("c", "a"), waiting("d", "a"), waiting("e", "e")];
    let all = findings(&compile(source(), destination(), flows(&circle)));
    let messages: Vec<&str> = all.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(messages.len(), 4, "{messages:?}: d only waits for a circle");
    assert!(messages[0].contains("flows[a].dependsOn.flow: the flow waits for itself (a → b → c → a)"), "{messages:?}");
    assert!(messages[3].contains("(e → e)"), "{messages:?}");
}

#[test]
fn a_cross_reference_names_a_flow_that_is_there() {
    let map = |expression: &str| json!({"map": {"number": "string(record.id)", "parent": expression}});
    let message = found(&map("xref('customers', record.customer.id)"));
    assert!(message.contains("spec.flows[orders].map: `xref` names the flow `customers`"), "{message}");
    assert!(message.contains("it has orders"), "{message}");
    let own = flow("orders", &map("xref('orders', record.?parent)"));
    assert_eq!(
        compile(source(), destination(), flows(&[own])).findings,
        [],
        "records of a flow may refer to others of it"
    );
}
