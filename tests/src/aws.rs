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

    /// Writes a version with an id of one's own: `AWSCURRENT`, or `AWSPENDING` until it is promoted.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn put_version(&self, name: &str, value: &Value, id: &str, stage: &str) -> Result<()> {
        let request = self.client.put_secret_value().secret_id(name).secret_string(value.to_string());
        let written = request.client_request_token(id).version_stages(stage).send().await;
        written.map(drop).with_context(|| format!("cannot write a version of the secret {name}"))
    }

    /// Makes a version that was pending the current one.
    ///
    /// # Errors
    /// When the emulator refuses, for example because another one is current.
    pub async fn promote(&self, name: &str, id: &str, in_place_of: &str) -> Result<()> {
        let request = self.client.update_secret_version_stage().secret_id(name).version_stage("AWSCURRENT");
        let moved = request.move_to_version_id(id).remove_from_version_id(in_place_of).send().await;
        moved.map(drop).with_context(|| format!("cannot promote a version of the secret {name}"))
    }

    /// Configures a rotation, of which the emulator only remembers that there is one.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn configure_rotation(&self, name: &str) -> Result<()> {
        let function = format!("arn:aws:lambda:{REGION}:000000000000:function:rotate");
        let configured = self.client.rotate_secret().secret_id(name).rotation_lambda_arn(function).send().await;
        configured.map(drop).with_context(|| format!("cannot configure a rotation of the secret {name}"))
    }

    /// Sets a secret's current value to a JSON object.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn put_json(&self, name: &str, value: &Value) -> Result<String> {
        self.put(name, &value.to_string()).await
    }
}
