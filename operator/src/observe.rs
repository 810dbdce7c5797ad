//! What is read before planning: from the cache, and from the API server itself where acting on a stale cache could not be undone.
//! A bad spec is data here, not an error.

mod stored;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crosstie_crds::{
    Connector, Integration, SyncReport,
    condition::Reason,
    names,
    sync_report::{ApiReport, CredentialReport, WorkerReport},
};
use crosstie_engine::{
    compile::{self, Compiled},
    plan::System,
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ConfigMap, PersistentVolumeClaim},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Api;

use crate::{
    cache::Cache,
    context::Context,
    memory,
    plan::{
        connector, diagnosis,
        integration::{self, Compilation, ends},
        objects::{ANNOTATION_SHARES, CredentialVersions, ObjectKind},
        shares::{self, Granted, Peer, Published},
        verification::{self, Verification, fixture_maps},
    },
    trigger::Key,
};

/// Observes a Connector.
pub fn connector(cx: &Context, object: &Arc<Connector>) -> connector::Seen {
    let key = Key::of(&object.metadata);
    let users = cx.cache.users_of(&key.namespace, &BTreeSet::from([key.name.clone()]));
    let mut object = object.clone();
    if let Some(status) = cx.memory.connectors.ahead_of(&key, &object.metadata) {
        Arc::make_mut(&mut object).status = Some(status);
    }
    let (stored, said) = stored::credentials(cx, &object);
    let compiled = compiled_connector(cx, &object);
    let granted = compiled.value.as_ref().is_some_and(|system| system.grant.is_some());
    connector::Seen {
        compiled,
        stored,
        said,
        tokens: granted.then(|| stored::tokens(cx, &key, &object)),
        secret: cx.cache.meta(ObjectKind::Secret, &key.sibling(&names::credentials(&key.name))),
        integrations: u32::try_from(users.len()).unwrap_or(u32::MAX),
        signing_keys: users.iter().flat_map(|user| compile::signing_keys(user, &key.name)).collect(),
        workers: users.iter().flat_map(|user| credential_reports(cx, user, &key.name)).collect(),
        apis: users.iter().flat_map(|user| api_reports(cx, user, &key.name)).collect(),
        connector: object,
    }
}

fn compiled_connector(cx: &Context, object: &Connector) -> Compiled<System> {
    let mut compiled = compile::connector(object, &cx.shared.compile);
    let own = names::credentials(object.metadata.name.as_deref().unwrap_or_default());
    if object.spec.credentials.secret_ref.as_ref().is_some_and(|secret| secret.name == own) {
        compiled.value = None;
        compiled.findings.push(compile::Finding {
            reason: Reason::PlanInvalid,
            path: "spec.credentials.secretRef.name".to_owned(),
            message: format!("{own} is the name of the Secret the operator makes for workers: choose another"),
        });
    }
    compiled
}

/// What live workers of an Integration say about a Connector's credentials.
fn credential_reports(cx: &Context, integration: &Integration, connector: &str) -> Vec<Option<CredentialReport>> {
    let key = Key::of(&integration.metadata);
    let report = Cache::get(&cx.cache.reports, &key);
    let live = cx.cache.pods_of(&key).into_iter().filter(|pod| diagnosis::is_live(pod));
    live.map(|pod| {
        let entry = entries(report.as_deref()).find(|entry| Some(&entry.pod) == pod.metadata.name.as_ref())?;
        entry.credentials.iter().find(|entry| entry.connector == connector).cloned()
    })
    .collect()
}

/// What live workers of an Integration heard of the version of a Connector's API.
fn api_reports(cx: &Context, integration: &Integration, connector: &str) -> Vec<ApiReport> {
    let key = Key::of(&integration.metadata);
    let report = Cache::get(&cx.cache.reports, &key);
    let pods = cx.cache.pods_of(&key);
    let lives = |entry: &&WorkerReport| {
        pods.iter().any(|pod| diagnosis::is_live(pod) && pod.metadata.name.as_ref() == Some(&entry.pod))
    };
    let apis = entries(report.as_deref()).filter(lives).flat_map(|entry| &entry.apis);
    apis.filter(|api| api.connector == connector).cloned().collect()
}

fn entries(report: Option<&SyncReport>) -> impl Iterator<Item = &WorkerReport> {
    report.into_iter().filter_map(|report| report.status.as_ref()).flat_map(|status| &status.workers)
}

