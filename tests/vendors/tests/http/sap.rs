//! SAP's dialect: tokens against forgery, ETags, versions 2 and 4 of OData.

use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Answer, Fixture, TOKEN};

const ORDERS: &str = "/sap/opu/odata4/sap/api_salesorder/srvd_a2x/sap/salesorder/0001/SalesOrder";
const PARTNERS: &str = "/sap/opu/odata/sap/API_BUSINESS_PARTNER/A_BusinessPartner";

/// A token and the cookies it belongs to.
async fn token(fixture: &Fixture) -> (String, String) {
    let request = fixture.request(Method::GET, &format!("{ORDERS}?$top=1")).header("X-CSRF-Token", "Fetch");
    let answer = Answer::read(request.send().await.unwrap()).await;
    let cookies = answer.headers.get_all("set-cookie").into_iter().map(|cookie| cookie.to_str().unwrap());
    let cookies: Vec<&str> = cookies.map(|cookie| cookie.split(';').next().unwrap()).collect();
    (answer.header("X-CSRF-Token").to_owned(), cookies.join("; "))
}

async fn write(fixture: &Fixture, method: Method, path: &str, tag: Option<&str>, body: &Value) -> Answer {
    let (token, cookies) = token(fixture).await;
    let request = fixture.request(method, path).header("X-CSRF-Token", token).header("Cookie", cookies).json(body);
    let request = tag.into_iter().fold(request, |request, tag| request.header("If-Match", tag));
    Answer::read(request.send().await.unwrap()).await
}

fn order(number: &str) -> Value {
    json!({"SalesOrderType": "OR", "SoldToParty": "17100001", "PurchaseOrderByCustomer": number})
}

#[tokio::test]
async fn a_write_needs_the_token_of_its_session() {
    let fixture = Fixture::bearer("sap").await;
    let bare = fixture.request(Method::POST, ORDERS).json(&order("1")).send().await.unwrap();
    assert_eq!((bare.status().as_u16(), bare.headers()["x-csrf-token"].to_str().unwrap()), (403, "Required"));
    let (fetched, _) = token(&fixture).await;
    let strange = fixture.request(Method::POST, ORDERS).header("X-CSRF-Token", fetched).json(&order("1"));
    assert_eq!(strange.send().await.unwrap().status(), 403, "without the cookies of the token");
    let made = write(&fixture, Method::POST, ORDERS, None, &order("1")).await;
    assert_eq!((made.status, &made.body["SalesOrder"]), (201, &json!("60000001")));
    let user = fixture.http.get(format!("{}{ORDERS}", fixture.control.base_url())).basic_auth("CROSSTIE", Some(TOKEN));
    assert_eq!(user.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_change_needs_the_etag_of_the_state_it_changes() {
    let fixture = Fixture::bearer("sap").await;
    let made = write(&fixture, Method::POST, ORDERS, None, &order("O'1")).await;
    let found = fixture.get(&format!("{ORDERS}?$filter=PurchaseOrderByCustomer eq 'O''1'")).await;
    let tag = found.body["value"][0]["@odata.etag"].as_str().unwrap();
    assert_eq!(tag, made.header("ETag"));
    let one = format!("{ORDERS}('60000001')");
    let change = json!({"SoldToParty": "17100002"});
    assert_eq!(write(&fixture, Method::PATCH, &one, None, &change).await.status, 428);
    assert_eq!(write(&fixture, Method::PATCH, &one, Some(tag), &change).await.status, 204);
    assert_eq!(write(&fixture, Method::PATCH, &one, Some(tag), &json!({"SoldToParty": "1"})).await.status, 412);
    assert_eq!(fixture.get(&one).await.body["SoldToParty"], "17100002");
    let wrong = write(&fixture, Method::POST, ORDERS, None, &json!({"SalesOrderType": "OR"})).await;
    assert_eq!((wrong.status, &wrong.body["error"]["code"]), (400, &json!("V1/301")));
}

#[tokio::test]
async fn version_four_pages_by_links_relative_to_the_service() {
    let fixture = Fixture::bearer("sap").await;
    fixture.seed("SalesOrder", 5).await;
    let filter = "LastChangeDateTime ge 2026-07-01T00:00:01Z and LastChangeDateTime le 2026-07-01T00:00:03Z";
    let query = format!("$filter={filter}&$orderby=LastChangeDateTime");
    let request = fixture.request(Method::GET, &format!("{ORDERS}?{query}")).header("Prefer", "odata.maxpagesize=2");
    let first = Answer::read(request.send().await.unwrap()).await;
    let numbers = |answer: &Answer| -> Vec<Value> {
        answer.body["value"].as_array().unwrap().iter().map(|order| order["SalesOrder"].clone()).collect()
    };
    let next = first.body["@odata.nextLink"].as_str().unwrap();
    assert!(next.starts_with("SalesOrder?"), "{next}");
    let second = fixture.get(&format!("{}{next}", ORDERS.strip_suffix("SalesOrder").unwrap())).await;
    assert_eq!((numbers(&first), numbers(&second)), (vec![json!("2"), json!("3")], vec![json!("4")]));
    assert_eq!(second.body.get("@odata.nextLink"), None);
}

#[tokio::test]
async fn version_two_has_other_times_and_envelopes_and_needs_to_be_asked_for_json() {
    let fixture = Fixture::bearer("sap").await;
    fixture.seed("A_BusinessPartner", 2).await;
    let page =
        fixture.get(&format!("{PARTNERS}?$format=json&$filter=LastChangeDate ge datetime'2026-07-01T00:00:00'")).await;
    let partner = &page.body["d"]["results"][0];
    assert_eq!(
        (&partner["BusinessPartner"], &partner["LastChangeDate"]),
        (&json!("1"), &json!("/Date(1782864000000)/"))
    );
    let xml = fixture.request(Method::GET, PARTNERS).send().await.unwrap();
    assert_eq!(xml.headers()["content-type"], "application/atom+xml");
    let missing = fixture.get(&format!("{PARTNERS}('9')?$format=json")).await;
    assert_eq!((missing.status, &missing.body["error"]["message"]["lang"]), (404, &json!("en")));
}
