//! Writing, limits and caches: what compiles, and what is found.

use serde_json::{Value, json};

use super::{compile, netsuite, only, orders, shopify, with};
use crate::plan::{BodyFormat, Method, Operation, Plan, Restore};

/// An operation of the destination that a flow writes with.
fn plan(operation: &Value) -> Plan {
    let compiled = compiled(operation);
    assert_eq!(compiled.findings, []);
    compiled.value.unwrap()
}

fn compiled(operation: &Value) -> super::Compiled<Plan> {
    let destination = with(netsuite(), "/spec/operations", json!([operation]));
    let name = operation["name"].clone();
    compile(shopify(), destination, with(orders(), "/spec/flows/0/write", json!({"operation": name})))
}

fn planned(operation: &Value) -> Operation {
    plan(operation).flows.remove(0).operation
}

fn found(operation: &Value) -> String {
    only(&compiled(operation)).1
}

fn changed(operation: &Value, changes: &Value) -> Value {
    let mut changed = operation.clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            changed.as_object_mut().unwrap().remove(name);
        } else {
            changed[name] = value.clone();
        }
    }
    changed
}

fn finding() -> Value {
    json!({
        "name": "ensure", "wrap": "/fields", "identifier": {"pointer": "/id"},
        "find": {
            "path": "/search", "query": {"q": "{body.externalId}"}, "record": "/issues", "identifier": "/id",
            "key": "/fields/externalId", "keyField": "externalId",
        },
        "create": {"method": "POST", "path": "/issues", "fields": {"kind": "{apiVersion}"}},
        "update": {"method": "PUT", "path": "/issues/{identifier}"},
    })
}

fn plain() -> Value {
    json!({"name": "ensure", "method": "PUT", "path": "/x/{body.externalId}", "outcome": {}})
}

#[test]
fn a_record_is_looked_for_and_the_look_is_how_an_outcome_is_known() {
    let plan = plan(&finding());
    assert_eq!(plan.format_version, 3);
    let operation = &plan.flows[0].operation;
    let find = operation.find.as_ref().unwrap();
    assert_eq!((operation.method, find.method), (Method::Post, Method::Put));
    assert_eq!(operation.shape.fields["kind"], json!("v1"));
    assert_eq!((operation.shape.wrap.as_str(), find.shape.wrap.as_str()), ("/fields", "/fields"));
    let lookup = operation.outcome.lookup.as_ref().unwrap();
    assert_eq!((lookup, lookup.evidence.record.as_deref(), lookup.settle_seconds), (&find.lookup, Some("/fields"), 5));
}

#[test]
fn what_looking_needs_is_found() {
    for (changes, said) in [
        (json!({"update": null}), "find, create and update go together"),
        (json!({"find": null, "outcome": {}}), "find, create and update go together"),
        (json!({"identifier": null}), "say where the response to a create has what the system calls the record"),
        (json!({"update": {"method": "DELETE", "path": "/x"}}), "create and update write"),
        (json!({"create": {"method": "POST", "path": "/{body.other}"}}), "needs the field `other`"),
        (json!({"fields": {"a": "{body.other}"}}), "needs the field `other`"),
        (json!({"create": {"method": "POST", "path": "/x/{identifier}"}}), "no record has before it is first written"),
        (json!({"ifMatch": {}}), "ifMatch: set find, or a look-up under outcome, whose path reads"),
    ] {
        let message = found(&changed(&finding(), &changes));
        assert!(message.contains(said), "{changes}: {message}");
    }
    let broken = changed(&finding(), &json!({"find": changed(&finding()["find"], &json!({"body": {"a": 1}}))}));
    assert!(found(&broken).contains("find.method: set POST: GET has no body"));
}

