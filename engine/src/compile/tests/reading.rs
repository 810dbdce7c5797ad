//! How streams are asked for: what compiles, and what is found.

use crosstie_crds::condition::Reason;
use serde_json::{Value, json};

use super::{compile, netsuite, only, orders, with};
use crate::plan::{CursorFormat, CursorPages, Format, Pagination, Plan, ReadMethod, Stream};

fn source(changes: &Value) -> Value {
    let mut stream = json!({"name": "orders", "path": "/orders", "key": "/id", "version": "/at"});
    stream.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": "own", "namespace": "shop"},
        "spec": {
            "baseURL": "https://own.example.com", "apiVersion": "7", "auth": {"bearer": {"token": "{key}"}},
            "credentials": {"awsSecretsManager": {"secretId": "shop/own"}}, "streams": [stream],
        },
    })
}

fn plan(changes: &Value) -> Plan {
    let compiled = compile(source(changes), netsuite(), orders());
    assert_eq!(compiled.findings, []);
    let plan = compiled.value.unwrap();
    assert_eq!(Plan::parse(plan.to_json().as_bytes()).unwrap(), plan);
    plan
}

fn stream(changes: &Value) -> Stream {
    let plan = plan(changes);
    assert_eq!(plan.format_version, 3);
    plan.flows[0].stream.clone()
}

fn found(changes: &Value) -> String {
    let (reason, message) = only(&compile(source(changes), netsuite(), orders()));
    assert_eq!(reason, Reason::ConnectorNotReady);
    message
}

#[test]
fn a_search_by_post_is_resolved_with_its_names_left_in_place() {
    let query = "query($after: String) { orders { id {x} } } # {apiVersion}";
    let stream = stream(&json!({
        "method": "POST", "path": "/v{apiVersion}/graphql", "headers": {"X-Version": "{apiVersion}"},
        "body": {"query": query, "variables": {"after": "{cursor}", "n": "{pageSize}", "since": "{since}"}},
        "records": "/data/edges/*/node", "cursor": {"field": "/at", "format": "EpochMillis"},
        "pagination": {"cursor": {"pointer": "/end", "hasMore": "/more", "size": 100}},
    }));
    assert_eq!((stream.method, stream.path.as_str()), (ReadMethod::Post, "/v7/graphql"));
    assert_eq!(stream.headers["X-Version"], "7");
    let body = stream.body.unwrap();
    assert_eq!(body["query"], json!("query($after: String) { orders { id {x} } } # 7"));
    assert_eq!(body["variables"], json!({"after": "{cursor}", "n": "{pageSize}", "since": "{since}"}));
    let cursor = stream.cursor.unwrap();
    assert_eq!((cursor.format, cursor.param, cursor.lookback_seconds), (CursorFormat::EpochMillis, None, 300));
    let pages = CursorPages {
        pointer: Some("/end".into()),
        has_more: Some("/more".into()),
        size: Some(100),
        ..CursorPages::default()
    };
    assert_eq!(stream.pagination, Pagination::Cursor(pages));
}

#[test]
fn a_stream_that_an_older_worker_would_read_as_well_keeps_the_first_format() {
    let changes = json!({"cursor": {"field": "/at", "param": "since"}, "pagination": {"offset": {"param": "o", "limitParam": "l", "limit": 9}}});
    assert_eq!(super::format_but_for_errors(&plan(&changes)), 1);
}

#[test]
fn other_formats_of_a_cursor_are_resolved() {
    let counter = stream(&json!({"cursor": {"field": "/n", "param": "from", "format": "Counter"}})).cursor.unwrap();
    assert_eq!((counter.lookback_count, counter.lookback_seconds), (1_000, 0));
    let pattern = json!({"field": "/at", "format": "Pattern", "pattern": "%d/%m/%Y", "timeZone": "Asia/Tokyo"});
    let pattern = stream(&json!({"path": "/o?q=at>{since}", "cursor": pattern})).cursor.unwrap();
    assert_eq!(pattern.format, CursorFormat::Pattern("%d/%m/%Y".into()));
    assert_eq!(pattern.time_zone.as_deref(), Some("Asia/Tokyo"));
    let page = stream(&json!({"pagination": {"page": {"param": "p", "sizeParam": "s", "size": 50}}})).pagination;
    assert_eq!(
        page,
        Pagination::Page { param: "p".into(), first: 1, size_param: "s".into(), size: 50, in_records: false }
    );
}

