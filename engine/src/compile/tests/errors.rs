//! The error language: what compiles, and what is found.

use serde_json::{Value, json};

use super::{compile, netsuite, only, orders, shopify, with};
use crate::plan::{Meaning, Place, System, Test};

fn planned(rules: Value) -> System {
    let compiled = compile(with(shopify(), "/spec/errors", rules), netsuite(), orders());
    assert_eq!(compiled.findings, []);
    compiled.value.unwrap().source
}

fn found(rules: Value) -> String {
    only(&compile(with(shopify(), "/spec/errors", rules), netsuite(), orders())).1
}

#[test]
fn rules_are_planned_in_their_order() {
    let first = json!({
        "when": {"statuses": [200], "pointer": "/ok", "equals": "false", "streams": ["orders"]},
        "means": "RateLimited", "message": "/error",
        "retryAfter": {"header": "X-Reset", "format": "EpochSeconds"},
    });
    let second = json!({"when": {"header": {"name": "X-Gone"}}, "means": "Unsupported"});
    let system = planned(json!([first, second]));
    let [limited, gone] = &system.errors[..2] else { panic!("{:?}", system.errors) };
    assert_eq!((limited.means, gone.means), (Meaning::RateLimited, Meaning::Unsupported));
    assert_eq!(limited.when.body.as_ref().unwrap().test, Test::In(vec!["false".into()]));
    assert_eq!(limited.retry_after.as_ref().unwrap().at, Place::Header("X-Reset".into()));
}

#[test]
fn a_plan_with_rules_is_refused_by_workers_that_do_not_know_them() {
    let rules = json!([{"when": {"statuses": [409]}, "means": "Success"}]);
    let plan = compile(with(shopify(), "/spec/errors", rules), netsuite(), orders()).value.unwrap();
    assert_eq!(plan.format_version, 3);
}

#[test]
fn a_rule_that_cannot_be_followed_is_found() {
    let message = found(json!([{"when": {"statuses": [409], "operations": ["upsert"]}, "means": "Success"}]));
    assert!(message.contains("errors[0].when.operations: the Connector has no operation `upsert`"), "{message}");
    let message = found(json!([{"when": {"statuses": [409], "streams": ["order"]}, "means": "Success"}]));
    assert!(message.contains("errors[0].when.streams: the Connector has no stream `order`"), "{message}");
    let message = found(json!([{"when": {}, "means": "Success"}]));
    assert!(message.contains("errors[0].when: set statuses, pointer or header"), "{message}");
    for when in [
        json!({"pointer": "/ok"}),
        json!({"pointer": "/ok", "equals": "a", "exists": true}),
        json!({"statuses": [200], "equals": "a"}),
    ] {
        let message = found(json!([{"when": when, "means": "Success"}]));
        assert!(message.contains("exactly one of equals, in, exists and contains"), "{message}");
    }
    let both = json!({"header": "A", "pointer": "/a", "format": "Seconds"});
    let message = found(json!([{"when": {"statuses": [409]}, "means": "Retry", "retryAfter": both}]));
    assert!(message.contains("retryAfter: set exactly one of header and pointer"), "{message}");
}
