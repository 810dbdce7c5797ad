//! Secrets that are missing, unreadable, incomplete or not this namespace's; and each repaired.

use anyhow::{Result, ensure};
use crosstie_tests::{
    aws_faults::{Fault, Rule},
    shop::Shop,
};
use serde_json::json;

#[tokio::test]
async fn a_secret_that_does_not_exist_is_named_and_found_once_it_does() -> Result<()> {
    let shop = Shop::open("no-secret").await?;
    let mut connector = shop.source();
    connector["spec"]["credentials"]["awsSecretsManager"]["secretId"] = json!("no-secret/later");
    shop.apply(&[&connector]).await?;
    let message = shop.ready("connector", "shopify", "False", "SecretMissing").await?;
    ensure!(message.contains("no-secret/later"), "{message}");
    shop.world.secrets.put_json("no-secret/later", &json!({"token": "x"})).await?;
    shop.ready("connector", "shopify", "True", "Available").await?;
    shop.close().await
}

#[tokio::test]
async fn a_secret_that_is_no_json_or_lacks_a_key_is_explained_without_its_value() -> Result<()> {
    let shop = Shop::open("odd-secret").await?;
    shop.world.secrets.put("odd-secret/shopify", "hunter2-is-not-json").await?;
    shop.apply(&[&shop.source()]).await?;
    let message = shop.ready("connector", "shopify", "False", "SecretMalformed").await?;
    ensure!(!message.contains("hunter2"), "a secret's value is in status: {message}");
    shop.world.secrets.put_json("odd-secret/shopify", &json!({"tokne": "hunter2"})).await?;
    let message = shop.ready("connector", "shopify", "False", "KeyMissing").await?;
    ensure!(message.contains("token") && message.contains("tokne") && !message.contains("hunter2"), "{message}");
    shop.world.secrets.put_json("odd-secret/shopify", &json!({"token": "x"})).await?;
    shop.ready("connector", "shopify", "True", "Available").await?;
    shop.close().await
}

#[tokio::test]
async fn a_secret_of_another_namespace_is_refused_without_being_read() -> Result<()> {
    let shop = Shop::open("greedy").await?;
    shop.world.secrets.put_json("others/shopify", &json!({"token": "theirs"})).await?;
    let mut connector = shop.source();
    connector["spec"]["credentials"]["awsSecretsManager"]["secretId"] = json!("others/shopify");
    shop.apply(&[&connector]).await?;
    let message = shop.ready("connector", "shopify", "False", "SecretNotAllowed").await?;
    ensure!(message.contains("others/shopify") && message.contains("greedy/"), "{message}");
    let handed = shop.world.kubectl.get("greedy", "secret", "shopify-credentials").await?;
    ensure!(handed.is_none(), "credentials were handed out");
    shop.close().await
}

#[tokio::test]
async fn a_secret_that_aws_throttles_is_said_while_data_flows_on_and_a_rotation_is_made_up_for() -> Result<()> {
    let shop = Shop::open("aws-throttles").await?;
    shop.add_orders(1, 3).await?;
    shop.start().await?;
    shop.delivered(3).await?;
    let aws = shop.world.aws_faults("aws-throttles")?;
    aws.set(&[Rule::new(Fault::Throttle).name("aws-throttles/shopify")]).await?;
    shop.condition("connector", "shopify", "CredentialsResolved", "Unknown", "Throttled").await?;
    shop.add_orders(11, 3).await?;
    shop.delivered(6).await?;
    shop.ready("connector", "shopify", "True", "Available").await?;
    shop.shopify.set_tokens(&["shopify-1", "shopify-2"]).await?;
    shop.world.secrets.put_json("aws-throttles/shopify", &json!({"token": "shopify-2"})).await?;
    aws.clear().await?;
    shop.condition("connector", "shopify", "CredentialsResolved", "True", "Resolved").await?;
    shop.close().await
}

#[tokio::test]
async fn a_secret_that_aws_denies_says_what_to_allow_and_takes_no_other_with_it() -> Result<()> {
    let shop = Shop::open("aws-denies").await?;
    let aws = shop.world.aws_faults("aws-denies")?;
    aws.set(&[Rule::new(Fault::Deny).name("aws-denies/shopify")]).await?;
    shop.apply(&[&shop.source(), &shop.destination()]).await?;
    let message = shop.ready("connector", "shopify", "False", "AccessDenied").await?;
    ensure!(message.contains("secretsmanager:GetSecretValue"), "{message}");
    shop.ready("connector", "netsuite", "True", "Available").await?;
    aws.clear().await?;
    shop.ready("connector", "shopify", "True", "Available").await?;
    shop.close().await
}
