//! What is known of a Connector's credentials: of the secret that it names, and of the access tokens that are got with it. Nothing is asked here.

use std::{collections::BTreeMap, sync::Arc};

use crosstie_crds::{
    Connector,
    condition::Reason,
    names::{self, LABEL_CREDENTIALS},
};
use crosstie_engine::credentials::CredentialVersion;
use k8s_openapi::api::core::v1::Secret;

use crate::{
    broker::Entry,
    cache::Cache,
    context::Context,
    memory,
    plan::{
        credentials::Stored,
        objects::ObjectKind,
        rotation::Said,
        tokens::{Observed, RefreshToken},
    },
    trigger::Key,
    vault::{SecretKey, VaultFault, secrets},
};

/// What is stored for a Connector, and what is said of it. A vault is never waited for.
pub fn credentials(cx: &Context, object: &Connector) -> (Stored, Said) {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let source = &object.spec.credentials;
    if let Some(key) = SecretKey::of(object) {
        return in_vault(cx, namespace, &key);
    }
    let stored = match &source.secret_ref {
        Some(reference) => kubernetes_secret(cx, &Key::new(namespace, &reference.name)),
        None => Stored::Refused(VaultFault::new(Reason::PlanInvalid, "spec.credentials names no source: set one")),
    };
    (stored, Said::default())
}

/// What is known of the access tokens of a Connector that gets them by a grant.
pub fn tokens(cx: &Context, key: &Key, object: &Connector) -> Observed {
    let refresh = SecretKey::of_refresh_token(object).map(|secret| {
        let (stored, said) = in_vault(cx, &key.namespace, &secret);
        RefreshToken { secret, stored, said }
    });
    // What the cache shows to have been written since it was remembered is read again.
    let cached = cx.cache.meta(ObjectKind::Secret, &key.sibling(&names::tokens(&key.name)));
    let written = cached.as_ref().and_then(memory::version);
    let is_new = |entry: &Entry| written <= entry.revision.0.as_ref().and_then(|version| version.parse().ok());
    Observed { refresh, entry: cx.shared.broker.look(key).filter(is_new) }
}

fn in_vault(cx: &Context, namespace: &str, key: &SecretKey) -> (Stored, Said) {
    if !cx.shared.secret_names.admits(namespace, key) {
        let patterns: Vec<String> = cx.shared.secret_names.patterns_for(namespace).collect();
        let message = format!(
            "secret {} is not allowed in namespace {namespace}: name one that matches {}, or a role that may read it in roleARN",
            key.secret_id,
            patterns.join(" or ")
        );
        return (Stored::Refused(VaultFault::new(Reason::SecretNotAllowed, message)), Said::default());
    }
    match cx.shared.secrets.look(key) {
        None => (Stored::Asked, Said::default()),
        Some(entry) => known(entry),
    }
}

fn known(entry: secrets::Entry) -> (Stored, Said) {
    let secrets::Entry { held, fault, not_rotated } = entry;
    let Some(held) = held else {
        return (Stored::Known { current: None, previous: None, fault }, Said::default());
    };
    let described = held.description.as_ref();
    let said = Said {
        made_at: held.made_at,
        rotates: described.map(|described| described.rotates),
        expires_at: None,
        next_rotation: described.and_then(|described| described.next_rotation),
        not_rotated: not_rotated.map(|fault| fault.message),
    };
    (Stored::Known { current: Some(held.current), previous: held.previous, fault }, said)
}

fn kubernetes_secret(cx: &Context, key: &Key) -> Stored {
    let Some(secret) = Cache::get(&cx.cache.credentials, key) else {
        let message = format!(
            "no Secret {} with the label {LABEL_CREDENTIALS}=\"true\" exists in namespace {}: create it, or label it",
            key.name, key.namespace
        );
        return Stored::Refused(VaultFault::new(Reason::SecretMissing, message));
    };
    match text_values(&secret) {
        Ok(version) => Stored::Known { current: Some(Arc::new(version)), previous: None, fault: None },
        Err(fault) => Stored::Refused(fault),
    }
}

/// The resource version stands in for a version id: unlike a hash it says nothing about the values.
fn text_values(secret: &Secret) -> Result<CredentialVersion, VaultFault> {
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    let version = secret.metadata.resource_version.as_deref().unwrap_or_default();
    let mut values = BTreeMap::new();
    for (key, bytes) in secret.data.iter().flatten() {
        let text = std::str::from_utf8(&bytes.0).map_err(|_| {
            let message = format!("key {key} of Secret {name} is not text: store it as UTF-8");
            VaultFault::new(Reason::SecretMalformed, message)
        })?;
        values.insert(key.clone(), text.to_owned());
    }
    Ok(CredentialVersion { version_id: format!("rv-{version}"), values })
}