#[test]
fn what_is_looked_for_alone_may_go_in_a_batch_that_creates_and_updates_by_itself() {
    let batch = json!({
        "maxRecords": 100, "path": "/batch/upsert", "records": "/inputs", "recordFields": {"id": "{body.externalId}"},
        "results": {"records": "/results", "key": "/id", "keyField": "externalId"},
    });
    let operation = planned(&changed(&finding(), &json!({"batch": batch})));
    let (batch, find) = (operation.batch.unwrap(), operation.find.unwrap());
    assert_eq!((batch.method, batch.path.as_str()), (Method::Post, "/batch/upsert"));
    assert_eq!(operation.outcome.lookup.as_ref(), Some(&find.lookup), "so is told what came of a batch in doubt");
    for (member, value) in [
        ("ifMatch", json!({})),
        ("bodyFormat", json!("Form")),
        (
            "async",
            json!({"location": {"header": "Location"}, "done": "/s", "doneValues": ["y"], "failedValues": ["n"]}),
        ),
    ] {
        let find = changed(&finding()["find"], &json!({"path": "/x/{body.externalId}", "query": null}));
        let changes = json!({"find": find, "batch": {"maxRecords": 2, "path": "/b"}, member: value});
        let message = found(&changed(&finding(), &changes));
        assert!(message.contains(&format!("{member}: a batch has no such thing")), "{message}");
    }
}

#[test]
fn a_body_has_one_format_and_a_delete_has_none() {
    let form = planned(&changed(&plain(), &json!({"bodyFormat": "Form"})));
    assert_eq!(form.shape.format, BodyFormat::Form);
    let xml = planned(&changed(&plain(), &json!({"bodyFormat": "Xml", "xmlRoot": "order"})));
    assert_eq!(xml.shape.format, BodyFormat::Xml { root: "order".into() });
    assert!(found(&changed(&plain(), &json!({"bodyFormat": "Xml"}))).contains("xmlRoot go together"));
    assert!(found(&changed(&plain(), &json!({"xmlRoot": "a"}))).contains("xmlRoot go together"));
    assert!(
        found(&changed(&plain(), &json!({"method": "DELETE", "wrap": "/a"}))).contains("DELETE is sent without a body")
    );
    assert!(found(&changed(&plain(), &json!({"fields": {"a": "x".repeat(5000)}}))).contains("at most 4096 fit"));
}

#[test]
fn a_rule_that_ignores_404_takes_no_search_that_is_nowhere_for_one_that_finds_nothing() {
    let compiled = |when: Value, operation: &Value| {
        let rules = json!([{"when": when, "means": "Ignore"}]);
        let destination = with(with(netsuite(), "/spec/operations", json!([operation])), "/spec/errors", rules);
        compile(shopify(), destination, with(orders(), "/spec/flows/0/write", json!({"operation": "ensure"})))
    };
    let lookup = |path: &str| json!({"path": path, "key": "/items/*/id", "keyField": "externalId"});
    let resolved_by = |path: &str| changed(&plain(), &json!({"outcome": {"lookup": lookup(path)}}));
    for operation in
        [finding(), resolved_by("/search?q={body.externalId}"), resolved_by("/rooms/{body.entity.email}/items")]
    {
        for when in [json!({"statuses": [404]}), json!({"statuses": [404, 410], "operations": ["ensure"]})] {
            let (_, message) = only(&compiled(when, &operation));
            assert!(message.contains("every record would be made again"), "{message}");
        }
        for when in [json!({"statuses": [404], "pointer": "/code", "equals": "none"}), json!({"statuses": [409]})] {
            assert_eq!(compiled(when, &operation).findings, []);
        }
    }
    let lookup = json!({"path": "/x/{body.externalId}", "key": "/id", "keyField": "externalId"});
    let by_its_own_path = changed(&plain(), &json!({"outcome": {"lookup": lookup}}));
    assert_eq!(compiled(json!({"statuses": [404]}), &by_its_own_path).findings, []);
}

