//! AWS Secrets Manager as far as the operator asks it: JSON 1.1 over HTTP, every secret rotated once, each answer after the same time. It counts
//! calls and checks no signature. Any secret can be read; lists name those that it was told of.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// How long an answer takes.
const LATENCY: Duration = Duration::from_millis(15);
/// How many secrets one batch may name, as AWS documents.
const LARGEST_BATCH: usize = 20;
/// How many secrets a page of a list may have, as AWS documents.
const LARGEST_PAGE: usize = 100;

/// The endpoint.
#[derive(Clone, Debug, Default)]
pub struct SecretsManager {
    names: Arc<BTreeSet<String>>,
    calls: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl SecretsManager {
    /// An endpoint whose lists name these secrets.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: Arc::new(names.into_iter().collect()), calls: Arc::default() }
    }

    /// Starts answering on a free port of the loopback, for as long as the program lives, and gives the address.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn serve(&self) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/", post(answer)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(address)
    }

    /// How often each operation was called so far.
    pub fn calls(&self) -> BTreeMap<String, u32> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, operation: &str) {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(operation.to_owned()).or_default() += 1;
    }
}

async fn answer(State(manager): State<SecretsManager>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix("secretsmanager.").unwrap_or(target);
    manager.count(operation);
    tokio::time::sleep(LATENCY).await;
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    match operation {
        "GetSecretValue" => {
            let (Some(name), stage) = (request["SecretId"].as_str(), request["VersionStage"].as_str()) else {
                return refused("ValidationException");
            };
            answered(&secret(name, stage.unwrap_or("AWSCURRENT")))
        }
        "DescribeSecret" => match request["SecretId"].as_str() {
            Some(name) => {
                answered(&json!({"Name": name, "VersionIdsToStages": versions(name), "RotationEnabled": false}))
            }
            None => refused("ValidationException"),
        },
        "ListSecrets" => match page(&manager.names, &request) {
            Some(page) => answered(&page),
            None => refused("InvalidParameterException"),
        },
        "BatchGetSecretValue" => {
            let names = request["SecretIdList"].as_array().map(Vec::as_slice).unwrap_or_default();
            if names.is_empty() || names.len() > LARGEST_BATCH {
                return refused("ValidationException");
            }
            let found: Vec<Value> =
                names.iter().filter_map(Value::as_str).map(|name| secret(name, "AWSCURRENT")).collect();
            answered(&json!({"SecretValues": found, "Errors": []}))
        }
        _ => refused("UnknownOperationException"),
    }
}

/// A page of the list: the secrets in the order of their names behind the one that the token names, and a token if there are more.
fn page(names: &BTreeSet<String>, request: &Value) -> Option<Value> {
    let most = request["MaxResults"].as_u64().map_or(Some(LARGEST_PAGE), |most| usize::try_from(most).ok())?;
    if !(1..=LARGEST_PAGE).contains(&most) {
        return None;
    }
    let filters = request["Filters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let passes = |name: &str| {
        filters.iter().all(|filter| {
            let mut beginnings = filter["Values"].as_array().into_iter().flatten().filter_map(Value::as_str);
            filter["Key"] != "name" || beginnings.any(|beginning| name.starts_with(beginning))
        })
    };
    let after = request["NextToken"].as_str().unwrap_or_default();
    let mut rest = names.iter().map(String::as_str).filter(|name| *name > after && passes(name));
    let listed: Vec<&str> = rest.by_ref().take(most).collect();
    let token = rest.next().and(listed.last());
    let entry = |name: &&str| json!({"Name": name, "SecretVersionsToStages": versions(name), "RotationEnabled": false});
    Some(json!({"SecretList": listed.iter().map(entry).collect::<Vec<_>>(), "NextToken": token}))
}

fn versions(name: &str) -> Value {
    let stages = ["AWSCURRENT", "AWSPREVIOUS"];
    stages.map(|stage| (version_id(name, stage), json!([stage]))).into_iter().collect::<serde_json::Map<_, _>>().into()
}

/// Any secret: its versions are named by its name and stage.
fn secret(name: &str, stage: &str) -> Value {
    json!({
        "ARN": format!("arn:aws:secretsmanager:eu-west-1:000000000000:secret:{name}-AbCdEf"),
        "Name": name,
        "VersionId": version_id(name, stage),
        "SecretString": json!({"token": format!("token of {name}, {stage}")}).to_string(),
        "VersionStages": [stage],
        "CreatedDate": 1.7e9,
    })
}

fn version_id(name: &str, stage: &str) -> String {
    format!("{name}-{stage}").replace('/', "-")
}

fn answered(body: &Value) -> Response {
    (StatusCode::OK, [(CONTENT_TYPE, "application/x-amz-json-1.1")], body.to_string()).into_response()
}

fn refused(code: &str) -> Response {
    let body = json!({"__type": code, "Message": "this endpoint does not do that"});
    (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/x-amz-json-1.1")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_are_answered_and_counted() {
        let manager = SecretsManager::new((0..150).map(|number| format!("a/{number:03}")));
        let url = format!("http://{}/", manager.serve().await.unwrap());
        let client = reqwest::Client::new();
        let ask = async |operation: &str, body: Value| -> Value {
            let request = client.post(&url).header("x-amz-target", format!("secretsmanager.{operation}"));
            request.json(&body).send().await.unwrap().json().await.unwrap()
        };
        let one = ask("GetSecretValue", json!({"SecretId": "a/1", "VersionStage": "AWSPREVIOUS"})).await;
        assert_eq!(one["VersionId"], "a-1-AWSPREVIOUS");
        let many = ask("BatchGetSecretValue", json!({"SecretIdList": ["a/1", "a/2"]})).await;
        assert_eq!(many["SecretValues"].as_array().unwrap().len(), 2);
        assert_eq!(ask("PutSecretValue", json!({})).await["__type"], "UnknownOperationException");
        let counted: Vec<(String, u32)> = manager.calls().into_iter().collect();
        assert_eq!(counted.iter().map(|(_, times)| times).sum::<u32>(), 3);
        let filter = json!([{"Key": "name", "Values": ["a/"]}]);
        let first = ask("ListSecrets", json!({"MaxResults": 100, "Filters": filter})).await;
        assert_eq!(first["SecretList"].as_array().unwrap().len(), 100);
        assert_eq!(first["SecretList"][0]["SecretVersionsToStages"]["a-000-AWSPREVIOUS"], json!(["AWSPREVIOUS"]));
        let second = ask("ListSecrets", json!({"NextToken": first["NextToken"], "Filters": filter})).await;
        assert_eq!(second["SecretList"].as_array().unwrap().len(), 50);
        assert_eq!((&second["SecretList"][0]["Name"], &second["NextToken"]), (&json!("a/100"), &Value::Null));
        assert_eq!(ask("ListSecrets", json!({"MaxResults": 101})).await["__type"], "InvalidParameterException");
    }
}
