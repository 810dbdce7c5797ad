//! Secrets in the AWS emulator (MiniStack), through AWS' own SDK.

use anyhow::{Context as _, Result};
use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    operation::put_secret_value::PutSecretValueError,
};
use serde_json::Value;

/// Region that tests and demo use.
pub const REGION: &str = "eu-west-1";
/// Id of the key that tests and demo use; what it stands for is the emulator's default account.
pub const KEY_ID: &str = "test";

/// AWS Secrets Manager at an endpoint.
#[derive(Clone, Debug)]
pub struct Secrets {
    client: Client,
}

impl Secrets {
    /// At an emulator.
    pub fn at(endpoint: &str) -> Self {
        Self::of(endpoint, KEY_ID, REGION)
    }

    /// At an emulator, in a region and in the account of a key: the emulator takes a key id of twelve digits for the account's number.
    pub fn of(endpoint: &str, key_id: &str, region: &str) -> Self {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::new(region.to_owned()))
            .credentials_provider(Credentials::new(key_id, "test", None, None, "tests"))
            .build();
        Self { client: Client::from_conf(config) }
    }

    /// Sets a secret's current value, making the secret when it does not exist; the value before becomes the previous one. Gives the new
    /// version's id.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn put(&self, name: &str, value: &str) -> Result<String> {
        let written = self.client.put_secret_value().secret_id(name).secret_string(value).send().await;
        let id = match written {
            Ok(written) => written.version_id,
            Err(error)
                if error.as_service_error().is_some_and(PutSecretValueError::is_resource_not_found_exception) =>
            {
                self.client.create_secret().name(name).secret_string(value).send().await?.version_id
            }
            Err(error) => return Err(error).with_context(|| format!("cannot write the secret {name}")),
        };
        id.context("the emulator gave no version id")
    }

    /// Sets a secret's current value to a JSON object.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn put_json(&self, name: &str, value: &Value) -> Result<String> {
        self.put(name, &value.to_string()).await
    }
}
