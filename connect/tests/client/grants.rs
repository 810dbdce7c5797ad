//! Access tokens by OAuth 2.0 grants, from servers that grant, refuse, and lose their answers.

use std::{collections::BTreeMap, time::Duration};

use crosstie_connect::{
    FailureKind,
    grants::{
        Assertion, AssertionAlgorithm, ClientAuthentication, Grant, GrantFailure, Granted, Remains, TokenRequest,
        TokenSource,
    },
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use secrecy::ExposeSecret;
use serde_json::json;
use url::{Url, form_urlencoded};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use crate::fixtures::{RawVendor, patient, system};

fn request(base: &str, grant: Grant, client: ClientAuthentication) -> TokenRequest {
    let token_url = Url::parse(base).unwrap().join("/oauth/token").unwrap();
    TokenRequest { token_url, client_id: "id:1".into(), client, grant, scopes: vec!["a".into(), "b".into()] }
}

async fn fetch(base: &str, grant: Grant, client: ClientAuthentication) -> Result<Granted, GrantFailure> {
    let source = TokenSource::new(&system(base), &patient()).unwrap();
    source.fetch(&request(base, grant, client), "nonce-1").await
}

fn secret() -> ClientAuthentication {
    ClientAuthentication::Basic("hush hush".into())
}

async fn server(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).and(path("/oauth/token")).respond_with(answer).mount(&server).await;
    server
}

async fn form(server: &MockServer) -> BTreeMap<String, String> {
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1, "nothing is sent twice");
    form_urlencoded::parse(&requests[0].body).into_owned().collect()
}

fn assertion() -> Assertion {
    Assertion {
        algorithm: AssertionAlgorithm::Es256,
        key_id: None,
        private_key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem().into(),
        issuer: "id".into(),
        subject: "ops".into(),
        audience: "https://login.example.com".into(),
        lifetime: Duration::from_mins(3),
        claims: BTreeMap::new(),
    }
}

fn token() -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(json!({"access_token": "at-1", "token_type": "Bearer", "expires_in": 3600}))
}

#[tokio::test]
async fn a_client_gets_a_token_for_itself() {
    let server = MockServer::start().await;
    // RFC 6749, section 2.3.1: both are encoded as in a form before they are joined.
    Mock::given(header("authorization", "Basic aWQlM0ExOmh1c2graHVzaA==")).respond_with(token()).mount(&server).await;
    let granted = fetch(&server.uri(), Grant::ClientCredentials, secret()).await.unwrap();
    assert_eq!((granted.access_token.expose_secret(), granted.lifetime), ("at-1", Some(Duration::from_hours(1))));
    assert!(granted.refresh_token.is_none() && !format!("{granted:?}").contains("at-1"));
    let form = form(&server).await;
    assert_eq!((form["grant_type"].as_str(), form["scope"].as_str()), ("client_credentials", "a b"));
    assert!(!form.contains_key("client_secret"));
}

#[tokio::test]
async fn a_refresh_token_that_rotates_is_given_back_with_the_token() {
    let body = json!({"access_token": "at-2", "expires_in": "60", "refresh_token": "rt-2"});
    let server = server(ResponseTemplate::new(200).set_body_json(body)).await;
    let client = ClientAuthentication::Body("hush".into());
    let granted = fetch(&server.uri(), Grant::RefreshToken("rt-1".into()), client).await.unwrap();
    assert_eq!(granted.refresh_token.unwrap().expose_secret(), "rt-2");
    assert_eq!(granted.lifetime, Some(Duration::from_mins(1)), "some servers write the number as a text");
    let form = form(&server).await;
    assert_eq!((form["refresh_token"].as_str(), form["client_id"].as_str()), ("rt-1", "id:1"));
    assert_eq!(form["client_secret"], "hush");
}

#[tokio::test]
async fn an_assertion_is_signed_for_the_grant_or_for_the_client() {
    for (grant, client, field) in [
        (Grant::JwtBearer(assertion()), ClientAuthentication::Public, "assertion"),
        (Grant::ClientCredentials, ClientAuthentication::Assertion(assertion()), "client_assertion"),
    ] {
        let server = server(token()).await;
        fetch(&server.uri(), grant, client).await.unwrap();
        assert_eq!(form(&server).await[field].split('.').count(), 3);
    }
}

