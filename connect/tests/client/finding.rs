//! Writes that look before they write: create or update by what is found, over the state that was seen, with answers that never come.

use crosstie_connect::{FailureKind, LookedUp, Outgoing, VendorClient, Written};
use crosstie_engine::plan::{Operation, System};
use serde_json::{Value, json};

use crate::{
    fixtures::{body, client, hasty, system},
    scripted::{Reply, Request, Scripted, bare, json},
};

/// Looks orders up by their external id, creates and updates them.
fn operation(more: &Value) -> Operation {
    let lookup = json!({
        "path": "/search", "query": {"ext": "{body.externalId}"}, "key": "/fields/externalId", "keyField": "externalId",
        "settleSeconds": 0, "place": "/issues",
        "evidence": {"record": "/fields", "identifier": "/id", "proof": "Fields"},
    });
    let mut operation = json!({
        "name": "upsert", "method": "POST", "path": "/issues", "query": {}, "headers": {},
        "shape": {"wrap": "/fields"}, "identifier": {"pointer": "/id"},
        "find": {"lookup": lookup, "method": "PUT", "path": "/issues/{identifier}", "query": {}, "shape": {"wrap": "/fields"}},
        "outcome": {"idempotency": null, "lookup": lookup},
    });
    operation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(operation).unwrap()
}

async fn put(client: &VendorClient, operation: &Operation, identifier: Option<&str>) -> Written {
    client.write(operation, Outgoing { body: &body().into(), identifier, idempotency_key: None }).await
}

fn issue(id: &str, key: &str) -> Value {
    json!({"id": id, "fields": {"externalId": key, "memo": "jane@example.com"}})
}

fn issues(issues: &[Value]) -> Reply {
    json(200, &json!({"issues": issues}))
}

