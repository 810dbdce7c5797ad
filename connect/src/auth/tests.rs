//! What is put on requests, and what becomes of those that are refused.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

use crosstie_engine::{
    credentials::CredentialsDocument,
    plan::{AwsSignatureV4, HashAlgorithm, KeyedHash, OAuth1, Session, SignatureEncoding, TimestampFormat},
    template::Template,
};
use tower::service_fn;

use super::*;
use crate::{
    call::{Answer, Reached},
    testing::{answer, call, document, system},
};

fn bearer() -> Authentication {
    Authentication::Bearer { token: template("{token}") }
}

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

/// Sends one call to a vendor that accepts some values of the authentication header; gives those it saw.
async fn sent(
    authentication: &Authentication,
    store: &CredentialStore,
    accepted: &[&str],
) -> (Result<Reply, Setback>, Vec<String>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let accepted: Vec<String> = accepted.iter().map(ToString::to_string).collect();
    let own = Authenticator::new(&shop(authentication.clone()), Arc::new(crate::clock::SystemClock)).unwrap();
    let (notes, header) = (Arc::clone(&seen), own.scheme.header.clone());
    let vendor = service_fn(move |call: Call| {
        let value = call.headers[&header].clone();
        assert!(value.is_sensitive());
        let text = value.to_str().unwrap().to_owned();
        let accepts = accepted.contains(&text);
        notes.lock().unwrap().push(text);
        async move {
            if accepts {
                return Ok(Reply::Success(answer(200, &[], "")));
            }
            let failure = CallFailure::new(FailureKind::CredentialsRejected, "answered 401").answered(401, None);
            Err(Setback::never(failure))
        }
    });
    let outcome = Auth::new(vendor, Arc::new(own), store.clone()).oneshot(call("orders")).await;
    let seen = seen.lock().unwrap().clone();
    (outcome, seen)
}

#[tokio::test]
async fn a_secret_that_names_its_hosts_goes_to_no_other_whatever_the_plan_says() {
    for (hosts, goes) in
        [("api.example.com", true), ("files.example.com, API.example.com.", true), ("example.com", false)]
    {
        let store = CredentialStore::new(&keyed(&[("token", "t"), (ALLOWED_HOSTS, hosts)]));
        let (outcome, seen) = sent(&bearer(), &store, &["Bearer t"]).await;
        if goes {
            assert!(matches!(outcome, Ok(Reply::Success(_))), "{hosts}");
            continue;
        }
        let Err(setback) = outcome else { panic!("{hosts}: the call was made") };
        assert_eq!(setback.failure.kind, FailureKind::EgressRefused);
        assert!(setback.failure.detail.contains("api.example.com"), "{}", setback.failure);
        assert!(seen.is_empty(), "the vendor saw {seen:?}");
    }
}

#[tokio::test]
async fn each_scheme_writes_its_header() {
    let mut document = document("v1", None);
    document.current.values.insert("email".into(), "ops@example.com".into());
    let store = CredentialStore::new(&document);
    let header = Authentication::Header { name: "X-Access-Token".into(), value: template("Key {token}") };
    let basic = Authentication::Basic { username: template("{email}/token"), password: template("{token}") };
    for (authentication, value) in [
        (bearer(), "Bearer secret-of-v1"),
        (header, "Key secret-of-v1"),
        (basic, "Basic b3BzQGV4YW1wbGUuY29tL3Rva2VuOnNlY3JldC1vZi12MQ=="),
    ] {
        assert_eq!(sent(&authentication, &store, &[value]).await.1, [value]);
    }
}

#[tokio::test]
async fn a_request_refused_with_the_current_version_is_sent_again_with_the_previous() {
    let store = CredentialStore::new(&document("v2", Some("v1")));
    let (outcome, seen) = sent(&bearer(), &store, &["Bearer secret-of-v1"]).await;
    assert!(outcome.is_ok());
    assert_eq!(seen, ["Bearer secret-of-v2", "Bearer secret-of-v1"]);
    let (_, seen) = sent(&bearer(), &store, &["Bearer secret-of-v1"]).await;
    assert_eq!(seen, ["Bearer secret-of-v1"], "the next one does not try the refused version again");
}

#[tokio::test]
async fn when_every_version_is_refused_the_failure_names_them_and_shows_no_value() {
    let store = CredentialStore::new(&document("v2", Some("v1")));
    let Err(setback) = sent(&bearer(), &store, &[]).await.0 else { panic!("accepted") };
    assert_eq!((setback.failure.kind, setback.reached), (FailureKind::CredentialsRejected, Reached::Never));
    let detail = setback.failure.detail;
    assert!(detail.contains("v1") && detail.contains("v2") && !detail.contains("secret-of"), "{detail}");
    assert_eq!(setback.failure.status, Some(401));
}

