//! Salesforce's dialect: upserts by external id, one by one and in collections.

use reqwest::Method;
use serde_json::{Value, json};

use crosstie_vendors::wire::{Fault, FaultRule, WriteKind};

use crate::fixture::{Answer, Fixture};

const ONE: &str = "/services/data/v67.0/sobjects/Account/External_Id__c";
const MANY: &str = "/services/data/v67.0/composite/sobjects/Account/External_Id__c";

fn account(external: &str, name: &str) -> Value {
    json!({"attributes": {"type": "Account"}, "External_Id__c": external, "Name": name})
}

async fn upsert_all(fixture: &Fixture, records: &[Value]) -> Answer {
    fixture.send(Method::PATCH, MANY, &json!({"allOrNone": false, "records": records})).await
}

#[tokio::test]
async fn an_upsert_by_external_id_creates_then_updates() {
    let fixture = Fixture::salesforce().await;
    let made = fixture.send(Method::PATCH, &format!("{ONE}/a%2F1"), &json!({"Name": "One"})).await;
    assert_eq!((made.status, &made.body["created"], &made.body["success"]), (201, &json!(true), &json!(true)));
    let again = fixture.send(Method::PATCH, &format!("{ONE}/a%2F1"), &json!({"Name": "Uno", "Phone": null})).await;
    assert_eq!((again.status, &again.body["created"], &again.body["id"]), (200, &json!(false), &made.body["id"]));
    let found = fixture.get(&format!("{ONE}/a%2F1")).await;
    assert_eq!((&found.body["Name"], &found.body["External_Id__c"]), (&json!("Uno"), &json!("a/1")));
    assert_eq!(found.body["attributes"]["type"], "Account");
    let writes = fixture.control.writes("Account", "a/1").await.unwrap();
    assert_eq!((writes.creates, writes.updates), (1, 1));
}

#[tokio::test]
async fn what_an_org_refuses_is_refused_in_its_words() {
    let fixture = Fixture::salesforce().await;
    let anonymous = Answer::read(fixture.request_as("wrong", Method::GET, ONE).send().await.unwrap()).await;
    assert_eq!((anonymous.status, &anonymous.body[0]["errorCode"]), (401, &json!("INVALID_SESSION_ID")));
    for (path, body, status, code) in [
        (format!("{ONE}/1"), json!({"Phone": "1"}), 400, "REQUIRED_FIELD_MISSING"),
        (format!("{ONE}/1"), account("1", "x"), 400, "INVALID_FIELD"),
        (format!("{ONE}/1"), json!({"Name": "x", "Id": "001"}), 400, "INVALID_FIELD"),
        (ONE.replace("External_Id__c", "Other__c") + "/1", json!({"Name": "x"}), 404, "NOT_FOUND"),
        (ONE.replace("Account", "Acount") + "/1", json!({"Name": "x"}), 404, "NOT_FOUND"),
        (ONE.replace("67.0", "31.0") + "/1", json!({"Name": "x"}), 404, "NOT_FOUND"),
        (MANY.to_owned(), json!({"records": [{"External_Id__c": "1", "Name": "x"}]}), 400, "JSON_PARSER_ERROR"),
        (MANY.to_owned(), json!({"records": vec![account("1", "x"); 201]}), 400, "LIMIT_EXCEEDED"),
    ] {
        let answer = fixture.send(Method::PATCH, &path, &body).await;
        assert_eq!((answer.status, &answer.body[0]["errorCode"]), (status, &json!(code)), "{path} {}", answer.body);
    }
    assert_eq!(fixture.control.stats().await.unwrap().writes.applied, 0);
}

