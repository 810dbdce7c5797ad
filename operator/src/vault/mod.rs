//! Credentials from a vault: what one is (`Vault`), AWS Secrets Manager as one (`aws`), how both versions of a secret are
//! read consistently (`fetch`), the shared memory of what was read (`secrets`), when each is read (`schedule`), when they are listed (`listings`) and
//! the loop that does it (`sweep`); and word of changes from a queue (`push`, `event`).
//!
//! Values exist here and in the Secret that is written for workers, in types that print nothing. They never enter status,
//! events, logs or metrics.

pub mod aws;
pub mod event;
pub mod fetch;
mod listings;
pub mod policy;
pub mod push;
mod schedule;
pub mod secrets;
pub mod sweep;

use std::{collections::HashMap, future::Future};

use crosstie_crds::{Connector, condition::Reason, connector::AwsSecretsManager};
use jiff::Timestamp;
use zeroize::Zeroizing;

/// As whom the operator reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// As itself.
    Operator,
    /// In a role that it takes on for one Connector and no other.
    Role {
        /// The role's ARN.
        arn: String,
        /// The external id, by which the role's owner knows which Connector is meant.
        external_id: String,
    },
}

/// Where secrets are read, and as whom. What is read in one account is never given to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Account {
    /// AWS region; the operator's own without one.
    pub region: Option<String>,
    /// As whom.
    pub identity: Identity,
}

/// One secret of AWS Secrets Manager as one identity sees it. Connectors that name the same one share its fetches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretKey {
    /// Where it is read, and as whom.
    pub account: Account,
    /// Name of the secret.
    pub secret_id: String,
}

impl SecretKey {
    /// The secret that a Connector names; none where it names none in AWS. The external id is made here and nowhere else: nobody can write
    /// another Connector's.
    pub fn of(connector: &Connector) -> Option<Self> {
        let reference = connector.spec.credentials.aws_secrets_manager.as_ref()?;
        Some(Self::named(connector, reference, &reference.secret_id))
    }

    /// The secret with the refresh token that a Connector names, if it names one: it is where the client's own credentials are.
    pub fn of_refresh_token(connector: &Connector) -> Option<Self> {
        let credentials = &connector.spec.credentials;
        let reference = credentials.aws_secrets_manager.as_ref()?;
        let secret_id = credentials.oauth2.as_ref()?.refresh_token_secret_id.as_ref()?;
        Some(Self::named(connector, reference, secret_id))
    }

    /// Every secret that a Connector names in AWS.
    pub fn all_of(connector: &Connector) -> impl Iterator<Item = Self> + use<> {
        [Self::of(connector), Self::of_refresh_token(connector)].into_iter().flatten()
    }

    fn named(connector: &Connector, reference: &AwsSecretsManager, secret_id: &str) -> Self {
        let identity = match &reference.role_arn {
            None => Identity::Operator,
            Some(arn) => {
                let namespace = connector.metadata.namespace.as_deref().unwrap_or_default();
                let name = connector.metadata.name.as_deref().unwrap_or_default();
                Identity::Role { arn: arn.clone(), external_id: format!("{namespace}/{name}") }
            }
        };
        let account = Account { region: reference.region.clone(), identity };
        Self { account, secret_id: secret_id.to_owned() }
    }
}

impl std::fmt::Display for SecretKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "secret {}", self.secret_id)?;
        if let Some(region) = &self.account.region {
            write!(formatter, " in {region}")?;
        }
        match &self.account.identity {
            Identity::Operator => Ok(()),
            Identity::Role { arn, .. } => write!(formatter, " in the role {arn}"),
        }
    }
}

/// How many secrets are read together at the most: what AWS takes in one call.
pub const LARGEST_BATCH: usize = 20;

/// How many secrets one call lists at the most.
pub const LISTED_AT_ONCE: usize = 100;

/// A staging label of a secret's version. A version that is still pending is never asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The version to use.
    Current,
    /// The version before it.
    Previous,
}

impl Stage {
    /// The label in AWS Secrets Manager.
    pub fn label(self) -> &'static str {
        match self {
            Self::Current => "AWSCURRENT",
            Self::Previous => "AWSPREVIOUS",
        }
    }
}

