//! Access tokens: granted to a client that is known, for refresh tokens that rotate or do not, and accepted by the vendor's own paths.

use crosstie_vendors::wire::OAuth2Client;
use serde_json::{Value, json};

use crate::fixture::{Answer, Fixture};

async fn ask(fixture: &Fixture, form: &str) -> Answer {
    let request = fixture.http.post(format!("{}/oauth/v1/token", fixture.control.base_url()));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
    Answer::read(request.send().await.unwrap()).await
}

async fn vendor(rotates: bool) -> Fixture {
    let fixture = Fixture::bearer("hubspot").await;
    let client = OAuth2Client {
        client_id: "client".into(),
        client_secret: "secret".into(),
        refresh_tokens: vec!["rt".into()],
        lifetime_seconds: 60,
        rotates,
        revokes: true,
        access_token_prefix: "at-".into(),
    };
    fixture.control.set_oauth2(&client).await.unwrap();
    fixture
}

const CLIENT: &str = "client_id=client&client_secret=secret";

#[tokio::test]
async fn a_refresh_token_that_rotates_is_valid_once_and_the_access_token_before_ends() {
    let fixture = vendor(true).await;
    let first = ask(&fixture, &format!("grant_type=refresh_token&refresh_token=rt&{CLIENT}")).await;
    assert_eq!((first.status, &first.body["expires_in"]), (200, &json!(60)), "{}", first.body);
    let again = ask(&fixture, &format!("grant_type=refresh_token&refresh_token=rt&{CLIENT}")).await;
    assert_eq!((again.status, &again.body["error"]), (400, &json!("invalid_grant")));
    let next = first.body["refresh_token"].as_str().unwrap();
    let second = ask(&fixture, &format!("grant_type=refresh_token&refresh_token={next}&{CLIENT}")).await;
    let status = async |token: &Value| {
        let url = format!("{}/crm/objects/2026-09/contacts/1", fixture.control.base_url());
        fixture.http.get(url).bearer_auth(token.as_str().unwrap()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(&first.body["access_token"]).await, 401);
    assert_ne!(status(&second.body["access_token"]).await, 401);
    let grants = fixture.control.oauth2().await.unwrap();
    assert_eq!((grants.granted, grants.refused, grants.used), (2, 1, vec!["rt".to_owned(), next.to_owned()]));
}

#[tokio::test]
async fn a_client_that_is_not_known_gets_nothing_and_one_that_is_also_without_a_refresh_token() {
    let fixture = vendor(false).await;
    let stranger = ask(&fixture, "grant_type=client_credentials&client_id=client&client_secret=other").await;
    assert_eq!((stranger.status, &stranger.body["error"]), (401, &json!("invalid_client")));
    assert_eq!(ask(&fixture, &format!("grant_type=client_credentials&{CLIENT}")).await.status, 200);
    let kept = ask(&fixture, &format!("grant_type=refresh_token&refresh_token=rt&{CLIENT}")).await;
    assert_eq!(kept.body["refresh_token"], "rt");
    fixture.control.consent("by-hand").await.unwrap();
    assert_eq!(ask(&fixture, &format!("grant_type=refresh_token&refresh_token=by-hand&{CLIENT}")).await.status, 200);
}

#[tokio::test]
async fn while_a_clients_secret_is_changed_both_are_accepted_and_then_the_new_one_alone() {
    let fixture = vendor(false).await;
    let with = |secret: &str| format!("grant_type=client_credentials&client_id=client&client_secret={secret}");
    let first = ask(&fixture, &with("secret")).await;
    fixture.control.set_client_secrets(&["secret", "next"]).await.unwrap();
    assert_eq!((ask(&fixture, &with("secret")).await.status, ask(&fixture, &with("next")).await.status), (200, 200));
    fixture.control.set_client_secrets(&["next"]).await.unwrap();
    let old = ask(&fixture, &with("secret")).await;
    assert_eq!((old.status, &old.body["error"]), (401, &json!("invalid_client")));
    let last = ask(&fixture, &with("next")).await;
    assert_ne!(first.body["access_token"], last.body["access_token"], "what was granted is not forgotten");
}
