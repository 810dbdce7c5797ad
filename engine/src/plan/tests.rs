//! Plans of all formats, and which of them a plan needs.

use serde_json::{Value, json};

use super::*;
use crate::template::Template;

fn first_format() -> Value {
    let system = json!({
        "connector": "shop", "baseUrl": "https://a.example.com/", "apiVersion": null,
        "authentication": {"bearer": {"token": "{token}"}},
        "egress": {"allowHosts": [], "allowCidrs": []},
        "allowance": {"requests": 40, "perSeconds": 20, "concurrency": 8},
        "servedVersionHeader": null, "requestIdHeader": null,
    });
    let flow = json!({
        "name": "orders", "triggers": [{"everySeconds": 60}], "startFrom": "now", "when": null, "map": {},
        "stream": {
            "name": "orders", "path": "/orders", "query": {}, "records": "", "key": "/id", "version": "/v",
            "cursor": null, "pagination": "none",
        },
        "operation": {
            "name": "upsert", "method": "PUT", "path": "/orders/{body.id}", "query": {}, "headers": {},
            "identifier": null, "outcome": {"idempotency": null, "lookup": null},
        },
        "onUnknownOutcome": "Hold",
    });
    json!({
        "formatVersion": 1, "integration": {"namespace": "shop", "name": "orders"},
        "source": system, "destination": system, "flows": [flow],
        "retry": {"retries": 3, "initialSeconds": 120, "factor": 2, "maxSeconds": 3600},
    })
}

fn plan() -> Plan {
    Plan::parse(first_format().to_string().as_bytes()).unwrap()
}

#[test]
fn a_plan_of_the_first_format_is_read_and_written_as_it_was() {
    let plan = plan();
    let flow = &plan.flows[0];
    assert_eq!(
        (plan.environment, flow.on_when_false, flow.batch_size),
        (Environment::Production, OnWhenFalse::Ignore, 1)
    );
    assert_eq!(serde_json::from_str::<Value>(&plan.to_json()).unwrap(), first_format());
    assert_eq!(plan.format(), 1);
}

#[test]
fn a_plan_needs_the_second_format_for_what_a_worker_of_the_first_would_get_wrong() {
    let changes: [fn(&mut Plan); 10] = [
        |plan| plan.environment = Environment::Sandbox,
        |plan| plan.flows[0].on_when_false = OnWhenFalse::Update,
        |plan| plan.flows[0].delete_operation = Some(plan.flows[0].operation.clone()),
        |plan| plan.flows[0].depends_on = Some(DependsOn { flow: "customers".into(), key: "record.customer".into() }),
        |plan| plan.flows[0].lookups = vec![plan.flows[0].stream.clone()],
        |plan| plan.flows[0].stream.version = None,
        |plan| plan.flows[0].stream.deleted = Some("/deleted".into()),
        |plan| plan.flows[0].operation.method = Method::Delete,
        |plan| plan.flows[0].operation.omit = vec!["id".into()],
        |plan| plan.flows[0].operation.path = Template::parse("/orders/{identifier}").unwrap(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut plan = plan();
        change(&mut plan);
        assert_eq!(plan.format(), 2, "change {index}");
        plan.format_version = 2;
        assert_eq!(Plan::parse(plan.to_json().as_bytes()).unwrap(), plan, "change {index}");
    }
    let mut errors = plan();
    let rule = json!({"when": {"statuses": [200]}, "means": "RecordFailure"});
    errors.destination.errors = vec![serde_json::from_value(rule).unwrap()];
    assert_eq!(errors.format(), 3, "a worker without them takes a refusal for a success");
    let mut batches = plan();
    batches.flows[0].batch_size = 50;
    assert_eq!(batches.format(), 1, "a worker without batches writes the same, only more slowly");
}

#[test]
fn a_plan_needs_the_third_format_for_a_look_up_that_an_older_worker_would_read_wrong() {
    let found: [fn(&mut LookUp); 3] = [
        |lookup| lookup.evidence.more = Some("/has_more".into()),
        |lookup| lookup.key = "/items/*/id".into(),
        |lookup| lookup.key_field = "metadata.id".into(),
    ];
    for change in found {
        let mut plan = plan();
        let mut lookup = LookUp {
            path: Template::parse("/orders/{body.id}").unwrap(),
            query: std::collections::BTreeMap::new(),
            key: "/id".into(),
            key_field: "id".into(),
            settle_seconds: 1,
            evidence: Evidence::default(),
            ..LookUp::default()
        };
        plan.flows[0].operation.outcome.lookup = Some(lookup.clone());
        assert_eq!(plan.format(), 1);
        change(&mut lookup);
        plan.flows[0].operation.outcome.lookup = Some(lookup);
        assert_eq!(plan.format(), 3);
    }
}

#[test]
fn a_plan_whose_records_are_written_once_needs_the_third_format() {
    let mut plan = plan();
    plan.flows[0].writes_once = true;
    assert_eq!(plan.format(), 3, "an older worker would write them again");
}

#[test]
fn a_plan_that_leaves_fields_to_the_destination_needs_the_fifth_format() {
    let mut plan = plan();
    plan.flows[0].operation.ownership = Ownership { create_only: vec!["memo".into()], ..Ownership::default() };
    assert_eq!(plan.format(), 5, "an older worker would write over what people entered");
    let again = Plan::parse(plan.to_json().as_bytes()).unwrap();
    assert_eq!(again, plan);
}

#[test]
fn a_plan_with_a_signed_time_as_http_writes_it_needs_the_fifth_format() {
    let hash = |format: &str| {
        json!({"algorithm": "SHA256", "secret": "{key}", "message": "{timestamp}", "encoding": "Hex", "header": "X", "value": "{signature}",
               "timestampFormat": format})
    };
    let receiver = |format: &str| {
        let timestamp = json!({"at": {"header": "X-Time"}, "format": format, "toleranceSeconds": 300});
        let hash = json!({"algorithm": "SHA256", "secret": "{key}", "message": "{body}", "encoding": "Hex", "signature": {"header": "X"},
                          "timestamp": timestamp});
        json!({"path": "/shop/orders", "verification": {"hash": hash}, "refusalStatus": 401, "maxBodyBytes": 1024, "auditDays": 7})
    };
    for (format, of_calls, of_webhooks) in [("EpochSeconds", 3, 4), ("HttpDate", 5, 5)] {
        let mut calls = plan();
        calls.destination.authentication = serde_json::from_value(json!({"hmac": hash(format)})).unwrap();
        let mut webhooks = plan();
        webhooks.receiver = Some(serde_json::from_value(receiver(format)).unwrap());
        assert_eq!(
            (calls.format(), webhooks.format()),
            (of_calls, of_webhooks),
            "an older worker would not know the word"
        );
    }
}

#[test]
fn a_plan_that_carries_records_back_needs_the_sixth_format() {
    let pair = Some(Pair { flow: "back".into(), key: "record.?twin.orValue(null)".into(), named_by: vec![] });
    for (direction, pair) in [(Direction::Reverse, None), (Direction::Forward, pair)] {
        let mut plan = plan();
        (plan.flows[0].direction, plan.flows[0].pair) = (direction, pair);
        assert_eq!(plan.format(), 6, "an older worker would read and write the wrong systems, and write echoes");
        plan.format_version = 6;
        assert_eq!(Plan::parse(plan.to_json().as_bytes()).unwrap(), plan);
    }
}

#[test]
fn a_plan_of_another_format_is_refused_by_its_number() {
    for found in [0, FORMAT_VERSION + 1] {
        let mut document = first_format();
        document["formatVersion"] = json!(found);
        let error = Plan::parse(document.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, PlanError::Format { found: number } if number == found), "{error}");
    }
}

