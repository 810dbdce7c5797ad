//! AWS Secrets Manager. Requests, and what its errors mean; nothing is remembered here but clients.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_runtime::retries::classifiers::THROTTLING_ERRORS;
use aws_sdk_secretsmanager::{
    Client, error::ProvideErrorMetadata, operation::batch_get_secret_value::BatchGetSecretValueOutput,
};
use crosstie_crds::condition::Reason;
use futures::future::join_all;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::{Read, SecretKey, Stage, StoredValue, Vault, VaultFault};
use crate::telemetry::Metrics;

/// How long one call may take, its retries included.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long secrets are read alone after the role was refused to read them together.
const TOGETHER_AGAIN: Duration = Duration::from_mins(10);
/// How much of AWS' own words goes into a message.
const LONGEST_DETAIL: usize = 300;

/// AWS Secrets Manager through the SDK's default chain of credentials and regions. The chain is asked at the first read,
/// so that starting never waits for it.
pub struct SecretsManager {
    config: OnceCell<SdkConfig>,
    clients: Mutex<HashMap<Option<String>, Client>>,
    /// When reading together is tried again, after it was refused.
    together_again: Mutex<Option<Instant>>,
    metrics: Metrics,
}

impl SecretsManager {
    /// One that has not connected yet.
    pub fn new(metrics: Metrics) -> Self {
        Self { config: OnceCell::new(), clients: Mutex::default(), together_again: Mutex::default(), metrics }
    }

    async fn client(&self, key: &SecretKey) -> Result<Client, VaultFault> {
        let known = self.clients.lock().unwrap_or_else(PoisonError::into_inner).get(&key.region).cloned();
        if let Some(client) = known {
            return Ok(client);
        }
        let config = self.config.get_or_init(load).await;
        if key.region.is_none() && config.region().is_none() {
            let message = format!(
                "no AWS region is known for {key}: set region under spec.credentials.awsSecretsManager, or AWS_REGION for the operator"
            );
            return Err(VaultFault::new(Reason::VaultUnavailable, message));
        }
        let mut builder = aws_sdk_secretsmanager::config::Builder::from(config);
        if let Some(region) = &key.region {
            builder = builder.region(Region::new(region.clone()));
        }
        let client = Client::from_conf(builder.build());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(clients.entry(key.region.clone()).or_insert(client).clone())
    }
}

async fn load() -> SdkConfig {
    let timeouts =
        TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .load()
        .await
}

impl Vault for SecretsManager {
    async fn read_current(&self, keys: &[SecretKey]) -> Vec<Read> {
        let answers = self.read_together(keys).await;
        let alone = keys.iter().zip(answers).map(async |(key, answer)| match answer {
            Some(answer) => answer,
            None => self.read(key, Stage::Current).await,
        });
        join_all(alone).await
    }

    async fn read_previous(&self, key: &SecretKey) -> Read {
        self.read(key, Stage::Previous).await
    }
}

impl SecretsManager {
    async fn read(&self, key: &SecretKey, stage: Stage) -> Read {
        let client = self.client(key).await?;
        let request = client.get_secret_value().secret_id(&key.secret_id).version_stage(stage.label());
        let outcome = match request.send().await {
            Ok(output) => stored(key, stage, output.version_id, output.secret_string),
            Err(error) => match error.as_service_error() {
                Some(service) => explain(key, stage, service.code(), service.message()),
                None => Err(unavailable(key, stage, &root_cause(&error))),
            },
        };
        self.metrics.aws_call("GetSecretValue", outcome.is_ok());
        outcome
    }

