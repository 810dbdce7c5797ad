//! Where the ledger of a Connector's tokens is kept: a Secret that belongs to the Connector and that no worker sees. Each write names the version that
//! it replaces, so that of two who write at the same time one is told.

use crosstie_crds::{
    condition::Reason,
    names::{self, FIELD_MANAGER, TOKENS_FILE},
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use zeroize::Zeroizing;

use super::ledger::Ledger;
use crate::{plan::objects::Owner, telemetry::Metrics, vault::VaultFault};

/// Type of the Secret.
const TOKENS_TYPE: &str = "crosstie.dev/tokens";

/// Which version of a ledger was read or written; none where there is no ledger yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision(pub Option<String>);

/// Why a ledger could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BooksFault {
    /// Somebody else wrote it meanwhile.
    Changed,
    /// It cannot be had.
    Failed(VaultFault),
}

/// Something that keeps ledgers.
pub trait Books: Send + Sync + 'static {
    /// The ledger of an owner; an empty one where there is none.
    fn read(&self, owner: &Owner) -> impl Future<Output = Result<(Ledger, Revision), BooksFault>> + Send;

    /// Writes a ledger in the place of the version that was read.
    fn write(
        &self,
        owner: &Owner,
        ledger: &Ledger,
        replacing: &Revision,
    ) -> impl Future<Output = Result<Revision, BooksFault>> + Send;
}

/// Ledgers in Secrets of the cluster.
pub struct Secrets {
    /// The way to the API server.
    pub client: Client,
    /// Where writes are counted.
    pub metrics: Metrics,
}

impl Secrets {
    fn api(&self, owner: &Owner) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &owner.namespace)
    }
}

impl Books for Secrets {
    async fn read(&self, owner: &Owner) -> Result<(Ledger, Revision), BooksFault> {
        let name = names::tokens(&owner.name);
        let found = self.api(owner).get_opt(&name).await.map_err(|error| failed(&name, "read", &error))?;
        let Some(mut secret) = found else { return Ok((Ledger::default(), Revision::default())) };
        let file = secret.data.as_mut().and_then(|data| data.remove(TOKENS_FILE)).unwrap_or_default();
        // The parser's own message may quote a value, so it is dropped.
        let ledger = serde_json::from_slice(&Zeroizing::new(file.0)).map_err(|_| {
            let message = format!("Secret {name} is not as the operator wrote it: delete it, and a token is got anew");
            BooksFault::Failed(VaultFault::new(Reason::SecretMalformed, message))
        })?;
        Ok((ledger, Revision(secret.metadata.resource_version)))
    }

    async fn write(&self, owner: &Owner, ledger: &Ledger, replacing: &Revision) -> Result<Revision, BooksFault> {
        let name = names::tokens(&owner.name);
        let file =
            serde_json::to_vec(ledger).map_err(|error| failed(&name, "written", &kube::Error::SerdeError(error)))?;
        let mut secret = Secret {
            metadata: owner.meta(&name, "tokens", []),
            type_: Some(TOKENS_TYPE.to_owned()),
            data: Some([(TOKENS_FILE.to_owned(), ByteString(file))].into()),
            ..Secret::default()
        };
        let api = self.api(owner);
        let written = match &replacing.0 {
            None => {
                let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
                api.create(&params, &secret).await
            }
            Some(version) => {
                secret.metadata.resource_version = Some(version.clone());
                api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&secret)).await
            }
        };
        self.metrics.wrote("Secret", written.is_ok());
        match written {
            Ok(written) => Ok(Revision(written.metadata.resource_version)),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Err(BooksFault::Changed),
            Err(error) => Err(failed(&name, "written", &error)),
        }
    }
}

fn failed(name: &str, what: &str, error: &kube::Error) -> BooksFault {
    let detail = match error {
        kube::Error::Api(status) => status.message.as_str(),
        _ => "the API server cannot be reached",
    };
    let message = format!("Secret {name} could not be {what}: {detail}; it is tried again");
    BooksFault::Failed(VaultFault::new(Reason::TokenUnavailable, message))
}