#[test]
fn a_plan_needs_the_third_format_for_what_a_worker_of_the_second_would_read_wrong() {
    let template = |text: &str| crate::template::Template::parse(text).unwrap();
    let changes: [fn(&mut Stream); 11] = [
        |stream| stream.method = ReadMethod::Post,
        |stream| stream.headers = [("revision".into(), "7".into())].into(),
        |stream| stream.records = "/edges/*/node".into(),
        |stream| stream.path = "/orders/{since}".into(),
        |stream| {
            stream.cursor = Some(Cursor { format: CursorFormat::Date, param: Some("s".into()), ..Cursor::default() });
        },
        |stream| {
            stream.cursor = Some(Cursor { window_seconds: Some(60), param: Some("s".into()), ..Cursor::default() });
        },
        |stream| stream.pagination = Pagination::DeltaLink { next: "/n".into(), delta: "/d".into() },
        |stream| {
            stream.pagination =
                Pagination::Cursor(CursorPages { has_more: Some("/m".into()), ..CursorPages::of("/c", "c") });
        },
        |stream| stream.depth_cap = Some(100),
        |stream| stream.format = Format::Xml,
        |stream| stream.parent = Some(Box::new(Parent { stream: stream.clone(), key: "/id".into() })),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut plan = plan();
        change(&mut plan.flows[0].stream);
        assert_eq!(plan.format(), 3, "change {number}");
        let again = Plan::parse(plan.to_json().as_bytes()).unwrap();
        assert_eq!(again, plan, "change {number}");
    }
    let mut plan = plan();
    plan.source.authentication = Authentication::Query { name: "key".into(), value: template("{key}") };
    assert_eq!(plan.format(), 3);
}

#[test]
fn a_cursor_of_the_second_format_is_read_and_written_as_it_was() {
    let mut document = first_format();
    document["flows"][0]["stream"]["pagination"] = json!({"cursor": {"pointer": "/next", "param": "after"}});
    document["flows"][0]["stream"]["cursor"] =
        json!({"field": "/at", "param": "since", "untilParam": null, "lookbackSeconds": 300});
    let plan = Plan::parse(document.to_string().as_bytes()).unwrap();
    assert_eq!(plan.flows[0].stream.pagination, Pagination::Cursor(CursorPages::of("/next", "after")));
    assert_eq!(plan.format(), 1);
    assert_eq!(serde_json::from_str::<Value>(&plan.to_json()).unwrap(), document);
}
