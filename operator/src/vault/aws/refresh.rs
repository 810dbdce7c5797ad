//! Refresh tokens in AWS Secrets Manager, each in a secret of its own. A new one is stored under a label of the operator's own first, and then takes
//! the place of the version it came from: `AWSCURRENT` moves only from there, so that what a person stored meanwhile stays.

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use crosstie_engine::credentials::CredentialVersion;
use zeroize::Zeroizing;

use super::{
    SecretsManager, Stage,
    faults::{explain, not_kept, unanswered},
};
use crate::{
    broker::renewal::{Promoted, Safe},
    vault::{
        SecretKey, VaultFault,
        fetch::{missing, understand},
    },
};

/// Label of the newest version that the operator stored. `AWSPENDING` is left to rotations.
const STORED: &str = "CROSSTIE_STORED";

impl Safe for std::sync::Arc<SecretsManager> {
    async fn read(&self, key: &SecretKey) -> Result<CredentialVersion, VaultFault> {
        let stored = SecretsManager::read(self, key, Stage::Current).await?;
        understand(key, stored.ok_or_else(|| missing(key))?)
    }

    async fn store(&self, key: &SecretKey, version: &CredentialVersion) -> Result<(), VaultFault> {
        let client = self.clients.get(key).await?;
        let text = Zeroizing::new(serde_json::to_string(&version.values).unwrap_or_default());
        let request = client.put_secret_value().secret_id(&key.secret_id).client_request_token(&version.version_id);
        let outcome = request.version_stages(STORED).secret_string(text.as_str()).send().await;
        self.metrics.aws_call("PutSecretValue", outcome.is_ok());
        outcome.map(drop).map_err(|error| fault(key, &error))
    }

    async fn promote(&self, key: &SecretKey, version_id: &str, replacing: &str) -> Result<Promoted, VaultFault> {
        let client = self.clients.get(key).await?;
        let found = client.get_secret_value().secret_id(&key.secret_id).version_id(version_id).send().await;
        self.metrics.aws_call("GetSecretValue", found.is_ok());
        if let Err(error) = found {
            let Some(service) = error.as_service_error() else { return Err(unanswered(key, Stage::Current, &error)) };
            return explain(key, Stage::Current, service.code(), service.message()).map(|_| Promoted::Unknown);
        }
        let request = client.update_secret_version_stage().secret_id(&key.secret_id);
        let request = request.version_stage(Stage::Current.label()).move_to_version_id(version_id);
        let outcome = request.remove_from_version_id(replacing).send().await;
        self.metrics.aws_call("UpdateSecretVersionStage", outcome.is_ok());
        let Err(error) = outcome else { return Ok(Promoted::Current) };
        let elsewhere = ["InvalidParameterException", "InvalidRequestException"];
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
        if !code.is_some_and(|code| elsewhere.contains(&code)) {
            return Err(fault(key, &error));
        }
        // The label is not where it was: it was moved by a call whose answer was lost, or a person stored another token.
        let current = SecretsManager::read(self, key, Stage::Current).await?;
        let ours = current.is_some_and(|current| current.version_id == version_id);
        Ok(if ours { Promoted::Current } else { Promoted::Superseded })
    }
}

fn fault<E>(key: &SecretKey, error: &SdkError<E>) -> VaultFault
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    match error.as_service_error() {
        Some(service) => not_kept(key, service.code(), service.message()),
        None => unanswered(key, Stage::Current, error),
    }
}