/// A version of a secret as it is stored. Prints its id only.
pub struct StoredValue {
    /// The store's id of this version.
    pub version_id: String,
    /// When the version was made, if the store says so.
    pub made_at: Option<Timestamp>,
    /// The text; `None` when the secret is binary.
    pub text: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for StoredValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("StoredValue").field("version_id", &self.version_id).finish_non_exhaustive()
    }
}

/// What a store says of a secret beside its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Id of the current version.
    pub current: String,
    /// Id of the version before it, if there is one.
    pub previous: Option<String>,
    /// Whether the store rotates the secret by itself.
    pub rotates: bool,
    /// When it does so next at the latest.
    pub next_rotation: Option<Timestamp>,
}

/// What a list of an account's secrets came to. It may lack what changed within the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// What it says of the secrets that were wanted; nothing of any other.
    pub descriptions: HashMap<SecretKey, Description>,
    /// How many calls it took.
    pub calls: usize,
    /// How it ended.
    pub end: ListEnd,
}

/// How a list ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListEnd {
    /// With the last page, or with all that was wanted.
    Whole,
    /// There were more pages than it was to have.
    Cut,
    /// The vault refused it, or did not answer.
    #[default]
    Failed,
}

/// Why credentials could not be had: the reason that conditions will show, and one sentence without any value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct VaultFault {
    /// One of `SecretMissing`, `SecretMalformed`, `AccessDenied`, `Throttled` and `VaultUnavailable`.
    pub reason: Reason,
    /// What failed, on what, and what to do.
    pub message: String,
}

impl VaultFault {
    /// A fault with this reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// What came of reading one version of a secret; `None` when there is no such secret or version.
pub type Read = Result<Option<StoredValue>, VaultFault>;

/// Something that stores secrets. Its faults are `AccessDenied`, `Throttled`, `VaultUnavailable`, and `SecretMissing` for a secret that is on
/// its way out.
pub trait Vault: Send + Sync + 'static {
    /// Reads the current versions of up to [`LARGEST_BATCH`] secrets of one account, with as few calls as it can. One answer for each key, in
    /// their order.
    fn read_current(&self, keys: &[SecretKey]) -> impl Future<Output = Vec<Read>> + Send;

    /// What is known of a secret beside its values, without reading them. None when it cannot be had now: reading goes on without.
    fn describe(&self, key: &SecretKey) -> impl Future<Output = Option<Description>> + Send;

    /// The same of many secrets of one account at once, from a list of all that the account has, with at most so many calls.
    fn list(&self, wanted: &[SecretKey], most_calls: usize) -> impl Future<Output = Listing> + Send;

    /// Reads the version before the current one.
    fn read_previous(&self, key: &SecretKey) -> impl Future<Output = Read> + Send;

    /// Asks the vault to replace a version of a secret by a new one. Asking twice for the same version starts one rotation.
    fn rotate(&self, key: &SecretKey, version_id: &str) -> impl Future<Output = Result<(), VaultFault>> + Send;

    /// Nobody uses a secret of the account any more: what was kept for it can go.
    fn forget(&self, account: &Account);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn connector(namespace: &str, name: &str, reference: &Value) -> Connector {
        serde_json::from_value(json!({
            "apiVersion": "crosstie.dev/v1alpha1",
            "kind": "Connector",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"baseURL": "https://acme.example.com", "credentials": {"awsSecretsManager": reference}},
        }))
        .unwrap()
    }

    #[test]
    fn connectors_share_a_secret_only_as_the_operator_itself() {
        let own = json!({"secretId": "shop/shopify", "region": "eu-west-1"});
        let [a, b] = ["a", "b"].map(|name| SecretKey::of(&connector("shop", name, &own)).unwrap());
        assert_eq!(a, b);
        let mut lent = own.clone();
        lent["roleARN"] = json!("arn:aws:iam::123456789012:role/lent");
        let keys = [("shop", "a"), ("shop", "b"), ("bank", "a")]
            .map(|(namespace, name)| SecretKey::of(&connector(namespace, name, &lent)).unwrap());
        let distinct: std::collections::BTreeSet<&SecretKey> = keys.iter().chain([&a]).collect();
        assert_eq!(distinct.len(), 4, "a role's fetches are one Connector's");
        let Identity::Role { external_id, .. } = &keys[2].account.identity else { panic!("{:?}", keys[2]) };
        assert_eq!(external_id, "bank/a");
        assert!(keys[2].to_string().contains("shop/shopify in eu-west-1 in the role arn:aws:iam"), "{}", keys[2]);
    }
}