#[tokio::test]
async fn a_missing_key_is_named_and_nothing_is_sent() {
    let store = CredentialStore::new(&document("v1", None));
    let authentication = Authentication::Bearer { token: template("{accessToken}") };
    let (Err(setback), seen) = sent(&authentication, &store, &[]).await else { panic!("sent") };
    assert_eq!((setback.failure.kind, seen.len()), (FailureKind::CredentialsRejected, 0));
    assert!(setback.failure.detail.contains("`accessToken`"), "{}", setback.failure.detail);
}

#[tokio::test]
async fn a_current_version_that_lacks_a_key_gives_way_to_the_previous_one() {
    let mut document = document("v2", Some("v1"));
    document.current.values.clear();
    let store = CredentialStore::new(&document);
    assert!(sent(&bearer(), &store, &["Bearer secret-of-v1"]).await.0.is_ok());
    assert_eq!(store.report().rejected_version_id.as_deref(), Some("v2"));
}

#[tokio::test]
async fn a_value_that_no_header_can_carry_is_told_by_its_key() {
    let mut document = document("v1", None);
    document.current.values.insert("token".into(), "hush\n".into());
    let (Err(setback), _) = sent(&bearer(), &CredentialStore::new(&document), &[]).await else { panic!("sent") };
    let detail = setback.failure.detail;
    assert!(detail.contains("`token`") && !detail.contains("hush"), "{detail}");
}

#[test]
fn a_header_name_that_is_none_is_refused_when_the_client_is_built() {
    let authentication = Authentication::Header { name: "X Token".into(), value: template("{token}") };
    assert_eq!(Scheme::new(&shop(authentication)).unwrap_err(), "X Token");
}

fn shop(authentication: Authentication) -> System {
    System { authentication, ..system() }
}

/// A request as it went out, signed at a fixed time.
fn signed(authentication: Authentication, keys: &[(&str, &str)], mut call: Call) -> Call {
    let scheme = Scheme::new(&shop(authentication)).unwrap();
    let attempt = CredentialStore::new(&keyed(keys)).pick(&[]).unwrap();
    let moment = Moment { now: at("2026-07-01T09:00:00.5Z"), nonce: "kllo9940pd9333jh", session: None };
    scheme.put(&mut call, &attempt.version, &moment).unwrap();
    call
}

fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

fn keyed(keys: &[(&str, &str)]) -> CredentialsDocument {
    let mut document = document("v1", None);
    document.current.values.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    document
}

fn get(url: &str) -> Call {
    Call { url: url.parse().unwrap(), ..call("orders") }
}

