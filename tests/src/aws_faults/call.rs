//! What a request to AWS is about, read from its signature's scope, its target and its body. Signatures themselves are not checked.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A call to AWS. Holds names only, never a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Id of the key that signed it: whose call it is.
    pub key_id: String,
    /// Region it was signed for.
    pub region: String,
    /// Service it was signed for, for example `secretsmanager`.
    pub service: String,
    /// Operation, for example `GetSecretValue`.
    pub operation: String,
    /// Secrets, role or queue that it names.
    pub names: Vec<String>,
    /// Id that the caller gave the version that is to be made.
    pub version: Option<String>,
    /// External id that a role is assumed with.
    pub external_id: Option<String>,
    /// Whether the proxy refused it.
    pub refused: bool,
}

impl Call {
    /// Reads a request. What it does not say stays empty.
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let scope: Vec<&str> = credential(text(AUTHORIZATION.as_str())).split('/').collect();
        let part = |at: usize| scope.get(at).copied().unwrap_or_default().to_owned();
        let mut call = Self { key_id: part(0), region: part(2), service: part(3), ..Self::default() };
        match text("x-amz-target").rsplit_once('.') {
            Some((_, operation)) => {
                operation.clone_into(&mut call.operation);
                let body = serde_json::from_slice(body).unwrap_or_default();
                call.names = named(&body);
                call.version = body["ClientRequestToken"].as_str().map(str::to_owned);
            }
            // STS speaks forms.
            None => {
                for (key, value) in form(body) {
                    match key.as_str() {
                        "Action" => call.operation = value,
                        "RoleArn" => call.names = vec![value],
                        "ExternalId" => call.external_id = Some(value),
                        _ => {}
                    }
                }
            }
        }
        call
    }
}

/// The credential of a signature: key id, date, region, service, and the scheme's own word.
fn credential(authorization: &str) -> &str {
    let (_, rest) = authorization.split_once("Credential=").unwrap_or_default();
    rest.split(',').next().unwrap_or_default()
}

fn named(body: &Value) -> Vec<String> {
    let one = ["SecretId", "QueueUrl"].iter().filter_map(|key| body[*key].as_str());
    let many = body["SecretIdList"].as_array().into_iter().flatten().filter_map(Value::as_str);
    one.chain(many).map(str::to_owned).collect()
}

fn form(body: &[u8]) -> Vec<(String, String)> {
    // A form is what a URL's query is.
    let query = String::from_utf8_lossy(body);
    let url = reqwest::Url::parse(&format!("http://form/?{query}"));
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(target: &str) -> HeaderMap {
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260701/eu-west-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0";
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        if !target.is_empty() {
            headers.insert("x-amz-target", target.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_call_says_who_where_what_and_about_which_secrets() {
        let call = Call::read(&headers("secretsmanager.BatchGetSecretValue"), br#"{"SecretIdList": ["a/1", "a/2"]}"#);
        assert_eq!((call.key_id.as_str(), call.region.as_str()), ("AKIDEXAMPLE", "eu-west-1"));
        assert_eq!((call.operation.as_str(), call.names.len()), ("BatchGetSecretValue", 2));
    }

    #[test]
    fn a_role_is_assumed_with_a_form() {
        let body =
            b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa&ExternalId=shop%2Fa";
        let call = Call::read(&headers(""), body);
        assert_eq!((call.operation.as_str(), call.external_id.as_deref()), ("AssumeRole", Some("shop/a")));
        assert_eq!(call.names, ["arn:aws:iam::1:role/a"]);
    }
}
