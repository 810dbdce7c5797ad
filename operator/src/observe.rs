//! What is read before planning: from the cache, and from the API server itself where acting on a stale cache could not be undone.
//! A bad spec is data here, not an error.

mod allowances;
mod stored;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crosstie_crds::{
    Connector, Integration, SyncReport,
    condition::Reason,
    names::{self, PLAN_FILE},
    sync_report::{ApiReport, CredentialReport, WorkerReport},
};
use crosstie_engine::{
    compile::{self, Compiled},
    plan::{Plan, System},
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
        connector, diagnosis, in_force,
        integration::{self, Compilation, ends},
        objects::{CredentialVersions, ObjectKind},
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
    let report = Cache::get(&cx.cache.reports, &key);
    let mut seen = integration::Seen {
        source,
        destination,
        compiled,
        verification,
        last_good: None,
        owned,
        credentials,
        deployment: Cache::get(&cx.cache.deployments, &key.sibling(&names::worker(&key.name))),
        pods: cx.cache.pods_of(&key),
        heard: heard(cx, &key, report.as_deref()),
        report,
        granted: None,
        integration: object,
    };
    if !rests {
        seen.last_good = last_good(cx, &key, &seen).await?;
        seen.granted = allowances::granted(cx, &key, &seen);
    }
    Ok(seen)
}

/// The plan that was published last, read back while the new one may not go out. It is remembered until one goes out again, so that it can be
/// published once more when somebody deletes it.
async fn last_good(
    cx: &Context,
    key: &Key,
    seen: &integration::Seen,
) -> Result<Option<Arc<in_force::Published>>, kube::Error> {
    if in_force::publishable(seen).is_some() {
        cx.memory.last_good.lock().remove(key);
        return Ok(None);
    }
    let uid = seen.integration.metadata.uid.clone();
    let known = cx.memory.last_good.get(key).filter(|known| known.integration == uid);
    let hash = in_force::last_good(seen);
    if let Some(known) = known.filter(|known| hash.is_none_or(|hash| hash == known.published.hash)) {
        return Ok(Some(known.published));
    }
    let Some(hash) = hash else { return Ok(None) };
    let maps: Api<ConfigMap> = Api::namespaced(cx.shared.client.clone(), &key.namespace);
    let map = maps.get_opt(&names::plan(&key.name)).await?;
    // A plan that another version wrote may not be readable; it goes on where it is.
    let plan = map.and_then(|map| Plan::parse(map.data?.get(PLAN_FILE)?.as_bytes()).ok());
    Ok(plan.map(|plan| {
        let published = Arc::new(in_force::Published { plan, hash: hash.to_owned() });
        let entry = memory::LastGood { integration: uid, published: published.clone() };
        cx.memory.last_good.lock().insert(key.clone(), entry);
        published
    }))
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
    let from = from.map(|meta| (meta.uid.clone(), meta.generation)).collect();
    cx.memory.compiled.recall(key, from, || {
        let compiled = compile::integration_among(object, source, destination, &others, &cx.shared.compile);
        let plan = compiled.value.map(|plan| {
            let hash = plan.hash();
            (plan, hash)
        });
        Compilation { plan, findings: compiled.findings }
    })
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
