//! AWS Secrets Manager. Requests, and what its errors mean; nothing is remembered here but clients.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueError,
};
use crosstie_crds::condition::Reason;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::{SecretKey, Stage, StoredValue, Vault, VaultFault};
use crate::telemetry::Metrics;

/// How long one call may take, its retries included.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of AWS' own words goes into a message.
const LONGEST_DETAIL: usize = 300;

/// AWS Secrets Manager through the SDK's default chain of credentials and regions. The chain is asked at the first read,
/// so that starting never waits for it.
pub struct SecretsManager {
    config: OnceCell<SdkConfig>,
    clients: Mutex<HashMap<Option<String>, Client>>,
    metrics: Metrics,
}

impl SecretsManager {
    /// One that has not connected yet.
    pub fn new(metrics: Metrics) -> Self {
        Self { config: OnceCell::new(), clients: Mutex::default(), metrics }
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
    async fn read(&self, key: &SecretKey, stage: Stage) -> Result<Option<StoredValue>, VaultFault> {
        let client = self.client(key).await?;
        let request = client.get_secret_value().secret_id(&key.secret_id).version_stage(stage.label());
        let outcome = match request.send().await {
            Ok(output) => match output.version_id {
                Some(version_id) => {
                    Ok(Some(StoredValue { version_id, text: output.secret_string.map(Zeroizing::new) }))
                }
                None => Err(unavailable(key, stage, "the answer has no version id")),
            },
            Err(error) => explain(key, stage, &error),
        };
        self.metrics.aws_call("GetSecretValue", outcome.is_ok());
        outcome
    }
}

/// What an error means: absence is an answer, the rest is a fault.
fn explain<R>(
    key: &SecretKey,
    stage: Stage,
    error: &SdkError<GetSecretValueError, R>,
) -> Result<Option<StoredValue>, VaultFault>
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let Some(service) = error.as_service_error() else {
        return Err(unavailable(key, stage, &root_cause(error)));
    };
    let code = service.code().unwrap_or("unknown error");
    let detail = shorten(&format!("{code}: {}", service.message().unwrap_or("no further message")));
    match code {
        "ResourceNotFoundException" => Ok(None),
        // So AWS calls a secret that is marked for deletion.
        "InvalidRequestException" => {
            let message =
                format!("{key} cannot be read, AWS says {detail}: restore or create it, or correct spec.credentials");
            Err(VaultFault::new(Reason::SecretMissing, message))
        }
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
        | "DecryptionFailure" => {
            let message = format!(
                "AWS refused the operator {} of {key}, {detail}: allow the operator's role secretsmanager:GetSecretValue \
                 on it, and kms:Decrypt if it has a key of its own",
                stage.label()
            );
            Err(VaultFault::new(Reason::AccessDenied, message))
        }
        _ => Err(unavailable(key, stage, &detail)),
    }
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
    use aws_sdk_secretsmanager::error::ErrorMetadata;

    use super::*;
    use crate::vault::fetch::tests::key;

    fn answer(code: &str) -> Result<Option<StoredValue>, VaultFault> {
        let metadata = ErrorMetadata::builder().code(code).message("as AWS says").build();
        explain(&key(), Stage::Current, &SdkError::service_error(GetSecretValueError::generic(metadata), ()))
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
            ("ThrottlingException", Reason::VaultUnavailable),
            ("InternalServiceError", Reason::VaultUnavailable),
        ];
        for (code, reason) in cases {
            let fault = answer(code).unwrap_err();
            assert_eq!(fault.reason, reason, "{code}");
            assert!(fault.message.contains("shop/shopify") && fault.message.contains(code), "{fault}");
        }
    }

    #[test]
    fn a_network_failure_is_an_outage() {
        let error: SdkError<GetSecretValueError, ()> = SdkError::timeout_error("connect timed out");
        let fault = explain(&key(), Stage::Previous, &error).unwrap_err();
        assert_eq!(fault.reason, Reason::VaultUnavailable);
        assert!(fault.message.contains("connect timed out"), "{fault}");
    }
}
