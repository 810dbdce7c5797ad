//! Lists, and what the whole of reading a thousand secrets costs, against an endpoint that answers as AWS does and counts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_secretsmanager::config::Credentials;
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    telemetry::Metrics,
    vault::{Vault, fetch::tests::named, secrets::Secrets, sweep::Sweep},
};

/// An account whose secrets were all rotated once.
#[derive(Clone, Default)]
struct Account(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    names: BTreeSet<String>,
    refuses_lists: bool,
    /// Lists do not say where versions are.
    says_little: bool,
    calls: BTreeMap<String, usize>,
    /// The filter of the last list.
    filters: Value,
}

impl Account {
    fn with(names: impl IntoIterator<Item = String>) -> Self {
        let account = Self::default();
        account.0.lock().unwrap().names = names.into_iter().collect();
        account
    }

    fn calls(&self, operation: &str) -> usize {
        self.0.lock().unwrap().calls.get(operation).copied().unwrap_or_default()
    }

    async fn serve(&self) -> SecretsManager {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let account = self.clone();
        let answer = move |headers: HeaderMap, body: Bytes| async move { answer(&account, &headers, &body) };
        let router = Router::new().route("/", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let chain = move || {
            aws_config::defaults(BehaviorVersion::latest())
                .endpoint_url(&url)
                .region(Region::new("eu-west-1"))
                .credentials_provider(Credentials::new("key", "test", None, None, "tests"))
        };
        SecretsManager::new(chain, Metrics::default())
    }
}

fn answer(account: &Account, headers: &HeaderMap, body: &Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.strip_prefix("secretsmanager.").unwrap();
    let request: Value = serde_json::from_slice(body).unwrap();
    let mut shown = account.0.lock().unwrap();
    *shown.calls.entry(operation.to_owned()).or_default() += 1;
    let name = request["SecretId"].as_str().unwrap_or_default();
    let answer = match operation {
        "BatchGetSecretValue" => {
            let names = request["SecretIdList"].as_array().unwrap().iter().filter_map(Value::as_str);
            json!({"SecretValues": names.map(|name| value(name, "AWSCURRENT")).collect::<Vec<_>>()})
        }
        "GetSecretValue" => value(name, request["VersionStage"].as_str().unwrap()),
        "DescribeSecret" => json!({"Name": name, "VersionIdsToStages": stages(name), "NextRotationDate": 1.8e9}),
        "ListSecrets" if shown.refuses_lists => {
            let refusal = json!({"__type": "AccessDeniedException", "Message": "no"});
            return (StatusCode::BAD_REQUEST, refusal.to_string()).into_response();
        }
        "ListSecrets" => list(&mut shown, &request),
        other => panic!("{other} was not to be called"),
    };
    answer.to_string().into_response()
}

fn list(shown: &mut Shown, request: &Value) -> Value {
    shown.filters = request["Filters"].clone();
    let prefixes: Option<Vec<&str>> =
        shown.filters[0]["Values"].as_array().map(|values| values.iter().filter_map(Value::as_str).collect());
    let passes = |name: &&String| prefixes.as_ref().is_none_or(|all| all.iter().any(|prefix| name.starts_with(prefix)));
    let most = request["MaxResults"].as_u64().map_or(100, |most| usize::try_from(most).unwrap());
    let start = request["NextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let mut names = shown.names.iter().filter(passes).skip(start);
    let page: Vec<Value> = names
        .by_ref()
        .take(most)
        .map(|name| {
            if shown.says_little {
                return json!({"Name": name});
            }
            json!({"Name": name, "SecretVersionsToStages": stages(name), "NextRotationDate": 1.8e9})
        })
        .collect();
    let token = names.next().map(|_| (start + most).to_string());
    json!({"SecretList": page, "NextToken": token})
}

fn version(name: &str, stage: &str) -> String {
    format!("version {stage} of {name}")
}

fn stages(name: &str) -> Value {
    json!({version(name, "AWSCURRENT"): ["AWSCURRENT"], version(name, "AWSPREVIOUS"): ["AWSPREVIOUS"], "pending": ["AWSPENDING"]})
}

fn value(name: &str, stage: &str) -> Value {
    json!({"Name": name, "VersionId": version(name, stage), "SecretString": r#"{"token":"t"}"#, "CreatedDate": 1.7e9})
}

fn numbered(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("shop/{number:04}"))
}

fn keys(names: impl Iterator<Item = String>) -> Vec<SecretKey> {
    names.map(|name| named(&name)).collect()
}

#[tokio::test]
async fn a_list_says_page_by_page_what_descriptions_say() {
    let account = Account::with(numbered(250));
    let vault = account.serve().await;
    let wanted = keys(numbered(250));
    let listing = vault.list(&wanted, 25).await;
    assert_eq!((listing.end, listing.calls, account.calls(LIST)), (ListEnd::Whole, 3, 3));
    assert_eq!(listing.descriptions.len(), 250);
    for key in [&wanted[0], &wanted[249]] {
        let described = vault.describe(key).await.unwrap();
        assert_eq!(listing.descriptions[key], described);
        assert!(described.next_rotation.is_some());
    }
}

#[tokio::test]
async fn a_list_ends_where_it_was_to_end_and_keeps_nothing_of_other_secrets() {
    let account = Account::with(numbered(1000));
    let vault = account.serve().await;
    let wanted = keys(["shop/0150".to_owned(), "shop/0999".to_owned()].into_iter());
    let listing = vault.list(&wanted, 2).await;
    assert_eq!((listing.end, listing.calls, account.calls(LIST)), (ListEnd::Cut, 2, 2));
    assert_eq!(listing.descriptions.keys().collect::<Vec<_>>(), [&wanted[0]]);
    let listing = vault.list(&wanted[..1], 25).await;
    assert_eq!((listing.end, listing.calls), (ListEnd::Whole, 2), "everything was found");
}

#[tokio::test]
async fn a_list_that_does_not_say_where_versions_are_says_nothing() {
    let account = Account::with(numbered(10));
    account.0.lock().unwrap().says_little = true;
    let listing = account.serve().await.list(&keys(numbered(10)), 1).await;
    assert_eq!(listing, Listing { calls: 1, end: ListEnd::Whole, ..Listing::default() });
}

#[tokio::test]
async fn a_refusal_is_remembered_for_a_while() {
    let account = Account::with(numbered(10));
    account.0.lock().unwrap().refuses_lists = true;
    let vault = account.serve().await;
    let wanted = keys(numbered(10));
    for calls in [1, 0] {
        assert_eq!(vault.list(&wanted, 1).await, Listing { calls, ..Listing::default() });
    }
    assert_eq!(account.calls(LIST), 1);
    assert!(vault.describe(&wanted[0]).await.is_some());
}

#[tokio::test]
async fn a_list_asks_for_the_namespaces_whose_secrets_are_wanted() {
    let others = (0..5000).map(|number| format!("other/{number:04}"));
    let account = Account::with(others.chain(numbered(30)).chain(["till/a".to_owned()]));
    let vault = account.serve().await;
    let wanted = keys(numbered(30).chain(["till/a".to_owned()]));
    let listing = vault.list(&wanted, 3).await;
    assert_eq!((listing.end, listing.calls, listing.descriptions.len()), (ListEnd::Whole, 1, 31));
    assert_eq!(account.0.lock().unwrap().filters, json!([{"Key": "name", "Values": ["shop/", "till/"]}]));
}

#[test]
fn too_many_beginnings_and_names_that_cannot_be_asked_for_mean_no_filter() {
    let wanted = |names: &[&str]| names.iter().map(|name| named(name)).collect::<Vec<_>>();
    assert_eq!(prefixes(&wanted(&["shop/a", "shop/b", "crm"])), Some(vec!["crm".into(), "shop/".into()]));
    assert_eq!(prefixes(&wanted(&["shop/a", "arn:aws:secretsmanager:eu-west-1:1:secret:shop/a-AbCdEf"])), None);
    assert_eq!(prefixes(&wanted(&["!shop/a"])), None);
    let many: Vec<SecretKey> = keys((0..11).map(|number| format!("namespace-{number}/a")));
    assert_eq!(prefixes(&many), None);
    assert_eq!(prefixes(&many[1..]).unwrap().len(), MOST_PREFIXES);
}

/// Reads secrets until each is held and described, and gives how many calls that took.
async fn read_and_described(account: &Account, wanted: Vec<SecretKey>) -> usize {
    let (secrets, asked) = Secrets::new();
    let secrets = Arc::new(secrets);
    let mut changes = secrets.changes();
    let used: BTreeSet<SecretKey> = wanted.iter().cloned().collect();
    let sweep = Sweep {
        vault: Arc::new(account.serve().await),
        secrets: secrets.clone(),
        used: move || used.clone(),
        interval: Duration::from_mins(5),
        jitter: || 0.5,
    };
    let stop = CancellationToken::new();
    let _running = stop.clone().drop_guard();
    tokio::spawn(sweep.run(asked, stop));
    for key in &wanted {
        secrets.look(key);
    }
    let is_described = |key: &SecretKey| {
        let held = secrets.look(key).and_then(|entry| entry.held);
        held.is_some_and(|held| held.description.as_ref().is_some_and(|described| held.is_confirmed_by(described)))
    };
    let all = async {
        while !wanted.iter().all(is_described) {
            // Lagging behind is news, too.
            let _ = changes.recv().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), all).await.expect("all of them are described");
    account.0.lock().unwrap().calls.values().sum()
}

#[tokio::test]
async fn a_thousand_secrets_are_read_and_described_with_1100_calls() {
    let account = Account::with(numbered(1000));
    let calls = read_and_described(&account, keys(numbered(1000))).await;
    assert!(calls <= 1100, "{:?}", account.0.lock().unwrap().calls);
}

#[tokio::test]
async fn where_lists_are_refused_secrets_are_described_one_by_one() {
    let account = Account::with(numbered(40));
    account.0.lock().unwrap().refuses_lists = true;
    read_and_described(&account, keys(numbered(40))).await;
    assert_eq!(account.calls(LIST), 1);
    assert!(account.calls("DescribeSecret") >= 40, "{}", account.calls("DescribeSecret"));
}
