//! Round trips through a whole worker: HubSpot, Zendesk, Jira, Intercom and Salesforce, each read page by page and each written, with calls
//! whose answer never comes. Every record arrives exactly once.

use std::collections::BTreeSet;

use crosstie_engine::plan::Trigger;
use crosstie_vendors::{
    control::Client,
    wire::{Fault, FaultRule},
};
use serde_json::{Value, json};

use crate::common::{Bench, PLENTY, until, until_report};

/// Credentials of every vendor here: those that take basic authentication need an email beside the token.
const CREDENTIALS: [(&str, &str); 2] = [("token", "token-1"), ("email", "agent@example.com")];

pub struct End<'a> {
    pub vendor: &'a str,
    pub preset: &'a str,
    /// Members of the Connector's spec beside preset, address and credentials.
    pub spec: Value,
}

pub fn end<'a>(vendor: &'a str, preset: &'a str) -> End<'a> {
    End { vendor, preset, spec: json!({}) }
}

fn connector(name: &str, end: &End, client: &Client) -> Value {
    let mut spec =
        json!({"preset": end.preset, "baseURL": client.base_url(), "credentials": {"secretRef": {"name": "x"}}});
    spec.as_object_mut().unwrap().extend(end.spec.as_object().unwrap().clone());
    json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    })
}

/// A bench with these two vendors instead of the shop and the books, and a plan that was compiled from documents.
pub async fn bench(source: &End<'_>, destination: &End<'_>, flow: &Value) -> Bench {
    let mut bench = Bench::new().await;
    // See `doubts`.
    bench.give_up_soon();
    bench.shop = bench.simulator.control(source.vendor, "source").unwrap();
    bench.books = bench.simulator.control(destination.vendor, "destination").unwrap();
    for client in [&bench.shop, &bench.books] {
        client.set_tokens(&["token-1"]).await.unwrap();
    }
    let documents = [connector("source", source, &bench.shop), connector("destination", destination, &bench.books)];
    let [from, to] = documents.map(|document| serde_json::from_value(document).unwrap());
    bench.plan = super::compiled(flow, &from, &to);
    // Presets wait for real vendors' indexes; the simulator has none.
    for flow in &mut bench.plan.flows {
        flow.triggers = vec![Trigger::EverySeconds(1)];
        for operation in [Some(&mut flow.operation), flow.delete_operation.as_mut()].into_iter().flatten() {
            let find = operation.find.as_mut().map(|find| &mut find.lookup);
            for lookup in [operation.outcome.lookup.as_mut(), find].into_iter().flatten() {
                lookup.settle_seconds = 1;
            }
        }
    }
    bench.plan.retry = crosstie_engine::plan::RetryPolicy { retries: 3, initial_seconds: 1, factor: 1, max_seconds: 1 };
    bench.write_plan();
    bench.write_shares(PLENTY);
    let values: serde_json::Map<String, Value> =
        CREDENTIALS.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    for name in ["source", "destination"] {
        let document = json!({"connector": name, "current": {"versionId": "v1", "values": values}});
        bench.write(&format!("credentials/{name}/credentials.json"), &document.to_string());
    }
    bench
}

pub fn flow(stream: &str, map: &Value, write: &Value) -> Value {
    json!({
        "name": "flow", "triggers": [{"everySeconds": 60}], "stream": stream, "startFrom": "Beginning", "map": map,
        "write": write,
    })
}

pub async fn seed(client: &Client, resource: &str, count: u64) {
    let start_time = "2026-01-01T00:00:00Z".parse().unwrap();
    let request = crosstie_vendors::wire::SeedRequest {
        resource: resource.into(),
        count,
        start_id: 1,
        start_time,
        step_millis: 1000,
        seed: 7,
        lines: None,
    };
    assert_eq!(client.seed(&request).await.unwrap(), count);
}

/// Some writes take effect and are never answered, or with an error, or with what is no JSON.
pub async fn doubts(client: &Client, method: &str, path: &str) {
    for (fault, seed) in
        [(Fault::TimeoutAfterCommit {}, 3), (Fault::ErrorAfterCommit { code: 502 }, 4), (Fault::MalformedBody {}, 5)]
    {
        let rule = FaultRule::new(fault).method(method).path_contains(path).percent(10, seed).times(3);
        client.add_fault(&rule).await.unwrap();
    }
}

/// How many writes were in doubt.
pub async fn doubted(client: &Client) -> u64 {
    client.faults().await.unwrap().iter().map(|fault| fault.applied).sum()
}