fn identifier(written: Written) -> Option<String> {
    match written {
        Written::Applied { identifier, .. } => identifier,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_not_there_is_created_and_what_is_there_is_updated() {
    for (found, expected) in [
        (vec![], ["GET /search?ext=5001", "POST /issues"]),
        (vec![issue("77", "5001")], ["GET /search?ext=5001", "PUT /issues/77"]),
    ] {
        let vendor = Scripted::start(
            move |request, _| {
                if request.is("GET") { issues(&found) } else { json(200, &json!({"id": "77"})) }
            },
        )
        .await;
        let written = put(&client(&system(&vendor.base_url)), &operation(&json!({})), None).await;
        assert_eq!(identifier(written).as_deref(), Some("77"));
        assert_eq!(vendor.lines(), expected);
        let sent: Value = serde_json::from_str(&vendor.requests()[1].body).unwrap();
        assert_eq!(sent, json!({"fields": body()}));
    }
}

#[tokio::test]
async fn what_only_a_create_carries_goes_over_no_record_that_is_there() {
    let owned = json!({"ownership": {"destinationOwned": ["memo"]}});
    let rest = json!({"fields": {"externalId": "5001"}});
    for (found, known, expected) in [
        (vec![], None, json!({"fields": body()})),
        (vec![issue("77", "5001")], None, rest.clone()),
        (vec![], Some("77"), rest),
    ] {
        let vendor = Scripted::start(
            move |request, _| {
                if request.is("GET") { issues(&found) } else { json(200, &json!({"id": "77"})) }
            },
        )
        .await;
        let written = put(&client(&system(&vendor.base_url)), &operation(&owned), known).await;
        assert_eq!(identifier(written).as_deref(), Some("77"));
        let sent: Value = serde_json::from_str(&vendor.requests().last().unwrap().body).unwrap();
        assert_eq!(sent, expected, "{known:?}");
    }
}

#[tokio::test]
async fn a_record_that_was_written_before_is_updated_without_looking() {
    let vendor = Scripted::start(|_, _| bare(204, "")).await;
    let written = put(&client(&system(&vendor.base_url)), &operation(&json!({})), Some("9")).await;
    assert_eq!(identifier(written).as_deref(), Some("9"), "an update need not name what it is called");
    assert_eq!(vendor.lines(), ["PUT /issues/9"]);
}

#[tokio::test]
async fn a_record_that_is_gone_since_it_was_written_is_looked_for_before_it_is_made_again() {
    let vendor = Scripted::start(|request, _| match request.line.as_str() {
        "PUT /issues/9" => bare(404, ""),
        line if line.starts_with("GET") => issues(&[]),
        _ => json(201, &json!({"id": "10"})),
    })
    .await;
    let written = put(&client(&system(&vendor.base_url)), &operation(&json!({})), Some("9")).await;
    assert_eq!(identifier(written).as_deref(), Some("10"));
    assert_eq!(vendor.lines(), ["PUT /issues/9", "GET /search?ext=5001", "POST /issues"]);
}

#[tokio::test]
async fn what_is_only_to_be_changed_is_not_created_where_it_is_not_there_or_not_any_more() {
    let only_there = operation(&json!({"onlyThere": "Itself"}));
    for (known, expected) in
        [(None, vec!["GET /search?ext=5001"]), (Some("9"), vec!["PUT /issues/9", "GET /search?ext=5001"])]
    {
        let vendor = Scripted::start(|request, _| if request.is("GET") { issues(&[]) } else { bare(404, "") }).await;
        let written = put(&client(&system(&vendor.base_url)), &only_there, known).await;
        assert!(matches!(written, Written::Missing), "{written:?}");
        assert_eq!(vendor.lines(), expected);
    }
    let vendor = Scripted::start(move |request, _| {
        if request.is("GET") { issues(&[issue("77", "5001")]) } else { json(200, &json!({"id": "77"})) }
    })
    .await;
    let written = put(&client(&system(&vendor.base_url)), &only_there, None).await;
    assert_eq!(identifier(written).as_deref(), Some("77"));
}

#[tokio::test]
async fn where_an_operation_makes_nothing_404_and_410_say_that_the_record_is_not_there() {
    for (status, is_missing) in [(404, true), (410, true), (409, false), (422, false)] {
        let vendor = Scripted::start(move |_, _| bare(status, "")).await;
        let answers =
            json!({"onlyThere": "Answer", "find": null, "method": "PUT", "path": "/issues/{body.externalId}"});
        let written = put(&client(&system(&vendor.base_url)), &operation(&answers), None).await;
        assert_eq!(matches!(written, Written::Missing), is_missing, "{status}: {written:?}");
        let shared = operation(&json!({"onlyThere": "Answer", "find": null}));
        let written = put(&client(&system(&vendor.base_url)), &shared, None).await;
        assert!(matches!(written, Written::Refused { .. }), "{status}: {written:?}");
    }
}

/// What a search under a wrong path, or of a version that is served no more, is answered.
async fn nowhere() -> Scripted {
    Scripted::start(|request, _| {
        if request.is("GET") || request.is("POST /search") {
            Reply::Answer(404, "X-Request-Id: r-4\r\n", String::new())
        } else {
            json(201, &json!({"id": "10"}))
        }
    })
    .await
}

#[tokio::test]
async fn a_search_that_is_not_found_says_of_no_record_that_it_is_absent() {
    let found = |more: Value| {
        let mut lookup = json!({"key": "/fields/externalId", "keyField": "externalId", "settleSeconds": 0, "place": "/issues",
            "evidence": {"identifier": "/id"}, "query": {}});
        lookup.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let find = json!({"lookup": lookup, "method": "PUT", "path": "/issues/{identifier}", "query": {}});
        operation(&json!({"find": find, "outcome": {"idempotency": null, "lookup": lookup}}))
    };
    for (searched, line) in [
        (json!({"path": "/search", "query": {"ext": "{body.externalId}"}}), "GET /search?ext=5001"),
        (json!({"path": "/search?ext={body.externalId}"}), "GET /search?ext=5001"),
        (json!({"path": "/search", "body": {"ext": "{body.externalId}"}}), "POST /search"),
        // A room that is missing says of no post in it that it is absent.
        (json!({"path": "/rooms/{body.memo}/posts"}), "GET /rooms/jane%40example.com/posts"),
    ] {
        let (vendor, operation) = (nowhere().await, found(searched));
        let client = client(&system(&vendor.base_url));
        let Written::NotSent { failure } = put(&client, &operation, None).await else { panic!("written: {line}") };
        assert_eq!((failure.kind, failure.status), (FailureKind::Refused, Some(404)));
        assert_eq!(failure.request_id.as_deref(), Some("r-4"));
        assert!(
            ["`{body.externalId}`", "check path and API version", "means Ignore"]
                .iter()
                .all(|said| failure.detail.contains(said)),
            "{failure}"
        );
        // Nor is a write whose answer was lost taken for one that was not applied.
        let lookup = operation.outcome.lookup.as_ref().unwrap();
        let doubted = client.look_up(&operation, lookup, &body(), jiff::Timestamp::now()).await;
        assert_eq!(doubted.unwrap_err().kind, FailureKind::Refused);
        assert_eq!(vendor.lines(), [line, line], "nothing was written");
    }
    let (vendor, operation) = (nowhere().await, found(json!({"path": "/issues/by-ext/{body.externalId}"})));
    let written = put(&client(&system(&vendor.base_url)), &operation, None).await;
    assert_eq!(identifier(written).as_deref(), Some("10"), "of a record's own path it says that it is absent");
}

#[tokio::test]
async fn a_rule_can_say_that_a_search_is_answered_404_where_there_is_none() {
    let vendor = Scripted::start(|request, _| {
        if request.is("GET") { json(404, &json!({"code": "none"})) } else { json(201, &json!({"id": "10"})) }
    })
    .await;
    let rule =
        json!({"when": {"statuses": [404], "body": {"pointer": "/code", "test": {"in": ["none"]}}}, "means": "Ignore"});
    let system = System { errors: vec![serde_json::from_value(rule).unwrap()], ..system(&vendor.base_url) };
    let written = put(&client(&system), &operation(&json!({})), None).await;
    assert_eq!(identifier(written).as_deref(), Some("10"));
}

#[tokio::test]
async fn nothing_is_written_over_strangers_or_where_several_answer() {
    for (found, said) in [
        (vec![issue("1", "5002")], "another record stands"),
        (vec![issue("1", "5001"), issue("2", "5001")], "several records answer"),
    ] {
        let vendor = Scripted::start(move |_, _| issues(&found)).await;
        let written = put(&client(&system(&vendor.base_url)), &operation(&json!({})), None).await;
        let Written::Refused { fault } = written else { panic!("{written:?}") };
        assert!(fault.detail.contains(said) && !fault.detail.contains("jane"), "{}", fault.detail);
        assert_eq!(vendor.lines().len(), 1, "nothing was written");
    }
}

#[tokio::test]
async fn a_look_that_fails_leaves_no_doubt_because_nothing_was_written() {
    for reply in [|| bare(503, ""), || Reply::Silence, || Reply::Answer(200, "", "<html>".into())] {
        let vendor = Scripted::start(move |_, _| reply()).await;
        let written = put(&hasty(&system(&vendor.base_url)), &operation(&json!({})), None).await;
        assert!(matches!(written, Written::NotSent { .. }), "{written:?}");
        assert!(vendor.lines().iter().all(|line| line.starts_with("GET")));
    }
}

#[tokio::test]
async fn an_answer_without_the_list_that_is_searched_says_of_no_record_that_it_is_absent() {
    for said in [json!({"errorMessages": ["no such field"]}), json!({"issues": "none"}), json!({"total": 0})] {
        let vendor =
            Scripted::start(
                move |request, _| {
                    if request.is("GET") { json(200, &said) } else { json(201, &json!({"id": "10"})) }
                },
            )
            .await;
        let (client, operation) = (client(&system(&vendor.base_url)), operation(&json!({})));
        let Written::NotSent { failure } = put(&client, &operation, None).await else { panic!("written") };
        assert_eq!((failure.kind, failure.status), (FailureKind::Malformed, Some(200)));
        assert!(failure.detail.contains("`/issues`") && failure.detail.contains("correct `record`"), "{failure}");
        // Nor is a write whose answer was lost taken for one that was not applied.
        let lookup = operation.outcome.lookup.as_ref().unwrap();
        let doubted = client.look_up(&operation, lookup, &body(), jiff::Timestamp::now()).await;
        assert_eq!(doubted.unwrap_err().kind, FailureKind::Malformed);
        assert!(vendor.lines().iter().all(|line| line.starts_with("GET")), "nothing was written");
    }
}

/// What was created so far: each POST that came.
fn created(before: &[Request]) -> Vec<Value> {
    let posts = before.iter().filter(|request| request.is("POST"));
    posts
        .map(|request| json!({"id": "77", "fields": serde_json::from_str::<Value>(&request.body).unwrap()["fields"]}))
        .collect()
}

#[tokio::test]
async fn a_create_whose_answer_never_came_is_found_and_not_made_twice() {
    let vendor = Scripted::start(|request, before| {
        if request.is("GET") {
            issues(&created(before))
        } else if request.is("POST") {
            Reply::Silence
        } else {
            bare(204, "")
        }
    })
    .await;
    let (client, operation) = (hasty(&system(&vendor.base_url)), operation(&json!({})));
    let written = put(&client, &operation, None).await;
    let Written::Unknown { failure } = written else { panic!("{written:?}") };
    assert_eq!(failure.kind, FailureKind::TimedOut);
    let lookup = operation.outcome.lookup.clone().unwrap();
    let found = client.look_up(&operation, &lookup, &body(), jiff::Timestamp::now()).await.unwrap();
    assert_eq!(found, LookedUp::Present { body: issue("77", "5001") }, "what the protocol then decides by");
    // And were it sent again all the same, it would be an update.
    assert_eq!(identifier(put(&client, &operation, None).await).as_deref(), Some("77"));
    assert_eq!(vendor.lines().iter().filter(|line| line.starts_with("POST")).count(), 1);
}

#[tokio::test]
async fn a_search_may_ask_its_question_in_a_body() {
    let mut searching = operation(&json!({}));
    let find = searching.find.as_mut().unwrap();
    find.lookup.query.clear();
    find.lookup.body = json!({"filter": {"field": "ext", "value": "{body.externalId}"}}).as_object().cloned();
    let vendor = Scripted::start(
        |request, _| if request.is("POST /search") { issues(&[]) } else { json(201, &json!({"id": "1"})) },
    )
    .await;
    put(&client(&system(&vendor.base_url)), &searching, None).await;
    let requests = vendor.requests();
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    let asked: Value = serde_json::from_str(&requests[0].body).unwrap();
    assert_eq!(asked, json!({"filter": {"field": "ext", "value": "5001"}}));
    assert!(requests[1].is("POST /issues"));
}

#[tokio::test]
async fn a_key_that_makes_resending_safe_stands_for_one_request() {
    let with_key =
        json!({"outcome": {"idempotency": {"header": "Idempotency-Key", "windowSeconds": 600}, "lookup": null}});
    let vendor = Scripted::start(|request, before| {
        if request.is("GET") {
            issues(&created(before))
        } else if request.is("POST") {
            Reply::Silence
        } else {
            bare(204, "")
        }
    })
    .await;
    let (client, operation) = (hasty(&system(&vendor.base_url)), operation(&with_key));
    for _ in 0..2 {
        client.write(&operation, Outgoing { body: &body().into(), identifier: None, idempotency_key: Some("k") }).await;
    }
    let keys: Vec<Option<String>> =
        vendor.requests().iter().map(|request| request.header("idempotency-key").map(str::to_owned)).collect();
    assert_eq!(keys, [None, Some("k".into()), None, Some("k-u".into())]);
}

/// Writes by PUT over the state that a look-up saw.
fn versioned() -> (Operation, fn(&str) -> System) {
    let lookup = json!({
        "path": "/orders/{body.externalId}", "query": {}, "key": "/externalId", "keyField": "externalId", "settleSeconds": 0,
    });
    let operation = json!({
        "name": "put", "method": "PUT", "path": "/orders/{body.externalId}", "query": {}, "headers": {}, "ifMatch": {},
        "identifier": null, "outcome": {"idempotency": null, "lookup": lookup},
    });
    (serde_json::from_value(operation).unwrap(), system)
}

#[tokio::test]
async fn a_record_is_written_over_only_as_it_was_seen_and_looked_at_again_when_it_changed() {
    let vendor = Scripted::start(|request, before| {
        let writes = before.iter().filter(|request| request.is("PUT")).count();
        let (tag, fits) = if writes == 0 { ("ETag: W/\"1\"\r\n", false) } else { ("ETag: W/\"2\"\r\n", true) };
        match (request.is("GET"), fits) {
            (true, _) => Reply::Answer(200, tag, json!({"externalId": "5001"}).to_string()),
            (false, false) => bare(412, ""),
            (false, true) => bare(204, ""),
        }
    })
    .await;
    let (operation, system) = versioned();
    let written = put(&client(&system(&vendor.base_url)), &operation, None).await;
    assert!(matches!(written, Written::Applied { .. }), "{written:?}");
    let tags: Vec<Option<String>> =
        vendor.requests().iter().map(|request| request.header("if-match").map(str::to_owned)).collect();
    assert_eq!(tags, [None, Some("W/\"1\"".into()), None, Some("W/\"2\"".into())]);
}

#[tokio::test]
async fn a_record_that_is_not_there_is_put_only_where_nothing_is() {
    let vendor = Scripted::start(|request, _| if request.is("GET") { bare(404, "") } else { bare(201, "") }).await;
    let (operation, system) = versioned();
    put(&client(&system(&vendor.base_url)), &operation, None).await;
    assert_eq!(vendor.requests()[1].header("if-none-match"), Some("*"));
}

#[tokio::test]
async fn a_record_that_changes_each_time_waits_and_one_without_a_tag_is_not_written() {
    let vendor = Scripted::start(|request, _| {
        if request.is("GET") {
            Reply::Answer(200, "ETag: \"1\"\r\n", json!({"externalId": "5001"}).to_string())
        } else {
            bare(412, "")
        }
    })
    .await;
    let (operation, system) = versioned();
    let written = put(&client(&system(&vendor.base_url)), &operation, None).await;
    let Written::NotSent { failure } = written else { panic!("{written:?}") };
    assert!(failure.detail.contains("changes each time"), "{failure}");
    assert_eq!(vendor.lines().len(), 6);
    let tagless = Scripted::start(|_, _| json(200, &json!({"externalId": "5001"}))).await;
    let written = put(&client(&system(&tagless.base_url)), &operation, None).await;
    let Written::Refused { fault } = written else { panic!("{written:?}") };
    assert!(fault.detail.contains("no entity tag"), "{}", fault.detail);
    assert_eq!(tagless.lines().len(), 1);
}
