//! AWS Secrets Manager: the requests, and what is made of the answers. As whom they are made lives in `clients`, what errors mean in `faults`, lists of
//! many secrets in `listing`, the queue of changes in `queue`.

mod clients;
mod faults;
mod listing;
pub mod queue;
mod refresh;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_secretsmanager::{
    error::ProvideErrorMetadata, operation::batch_get_secret_value::BatchGetSecretValueOutput, primitives::DateTime,
};
use futures::future::join_all;
use jiff::Timestamp;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::{
    clients::Clients,
    faults::{explain, is_refusal, not_rotated, unanswered, unavailable},
};
use super::{Account, Description, Listing, Read, SecretKey, Stage, StoredValue, Vault, VaultFault};
use crate::telemetry::Metrics;

/// How long a call that saves others is not tried again after it was refused.
const ALLOWED_AGAIN: Duration = Duration::from_mins(10);
/// Reads up to twenty secrets in one call.
const TOGETHER: &str = "BatchGetSecretValue";
/// Says which version has which stage, and when the secret is rotated next.
const DESCRIBE: &str = "DescribeSecret";

/// AWS Secrets Manager through the SDK's default chain of credentials and regions, and through the roles that Connectors bring.
pub struct SecretsManager {
    clients: Clients,
    /// When a call that can be done without is tried again in an account, after it was refused there.
    refused: Mutex<HashMap<(Account, &'static str), Instant>>,
    metrics: Metrics,
}

impl SecretsManager {
    /// One that has not connected yet. `chain` says where region, keys and endpoint come from.
    pub fn new(chain: impl Fn() -> ConfigLoader + Send + Sync + 'static, metrics: Metrics) -> Self {
        Self { clients: Clients::new(chain), refused: Mutex::default(), metrics }
    }
}

impl SecretsManager {
    /// What the chain came to, for whatever else the operator asks AWS as itself.
    pub async fn config(&self) -> &SdkConfig {
        self.clients.config().await
    }
}

/// The SDK's own chain: the environment, a web identity, Pod Identity.
pub fn environment() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
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

    async fn describe(&self, key: &SecretKey) -> Option<Description> {
        self.ask_description(key).await
    }

    async fn list(&self, wanted: &[SecretKey], most_calls: usize) -> Listing {
        self.list_wanted(wanted, most_calls).await
    }

    async fn read_previous(&self, key: &SecretKey) -> Read {
        self.read(key, Stage::Previous).await
    }

    async fn rotate(&self, key: &SecretKey, version_id: &str) -> Result<(), VaultFault> {
        let client = self.clients.get(key).await?;
        // The same version gives the same token: AWS takes a repeated call for the first one.
        let token = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("crosstie replaces {version_id}").as_bytes());
        let request = client.rotate_secret().secret_id(&key.secret_id).client_request_token(token.to_string());
        let outcome = request.send().await;
        self.metrics.aws_call("RotateSecret", outcome.is_ok());
        match outcome {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.as_service_error() {
                Some(service) => not_rotated(key, service.code(), service.message()),
                None => unanswered(key, Stage::Current, &error),
            }),
        }
    }

    fn forget(&self, account: &Account) {
        self.clients.forget(account);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|(other, _), _| other != account);
    }
}