#[test]
fn jobs_and_tags_are_planned_and_checked() {
    let job = json!({
        "location": {"header": "Location"}, "done": "/status", "doneValues": ["done"], "failedValues": ["failed"],
    });
    let operation = planned(&changed(&plain(), &json!({"async": job})));
    assert_eq!((operation.job.as_ref().unwrap().every_seconds, operation.job.unwrap().timeout_seconds), (2, 300));
    let both = changed(&job, &json!({"failedValues": ["done"]}));
    assert!(found(&changed(&plain(), &json!({"async": both}))).contains("`done` stands in doneValues as well"));
    let lookup = json!({"path": "/x/{body.externalId}", "key": "/externalId", "keyField": "externalId"});
    let tagged = planned(&changed(&plain(), &json!({"ifMatch": {"pointer": "/etag"}, "outcome": {"lookup": lookup}})));
    assert_eq!(tagged.if_match.unwrap().pointer.as_deref(), Some("/etag"));
    let searching = changed(&lookup, &json!({"path": "/search", "query": {"q": "{body.externalId}"}}));
    let message = found(&changed(&plain(), &json!({"ifMatch": {}, "outcome": {"lookup": searching}})));
    assert!(message.contains("looked at right before it is written over"), "{message}");
}

#[test]
fn batch_results_have_an_order_or_a_key() {
    let batch = |results: Value| {
        changed(
            &plain(),
            &json!({"batch": {"maxRecords": 5, "method": "POST", "path": "/b", "records": "/inputs", "results": results}}),
        )
    };
    let keyed = json!({"records": "/results", "key": "/k", "keyField": "externalId", "failed": {"records": "/errors", "key": "/ids"}});
    assert!(planned(&batch(keyed)).batch.unwrap().results.unwrap().key.is_some());
    for (results, said) in [
        (json!({"records": "/results"}), "set succeeded, or key"),
        (json!({"succeeded": "/ok", "key": "/k"}), "set key and keyField together"),
        (json!({"succeeded": "/ok", "failed": {"records": "/errors", "key": "/ids"}}), "failed goes with key"),
        (json!({"key": "/k", "keyField": "other"}), "needs the field `other`"),
    ] {
        let message = found(&batch(results.clone()));
        assert!(message.contains(said), "{results}: {message}");
    }
}

#[test]
fn limits_and_caches_are_planned_with_the_version_in_their_paths() {
    let rate = json!({
        "endpoints": [{"name": "post", "paths": ["/{apiVersion}/post*"], "requests": 1, "perSeconds": 1}],
        "daily": {"requests": 100, "resetAt": "07:30"},
        "cost": {"requested": "/a", "remaining": "/b", "restorePerSecond": 50},
        "headers": {"used": "X-Used"},
    });
    let cache = json!({"ttlSeconds": 60, "paths": ["/{apiVersion}/menus/*"]});
    let source = with(with(shopify(), "/spec/rateLimit", rate), "/spec/cache", cache);
    let plan = compile(source, netsuite(), orders()).value.unwrap();
    let system = &plan.source;
    let post = &system.rate.endpoints[0];
    assert_eq!((post.paths[0].as_str(), post.allowance.concurrency), ("/2026-07/post*", 4));
    assert_eq!(system.rate.daily.unwrap().reset_minute, 450);
    assert_eq!(system.rate.cost.as_ref().unwrap().restore, Restore::PerSecond(50));
    let kept = system.cache.as_ref().unwrap();
    assert_eq!((kept.paths[0].as_str(), kept.max_mib), ("/2026-07/menus/*", 16));
    assert_eq!(super::format_but_for_errors(&plan), 1, "a worker without them asks more often and is told to wait");
}

#[test]
fn limits_that_cannot_be_kept_are_found() {
    for (rate, said) in [
        (json!({"daily": {"requests": 1, "resetAt": "24:00"}}), "daily.resetAt: write a time of day"),
        (json!({"cost": {"requested": "/a", "remaining": "/b"}}), "exactly one of restorePointer and restorePerSecond"),
        (json!({"headers": {"limit": "X"}}), "exactly one of remaining and used"),
        (
            json!({"endpoints": [{"name": "a", "paths": ["/{key}"], "requests": 1, "perSeconds": 1}]}),
            "`{key}` is not known",
        ),
    ] {
        let message = only(&compile(with(shopify(), "/spec/rateLimit", rate.clone()), netsuite(), orders())).1;
        assert!(message.contains(said), "{rate}: {message}");
    }
}