/// Waits until so many are delivered and nothing waits, and gives what the destination holds.
pub async fn delivered(bench: &Bench, count: i64, resource: &str) -> Vec<Value> {
    let worker = bench.start().await;
    until_report(&worker, &format!("{count} are delivered"), |report| {
        report.flows.first().is_some_and(|flow| flow.delivered == count && flow.queue_depth == 0)
    })
    .await;
    worker.stop().await;
    bench.books.records(resource, 0, 10_000).await.unwrap().items
}

pub fn distinct(records: &[Value], pointer: &str) -> usize {
    records.iter().filter_map(|record| record.pointer(pointer).map(Value::to_string)).collect::<BTreeSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_of_zendesk_become_issues_of_jira_once_each() {
    let map = json!({
        "project.key": "'SHOP'", "issuetype.name": "'Task'", "summary": "record.subject",
        "labels": "['zendesk-' + string(record.id), 'shop']",
    });
    let write = json!({"operation": "createIssue", "mode": "Create"});
    let bench = bench(&end("zendesk", "Zendesk"), &end("jira", "Jira"), &flow("tickets", &map, &write)).await;
    seed(&bench.shop, "tickets", 120).await;
    doubts(&bench.books, "POST", "/rest/api/3/issue").await;
    let issues = delivered(&bench, 120, "issues").await;
    assert!(doubted(&bench.books).await > 0);
    assert_eq!((issues.len(), distinct(&issues, "/fields/labels")), (120, 120));
}

/// A search that answers 404, as under a path that is wrong or a version that is served no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_jiras_search_is_not_there_no_issue_is_made_and_none_twice_that_was_in_doubt() {
    let map = json!({
        "project.key": "'SHOP'", "issuetype.name": "'Task'", "summary": "record.subject", "labels": "['zendesk-' + string(record.id)]",
    });
    for write in [json!({"operation": "upsertIssue"}), json!({"operation": "createIssue", "mode": "Create"})] {
        let bench = bench(&end("zendesk", "Zendesk"), &end("jira", "Jira"), &flow("tickets", &map, &write)).await;
        seed(&bench.shop, "tickets", 12).await;
        let gone = Fault::Status { code: 404, headers: [].into(), body: json!({}) };
        bench.books.add_fault(&FaultRule::new(gone).path_contains("/search/jql")).await.unwrap();
        // Written, and not answered: what is only created is then looked for.
        let unanswered = FaultRule::new(Fault::ErrorAfterCommit { code: 502 }).method("POST").times(1);
        bench.books.add_fault(&unanswered).await.unwrap();
        let worker = bench.start().await;
        until_report(&worker, "it says what is wrong", |report| {
            report.problems.iter().any(|problem| problem.message.contains("check path and API version"))
        })
        .await;
        let writes = bench.books.stats().await.unwrap().writes;
        assert_eq!(writes.keys_with_more_than_one_create.count, 0, "{writes:?}");
        if write["operation"] == "upsertIssue" {
            assert_eq!(writes.creates, 0, "{writes:?}");
        }
        bench.books.clear_faults().await.unwrap();
        until_report(&worker, "all are delivered", |report| {
            report.flows.first().is_some_and(|flow| flow.delivered == 12 && flow.queue_depth == 0)
        })
        .await;
        worker.stop().await;
        let issues = bench.books.records("issues", 0, 100).await.unwrap().items;
        assert_eq!((issues.len(), distinct(&issues, "/fields/labels")), (12, 12));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issues_of_jira_become_tickets_of_zendesk_once_each() {
    let map = json!({
        "external_id": "record.key", "subject": "record.fields.summary", "comment.body": "record.key",
    });
    let write = json!({"operation": "createTicket", "mode": "Create"});
    let bench = bench(&end("jira", "Jira"), &end("zendesk", "Zendesk"), &flow("issues", &map, &write)).await;
    seed(&bench.shop, "issues", 120).await;
    doubts(&bench.books, "POST", "/api/v2/tickets").await;
    let tickets = delivered(&bench, 120, "tickets").await;
    assert!(doubted(&bench.books).await > 0);
    assert_eq!((tickets.len(), distinct(&tickets, "/external_id")), (120, 120));
    let hits = bench.books.stats().await.unwrap().writes;
    assert_eq!(hits.creates, 120, "what is sent again with its key makes no second ticket");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_of_intercom_become_deals_of_hubspot_once_each() {
    let map = json!({
        "external_id": "'conversation-' + record.id", "dealname": "record.source.subject",
        "pipeline": "'default'", "dealstage": "'appointmentscheduled'",
    });
    let write = json!({"operation": "upsertDeal"});
    let flow = flow("conversations", &map, &write);
    let bench = bench(&end("intercom", "Intercom"), &end("hubspot", "HubSpot"), &flow).await;
    seed(&bench.shop, "conversations", 160).await;
    doubts(&bench.books, "POST", "/deals").await;
    let deals = delivered(&bench, 160, "deals").await;
    assert!(doubted(&bench.books).await > 0);
    assert_eq!((deals.len(), distinct(&deals, "/properties/external_id")), (160, 160));
    assert_eq!(bench.shop.stats().await.unwrap().last_requested_version.as_deref(), Some("2.15"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_of_salesforce_become_contacts_of_intercom_once_each() {
    let map = json!({"external_id": "record.Id", "name": "record.Name", "role": "'lead'"});
    let write = json!({"operation": "upsertContact"});
    let flow = flow("accounts", &map, &write);
    let bench = bench(&end("salesforce", "Salesforce"), &end("intercom", "Intercom"), &flow).await;
    seed(&bench.shop, "Account", 120).await;
    doubts(&bench.books, "POST", "/contacts").await;
    let contacts = delivered(&bench, 120, "contacts").await;
    assert!(doubted(&bench.books).await > 0);
    assert_eq!((contacts.len(), distinct(&contacts, "/external_id")), (120, 120));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_of_hubspot_are_written_again_when_they_change_and_the_newest_state_stays() {
    let map = json!({"external_id": "'user-' + string(record.id)", "email": "record.email"});
    let flow = flow("users", &map, &json!({"operation": "upsertContact"}));
    let bench = bench(&end("zendesk", "Zendesk"), &end("hubspot", "HubSpot"), &flow).await;
    seed(&bench.shop, "users", 130).await;
    doubts(&bench.books, "POST", "/objects/2026-09/contacts").await;
    let contacts = delivered(&bench, 130, "contacts").await;
    assert!(doubted(&bench.books).await > 0);
    assert_eq!((contacts.len(), distinct(&contacts, "/properties/external_id")), (130, 130));
    bench.shop.patch_record("users", "7", &json!({"email": "new@example.com"})).await.unwrap();
    let contacts = delivered(&bench, 131, "contacts").await;
    let changed: Vec<&Value> = contacts.iter().filter(|one| one["properties"]["external_id"] == "user-7").collect();
    assert_eq!((contacts.len(), changed.len()), (130, 1));
    assert_eq!(changed[0]["properties"]["email"], "new@example.com");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_of_hubspot_go_many_a_call_and_one_that_it_refuses_is_set_aside_alone() {
    let map = json!({"external_id": "'user-' + string(record.id)", "lastname": "record.name"});
    let flow = flow("users", &map, &json!({"operation": "upsertContact", "batchSize": 50}));
    let bench = bench(&end("zendesk", "Zendesk"), &end("hubspot", "HubSpot"), &flow).await;
    seed(&bench.shop, "users", 130).await;
    let refused = r#""properties":{"external_id":"user-7","#;
    let row = Fault::RefuseRows { percent: 100, containing: Some(refused.into()), seed: 0 };
    let alone = Fault::Status { code: 400, headers: [].into(), body: json!({"category": "VALIDATION_ERROR"}) };
    bench.books.add_fault(&FaultRule::new(row)).await.unwrap();
    bench.books.add_fault(&FaultRule::new(alone).method("POST").body_contains(&format!("{{{refused}"))).await.unwrap();
    // One call takes effect and is never answered: each of its records is looked for before anything is written again.
    let lost = FaultRule::new(Fault::TimeoutAfterCommit {}).path_contains("/contacts/batch/upsert").times(1);
    bench.books.add_fault(&lost).await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "all are settled", |report| {
        let flow = report.flows.first();
        flow.is_some_and(|flow| (flow.delivered, flow.dead_letters, flow.queue_depth) == (129, 1, 0))
    })
    .await;
    let letter = worker.letters().list(0, 10).await.unwrap().remove(0);
    assert_eq!((letter.key.as_str(), letter.status), ("7", Some(400)));
    worker.stop().await;
    let (writes, log) = (bench.books.stats().await.unwrap().writes, bench.books.log(0).await.unwrap().entries);
    assert_eq!((writes.creates, writes.updates), (129, 0));
    let batches = log.iter().filter(|entry| entry.path.ends_with("/contacts/batch/upsert")).count();
    assert!((3..=6).contains(&batches), "{batches} calls of many");
    // What a row called its record is known: a change of one needs no look.
    bench.shop.patch_record("users", "8", &json!({"name": "Changed"})).await.unwrap();
    let contacts = delivered(&bench, 130, "contacts").await;
    let changed: Vec<&Value> = contacts.iter().filter(|one| one["properties"]["lastname"] == "Changed").collect();
    assert_eq!((contacts.len(), changed.len()), (129, 1));
    let path = format!("/crm/objects/2026-09/contacts/{}", changed[0]["id"].as_str().unwrap());
    let since = bench.books.log(log.last().unwrap().sequence).await.unwrap().entries;
    let calls: Vec<(&str, &str)> = since.iter().map(|entry| (entry.method.as_str(), entry.path.as_str())).collect();
    assert_eq!(calls, [("PATCH", path.as_str())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deals_of_hubspot_become_orders_of_salesforce_across_restarts_and_follow_their_changes() {
    let map = json!({"External_Id__c": "record.id", "Name": "record.properties.dealname"});
    let flow = flow("deals", &map, &json!({"operation": "upsertCustomOrder"}));
    let bench = bench(&end("hubspot", "HubSpot"), &end("salesforce", "Salesforce"), &flow).await;
    seed(&bench.shop, "deals", 430).await;
    doubts(&bench.books, "PATCH", "/sobjects/Order__c").await;
    for written in [40, 190] {
        let worker = bench.start().await;
        until("some are written", || async { bench.books.stats().await.unwrap().writes.creates >= written }).await;
        worker.stop().await;
    }
    let orders = delivered(&bench, 430, "Order__c").await;
    assert!(doubted(&bench.books).await > 0);
    assert_eq!((orders.len(), distinct(&orders, "/External_Id__c")), (430, 430));
    bench.shop.patch_record("deals", "5", &json!({"properties": {"dealname": "Renamed"}})).await.unwrap();
    let orders = delivered(&bench, 431, "Order__c").await;
    let renamed = orders.iter().filter(|order| order["Name"] == "Renamed").count();
    assert_eq!((orders.len(), renamed), (430, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issue_of_jira_is_updated_when_its_ticket_changes_also_by_a_worker_that_lost_what_it_knew() {
    let map = json!({
        "project.key": "'SHOP'", "issuetype.name": "'Task'", "summary": "record.subject",
        "labels": "['zendesk-' + string(record.id)]",
    });
    let flow = flow("tickets", &map, &json!({"operation": "upsertIssue"}));
    let bench = bench(&end("zendesk", "Zendesk"), &end("jira", "Jira"), &flow).await;
    seed(&bench.shop, "tickets", 40).await;
    doubts(&bench.books, "POST", "/rest/api/3/issue").await;
    assert_eq!(delivered(&bench, 40, "issues").await.len(), 40);
    // A store from nothing: every ticket is new to it, and every issue is there.
    std::fs::remove_dir_all(bench.state()).unwrap();
    bench.shop.patch_record("tickets", "7", &json!({"subject": "Changed"})).await.unwrap();
    let issues = delivered(&bench, 40, "issues").await;
    let changed: Vec<&Value> = issues.iter().filter(|issue| issue["fields"]["summary"] == "Changed").collect();
    assert_eq!((issues.len(), changed.len()), (40, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_reaches_no_deeper_goes_on_from_the_last_deal_it_showed() {
    let cursor = json!({"pointer": "/paging/next/after", "size": 100});
    let pagination = json!({"cursor": cursor, "depthCap": {"records": 500}});
    let source =
        End { spec: json!({"streams": [{"name": "deals", "pagination": pagination}]}), ..end("hubspot", "HubSpot") };
    let map = json!({"External_Id__c": "record.id", "Name": "record.properties.dealname"});
    let mut flow = flow("deals", &map, &json!({"operation": "upsertCustomOrder"}));
    flow["when"] = json!("int(record.id) > 1190");
    let bench = bench(&source, &end("salesforce", "Salesforce"), &flow).await;
    bench.shop.change_settings(&json!({"pageSizeMax": 10, "pageSizeDefault": 10})).await.unwrap();
    seed(&bench.shop, "deals", 1200).await;
    assert_eq!(delivered(&bench, 10, "Order__c").await.len(), 10);
}