/// Observes an Integration.
///
/// # Errors
/// When the API server cannot be asked whether its volume claim is really gone.
pub async fn integration(cx: &Context, object: &Arc<Integration>) -> Result<integration::Seen, kube::Error> {
    let key = Key::of(&object.metadata);
    let mut object = object.clone();
    if let Some(status) = cx.memory.integrations.ahead_of(&key, &object.metadata) {
        Arc::make_mut(&mut object).status = Some(status);
    }
    let [source, destination] = ends(&object).map(|name| Cache::get(&cx.cache.connectors, &key.sibling(name)));
    let compiled = source.as_deref().zip(destination.as_deref());
    let through = object.spec.alert_connectors();
    let others: Vec<_> =
        through.into_iter().filter_map(|name| Cache::get(&cx.cache.connectors, &key.sibling(name))).collect();
    let compiled = compiled.map(|(source, destination)| compilation(cx, &key, &object, [source, destination], &others));
    let credentials = ends(&object).map(|name| {
        let secret = cx.cache.meta(ObjectKind::Secret, &key.sibling(&names::credentials(name)));
        secret.as_ref().and_then(CredentialVersions::of)
    });
    let verification = verification(cx, &key, &object, compiled.as_deref());
    let mut owned = cx.cache.owned_by(&key);
    let rests = integration::rests(&object, &owned);
    if !rests {
        confirm_claim(cx, &key, &mut owned).await?;
    }
    let plan = compiled.as_ref().and_then(|compiled| compiled.plan.as_ref()).filter(|_| !rests);
    let granted = plan.and_then(|(plan, _)| {
        let [source, destination] =
            [(&source, &plan.source), (&destination, &plan.destination)].map(|(connector, system)| {
                let account = compile::rate_group(connector.as_deref()?);
                Some(shares::End { account, whole: system.allowance })
            });
        Some(grant(cx, &key, &source?, &destination?))
    });
    let report = Cache::get(&cx.cache.reports, &key);
    Ok(integration::Seen {
        source,
        destination,
        compiled,
        verification,
        owned,
        credentials,
        deployment: Cache::get(&cx.cache.deployments, &key.sibling(&names::worker(&key.name))),
        pods: cx.cache.pods_of(&key),
        heard: heard(cx, &key, report.as_deref()),
        report,
        granted,
        integration: object,
    })
}

/// Notes when reports come in. Clocks of workers may be wrong, so a report that changes counts from now.
fn heard(cx: &Context, key: &Key, report: Option<&SyncReport>) -> BTreeMap<String, Timestamp> {
    let mut all = cx.memory.heard.lock();
    let first_look = !all.contains_key(key);
    let before = all.remove(key).unwrap_or_default();
    let now = entries(report).map(|entry| {
        let written = entry.reported_at.0;
        let came_in = match before.get(&entry.pod) {
            Some((known, came_in)) if *known == written => *came_in,
            None if first_look => None,
            Some(_) | None => Some(cx.now()),
        };
        (entry.pod.clone(), (written, came_in))
    });
    let now: memory::Heard = now.collect();
    let heard = now.iter().filter_map(|(pod, (_, came_in))| Some((pod.clone(), (*came_in)?))).collect();
    all.insert(key.clone(), now);
    heard
}

/// A claim that the cache does not show may only be new. Believing that it is gone would declare a loss, or make an empty volume over
/// a lost one, so the API server is asked, also for what was remembered of the store.
async fn confirm_claim(
    cx: &Context,
    key: &Key,
    owned: &mut BTreeMap<(ObjectKind, String), ObjectMeta>,
) -> Result<(), kube::Error> {
    let claim = names::state(&key.name);
    if owned.contains_key(&(ObjectKind::VolumeClaim, claim.clone())) {
        return Ok(());
    }
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(cx.shared.client.clone(), &key.namespace);
    if let Some(found) = claims.get_metadata_opt(&claim).await? {
        owned.insert((ObjectKind::VolumeClaim, claim), found.metadata);
        return Ok(());
    }
    let shares = names::shares(&key.name);
    let maps: Api<ConfigMap> = Api::namespaced(cx.shared.client.clone(), &key.namespace);
    match maps.get_metadata_opt(&shares).await? {
        Some(found) => owned.insert((ObjectKind::ConfigMap, shares), found.metadata),
        None => owned.remove(&(ObjectKind::ConfigMap, shares)),
    };
    Ok(())
}

/// Compiles, unless the same generations were compiled before.
fn compilation(
    cx: &Context,
    key: &Key,
    object: &Integration,
    [source, destination]: [&Connector; 2],
    others: &[Arc<Connector>],
) -> Arc<Compilation> {
    let others: Vec<&Connector> = others.iter().map(AsRef::as_ref).collect();
    let from = [&object.metadata, &source.metadata, &destination.metadata];
    let from = from.into_iter().chain(others.iter().map(|connector| &connector.metadata));
    let from: Vec<_> = from.map(|meta| (meta.uid.clone(), meta.generation)).collect();
    if let Some(known) = cx.memory.compiled.get(key).filter(|known| known.from == from) {
        return known.compilation;
    }
    let compiled = compile::integration_among(object, source, destination, &others, &cx.shared.compile);
    let plan = compiled.value.map(|mut plan| {
        // It is kept for as long as the Integration: a list that grew has room for several more flows.
        plan.flows.shrink_to_fit();
        let hash = plan.hash();
        (plan, hash)
    });
    let compilation = Arc::new(Compilation { plan, findings: compiled.findings });
    cx.memory.compiled.lock().insert(key.clone(), memory::Compiled { from, compilation: compilation.clone() });
    compilation
}

