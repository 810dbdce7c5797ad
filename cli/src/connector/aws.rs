//! A secret from AWS Secrets Manager, with the person's own credentials: environment, profile, single sign-on, whatever the AWS SDK finds.

use anyhow::{Context as _, Result, anyhow};
use aws_config::{BehaviorVersion, Region};
use aws_sdk_secretsmanager::{Client, error::DisplayErrorContext};

/// The text of a secret's current version.
pub(super) async fn secret(id: &str, region: Option<&str>) -> Result<String> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let client = Client::new(&loader.load().await);
    let answer = client.get_secret_value().secret_id(id).send().await.map_err(|error| {
        anyhow!("secret {id} cannot be read from AWS Secrets Manager; aws sts get-caller-identity shows who you are there: {}", DisplayErrorContext(&error))
    })?;
    answer.secret_string().map(str::to_owned).with_context(|| format!("secret {id} holds bytes and no text"))
}
