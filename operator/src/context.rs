//! What a look at an object has at hand, and who is meant by a target at the moment.

use std::{collections::BTreeSet, sync::Arc};

use crosstie_crds::Connector;
use crosstie_engine::compile;
use jiff::Timestamp;
use kube::Client;

use crate::{
    broker::Broker,
    cache::Cache,
    events::Recorder,
    memory::Memory,
    plan::{integration::used, objects::WorkerTemplate, verification::fixture_maps},
    telemetry::Metrics,
    trigger::{Key, Target},
    vault::{SecretKey, policy::SecretNamePolicy, secrets::Secrets},
};

/// What all scopes share.
pub struct Shared {
    /// The way to the API server.
    pub client: Client,
    /// What goes into plans.
    pub compile: compile::Settings,
    /// What goes into pods.
    pub template: WorkerTemplate,
    /// Which secrets which namespace may use.
    pub secret_names: SecretNamePolicy,
    /// What vaults hold.
    pub secrets: Arc<Secrets>,
    /// Access tokens that are got by grants.
    pub broker: Arc<Broker>,
    /// Where Events go.
    pub recorder: Recorder,
    /// Where counts go.
    pub metrics: Metrics,
}

/// One scope: all namespaces, or one. References never leave a namespace, so scopes have nothing to say to each other.
pub struct Context {
    /// What all scopes share.
    pub shared: Arc<Shared>,
    /// What is seen.
    pub cache: Cache,
    /// What was written.
    pub memory: Memory,
}

/// Connectors and Integrations that are to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// Connectors.
    pub connectors: BTreeSet<Key>,
    /// Integrations.
    pub integrations: BTreeSet<Key>,
}

impl Context {
    /// The present.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Whom a target stands for.
    pub fn resolve(&self, target: Target) -> Concerned {
        let mut concerned = Concerned::default();
        match target {
            Target::Integration(key) => drop(concerned.integrations.insert(key)),
            Target::Connector(key) => drop(concerned.connectors.insert(key)),
            Target::UsersOf(key) => concerned.integrations = self.users_of(&key),
            Target::EndsOf(key) => {
                if let Some(integration) = Cache::get(&self.cache.integrations, &key) {
                    concerned.connectors = used(&integration).into_iter().map(|name| key.sibling(name)).collect();
                }
            }
            Target::HoldersOf(key) => {
                let holders = self.cache.connectors.state_filter(|connector| {
                    let secret = connector.spec.credentials.secret_ref.as_ref();
                    secret.is_some_and(|secret| secret.name == key.name) && in_namespace(connector, &key.namespace)
                });
                concerned.connectors = holders.iter().map(|connector| Key::of(&connector.metadata)).collect();
            }
            Target::TriedWith(key) => {
                let tried = self.cache.integrations_in(&key.namespace);
                let tried = tried.iter().filter(|object| fixture_maps(object).any(|(_, name)| name == key.name));
                concerned.integrations = tried.map(|object| Key::of(&object.metadata)).collect();
            }
        }
        concerned
    }

    /// Connectors whose credentials come from this secret.
    pub fn holders_of(&self, secret: &SecretKey) -> BTreeSet<Key> {
        let holders = self.cache.connectors.state_filter(|connector| {
            // Names are compared first: keys are made anew each time, and there may be thousands.
            let credentials = &connector.spec.credentials;
            let named = credentials.aws_secrets_manager.as_ref().map(|named| &named.secret_id);
            let refresh = credentials.oauth2.as_ref().and_then(|oauth2| oauth2.refresh_token_secret_id.as_ref());
            [named, refresh].contains(&Some(&secret.secret_id))
                && SecretKey::all_of(connector).any(|key| key == *secret)
        });
        holders.iter().map(|connector| Key::of(&connector.metadata)).collect()
    }

    /// How often each secret that a Connector names in AWS has changed.
    pub fn secret_changes(&self, connector: &Connector) -> Vec<(SecretKey, u64)> {
        let named = SecretKey::all_of(connector);
        let mut changes: Vec<_> = named.map(|key| (key.clone(), self.shared.secrets.count_changes(&key))).collect();
        // They are remembered as long as the Connector, and room was made for four.
        changes.shrink_to_fit();
        changes
    }

    /// Has the vault asked to replace versions of secrets that are too old. Nothing is waited for.
    pub fn rotate(&self, too_old: Vec<(SecretKey, String)>) {
        for (key, version_id) in too_old {
            self.shared.secrets.rotate(&key, version_id);
        }
    }

    /// Whether what is known of a secret now was written into the status, and into the credentials Secret, of every Connector that uses it.
    pub fn is_told(&self, secret: &SecretKey) -> bool {
        let changes = self.shared.secrets.count_changes(secret);
        self.holders_of(secret).iter().all(|holder| {
            let told = self.memory.told.get(holder).unwrap_or_default();
            let told = told.iter().any(|(key, told)| key == secret && *told >= changes);
            // A Connector on its way out is not looked at any more.
            let stays = || {
                Cache::get(&self.cache.connectors, holder)
                    .is_some_and(|connector| connector.metadata.deletion_timestamp.is_none())
            };
            told || !stays()
        })
    }

    /// Secrets that Connectors name and are allowed to.
    pub fn used_secrets(&self) -> BTreeSet<SecretKey> {
        let connectors = self.cache.connectors.state();
        let named = connectors.iter().flat_map(|connector| {
            let namespace = connector.metadata.namespace.as_deref().unwrap_or_default();
            SecretKey::all_of(connector).filter(move |key| self.shared.secret_names.admits(namespace, key))
        });
        named.collect()
    }

    /// Integrations that use a Connector, or another one of its rate group: those share what is allowed.
    fn users_of(&self, connector: &Key) -> BTreeSet<Key> {
        let mut names = BTreeSet::from([connector.name.clone()]);
        let group =
            Cache::get(&self.cache.connectors, connector).and_then(|connector| named_group(&connector).cloned());
        if let Some(group) = group {
            let members = self
                .cache
                .connectors
                .state_filter(|other| named_group(other) == Some(&group) && in_namespace(other, &connector.namespace));
            names.extend(members.iter().filter_map(|member| member.metadata.name.clone()));
        }
        let users = self.cache.users_of(&connector.namespace, &names);
        users.iter().map(|integration| Key::of(&integration.metadata)).collect()
    }
}

/// The rate group a Connector names; without one it is alone in its own.
fn named_group(connector: &Connector) -> Option<&String> {
    connector.spec.rate_limit.as_ref()?.group.as_ref()
}

fn in_namespace(connector: &Connector, namespace: &str) -> bool {
    connector.metadata.namespace.as_deref() == Some(namespace)
}
