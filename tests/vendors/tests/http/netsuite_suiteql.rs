//! NetSuite's ways to find what changed: days in `q`, and SuiteQL.

use reqwest::Method;
use serde_json::json;

use crate::fixture::{Answer, Fixture};

const PATH: &str = "/services/rest/query/v1/suiteql?limit=2";

async fn ask(fixture: &Fixture, query: &str) -> Answer {
    let request = fixture.request(Method::POST, PATH).header("Prefer", "transient").json(&json!({"q": query}));
    Answer::read(request.send().await.unwrap()).await
}

fn changes(since: &str, behind: &str) -> String {
    format!(
        "SELECT id, email, TO_CHAR(lastmodifieddate, 'YYYY-MM-DD HH24:MI:SS') AS lastmodifieddate FROM customer \
         WHERE lastmodifieddate >= TO_DATE('{since}', 'YYYY-MM-DD HH24:MI:SS') \
         AND id > COALESCE(TO_NUMBER('{behind}'), 0) ORDER BY id"
    )
}

#[tokio::test]
async fn changes_are_read_behind_the_last_id() {
    let fixture = Fixture::netsuite().await;
    fixture.seed("customer", 5).await;
    // The account lives in Los Angeles.
    let first = ask(&fixture, &changes("2026-06-30 17:00:02", "")).await;
    let expected =
        json!({"links": [], "id": "3", "email": "buyer3@example.com", "lastmodifieddate": "2026-06-30 17:00:02"});
    assert_eq!((&first.body["items"][0], &first.body["hasMore"]), (&expected, &json!(true)), "{}", first.body);
    let second = ask(&fixture, &changes("2026-06-30 17:00:02", "4")).await;
    assert_eq!((&second.body["items"][0]["id"], &second.body["hasMore"]), (&json!("5"), &json!(false)));
    assert_eq!(ask(&fixture, "SELECT * FROM customer").await.code(), "INVALID_PARAMETER");
    assert_eq!(fixture.send(Method::POST, PATH, &json!({"q": ""})).await.code(), "INVALID_HEADER");
}

#[tokio::test]
async fn a_list_of_records_is_narrowed_by_days() {
    let fixture = Fixture::netsuite().await;
    fixture.seed("salesOrder", 3).await;
    let list = |q: &str| format!("/services/rest/record/v1/salesOrder?q={}", q.replace(' ', "%20").replace('"', "%22"));
    for (day, total) in [("6/30/2026", 3), ("7/1/2026", 0)] {
        let found = fixture.get(&list(&format!("lastModifiedDate ON_OR_AFTER \"{day}\""))).await;
        assert_eq!(found.body["totalResults"], total, "{day}");
    }
    assert_eq!(fixture.get(&list("lastModifiedDate ON_OR_AFTER \"soon\"")).await.code(), "INVALID_PARAMETER");
}
