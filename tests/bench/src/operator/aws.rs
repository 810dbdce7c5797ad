//! AWS Secrets Manager as far as the operator asks it: JSON 1.1 over HTTP, every secret rotated once, each answer after the same time. It counts
//! calls and checks no signature.

use std::{
    collections::BTreeMap,
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

/// The endpoint.
#[derive(Clone, Debug, Default)]
pub struct SecretsManager {
    calls: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl SecretsManager {
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
                let stages = ["AWSCURRENT", "AWSPREVIOUS"];
                let versions: serde_json::Map<String, Value> =
                    stages.map(|stage| (version_id(name, stage), json!([stage]))).into_iter().collect();
                answered(&json!({"Name": name, "VersionIdsToStages": versions, "RotationEnabled": false}))
            }
            None => refused("ValidationException"),
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
        let manager = SecretsManager::default();
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
    }
}