impl SecretsManager {
    async fn read(&self, key: &SecretKey, stage: Stage) -> Read {
        let client = self.clients.get(key).await?;
        let request = client.get_secret_value().secret_id(&key.secret_id).version_stage(stage.label());
        let outcome = match request.send().await {
            Ok(output) => stored(key, stage, output.version_id, output.created_date, output.secret_string),
            Err(error) => match error.as_service_error() {
                Some(service) => explain(key, stage, service.code(), service.message()),
                None => Err(unanswered(key, stage, &error)),
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
        if self.is_refused(&first.account, TOGETHER) {
            return alone();
        }
        let client = match self.clients.get(first).await {
            Ok(client) => client,
            Err(fault) => return keys.iter().map(|_| Some(Err(fault.clone()))).collect(),
        };
        let ids = keys.iter().map(|key| key.secret_id.clone()).collect();
        let outcome = client.batch_get_secret_value().set_secret_id_list(Some(ids)).send().await;
        self.metrics.aws_call(TOGETHER, outcome.is_ok());
        let error = match outcome {
            Ok(output) => return keys.iter().map(|key| answer_for(key, &output)).collect(),
            Err(error) => error,
        };
        let Some(service) = error.as_service_error() else {
            return keys.iter().map(|key| Some(Err(unanswered(key, Stage::Current, &error)))).collect();
        };
        if service.code().is_some_and(is_refusal) {
            self.note_refusal(&first.account, TOGETHER, "each secret is read by a call of its own");
            return alone();
        }
        keys.iter().map(|key| Some(explain(key, Stage::Current, service.code(), service.message()))).collect()
    }

    async fn ask_description(&self, key: &SecretKey) -> Option<Description> {
        if self.is_refused(&key.account, DESCRIBE) {
            return None;
        }
        let client = self.clients.get(key).await.ok()?;
        let outcome = client.describe_secret().secret_id(&key.secret_id).send().await;
        self.metrics.aws_call(DESCRIBE, outcome.is_ok());
        match outcome {
            Ok(output) => {
                described(output.version_ids_to_stages()?, output.rotation_enabled(), output.next_rotation_date())
            }
            Err(error) => {
                let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
                if code.is_some_and(is_refusal) {
                    let without = "status does not say when a secret is rotated next, and the previous version is looked at with the current one only";
                    self.note_refusal(&key.account, DESCRIBE, without);
                }
                None
            }
        }
    }

    fn is_refused(&self, account: &Account, operation: &'static str) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(&(account.clone(), operation)).is_some_and(|again| Instant::now() < *again)
    }

    /// A call that can be done without was refused: it is left alone for a while.
    fn note_refusal(&self, account: &Account, operation: &'static str, without: &str) {
        tracing::info!(
            operation,
            region = account.region,
            "AWS does not let the operator do this: {without}; allow secretsmanager:{operation} to mend it"
        );
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.insert((account.clone(), operation), Instant::now() + ALLOWED_AGAIN);
    }
}

/// What a batch says about one of its secrets; nothing, when it does not name it.
fn answer_for(key: &SecretKey, output: &BatchGetSecretValueOutput) -> Option<Read> {
    let is = |id: Option<&str>| id == Some(key.secret_id.as_str());
    if let Some(found) = output.secret_values().iter().find(|found| is(found.name()) || is(found.arn())) {
        let text = found.secret_string.clone();
        return Some(stored(key, Stage::Current, found.version_id.clone(), found.created_date, text));
    }
    let failed = output.errors().iter().find(|failed| is(failed.secret_id()))?;
    Some(explain(key, Stage::Current, failed.error_code(), failed.message()))
}

fn stored(
    key: &SecretKey,
    stage: Stage,
    version_id: Option<String>,
    made_at: Option<DateTime>,
    text: Option<String>,
) -> Read {
    match version_id {
        Some(version_id) => {
            let made_at = made_at.and_then(timestamp);
            Ok(Some(StoredValue { version_id, made_at, text: text.map(Zeroizing::new) }))
        }
        None => Err(unavailable(key, stage, "the answer has no version id")),
    }
}

fn timestamp(time: DateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.secs()).ok()
}

/// What a description or a list says; nothing when it names no current version.
fn described(
    versions: &HashMap<String, Vec<String>>,
    rotates: Option<bool>,
    next_rotation: Option<&DateTime>,
) -> Option<Description> {
    let at = |stage: Stage| {
        let carries = |stages: &Vec<String>| stages.iter().any(|label| label == stage.label());
        versions.iter().find(|(_, stages)| carries(stages)).map(|(id, _)| id.clone())
    };
    Some(Description {
        current: at(Stage::Current)?,
        previous: at(Stage::Previous),
        rotates: rotates.unwrap_or_default(),
        next_rotation: next_rotation.copied().and_then(timestamp),
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::types::{ApiErrorType, SecretValueEntry};
    use crosstie_crds::condition::Reason;

    use super::*;
    use crate::vault::fetch::tests::named;

    #[test]
    fn a_batch_answers_by_name_and_by_arn_and_says_what_failed() {
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
}
