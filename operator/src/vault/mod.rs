//! Credentials from a vault: what one is (`Vault`), AWS Secrets Manager as one (`aws`), how both versions of a secret are
//! read consistently (`fetch`), the shared memory of what was read (`secrets`) and the loop that keeps it fresh (`sweep`).
//!
//! Values exist here and in the Secret that is written for workers, in types that print nothing. They never enter status,
//! events, logs or metrics.

pub mod aws;
pub mod fetch;
pub mod policy;
pub mod secrets;
pub mod sweep;

use std::future::Future;

use crosstie_crds::{condition::Reason, connector::AwsSecretsManager};
use zeroize::Zeroizing;

/// One secret of AWS Secrets Manager. Connectors that name the same one share its fetches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretKey {
    /// AWS region; the operator's own without one.
    pub region: Option<String>,
    /// Name of the secret.
    pub secret_id: String,
}

impl From<&AwsSecretsManager> for SecretKey {
    fn from(reference: &AwsSecretsManager) -> Self {
        Self { region: reference.region.clone(), secret_id: reference.secret_id.clone() }
    }
}

impl std::fmt::Display for SecretKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.region {
            Some(region) => write!(formatter, "secret {} in {region}", self.secret_id),
            None => write!(formatter, "secret {}", self.secret_id),
        }
    }
}

/// How many secrets are read together at the most: what AWS takes in one call.
pub const LARGEST_BATCH: usize = 20;

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
    /// The text; `None` when the secret is binary.
    pub text: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for StoredValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("StoredValue").field("version_id", &self.version_id).finish_non_exhaustive()
    }
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
    /// Reads the current versions of up to [`LARGEST_BATCH`] secrets of one region, with as few calls as it can. One answer for each key, in
    /// their order.
    fn read_current(&self, keys: &[SecretKey]) -> impl Future<Output = Vec<Read>> + Send;

    /// Reads the version before the current one.
    fn read_previous(&self, key: &SecretKey) -> impl Future<Output = Read> + Send;
}
