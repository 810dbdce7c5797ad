//! HubSpot's, Intercom's and Salesforce's dialects: what integrations rely on, and what is refused in the vendors' own words.

use reqwest::Method;
use serde_json::{Value, json};

use crosstie_vendors::wire::{Fault, FaultRule};

use crate::fixture::{Answer, Fixture};

const DEALS: &str = "/crm/objects/2026-09/deals";

fn search(from: i64, after: Option<&str>) -> Value {
    json!({
        "filterGroups": [{"filters": [{"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": from.to_string()}]}],
        "sorts": [{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}], "limit": 200, "after": after,
    })
}

fn ids(answer: &Answer, list: &str) -> Vec<String> {
    answer.body[list].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn hubspot_finds_changed_deals_page_by_page_and_goes_no_deeper_than_ten_thousand() {
    let fixture = Fixture::bearer("hubspot").await;
    fixture.seed("deals", 450).await;
    let from = "2026-07-01T00:00:10Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let first = fixture.send(Method::POST, &format!("{DEALS}/search"), &search(from, None)).await;
    assert_eq!((first.status, &first.body["total"]), (200, &json!(440)));
    assert_eq!((ids(&first, "results").len(), ids(&first, "results")[0].as_str()), (200, "11"));
    assert_eq!(first.body["results"][0]["properties"]["hs_lastmodifieddate"], "2026-07-01T00:00:10.000Z");
    let after = first.body["paging"]["next"]["after"].as_str();
    let second = fixture.send(Method::POST, &format!("{DEALS}/search"), &search(from, after)).await;
    assert_eq!(ids(&second, "results")[0], "211");
    let last = fixture.send(Method::POST, &format!("{DEALS}/search"), &search(from, Some("400"))).await;
    assert!(ids(&last, "results").len() == 40 && last.body["paging"].is_null());
    let deep = fixture.send(Method::POST, &format!("{DEALS}/search"), &search(from, Some("9900"))).await;
    assert_eq!((deep.status, &deep.body["category"]), (400, &json!("VALIDATION_ERROR")));
}

#[tokio::test]
async fn hubspot_upserts_in_batches_and_tells_of_rows_only_by_their_trace_ids() {
    let fixture = Fixture::bearer("hubspot").await;
    let input = |id: &str, traced: bool| {
        let trace = traced.then(|| format!("trace-{id}"));
        json!({"id": id, "idProperty": "external_id", "objectWriteTraceId": trace, "properties": {"amount": 12.5, "dealname": id}})
    };
    let upsert = |inputs: Vec<Value>| fixture_send(&fixture, inputs);
    let made = upsert(vec![input("a", false), input("b", false)]).await;
    assert_eq!((made.status, &made.body["results"][0]["properties"]["external_id"]), (200, &json!("b")), "in no order");
    assert_eq!(
        (&made.body["results"][1]["new"], &made.body["results"][1]["properties"]["amount"]),
        (&json!(true), &json!("12.5"))
    );
    fixture
        .control
        .add_fault(&FaultRule::new(Fault::RefuseRows { percent: 100, containing: Some("poison".into()), seed: 0 }))
        .await
        .unwrap();
    let whole = upsert(vec![input("c", false), input("poison", false)]).await;
    assert_eq!(whole.status, 400, "without trace ids one bad row refuses all");
    let rows = upsert(vec![input("a", true), input("poison", true)]).await;
    assert_eq!(
        (rows.status, &rows.body["numErrors"], &rows.body["results"][0]["new"]),
        (207, &json!(1), &json!(false))
    );
    assert_eq!(rows.body["errors"][0]["context"]["objectWriteTraceId"], json!(["trace-poison"]));
    let found = fixture.get(&format!("{DEALS}/a?idProperty=external_id")).await;
    assert_eq!((found.status, &found.body["properties"]["dealname"]), (200, &json!("a")));
    assert_eq!(fixture.get(&format!("{DEALS}/c?idProperty=external_id")).await.status, 404);
    assert_eq!(fixture.get("/crm/objects/2019-01/deals/a").await.status, 404, "a version that is not served");
    assert_eq!(fixture.get(DEALS).await.header("x-hubspot-ratelimit-max"), "190");
}

async fn fixture_send(fixture: &Fixture, inputs: Vec<Value>) -> Answer {
    fixture.send(Method::POST, &format!("{DEALS}/batch/upsert"), &json!({"inputs": inputs})).await
}

#[tokio::test]
async fn intercom_searches_by_dates_and_refuses_a_contact_that_is_there() {
    let fixture = Fixture::bearer("intercom").await;
    fixture.seed("conversations", 30).await;
    let since = "2026-07-01T00:00:09Z".parse::<jiff::Timestamp>().unwrap().as_second().to_string();
    let filter = json!({"field": "updated_at", "operator": ">", "value": since});
    let body = json!({"query": {"operator": "AND", "value": [filter]}, "pagination": {"per_page": 15}});
    let first = fixture.send(Method::POST, "/conversations/search", &body).await;
    assert_eq!((first.status, &first.body["total_count"]), (200, &json!(20)));
    let after = first.body["pages"]["next"]["starting_after"].as_str().unwrap();
    let body = json!({"query": body["query"], "pagination": {"per_page": 15, "starting_after": after}});
    let second = fixture.send(Method::POST, "/conversations/search", &body).await;
    assert!(ids(&second, "conversations").len() == 5 && second.body["pages"]["next"].is_null());
    let made = fixture.send(Method::POST, "/contacts", &json!({"external_id": "c/1", "email": "a@b.c"})).await;
    assert_eq!(made.status, 200);
    let again = fixture.send(Method::POST, "/contacts", &json!({"external_id": "c/1"})).await;
    assert_eq!((again.status, &again.body["errors"][0]["code"]), (409, &json!("conflict")));
    let found = fixture.get("/contacts/find_by_external_id/c%2F1").await;
    assert_eq!((&found.body["id"], found.header("intercom-version")), (&made.body["id"], "2.13"));
    let old = fixture.request(Method::GET, "/me").header("Intercom-Version", "1.0").send().await.unwrap();
    assert_eq!(Answer::read(old).await.body["errors"][0]["code"], "intercom_version_invalid");
}

#[tokio::test]
async fn salesforce_answers_queries_in_pages_that_name_the_next_one() {
    let fixture = Fixture::salesforce().await;
    fixture.seed("Account", 450).await;
    let soql = "SELECT Id, Name, IsDeleted, SystemModstamp FROM Account WHERE SystemModstamp >= 2026-07-01T00:00:10Z \
                AND SystemModstamp <= 2026-07-01T00:06:00Z ORDER BY SystemModstamp";
    let request = fixture.request(Method::GET, "/services/data/v67.0/queryAll").query(&[("q", soql)]);
    let first = Answer::read(request.header("Sforce-Query-Options", "batchSize=200").send().await.unwrap()).await;
    assert_eq!((first.status, &first.body["totalSize"], &first.body["done"]), (200, &json!(351), &json!(false)));
    assert_eq!(first.body["records"][0]["SystemModstamp"], "2026-07-01T00:00:10.000+0000");
    assert_eq!(first.header("sforce-limit-info"), "api-usage=18/100000");
    let next = first.body["nextRecordsUrl"].as_str().unwrap();
    assert!(next.starts_with("/salesforce/main/services/data/v67.0/query/"), "{next}");
    let second = fixture.get(next.trim_start_matches("/salesforce/main")).await;
    assert_eq!((second.body["records"].as_array().unwrap().len(), &second.body["done"]), (151, &json!(true)));
    for (soql, code) in [("SELECT", "MALFORMED_QUERY"), ("SELECT Id FROM Nothing", "INVALID_TYPE")] {
        let request = fixture.request(Method::GET, "/services/data/v67.0/query").query(&[("q", soql)]);
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!((answer.status, &answer.body[0]["errorCode"]), (400, &json!(code)));
    }
}