#[tokio::test]
async fn what_a_server_refuses_is_told_without_any_secret() {
    for (status, body, kind) in [
        (
            400,
            json!({"error": "invalid_grant", "error_description": "rt-1 is used up"}),
            FailureKind::CredentialsRejected,
        ),
        (401, json!({"error": "invalid_client"}), FailureKind::CredentialsRejected),
        (400, json!({"error": "invalid_scope"}), FailureKind::Refused),
        (404, json!({}), FailureKind::Refused),
        (307, json!({}), FailureKind::Refused),
        (429, json!({}), FailureKind::RateLimited),
        (503, json!({}), FailureKind::ServerError),
    ] {
        let answer = ResponseTemplate::new(status).set_body_json(body).insert_header("Location", "/elsewhere");
        let server = server(answer).await;
        let refused = fetch(&server.uri(), Grant::RefreshToken("rt-1".into()), secret()).await.unwrap_err();
        assert_eq!((refused.failure.kind, refused.failure.status), (kind, Some(status)), "{refused}");
        let remains = match (status, kind) {
            (400, FailureKind::CredentialsRejected) => Remains::Invalid,
            (503, _) => Remains::PerhapsUsedUp,
            (_, _) => Remains::Intact,
        };
        assert_eq!(refused.remains, remains, "{status}");
        assert!(!refused.to_string().contains("rt-1") && !refused.to_string().contains("hush"), "{refused}");
        form(&server).await;
    }
}

#[tokio::test]
async fn an_assertion_that_is_refused_is_not_taken_for_a_refresh_token() {
    let grant = Grant::JwtBearer(assertion());
    for (status, body, kind, advice) in [
        (400, json!({"error": "invalid_grant"}), FailureKind::CredentialsRejected, "check issuer, subject, audience"),
        (503, json!({}), FailureKind::ServerError, ""),
    ] {
        let server = server(ResponseTemplate::new(status).set_body_json(body)).await;
        let refused = fetch(&server.uri(), grant.clone(), ClientAuthentication::Public).await.unwrap_err();
        assert_eq!((refused.failure.kind, refused.remains), (kind, Remains::Intact), "{refused}");
        assert!(refused.to_string().contains(advice) && !refused.to_string().contains("authorise"), "{refused}");
    }
}

#[tokio::test]
async fn a_refusal_with_status_200_is_one_and_a_bots_token_is_carried_like_any() {
    for (code, kind, remains) in [
        ("invalid_refresh_token", FailureKind::CredentialsRejected, Remains::Invalid),
        ("bad_client_secret", FailureKind::CredentialsRejected, Remains::Intact),
        ("ratelimited", FailureKind::RateLimited, Remains::Intact),
        ("fatal_error", FailureKind::ServerError, Remains::PerhapsUsedUp),
        ("invalid_arguments", FailureKind::Refused, Remains::Intact),
    ] {
        let server = server(ResponseTemplate::new(200).set_body_json(json!({"ok": false, "error": code}))).await;
        let refused = fetch(&server.uri(), Grant::RefreshToken("rt-1".into()), secret()).await.unwrap_err();
        assert_eq!(
            (refused.failure.kind, refused.failure.status, refused.remains),
            (kind, Some(200), remains),
            "{code}"
        );
        assert!(refused.to_string().contains(code), "{refused}");
    }
    let bots = |kind: &str| json!({"ok": true, "access_token": "xoxe-1", "token_type": kind, "refresh_token": "rt-2"});
    let server_of = async |kind: &str| server(ResponseTemplate::new(200).set_body_json(bots(kind))).await;
    let granted = fetch(&server_of("bot").await.uri(), Grant::RefreshToken("rt-1".into()), secret()).await.unwrap();
    assert_eq!(granted.access_token.expose_secret(), "xoxe-1");
    let signed = fetch(&server_of("mac").await.uri(), Grant::RefreshToken("rt-1".into()), secret()).await.unwrap_err();
    assert_eq!(signed.remains, Remains::PerhapsUsedUp, "one that has to sign something cannot be used");
}

#[tokio::test]
async fn a_refresh_token_whose_answer_was_lost_may_be_used_up() {
    let unreadable = server(ResponseTemplate::new(200).set_body_string("<html>")).await;
    let lost = RawVendor::answering("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\": \"at").await;
    let closed = RawVendor::answering("").await;
    for base in [unreadable.uri(), lost.base_url(), closed.base_url()] {
        let failure = fetch(&base, Grant::RefreshToken("rt-1".into()), secret()).await.unwrap_err();
        assert_eq!(failure.remains, Remains::PerhapsUsedUp, "{failure}");
    }
    let nobody = fetch("http://127.0.0.1:1", Grant::RefreshToken("rt-1".into()), secret()).await.unwrap_err();
    assert_eq!(nobody.remains, Remains::Intact, "nothing was sent");
}

#[tokio::test]
async fn secrets_go_to_no_host_that_the_connector_does_not_name() {
    let elsewhere = server(token()).await;
    let source = TokenSource::new(&system("http://127.0.0.2:9"), &patient()).unwrap();
    let request = request(&elsewhere.uri(), Grant::ClientCredentials, secret());
    let failure = source.fetch(&request, "n").await.unwrap_err();
    assert_eq!((failure.failure.kind, failure.remains), (FailureKind::EgressRefused, Remains::Intact));
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}