#[test]
fn a_windows_bounds_get_into_the_request_in_one_way() {
    let cursor = |members: Value| {
        let mut cursor = json!({"field": "/at"});
        cursor.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        cursor
    };
    for (changes, problem) in [
        (json!({"cursor": cursor(json!({}))}), "say how the window's lower bound"),
        (
            json!({"cursor": cursor(json!({"param": "s"})), "query": {"q": "{since}"}}),
            "lower bound goes into the request twice",
        ),
        (
            json!({"cursor": cursor(json!({"param": "s", "untilParam": "u"})), "query": {"q": "{until}"}}),
            "upper bound goes into the request twice",
        ),
        (json!({"cursor": cursor(json!({"param": "s", "windowSeconds": 3600}))}), "windowSeconds needs an upper bound"),
        (
            json!({"cursor": cursor(json!({"param": "s", "untilParam": "u", "windowSeconds": 300}))}),
            "more than lookbackSeconds",
        ),
        (
            json!({"cursor": cursor(json!({"param": "s", "untilParam": "u", "format": "Counter"}))}),
            "windows of counters have none",
        ),
        (json!({"cursor": cursor(json!({"param": "s", "format": "Pattern", "pattern": "%H"}))}), "year, month and day"),
        (json!({"cursor": cursor(json!({"param": "s", "format": "Date", "timeZone": "Mars"}))}), "no time zone `Mars`"),
    ] {
        let message = found(&changes);
        assert!(message.contains("streams[orders].cursor") && message.contains(problem), "{message}");
    }
}

