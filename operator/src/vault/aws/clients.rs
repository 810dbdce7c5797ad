//! Clients of AWS Secrets Manager, one for each account: the SDK's default chain, and roles taken on through STS. What is done with them lives
//! beside it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_config::{
    ConfigLoader, Region, SdkConfig, retry::RetryConfig, sts::AssumeRoleProvider, timeout::TimeoutConfig,
};
use aws_sdk_secretsmanager::{Client, config::Builder};
use aws_smithy_http_client::{ConnectorBuilder, proxy::ProxyConfig, tls};
use crosstie_crds::condition::Reason;
use tokio::sync::OnceCell;

use crate::vault::{Account, Identity, SecretKey, VaultFault};

/// How long one call may take, its retries included.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many characters AWS takes as a session's name.
const LONGEST_SESSION_NAME: usize = 64;

/// Clients by account. The chain is asked at the first use, so that starting never waits for it. Where the endpoint is, only the operator's
/// configuration says.
pub struct Clients {
    chain: Box<dyn Fn() -> ConfigLoader + Send + Sync>,
    config: OnceCell<SdkConfig>,
    known: Mutex<HashMap<Account, Client>>,
}

impl Clients {
    /// None yet.
    pub fn new(chain: impl Fn() -> ConfigLoader + Send + Sync + 'static) -> Self {
        Self { chain: Box::new(chain), config: OnceCell::new(), known: Mutex::default() }
    }

    /// What the chain came to.
    pub async fn config(&self) -> &SdkConfig {
        self.config.get_or_init(|| load((self.chain)())).await
    }

    /// The client for a secret.
    pub async fn get(&self, key: &SecretKey) -> Result<Client, VaultFault> {
        let account = &key.account;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(account).cloned();
        if let Some(client) = known {
            return Ok(client);
        }
        let config = self.config().await;
        let region = account.region.clone().map(Region::new).or_else(|| config.region().cloned());
        let Some(region) = region else {
            let message = format!(
                "no AWS region is known for {key}: set region under spec.credentials.awsSecretsManager, or AWS_REGION for the operator"
            );
            return Err(VaultFault::new(Reason::VaultUnavailable, message));
        };
        let builder = Builder::from(config).region(region.clone());
        let builder = match &account.identity {
            Identity::Operator => builder,
            Identity::Role { arn, external_id } => {
                builder.credentials_provider(role(config, region, arn, external_id).await)
            }
        };
        let client = Client::from_conf(builder.build());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(known.entry(account.clone()).or_insert(client).clone())
    }

    /// Drops the client of an account that nobody uses any more. Regions are what Connectors name, so that there may be any number.
    pub fn forget(&self, account: &Account) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
    }
}

/// Loads the chain. One HTTP client serves every account, so that a thousand roles do not keep a thousand pools of connections.
async fn load(chain: ConfigLoader) -> SdkConfig {
    let timeouts =
        TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let http = aws_smithy_http_client::Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
            .proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.build()
    });
    chain
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .load()
        .await
}

/// Credentials of a role, asked for in the secret's own region and as often as they end.
async fn role(config: &SdkConfig, region: Region, arn: &str, external_id: &str) -> AssumeRoleProvider {
    AssumeRoleProvider::builder(arn)
        .external_id(external_id)
        .session_name(session_name(external_id))
        .region(region)
        .configure(config)
        .build()
        .await
}

/// How sessions show in the trail of the role's account: which Connector read. A slash is not allowed there.
fn session_name(external_id: &str) -> String {
    format!("crosstie-{external_id}").replace('/', ".").chars().take(LONGEST_SESSION_NAME).collect()
}

#[cfg(test)]
mod tests {
    use aws_config::BehaviorVersion;

    use super::*;

    #[tokio::test]
    async fn a_client_is_kept_for_as_long_as_its_account_is_used() {
        let clients =
            Clients::new(|| aws_config::defaults(BehaviorVersion::latest()).no_credentials().region("eu-west-1"));
        let key = |region: &str| SecretKey {
            account: Account { region: Some(region.to_owned()), identity: Identity::Operator },
            secret_id: "shop/shopify".into(),
        };
        let regions = || {
            let known = clients.known.lock().unwrap();
            let mut regions: Vec<_> = known.keys().filter_map(|account| account.region.clone()).collect();
            regions.sort();
            regions
        };
        for region in ["eu-west-1", "us-east-1", "eu-west-1"] {
            clients.get(&key(region)).await.unwrap();
        }
        assert_eq!(regions(), ["eu-west-1", "us-east-1"]);
        clients.forget(&key("eu-west-1").account);
        assert_eq!(regions(), ["us-east-1"]);
        clients.get(&key("eu-west-1")).await.unwrap();
        assert_eq!(regions(), ["eu-west-1", "us-east-1"]);
    }

    #[test]
    fn a_session_is_named_after_its_connector() {
        assert_eq!(session_name("shop/shopify"), "crosstie-shop.shopify");
        assert_eq!(session_name(&"n/".repeat(100)).len(), LONGEST_SESSION_NAME);
    }
}