fn post(url: &str, kind: &str, body: &'static str) -> Call {
    let headers = [(http::header::CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
    Call { method: http::Method::POST, headers, body: Some(body.into()), ..get(url) }
}

#[test]
fn an_api_key_in_the_query_takes_the_place_of_any_that_stands_there() {
    let query = || Authentication::Query { name: "api_key".into(), value: template("{key}") };
    let keys = [("key", "a b&c")];
    let sent = signed(query(), &keys, get("https://api.example.com/o?api_key=old&page=2&api_key=older"));
    assert_eq!(sent.url.query(), Some("page=2&api_key=a+b%26c"));
    assert_eq!(signed(query(), &keys, get("https://api.example.com/o")).url.query(), Some("api_key=a+b%26c"));
    let mut url: url::Url = "https://api.example.com/o?api_key=a".parse().unwrap();
    strip(&mut url, "api_key");
    assert_eq!(url.as_str(), "https://api.example.com/o");
}

/// Both signatures were made by oauthlib 4.0.1 (PyPI), an implementation that shares nothing with this one.
#[test]
fn oauth_1_signs_as_another_implementation_does() {
    let oauth1 = || {
        Authentication::OAuth1(OAuth1 {
            realm: Some(template("{account}")),
            consumer_key: template("{consumerKey}"),
            consumer_secret: template("{consumerSecret}"),
            token: template("{tokenId}"),
            token_secret: template("{tokenSecret}"),
        })
    };
    let keys = [
        ("account", "1234567_SB1"),
        ("consumerKey", "dpf43f3p2l4k3l03"),
        ("consumerSecret", "kd94hf93k423kf44 &"),
        ("tokenId", "nnch734d00sl2jdk"),
        ("tokenSecret", "pfkkdhi9sl3r4s00+/"),
    ];
    let read = get(
        "https://1234567-sb1.suitetalk.api.netsuite.com/services/rest/record/v1/salesOrder/eid:A%2F7%20b?expandSubResources=true&q=lastModifiedDate%20AFTER%20%2201%2F07%2F2026%22&limit=2&a=%C3%BC&b=x+y",
    );
    let form = post(
        "https://example.com:8443/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b",
        "application/x-www-form-urlencoded",
        "c2&a3=2+q",
    );
    for (call, signature) in [
        (read, "WKZY02XeuaBbfQ3Kv0y7NgycZYxQWojCm%2FkTQh0X%2BuE%3D"),
        (form, "9nlODWVpQRuXyhH3b4%2F9jT5r%2B9G%2BFWtMhP6C8K523dU%3D"),
    ] {
        let sent = signed(oauth1(), &keys, call);
        let header = sent.headers["authorization"].to_str().unwrap();
        assert!(header.starts_with("OAuth realm=\"1234567_SB1\", oauth_consumer_key=\"dpf43f3p2l4k3l03\""), "{header}");
        assert!(header.ends_with(&format!("oauth_signature=\"{signature}\"")), "{header}");
        assert!(sent.headers["authorization"].is_sensitive());
    }
}

/// From the signing test suite that AWS publishes: get-vanilla, get-vanilla-query-order-encoded, post-vanilla and
/// get-vanilla-with-session-token.
#[test]
fn aws_requests_are_signed_as_in_the_published_vectors() {
    const TOKEN: &str = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
    let keys = [("id", "AKIDEXAMPLE"), ("secret", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), ("session", TOKEN)];
    let version = CredentialStore::new(&keyed(&keys)).pick(&[]).unwrap().version;
    for (method, path, session, signature) in [
        ("GET", "/", false, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            "GET",
            "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            false,
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
        ("POST", "/", false, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", "/", true, "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"),
    ] {
        let scheme = Scheme::new(&shop(Authentication::AwsSignatureV4(AwsSignatureV4 {
            service: "service".into(),
            region: "us-east-1".into(),
            access_key_id: template("{id}"),
            secret_access_key: template("{secret}"),
            session_token: session.then(|| template("{session}")),
        })))
        .unwrap();
        let url = format!("https://example.amazonaws.com{path}");
        let mut call = Call { method: method.parse().unwrap(), ..get(&url) };
        let moment = Moment { now: at("2015-08-30T12:36:00Z"), nonce: "", session: None };
        scheme.put(&mut call, &version, &moment).unwrap();
        let header = call.headers["authorization"].to_str().unwrap();
        assert!(header.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"), "{header}");
        assert!(header.ends_with(&format!("Signature={signature}")), "{method} {path}: {header}");
        assert_eq!(call.headers["x-amz-date"], "20150830T123600Z");
        assert_eq!(call.headers.get("x-amz-security-token").is_some(), session);
    }
}

#[test]
fn a_keyed_hash_signs_what_the_connector_says() {
    let hash = KeyedHash {
        algorithm: HashAlgorithm::Sha256,
        secret: template("{secret}"),
        message: template("{method}\n{path}\n{query}\n{bodySha256}\n{timestamp}\n{keyId}"),
        encoding: SignatureEncoding::Hex,
        header: "Authorization".into(),
        value: template("HMAC {keyId}:{signature}:{timestamp}"),
        timestamp_header: Some("X-Timestamp".into()),
        timestamp_format: TimestampFormat::EpochSeconds,
    };
    let keys = [("secret", "Jefe"), ("keyId", "k-1")];
    let call = post("https://api.example.com/o/7%2F8?a=1&b=%20", "application/json", "{}");
    let sent = signed(Authentication::Hmac(hash.clone()), &keys, call);
    // Made by OpenSSL: printf 'POST\n/o/7%%2F8\na=1&b=%%20\n44136f…\n1782896400\nk-1' | openssl dgst -sha256 -hmac Jefe
    let signature = "e1f99649a23ea987180405c358731872d073dd1c0830e0781d6286b3fe0ef3c3";
    assert_eq!(sent.headers["authorization"], format!("HMAC k-1:{signature}:1782896400"));
    assert_eq!(sent.headers["x-timestamp"], "1782896400");
    let whole = KeyedHash {
        message: template("{body}"),
        encoding: SignatureEncoding::Base64,
        value: template("{signature}"),
        timestamp_format: TimestampFormat::HttpDate,
        ..hash
    };
    let call = post("https://api.example.com/", "text/plain", "what do ya want for nothing?");
    let sent = signed(Authentication::Hmac(whole), &keys, call);
    assert_eq!(sent.headers["x-timestamp"], "Wed, 01 Jul 2026 09:00:00 GMT");
    assert_eq!(sent.headers["authorization"], "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=", "RFC 4231, test case 2");
}

fn session(lifetime: Option<u32>) -> Authentication {
    Authentication::Session(Session {
        path: "/log-in".into(),
        body: [("key".to_owned(), template("{token}"))].into(),
        form: false,
        token: "/data/token".into(),
        lifetime_seconds: lifetime,
        header: "X-Session".into(),
        value: template("s {sessionToken}"),
    })
}

/// A vendor that gives a session at each log-in and knows only the newest one.
#[derive(Clone, Default)]
struct Sessions {
    log_ins: Arc<AtomicU32>,
    refuses_log_in: bool,
    refuses_always: bool,
}

impl Sessions {
    async fn answer(self, call: Call) -> Result<Reply, Setback> {
        // Others come meanwhile.
        tokio::task::yield_now().await;
        if call.url.path() == "/log-in" {
            assert_eq!(call.body.as_deref(), Some(&br#"{"key":"secret-of-v1"}"#[..]));
            if self.refuses_log_in {
                return Ok(Reply::Refusal(answer(403, &[], "no")));
            }
            self.log_ins.fetch_add(1, Ordering::SeqCst);
            let text = format!(r#"{{"data": {{"token": "{}"}}}}"#, self.log_ins.load(Ordering::SeqCst));
            return Ok(Reply::Success(Answer { body: Ok(text.into()), ..answer(200, &[], "") }));
        }
        let newest = format!("s {}", self.log_ins.load(Ordering::SeqCst));
        if call.headers["x-session"] == newest.as_str() && !self.refuses_always {
            return Ok(Reply::Success(answer(200, &[], "")));
        }
        let failure = CallFailure::new(FailureKind::CredentialsRejected, "answered 401").answered(401, None);
        Err(Setback::never(failure))
    }
}

fn layer(
    vendor: &Sessions,
    lifetime: Option<u32>,
) -> impl Service<Call, Response = Reply, Error = Setback, Future: Send> + Clone + use<> {
    let vendor = vendor.clone();
    let own = Authenticator::new(&shop(session(lifetime)), Arc::new(crate::clock::SystemClock)).unwrap();
    let inner = service_fn(move |call: Call| vendor.clone().answer(call));
    Auth::new(inner, Arc::new(own), CredentialStore::new(&document("v1", None)))
}

#[tokio::test]
async fn everyone_who_needs_a_session_waits_for_one_log_in() {
    let vendor = Sessions::default();
    let layer = layer(&vendor, None);
    let calls = (0..50).map(|_| layer.clone().oneshot(call("orders")));
    assert!(futures::future::join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(vendor.log_ins.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_session_that_is_refused_is_renewed_once_for_all_and_the_request_sent_again() {
    let vendor = Sessions::default();
    let layer = layer(&vendor, None);
    assert!(layer.clone().oneshot(call("orders")).await.is_ok());
    // The vendor forgets the session, as if somebody else had logged in.
    vendor.log_ins.fetch_add(1, Ordering::SeqCst);
    let calls = (0..50).map(|_| layer.clone().oneshot(call("orders")));
    assert!(futures::future::join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(vendor.log_ins.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_new_session_that_is_refused_too_means_that_the_credentials_are() {
    for (vendor, log_ins) in [
        (Sessions { refuses_always: true, ..Sessions::default() }, 1),
        (Sessions { refuses_log_in: true, ..Sessions::default() }, 0),
    ] {
        let Err(setback) = layer(&vendor, None).oneshot(call("orders")).await else { panic!("accepted") };
        assert_eq!((setback.failure.kind, setback.reached), (FailureKind::CredentialsRejected, Reached::Never));
        assert!(!setback.failure.detail.contains("secret-of"), "{}", setback.failure);
        assert_eq!(vendor.log_ins.load(Ordering::SeqCst), log_ins);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_used_beyond_its_lifetime() {
    let vendor = Sessions::default();
    let layer = layer(&vendor, Some(60));
    for (seconds, log_ins) in [(0, 1), (59, 1), (1, 2), (59, 2)] {
        tokio::time::advance(std::time::Duration::from_secs(seconds)).await;
        assert!(layer.clone().oneshot(call("orders")).await.is_ok());
        assert_eq!(vendor.log_ins.load(Ordering::SeqCst), log_ins);
    }
}

#[test]
fn no_nonce_comes_twice() {
    let nonces: std::collections::BTreeSet<String> = (0..1000).map(|_| nonce()).collect();
    assert_eq!(nonces.len(), 1000);
}