#[test]
fn a_name_in_a_request_has_to_stand_for_something() {
    for (changes, problem) in [
        (json!({"query": {"q": "{sinse}"}}), "`{sinse}` is not known here; known are {apiVersion}, {since}"),
        (json!({"query": {"q": "{since}"}}), "`{since}` stands in the request: set cursor"),
        (json!({"path": "/x/{cursor}"}), "`{cursor}` stands in the request: set pagination.cursor"),
        (json!({"method": "POST", "body": ["{pageSize}"]}), "`{pageSize}` stands in the request"),
        (json!({"body": {}}), "streams[orders].body: set method to POST"),
        (json!({"method": "POST", "body": "x".repeat(20_000)}), "at most 16384 are taken"),
        (json!({"headers": {"a": "{since}"}}), "known are {apiVersion}"),
        (json!({"pagination": {"cursor": {"pointer": "/c"}}}), "say how the cursor goes into the request"),
        (
            json!({"pagination": {"cursor": {"pointer": "/c", "param": "c"}}, "query": {"c": "{cursor}"}}),
            "goes into the request twice",
        ),
        (json!({"pagination": {"cursor": {"param": "c"}}}), "exactly one of pointer and lastRecord"),
    ] {
        let message = found(&changes);
        assert!(message.contains(problem), "{message}");
    }
    let braces = stream(
        &json!({"query": {"q": r#"{"at": {"$gte": "{since}"}} and {Last Modified}"#}, "cursor": {"field": "/at"}}),
    );
    assert_eq!(braces.query["q"], r#"{"at": {"$gte": "{since}"}} and {Last Modified}"#);
}

#[test]
fn a_flow_begins_where_its_stream_can_be_asked_for() {
    let counter = source(&json!({"cursor": {"field": "/n", "param": "from", "format": "Counter"}}));
    let slices = source(&json!({"cursor": {"field": "/at", "param": "s", "untilParam": "u", "windowSeconds": 86_400}}));
    let start = |text: &str| with(orders(), "/spec/flows/0/startFrom", json!(text));
    for (source, text, problem) in [
        (&counter, "Now", "set it to Beginning: the stream `orders` counts"),
        (&counter, "2026-07-01T00:00:00Z", "set it to Beginning: the stream `orders` counts"),
        (&slices, "Beginning", "set it to Now or to a time"),
    ] {
        let message = only(&compile(source.clone(), netsuite(), start(text))).1;
        assert!(message.starts_with("spec.flows[orders].startFrom") && message.contains(problem), "{message}");
    }
    assert!(compile(slices, netsuite(), start("2026-07-01T00:00:00Z")).value.is_some());
    let listed = source(&json!({"cursor": null}));
    for text in ["Now", "2026-07-01T00:00:00Z"] {
        let message = only(&compile(listed.clone(), netsuite(), start(text))).1;
        assert!(message.contains("set it to Beginning: the stream `orders` has no cursor"), "{message}");
    }
    assert!(compile(listed.clone(), netsuite(), start("Beginning")).value.is_some());
    let silent = with(orders(), "/spec/flows/0/startFrom", json!(null));
    assert!(compile(listed, netsuite(), silent).value.is_some());
}

#[test]
fn other_formats_of_responses_are_resolved() {
    let csv = stream(&json!({"format": "Csv", "csv": {"delimiter": ";", "columns": ["id", "at"]}})).format;
    assert_eq!(csv, Format::Csv { delimiter: ';', columns: vec!["id".into(), "at".into()] });
    assert_eq!(stream(&json!({"format": "Csv"})).format, Format::Csv { delimiter: ',', columns: Vec::new() });
    assert_eq!(stream(&json!({"format": "Xml", "records": "/feed/entry"})).format, Format::Xml);
    for (changes, problem) in [
        (json!({"csv": {}}), "streams[orders].csv: set format to Csv as well"),
        (json!({"format": "Csv", "csv": {"delimiter": "\""}}), "csv.delimiter: write one ASCII character"),
        (json!({"format": "Csv", "csv": {"delimiter": "ü"}}), "csv.delimiter: write one ASCII character"),
    ] {
        let message = found(&changes);
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn a_depth_that_the_vendor_allows_needs_a_cursor_to_go_on_from() {
    let pagination = json!({"linkHeader": {}, "depthCap": {"records": 10_000}});
    let capped = stream(&json!({"pagination": pagination, "cursor": {"field": "/at", "param": "s"}}));
    assert_eq!((capped.depth_cap, capped.pagination), (Some(10_000), Pagination::LinkHeader));
    let message = found(&json!({"pagination": pagination}));
    assert!(message.contains("pagination.depthCap: set cursor"), "{message}");
    let links = stream(&json!({"pagination": {"deltaLink": {"next": "/n", "delta": "/d"}}})).pagination;
    assert_eq!(links, Pagination::DeltaLink { next: "/n".into(), delta: "/d".into() });
}

#[test]
fn children_are_read_for_the_records_of_one_other_stream() {
    let customers = json!({"name": "customers", "path": "/customers", "key": "/id", "version": "/at",
        "cursor": {"field": "/at", "param": "s"}});
    let with_parent = |changes: &Value| {
        let mut connector = source(changes);
        connector["spec"]["streams"].as_array_mut().unwrap().push(customers.clone());
        compile(connector, netsuite(), orders())
    };
    let path = "/customers/{parent.key}/{parent.shop.id}/orders";
    let compiled = with_parent(&json!({"path": path, "parent": {"stream": "customers"}}));
    let plan = compiled.value.unwrap();
    let child = &plan.flows[0].stream;
    let parent = child.parent.as_ref().unwrap();
    assert_eq!((parent.key.as_str(), child.path.as_str(), plan.format_version), ("/id", path, 3));
    assert_eq!(child.leading().name, "customers");
    assert_eq!(child.parent_names(), ["parent.key", "parent.shop.id"]);
    let uses = json!({"path": path, "parent": {"stream": "customers"}});
    let and = |name: &str, value: Value| with(uses.clone(), name, value);
    for (changes, problem) in [
        (and("/parent", json!({"stream": "shops"})), "this Connector has no stream `shops`"),
        (and("/parent", json!({"stream": "orders"})), "has a parent itself"),
        (and("/path", json!("/orders")), "say in path, query or body which parent is meant"),
        (and("/cursor", json!({"field": "/at", "param": "s"})), "leave cursor out"),
        (and("/pagination", json!({"deltaLink": {"next": "/n", "delta": "/d"}})), "use nextURL in place of deltaLink"),
        (json!({"path": path}), "`{parent.key}` is not known here"),
    ] {
        let message = only(&with_parent(&changes)).1;
        assert!(message.contains(problem), "{message}");
    }
}
