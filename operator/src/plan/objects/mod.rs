//! The Kubernetes objects the operator owns, one small builder a kind. Pure: from names, hashes and settings to the body of a
//! server-side apply.

mod access;
mod config_maps;
mod credentials;
mod deployment;
mod network_policy;
mod volume_claim;
mod webhooks;

pub use access::{role, role_binding, service_account, sync_report};
pub use config_maps::{plan, shares};
pub use credentials::{CredentialVersions, credentials, key_names};
pub use deployment::{Mounted, WorkerTemplate, account_of, deployment};
pub use network_policy::network_policy;
pub use volume_claim::volume_claim;
pub use webhooks::{ingress, receiver_status, service};

use std::collections::BTreeMap;

use crosstie_crds::{
    Connector, Integration, SyncReport,
    names::{
        ANNOTATION_APPLIED_HASH, LABEL_COMPONENT, LABEL_CONNECTOR, LABEL_INTEGRATION, LABEL_MANAGED_BY, MANAGED_BY,
    },
};
use crosstie_engine::canonical;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount},
        networking::v1::{Ingress, NetworkPolicy},
        rbac::v1::{Role, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Resource, api::ApiResource};
use serde::Serialize;
use serde_json::Value;

/// Annotation on a plan ConfigMap: the hash of the plan in it.
pub const ANNOTATION_PLAN_HASH: &str = "crosstie.dev/plan-hash";
/// Annotation on a shares ConfigMap: how the shares in it came about, as JSON of [`crate::plan::shares::Published`].
pub const ANNOTATION_SHARES: &str = "crosstie.dev/shares";
/// Annotation on a credentials Secret: the current version's id.
pub const ANNOTATION_VERSION_ID: &str = "crosstie.dev/version-id";
/// Annotation on a credentials Secret: the previous version's id.
pub const ANNOTATION_PREVIOUS_VERSION_ID: &str = "crosstie.dev/previous-version-id";
/// Annotation on a credentials Secret: when the operator first saw the current version.
pub const ANNOTATION_SEEN_AT: &str = "crosstie.dev/seen-at";
/// Annotation on a credentials Secret: names of the keys that both versions hold, separated by commas.
pub const ANNOTATION_KEYS: &str = "crosstie.dev/keys";
/// Annotation on a worker's Deployment and its pods: uid of the ServiceAccount that they are made with.
pub const ANNOTATION_ACCOUNT: &str = "crosstie.dev/service-account-uid";
/// Annotation on an Integration, written by a person: the store id whose loss is accepted.
pub const ANNOTATION_ACCEPT_STATE_LOSS: &str = "crosstie.dev/accept-state-loss";
/// Key in the shares ConfigMap, and file name below `shares/`: the store id the worker must find on its volume.
pub const STORE_ID_FILE: &str = "store-id";
/// Role of worker pods and of what belongs to them alone.
pub const COMPONENT_WORKER: &str = "sync-worker";
/// Type of a Connector's credentials Secret.
pub const CREDENTIALS_TYPE: &str = "crosstie.dev/credentials";

/// A kind of object the operator owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// Plans and shares.
    ConfigMap,
    /// Credentials.
    Secret,
    /// The volume of a store.
    VolumeClaim,
    /// Who a worker is.
    ServiceAccount,
    /// What a worker may do.
    Role,
    /// That it may.
    RoleBinding,
    /// What reaches a worker and what it reaches.
    NetworkPolicy,
    /// What leads webhooks to a worker.
    Service,
    /// What leads them there from outside.
    Ingress,
    /// Where a worker reports.
    SyncReport,
    /// The worker.
    Deployment,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::ConfigMap,
        Self::Secret,
        Self::VolumeClaim,
        Self::ServiceAccount,
        Self::Role,
        Self::RoleBinding,
        Self::NetworkPolicy,
        Self::Service,
        Self::Ingress,
        Self::SyncReport,
        Self::Deployment,
    ];

    /// The kind's group, version and names at the API server.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::Secret => ApiResource::erase::<Secret>(&()),
            Self::VolumeClaim => ApiResource::erase::<PersistentVolumeClaim>(&()),
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::Role => ApiResource::erase::<Role>(&()),
            Self::RoleBinding => ApiResource::erase::<RoleBinding>(&()),
            Self::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::Ingress => ApiResource::erase::<Ingress>(&()),
            Self::SyncReport => ApiResource::erase::<SyncReport>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
        }
    }

    /// The kind's name in messages and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::VolumeClaim => "PersistentVolumeClaim",
            Self::ServiceAccount => "ServiceAccount",
            Self::Role => "Role",
            Self::RoleBinding => "RoleBinding",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Service => "Service",
            Self::Ingress => "Ingress",
            Self::SyncReport => "SyncReport",
            Self::Deployment => "Deployment",
        }
    }
}

