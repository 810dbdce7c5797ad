//! What the tests here stand on: an emulator, the proxy before it, and the operator's vault with its sweep behind both.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aws_config::{BehaviorVersion, Region};
use aws_sdk_secretsmanager::config::Credentials;
use crosstie_crds::condition::Reason;
use crosstie_operator::{
    telemetry::Metrics,
    vault::{
        Account, Identity, SecretKey,
        aws::SecretsManager,
        secrets::{Entry, Secrets},
        sweep::Sweep,
    },
};
use crosstie_tests::{
    aws::{self, KEY_ID, REGION},
    aws_faults::AwsFaults,
    emulator::Emulator,
    wait::{Seen, until},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Emulator, proxy and vault.
pub struct World {
    pub emulator: Emulator,
    pub faults: AwsFaults,
    pub secrets: Arc<Secrets>,
    pub vault: Arc<SecretsManager>,
    used: Arc<Mutex<BTreeSet<SecretKey>>>,
    _sweep: DropGuard,
}

impl World {
    /// Starts everything; the sweep looks at each secret so often.
    pub async fn start(interval: Duration) -> Result<Self> {
        let emulator = Emulator::start("secretsmanager,sts,sqs,events").await?;
        let faults = AwsFaults::start(emulator.url()).await?;
        let endpoint = faults.url().to_owned();
        let chain = move || {
            aws_config::defaults(BehaviorVersion::latest())
                .endpoint_url(&endpoint)
                .region(Region::new(REGION))
                .credentials_provider(Credentials::new(KEY_ID, "test", None, None, "tests"))
        };
        let vault = Arc::new(SecretsManager::new(chain, Metrics::default()));
        let (secrets, asked) = Secrets::new();
        let secrets = Arc::new(secrets);
        let used: Arc<Mutex<BTreeSet<SecretKey>>> = Arc::default();
        let sweep = Sweep {
            vault: Arc::clone(&vault),
            secrets: Arc::clone(&secrets),
            used: {
                let used = Arc::clone(&used);
                move || used.lock().unwrap_or_else(PoisonError::into_inner).clone()
            },
            interval,
            jitter: || 0.5,
        };
        let stop = CancellationToken::new();
        tokio::spawn(sweep.run(asked, stop.clone()));
        Ok(Self { emulator, faults, secrets, vault, used, _sweep: stop.drop_guard() })
    }

    /// Secrets in the account of a key and in a region, as whoever owns them sees them.
    pub fn owner(&self, key_id: &str, region: &str) -> aws::Secrets {
        aws::Secrets::of(self.emulator.url(), key_id, region)
    }

    /// From now on a Connector uses this secret.
    pub fn uses(&self, key: &SecretKey) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
    }

    /// The secrets that are used now, as the operator's loops ask for them.
    pub fn used(&self) -> impl Fn() -> BTreeSet<SecretKey> + Send + Sync + use<> {
        let used = Arc::clone(&self.used);
        move || used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what is known of a secret is as it should be.
    pub async fn known(&self, key: &SecretKey, what: &str, holds: impl Fn(&Entry) -> bool) -> Result<Entry> {
        self.uses(key);
        until(what, async || {
            Ok(match self.secrets.look(key) {
                Some(entry) if holds(&entry) => Seen::Yes(entry),
                entry => Seen::NotYet(format!("{entry:?}")),
            })
        })
        .await
    }

    /// Waits until a secret is known without a fault, and makes sure of its value.
    pub async fn reads(&self, key: &SecretKey, token: &str) -> Result<()> {
        let entry =
            self.known(key, "the secret is read", |entry| entry.held.is_some() && entry.fault.is_none()).await?;
        let held = entry.held.context("nothing is held")?;
        let found = &held.current.values["token"];
        ensure!(found == token, "{key} was read as {found}");
        Ok(())
    }

    /// Waits until a secret is known to have this value.
    pub async fn comes_to(&self, key: &SecretKey, token: &str) -> Result<()> {
        let is = |entry: &Entry| entry.held.as_ref().is_some_and(|held| held.current.values["token"] == token);
        self.known(key, &format!("{key} is {token}"), is).await.map(drop)
    }

    /// Waits until a secret cannot be read for this reason, and gives the message.
    pub async fn refused(&self, key: &SecretKey, reason: Reason) -> Result<String> {
        let is = |entry: &Entry| entry.fault.as_ref().is_some_and(|fault| fault.reason == reason);
        let entry = self.known(key, "the secret is refused", is).await?;
        Ok(entry.fault.context("no fault")?.message)
    }
}

/// A secret as the operator itself sees it.
pub fn own(secret_id: &str) -> SecretKey {
    SecretKey { account: Account { region: None, identity: Identity::Operator }, secret_id: secret_id.into() }
}

/// A secret as a Connector's role sees it.
pub fn lent(secret_id: &str, account: &str, external_id: &str) -> SecretKey {
    let arn = format!("arn:aws:iam::{account}:role/crosstie");
    let identity = Identity::Role { arn, external_id: external_id.into() };
    SecretKey { account: Account { region: None, identity }, secret_id: secret_id.into() }
}
