//! `connector check` and `connector import` as a person meets them, over the simulator.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
};

use crosstie_vendors::{
    Simulator,
    control::Client,
    wire::{Fault, FaultRule, OAuth2Client},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    process::Command,
};

struct Bench {
    folder: tempfile::TempDir,
    shop: Client,
    _simulator: Simulator,
}

impl Bench {
    async fn new() -> Self {
        let simulator = Simulator::start().await.unwrap();
        let shop = simulator.control("shopify", "acme").unwrap();
        shop.set_tokens(&["token-1"]).await.unwrap();
        let bench = Self { folder: tempfile::tempdir().unwrap(), shop, _simulator: simulator };
        bench.write("credentials.json", &json!({"token": "token-1"}));
        bench.connector(&json!({"preset": "Shopify", "baseURL": bench.shop.base_url()}));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &Value) {
        std::fs::write(self.path(name), content.to_string()).unwrap();
    }

    fn connector(&self, spec: &Value) {
        let mut spec = spec.clone();
        spec["credentials"]["awsSecretsManager"] = json!({"secretId": "shop/shopify"});
        self.write("connector.yaml", &json!({
            "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": "shopify"}, "spec": spec,
        }));
    }

    /// What is printed, and whether all was well.
    async fn check(&self) -> (String, bool) {
        self.check_with(&[]).await
    }

    /// The same with other flags beside.
    async fn check_with(&self, flags: &[&str]) -> (String, bool) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-crosstie"));
        command.args(["connector", "check", "--allow-cidr", "127.0.0.0/8", "--allow-cidr", "::1/128"]);
        command.arg("-f").arg(self.path("connector.yaml")).arg("--credentials").arg(self.path("credentials.json"));
        let output = command.args(flags).stdin(Stdio::null()).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (text, output.status.success())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_well_is_said_by_one_request() {
    let bench = Bench::new().await;
    let (text, good) = bench.check().await;
    assert!(good, "{text}");
    for line in [
        "1 requests",
        "0 records of the last 24 hours",
        "accepted, from ",
        "is asked for and served",
        "agrees with the vendor's",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert_eq!(bench.shop.stats().await.unwrap().with_status(200), 1);
}

/// A system that answers whoever logged in, and the lines of the requests it got.
async fn with_sessions() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            // The log-in ends with its body, and what is asked with an empty line.
            let is_whole = |request: &[u8]| {
                let end: &[u8] = if request.starts_with(b"POST") { b"}" } else { b"\r\n\r\n" };
                request.ends_with(end)
            };
            while !is_whole(&request) {
                let read = connection.read(&mut chunk).await.unwrap();
                request.extend_from_slice(&chunk[..read]);
            }
            let request = String::from_utf8(request).unwrap();
            let known = request.to_ascii_lowercase().contains("x-session: s-1\r\n");
            let (status, body) = match (request.starts_with("POST /log-in "), known) {
                (true, _) => ("200 OK", r#"{"data":{"token":"s-1"}}"#),
                (false, true) => ("200 OK", r#"{"orders":[]}"#),
                (false, false) => ("401 Unauthorized", "{}"),
            };
            notes.lock().unwrap().push(request.lines().next().unwrap().to_owned());
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_is_one_request_more() {
    let bench = Bench::new().await;
    let (url, asked) = with_sessions().await;
    let session = json!({
        "path": "/log-in", "body": {"user": "{user}"}, "token": "/data/token", "lifetimeSeconds": 600,
        "header": {"name": "X-Session", "value": "{sessionToken}"},
    });
    let stream = json!({"name": "orders", "path": "/orders", "records": "/orders", "key": "/id", "version": "/n"});
    bench.connector(&json!({"baseURL": url, "auth": {"session": session}, "streams": [stream]}));
    bench.write("credentials.json", &json!({"user": "jane"}));
    let (text, good) = bench.check().await;
    assert!(good, "{text}");
    assert_eq!(*asked.lock().unwrap(), ["POST /log-in HTTP/1.1", "GET /orders HTTP/1.1"]);
}

/// A client that may get access tokens, with one refresh token.
fn client() -> OAuth2Client {
    OAuth2Client {
        client_id: "client".into(),
        client_secret: "hush".into(),
        refresh_tokens: vec!["rt".into()],
        lifetime_seconds: 60,
        rotates: true,
        revokes: false,
        access_token_prefix: "at-".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_by_its_grant_is_one_request_more_and_stands_nowhere_in_what_is_printed() {
    let bench = Bench::new().await;
    bench.shop.set_oauth2(&client()).await.unwrap();
    let oauth2 = json!({"tokenURL": format!("{}/admin/oauth/access_token", bench.shop.base_url())});
    let spec = json!({"preset": "Shopify", "baseURL": bench.shop.base_url(), "credentials": {"oauth2": oauth2}});
    bench.connector(&spec);
    bench.write("credentials.json", &json!({"clientId": "client", "clientSecret": "hush"}));
    let (text, good) = bench.check().await;
    assert!(good, "{text}");
    for line in ["by client credentials (", "valid for 60 s", "1 requests", "accepted, from "] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("hush") && !text.contains("at-1"), "a credential is printed:\n{text}");
    assert_eq!(bench.shop.oauth2().await.unwrap().granted, 1);

    bench.write("credentials.json", &json!({"clientId": "client", "clientSecret": "other"}));
    let (text, good) = bench.check().await;
    assert!(!good && text.contains("`invalid_client`") && text.contains("the vendor was not asked"), "{text}");
    bench.write("credentials.json", &json!({"clientId": "client"}));
    let (text, good) = bench.check().await;
    assert!(!good && text.contains("lacks the key clientSecret"), "{text}");

    bench.write("credentials.json", &json!({"token": "token-1"}));
    let (text, good) = bench.check().await;
    assert!(good && !text.contains("by client credentials"), "a token that is passed is used as it is:\n{text}");
    assert_eq!(bench.shop.oauth2().await.unwrap().granted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_used_only_when_told_and_its_successor_is_written_for_the_person() {
    let bench = Bench::new().await;
    bench.shop.set_oauth2(&client()).await.unwrap();
    let token_url = format!("{}/admin/oauth/access_token", bench.shop.base_url());
    let oauth2 = json!({"grant": "RefreshToken", "tokenURL": token_url, "refreshTokenSecretId": "shop/refresh"});
    let spec = json!({"preset": "Shopify", "baseURL": bench.shop.base_url(), "credentials": {"oauth2": oauth2}});
    bench.connector(&spec);
    let stored = json!({"clientId": "client", "clientSecret": "hush", "refreshToken": "rt"});
    bench.write("credentials.json", &stored);
    let used = async || bench.shop.oauth2().await.unwrap().used;

    let (text, good) = bench.check().await;
    assert!(!good && text.contains("--use-refresh-token FILE") && text.contains("shop/refresh"), "{text}");
    assert_eq!(used().await, [""; 0]);
    let there = bench.path("there.json");
    std::fs::write(&there, "{}").unwrap();
    let (text, good) = bench.check_with(&["--use-refresh-token", there.to_str().unwrap()]).await;
    assert!(!good && text.contains("cannot make the new file"), "{text}");
    assert_eq!(used().await, [""; 0], "nothing is used without a place for what replaces it");

    let successor = bench.path("successor.json");
    let flags = ["--use-refresh-token", successor.to_str().unwrap()];
    let (text, good) = bench.check_with(&flags).await;
    assert!(good && text.contains("by a refresh token") && text.contains("the old one is used up"), "{text}");
    assert_eq!(used().await, ["rt"]);
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&successor).unwrap()).unwrap();
    assert_eq!(written, json!({"refreshToken": "rt.1"}));
    assert!(!text.contains("rt.1"), "{text}");

    std::fs::remove_file(&successor).unwrap();
    let (text, good) = bench.check_with(&flags).await;
    assert!(!good && text.contains("authorise the client again"), "it was used up:\n{text}");
    assert!(!successor.exists());

    bench.shop.set_oauth2(&OAuth2Client { rotates: false, ..client() }).await.unwrap();
    let (text, good) = bench.check_with(&flags).await;
    assert!(good && !text.contains("used up") && !successor.exists(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_named() {
    let bench = Bench::new().await;
    let url = bench.shop.base_url();
    for (spec, credentials, expected) in [
        (json!({"preset": "Shopify", "baseURL": url}), json!({"token": "wrong"}), "refused, from "),
        (json!({"preset": "Shopify", "baseURL": url}), json!({"key": "token-1"}), "which lacks token: add it"),
        (
            json!({"preset": "Shopify", "baseURL": url, "apiVersion": "2025-01"}),
            json!({"token": "token-1"}),
            "but 2026-01 is served",
        ),
        (
            json!({"preset": "Shopify", "baseURL": "http://127.0.0.1:9"}),
            json!({"token": "token-1"}),
            "no connection can be made",
        ),
        (json!({"preset": "Shopify", "baseURL": "http://10.1.2.3"}), json!({"token": "token-1"}), "EgressRefused"),
        (json!({"preset": "Shopfy", "baseURL": url}), json!({}), "PresetUnknown: spec.preset"),
    ] {
        bench.connector(&spec);
        bench.write("credentials.json", &credentials);
        let (text, good) = bench.check().await;
        assert!(!good && text.contains(expected), "{expected}\n{text}");
        assert!(!text.contains("token-1") && !text.contains("wrong"), "a credential is printed:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_and_a_version_that_ends_are_said() {
    let bench = Bench::new().await;
    let change = json!({"clockOffsetMillis": 300_000, "extraHeaders": {"Sunset": "Sat, 01 Jan 2101 00:00:00 GMT"}});
    bench.shop.change_settings(&change).await.unwrap();
    let (text, _) = bench.check().await;
    assert!(text.contains("s behind the vendor"), "{text}");
    assert!(text.contains("deprecated and ends on 2101-01-01"), "{text}");
    let gone = Fault::Status { code: 410, headers: [].into(), body: Value::Null };
    bench.shop.add_fault(&FaultRule::new(gone)).await.unwrap();
    let (text, good) = bench.check().await;
    assert!(!good && text.contains("the vendor does not serve it any more"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_a_variable_too_and_nonsense_is_not_repeated() {
    let bench = Bench::new().await;
    let check = async |value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-crosstie"));
        command
            .args(["connector", "check", "--allow-cidr", "127.0.0.0/8", "--credentials-env", "SHOP"])
            .env("SHOP", value);
        let output = command.arg("-f").arg(bench.path("connector.yaml")).output().await.unwrap();
        (String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(), output.status.code())
    };
    let (text, code) = check(r#"{"token": "token-1"}"#).await;
    assert_eq!(code, Some(0), "{text}");
    let (text, code) = check("token-1").await;
    assert!(code == Some(2) && text.contains("no JSON object of texts") && !text.contains("token-1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_connector_lints() {
    let folder = tempfile::tempdir().unwrap();
    let item = json!({"type": "object", "properties": {"id": {"type": "string"}, "updatedAt": {"type": "string"}}});
    let answer = json!({"200": {"content": {"application/json": {"schema": {"type": "array", "items": item}}}}});
    let document = json!({
        "openapi": "3.1.0", "info": {"title": "Depot: \n a test", "version": "7"},
        "paths": {"/parcels": {"get": {"responses": answer}}, "/boxes/{a b}": {"put": {"requestBody": {"content": {"application/json": {}}}}}},
    });
    let source = folder.path().join("openapi.json");
    std::fs::write(&source, document.to_string()).unwrap();
    let run = async |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_kubectl-crosstie")).args(arguments).output().await.unwrap();
        (
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
            output.status.success(),
        )
    };
    let (yaml, good) = run(&["connector", "import", source.to_str().unwrap(), "--name", "depot"]).await;
    assert!(good && yaml.contains("name: parcels") && yaml.contains("# - baseURL"), "{yaml}");
    let manifest = folder.path().join("connector.yaml");
    std::fs::write(&manifest, yaml).unwrap();
    assert_eq!(run(&["lint", "-f", manifest.to_str().unwrap()]).await, ("connector/depot: ok\n".to_owned(), true));
}
