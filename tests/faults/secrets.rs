//! Secrets that are missing, unreadable, incomplete or not this namespace's; and each repaired.

use anyhow::{Result, ensure};
use crosstie_tests::shop::Shop;
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