    /// Reads current versions in one call. `None` stands for those that have to be read alone: all of them, where the operator's role may not
    /// read together.
    async fn read_together(&self, keys: &[SecretKey]) -> Vec<Option<Read>> {
        let alone = || keys.iter().map(|_| None).collect();
        let [first, _, ..] = keys else { return alone() };
        if self.together_again().is_some_and(|again| Instant::now() < again) {
            return alone();
        }
        let client = match self.client(first).await {
            Ok(client) => client,
            Err(fault) => return keys.iter().map(|_| Some(Err(fault.clone()))).collect(),
        };
        let ids = keys.iter().map(|key| key.secret_id.clone()).collect();
        let outcome = client.batch_get_secret_value().set_secret_id_list(Some(ids)).send().await;
        self.metrics.aws_call("BatchGetSecretValue", outcome.is_ok());
        let error = match outcome {
            Ok(output) => return keys.iter().map(|key| answer_for(key, &output)).collect(),
            Err(error) => error,
        };
        let Some(service) = error.as_service_error() else {
            let cause = root_cause(&error);
            return keys.iter().map(|key| Some(Err(unavailable(key, Stage::Current, &cause)))).collect();
        };
        if service.code().is_some_and(is_refusal) {
            tracing::info!(
                code = service.code(),
                "AWS does not let the operator read secrets together: each is read by a call of its own; allow \
                 secretsmanager:BatchGetSecretValue to save calls"
            );
            *self.together_again.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + TOGETHER_AGAIN);
            return alone();
        }
        keys.iter().map(|key| Some(explain(key, Stage::Current, service.code(), service.message()))).collect()
    }

    fn together_again(&self) -> Option<Instant> {
        *self.together_again.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a batch says about one of its secrets; nothing, when it does not name it.
fn answer_for(key: &SecretKey, output: &BatchGetSecretValueOutput) -> Option<Read> {
    let is = |id: Option<&str>| id == Some(key.secret_id.as_str());
    if let Some(found) = output.secret_values().iter().find(|found| is(found.name()) || is(found.arn())) {
        return Some(stored(key, Stage::Current, found.version_id.clone(), found.secret_string.clone()));
    }
    let failed = output.errors().iter().find(|failed| is(failed.secret_id()))?;
    Some(explain(key, Stage::Current, failed.error_code(), failed.message()))
}

fn stored(key: &SecretKey, stage: Stage, version_id: Option<String>, text: Option<String>) -> Read {
    match version_id {
        Some(version_id) => Ok(Some(StoredValue { version_id, text: text.map(Zeroizing::new) })),
        None => Err(unavailable(key, stage, "the answer has no version id")),
    }
}

/// What an error means: absence is an answer, the rest is a fault.
fn explain(key: &SecretKey, stage: Stage, code: Option<&str>, message: Option<&str>) -> Read {
    let code = code.unwrap_or("unknown error");
    let detail = shorten(&format!("{code}: {}", message.unwrap_or("no further message")));
    match code {
        "ResourceNotFoundException" => Ok(None),
        // So AWS calls a secret that is marked for deletion.
        "InvalidRequestException" => {
            let message =
                format!("{key} cannot be read, AWS says {detail}: restore or create it, or correct spec.credentials");
            Err(VaultFault::new(Reason::SecretMissing, message))
        }
        code if is_refusal(code) || code == "DecryptionFailure" => {
            let message = format!(
                "AWS refused the operator {} of {key}, {detail}: allow the operator's role secretsmanager:GetSecretValue \
                 on it, and kms:Decrypt if it has a key of its own",
                stage.label()
            );
            Err(VaultFault::new(Reason::AccessDenied, message))
        }
        // The SDK retried it in vain by then.
        code if THROTTLING_ERRORS.contains(&code) => {
            let message = format!(
                "AWS Secrets Manager takes no more calls for {} of {key} at the moment, {detail}: it is read again with growing waits; \
                 values read before stay in use",
                stage.label()
            );
            Err(VaultFault::new(Reason::Throttled, message))
        }
        _ => Err(unavailable(key, stage, &detail)),
    }
}

/// Whether a code says that the operator may not do this, or is not known.
fn is_refusal(code: &str) -> bool {
    matches!(
        code,
        "AccessDeniedException"
            | "AccessDenied"
            | "NotAuthorized"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "OptInRequired"
    )
}

fn unavailable(key: &SecretKey, stage: Stage, detail: &str) -> VaultFault {
    let message = format!(
        "AWS Secrets Manager could not be asked for {} of {key}, {}: it is tried again; values read before stay in use",
        stage.label(),
        shorten(detail)
    );
    VaultFault::new(Reason::VaultUnavailable, message)
}

/// The innermost cause: the SDK's outer errors say little more than that there is one.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST_DETAIL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::types::{ApiErrorType, SecretValueEntry};

    use super::*;
    use crate::vault::fetch::tests::key;

    fn answer(code: &str) -> Read {
        explain(&key(), Stage::Current, Some(code), Some("as AWS says"))
    }

    #[test]
    fn absence_is_an_answer() {
        assert!(answer("ResourceNotFoundException").unwrap().is_none());
    }

    #[test]
    fn a_refusal_is_told_apart_from_an_outage() {
        let cases = [
            ("AccessDeniedException", Reason::AccessDenied),
            ("UnrecognizedClientException", Reason::AccessDenied),
            ("DecryptionFailure", Reason::AccessDenied),
            ("InvalidRequestException", Reason::SecretMissing),
            ("ThrottlingException", Reason::Throttled),
            ("TooManyRequestsException", Reason::Throttled),
            ("InternalServiceError", Reason::VaultUnavailable),
        ];
        for (code, reason) in cases {
            let fault = answer(code).unwrap_err();
            assert_eq!(fault.reason, reason, "{code}");
            assert!(fault.message.contains("shop/shopify") && fault.message.contains(code), "{fault}");
        }
    }

    #[test]
    fn a_batch_answers_by_name_and_by_arn_and_says_what_failed() {
        let named = |id: &str| SecretKey { region: None, secret_id: id.into() };
        let entry =
            SecretValueEntry::builder().name("shop/a").arn("arn:a").version_id("v1").secret_string("{}").build();
        let failed = ApiErrorType::builder().secret_id("shop/b").error_code("AccessDeniedException").build();
        let gone = ApiErrorType::builder().secret_id("shop/c").error_code("ResourceNotFoundException").build();
        let output = BatchGetSecretValueOutput::builder().secret_values(entry).errors(failed).errors(gone).build();
        for id in ["shop/a", "arn:a"] {
            assert_eq!(answer_for(&named(id), &output).unwrap().unwrap().unwrap().version_id, "v1");
        }
        assert_eq!(answer_for(&named("shop/b"), &output).unwrap().unwrap_err().reason, Reason::AccessDenied);
        assert!(answer_for(&named("shop/c"), &output).unwrap().unwrap().is_none());
        assert!(answer_for(&named("shop/d"), &output).is_none(), "what it does not name is read alone");
    }

    #[test]
    fn a_network_failure_is_an_outage() {
        let fault = unavailable(&key(), Stage::Previous, "connect timed out");
        assert_eq!(fault.reason, Reason::VaultUnavailable);
        assert!(fault.message.contains("connect timed out"), "{fault}");
    }
}