#[tokio::test]
async fn a_deleted_record_is_gone_and_may_be_made_anew() {
    let fixture = Fixture::salesforce().await;
    let made = fixture.send(Method::PATCH, &format!("{ONE}/1"), &json!({"Name": "One"})).await;
    let by_id = format!("/services/data/v67.0/sobjects/Account/{}", made.body["id"].as_str().unwrap());
    assert_eq!(fixture.send(Method::DELETE, &by_id, &json!(null)).await.status, 204);
    assert_eq!(fixture.get(&format!("{ONE}/1")).await.status, 404);
    assert_eq!(fixture.send(Method::DELETE, &format!("{ONE}/1"), &json!(null)).await.status, 404);
    assert_eq!(fixture.send(Method::PATCH, &format!("{ONE}/1"), &json!({"Name": "Two"})).await.status, 201);
}

#[tokio::test]
async fn a_collection_answers_each_record_in_its_place() {
    let fixture = Fixture::salesforce().await;
    upsert_all(&fixture, &[account("1", "One")]).await;
    let nameless = json!({"attributes": {"type": "Account"}, "External_Id__c": "2"});
    let records = [account("1", "Uno"), nameless, account("3", "a"), account("3", "b"), account("4", "Four")];
    let answer = upsert_all(&fixture, &records).await;
    assert_eq!(answer.status, 200);
    let row = |index: usize| &answer.body[index];
    assert_eq!((&row(0)["success"], &row(0)["created"]), (&json!(true), &json!(false)));
    assert_eq!(row(1)["errors"][0]["statusCode"], "REQUIRED_FIELD_MISSING");
    assert_eq!(row(2)["errors"][0]["statusCode"], "DUPLICATE_VALUE");
    assert_eq!(row(3)["success"], false);
    assert_eq!((&row(4)["success"], &row(4)["created"]), (&json!(true), &json!(true)));
    let log = fixture.control.log(0).await.unwrap().entries;
    let rows: Vec<_> = log[1].rows.iter().map(|row| (row.key.as_str(), row.effect, row.commit)).collect();
    assert_eq!(rows, [("Account/1", WriteKind::Updated, 2), ("Account/4", WriteKind::Created, 3)]);
    assert_eq!((log[0].key.as_deref(), log[0].rows.len()), (Some("Account/1"), 0));
}

#[tokio::test]
async fn a_collection_that_asks_for_all_or_none_applies_none_when_one_is_refused() {
    let fixture = Fixture::salesforce().await;
    let records = [account("1", "One"), json!({"attributes": {"type": "Account"}, "External_Id__c": "2"})];
    let answer = fixture.send(Method::PATCH, MANY, &json!({"allOrNone": true, "records": records})).await;
    assert_eq!(answer.body[0]["errors"][0]["statusCode"], "ALL_OR_NONE_OPERATION_ROLLED_BACK");
    assert_eq!(answer.body[1]["errors"][0]["statusCode"], "REQUIRED_FIELD_MISSING");
    assert_eq!(fixture.control.stats().await.unwrap().writes.applied, 0);
}

#[tokio::test]
async fn a_fault_refuses_chosen_rows_or_a_share_of_them() {
    let fixture = Fixture::salesforce().await;
    let poison = Fault::RefuseRows { percent: 100, containing: Some("poison".into()), seed: 0 };
    let id = fixture.control.add_fault(&FaultRule::new(poison)).await.unwrap();
    let answer = upsert_all(&fixture, &[account("1", "fine"), account("2", "poison")]).await;
    assert_eq!((&answer.body[0]["success"], &answer.body[1]["success"]), (&json!(true), &json!(false)));
    fixture.control.remove_fault(id).await.unwrap();

    let share = Fault::RefuseRows { percent: 20, containing: None, seed: 3 };
    fixture.control.add_fault(&FaultRule::new(share)).await.unwrap();
    let mut refused = 0;
    for batch in 0..5 {
        let records: Vec<Value> = (0..100).map(|row| account(&format!("{batch}-{row}"), "x")).collect();
        let answer = upsert_all(&fixture, &records).await;
        refused += answer.body.as_array().unwrap().iter().filter(|row| row["success"] == false).count();
    }
    assert!((60..=140).contains(&refused), "{refused} of 500 is not about 20%");
    assert_eq!(fixture.control.stats().await.unwrap().writes.applied, 501 - refused as u64);
}