/// Tries the plan on its fixtures, unless this plan was tried on these very fixtures before.
fn verification(cx: &Context, key: &Key, object: &Integration, compiled: Option<&Compilation>) -> Verification {
    let named: Vec<_> = fixture_maps(object)
        .map(|(flow, name)| (flow.to_owned(), name.to_owned(), Cache::get(&cx.cache.fixtures, &key.sibling(name))))
        .collect();
    if named.is_empty() {
        return Verification::Unasked;
    }
    let Some((plan, hash)) = compiled.and_then(|compiled| compiled.plan.as_ref()) else {
        return Verification::Waiting;
    };
    let version = |map: &Arc<ConfigMap>| (map.metadata.uid.clone(), map.metadata.resource_version.clone());
    let versions = named.iter().map(|(flow, name, map)| (flow.clone(), name.clone(), map.as_ref().map(version)));
    let of = (hash.clone(), versions.collect());
    if let Some(known) = cx.memory.verified.get(key).filter(|known| known.of == of) {
        return known.verification;
    }
    let verification = verification::verify(&key.name, plan, &named);
    cx.memory.verified.lock().insert(key.clone(), memory::Verified { of, verification: verification.clone() });
    verification
}

/// Splits the accounts. Deciding and remembering the decision happen under one lock, so that two Integrations never take the same room.
fn grant(cx: &Context, key: &Key, source: &shares::End, destination: &shares::End) -> Granted {
    let users = cx.cache.integrations_in(&key.namespace);
    let mut everybody: BTreeMap<Key, Vec<String>> =
        users.iter().map(|user| (Key::of(&user.metadata), accounts(cx, user))).collect();
    let mut published = cx.memory.shares.lock();
    // Those who left are remembered until their pods are gone.
    published.retain(|other, _| {
        other.namespace != key.namespace || everybody.contains_key(other) || !cx.cache.pods_of(other).is_empty()
    });
    for other in published.keys().filter(|other| other.namespace == key.namespace) {
        everybody.entry(other.clone()).or_default();
    }
    let known = |other: &Key| published.get(other).cloned().or_else(|| published_before(cx, other));
    let concerns_us = |account: &str| account == source.account || account == destination.account;
    let peers: Vec<Peer> = everybody
        .into_iter()
        .filter(|(other, _)| other != key)
        .map(|(other, accounts)| (known(&other), other, accounts))
        .filter(|(known, _, accounts)| {
            accounts.iter().any(|account| concerns_us(account))
                || known.iter().flat_map(Published::parts).any(|part| concerns_us(&part.account))
        })
        .map(|(known, other, accounts)| peer(cx, &other, accounts, known))
        .collect();
    let granted = shares::grant(source, destination, known(key).as_ref(), &peers);
    published.insert(key.clone(), granted.published.clone());
    granted
}

fn published_before(cx: &Context, key: &Key) -> Option<Published> {
    let meta = cx.cache.meta(ObjectKind::ConfigMap, &key.sibling(&names::shares(&key.name)))?;
    Published::parse(meta.annotations.as_ref()?.get(ANNOTATION_SHARES)?)
}

/// Accounts an Integration uses: none while it is suspended or on its way out.
fn accounts(cx: &Context, user: &Integration) -> Vec<String> {
    if user.spec.suspend || user.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let key = Key::of(&user.metadata);
    let connectors = ends(user).into_iter().filter_map(|name| Cache::get(&cx.cache.connectors, &key.sibling(name)));
    connectors.map(|connector| compile::rate_group(&connector)).collect()
}

fn peer(cx: &Context, key: &Key, accounts: Vec<String>, published: Option<Published>) -> Peer {
    let pods = cx.cache.pods_of(key);
    let report = Cache::get(&cx.cache.reports, key);
    let running: Vec<_> = pods.iter().filter(|pod| diagnosis::is_running(pod)).collect();
    let confirmed = running.iter().all(|pod| {
        entries(report.as_deref()).any(|entry| {
            Some(&entry.pod) == pod.metadata.name.as_ref()
                && entry.shares_hash.as_ref() == published.as_ref().map(|published| &published.hash)
        })
    });
    Peer { accounts, published, confirmed, running: !running.is_empty() }
}