/// An object as it should be: the body of a server-side apply, and the hash that tells whether it was applied already. Prints no
/// content, because some is secret.
#[derive(Clone, PartialEq)]
pub struct Object {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// What is applied.
    pub body: Value,
    /// Hash of what is applied; for credentials, of everything but the values.
    pub hash: String,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Object")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

impl Object {
    /// An object whose hash covers all of it.
    pub(crate) fn new<T: Serialize>(kind: ObjectKind, name: String, object: &T) -> Self {
        let hash = canonical::short_hash(object);
        Self::with_hash(kind, name, object, hash)
    }

    /// An object with a hash made of something that stands for all of it.
    pub(crate) fn with_hash<T: Serialize>(kind: ObjectKind, name: String, object: &T, hash: String) -> Self {
        // Kubernetes types are always JSON; should one not be, the API server refuses `null` and status says so.
        let mut body = serde_json::to_value(object).unwrap_or(Value::Null);
        if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
            let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(serde_json::Map::new()));
            annotations[ANNOTATION_APPLIED_HASH] = hash.clone().into();
        }
        Self { kind, name, body, hash }
    }
}

/// Whom objects belong to: their namespace, owner and labels.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Namespace of owner and objects.
    pub namespace: String,
    /// Name of the owner.
    pub name: String,
    /// Makes the garbage collector delete what the owner leaves.
    pub reference: OwnerReference,
    label: &'static str,
}

impl Owner {
    /// An Integration as the owner.
    pub fn integration(integration: &Integration) -> Self {
        Self::of(integration, LABEL_INTEGRATION)
    }

    /// A Connector as the owner.
    pub fn connector(connector: &Connector) -> Self {
        Self::of(connector, LABEL_CONNECTOR)
    }

    fn of<K: Resource<DynamicType = ()>>(object: &K, label: &'static str) -> Self {
        let meta = object.meta();
        let name = meta.name.clone().unwrap_or_default();
        Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            reference: OwnerReference {
                api_version: K::api_version(&()).into(),
                kind: K::kind(&()).into(),
                name: name.clone(),
                uid: meta.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: None,
            },
            name,
            label,
        }
    }

    /// Labels of everything that belongs to this owner.
    pub(crate) fn labels(&self, component: &str) -> BTreeMap<String, String> {
        [(LABEL_MANAGED_BY, MANAGED_BY), (LABEL_COMPONENT, component), (self.label, &self.name)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    /// Labels by which worker pods are found.
    pub(crate) fn selector(&self) -> BTreeMap<String, String> {
        [(LABEL_COMPONENT, COMPONENT_WORKER), (self.label, &self.name)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    /// Metadata of an owned object.
    pub(crate) fn meta<'a>(
        &self,
        name: &str,
        component: &str,
        annotations: impl IntoIterator<Item = (&'a str, String)>,
    ) -> ObjectMeta {
        let annotations: BTreeMap<String, String> =
            annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels(component)),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: Some(vec![self.reference.clone()]),
            ..ObjectMeta::default()
        }
    }
}

#[cfg(test)]
mod tests;
