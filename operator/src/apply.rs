//! Carrying out steps: server-side apply with one field manager, skipped when the object was applied already and nobody touched it.
//! No decisions but that one.

use crosstie_crds::{
    SyncReport,
    names::{ANNOTATION_APPLIED_HASH, ANNOTATION_NUDGE, FIELD_MANAGER},
};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    context::Context,
    memory::{Written, version},
    plan::{
        Step,
        objects::{Object, ObjectKind},
    },
    trigger::Key,
};

/// A step that could not be carried out.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {name} could not be written: {detail}; it is tried again")]
pub struct ApplyFault {
    kind: &'static str,
    name: String,
    detail: String,
    #[source]
    source: kube::Error,
}

impl ApplyFault {
    fn new(kind: &'static str, name: &str, source: kube::Error) -> Self {
        let detail = match &source {
            kube::Error::Api(status) => status.message.clone(),
            _ => "the API server cannot be reached".to_owned(),
        };
        Self { kind, name: name.to_owned(), detail, source }
    }
}

/// Carries out every step it can, in order; a failure does not keep later steps from being tried, except that no worker is started
/// beside a claim that could not be made. Returns the first failure.
pub async fn converge(cx: &Context, namespace: &str, steps: &[Step]) -> Result<(), ApplyFault> {
    let mut first = Ok(());
    let mut no_claim = false;
    for step in steps {
        if no_claim && matches!(step, Step::Apply(object) if object.kind == ObjectKind::Deployment) {
            continue;
        }
        if let Err(fault) = carry_out(cx, namespace, step).await {
            tracing::warn!(kind = fault.kind, name = fault.name, error = %fault.detail, "a write failed");
            no_claim |= matches!(step, Step::Apply(object) if object.kind == ObjectKind::VolumeClaim);
            first = first.and(Err(fault));
        }
    }
    first
}

async fn carry_out(cx: &Context, namespace: &str, step: &Step) -> Result<(), ApplyFault> {
    let client = || cx.shared.client.clone();
    let (kind, name, outcome) = match step {
        Step::Apply(object) => return apply(cx, namespace, object).await,
        Step::Delete { kind, name } => {
            let api: Api<DynamicObject> = Api::namespaced_with(client(), namespace, &kind.resource());
            (kind.as_str(), name, api.delete(name, &DeleteParams::background()).await.map(drop))
        }
        Step::Scale { deployment, replicas } => {
            let api: Api<Deployment> = Api::namespaced(client(), namespace);
            // Without its hash the Deployment is applied in full as soon as that is wanted again.
            let patch = json!({
                "metadata": {"annotations": {ANNOTATION_APPLIED_HASH: null}},
                "spec": {"replicas": replicas},
            });
            let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            ("Deployment", deployment, api.patch(deployment, &params, &Patch::Merge(patch)).await.map(drop))
        }
        Step::Nudge { pod, value } => {
            let api: Api<Pod> = Api::namespaced(client(), namespace);
            let patch = json!({"metadata": {"annotations": {ANNOTATION_NUDGE: value}}});
            ("Pod", pod, api.patch_metadata(pod, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop))
        }
        Step::Forget { report, index, pod } => {
            let api: Api<SyncReport> = Api::namespaced(client(), namespace);
            // The test makes sure that it is still the same entry that is removed.
            let patch = json!([
                {"op": "test", "path": format!("/status/workers/{index}/pod"), "value": pod},
                {"op": "remove", "path": format!("/status/workers/{index}")},
            ]);
            let outcome = match serde_json::from_value(patch) {
                Ok(patch) => {
                    api.patch_status(report, &PatchParams::default(), &Patch::Json::<()>(patch)).await.map(drop)
                }
                Err(error) => Err(kube::Error::SerdeError(error)),
            };
            ("SyncReport", report, outcome)
        }
    };
    cx.shared.metrics.wrote(kind, outcome.is_ok());
    tracing::debug!(?step, ok = outcome.is_ok(), "carried out");
    match outcome {
        // What is gone needs no deleting, scaling, nudging or forgetting; what changed meanwhile is looked at again. A list
        // without the entry that was to be forgotten is answered with 422.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 422 && matches!(step, Step::Forget { .. }) => Ok(()),
        outcome => outcome.map_err(|source| ApplyFault::new(kind, name, source)),
    }
}

async fn apply(cx: &Context, namespace: &str, object: &Object) -> Result<(), ApplyFault> {
    let key = (object.kind, Key::new(namespace, &object.name));
    let cached = cx.cache.meta(object.kind, &key.1);
    let written = cx.memory.written.get(&key);
    match needed(object, cached.as_ref(), written.as_ref()) {
        Need::Nothing => return Ok(()),
        Need::Remember(found) => {
            cx.memory.written.lock().insert(key, found);
            return Ok(());
        }
        Need::Write => {}
    }
    let api: Api<DynamicObject> = Api::namespaced_with(cx.shared.client.clone(), namespace, &object.kind.resource());
    // Force only over objects known as our own: a stranger's object of the same name is not taken over silently.
    let params = PatchParams { force: cached.is_some(), ..PatchParams::apply(FIELD_MANAGER) };
    let outcome = api.patch_metadata(&object.name, &params, &Patch::Apply(&object.body)).await;
    cx.shared.metrics.wrote(object.kind.as_str(), outcome.is_ok());
    let after = outcome.map_err(|source| ApplyFault::new(object.kind.as_str(), &object.name, source))?;
    tracing::info!(kind = object.kind.as_str(), namespace, name = object.name, hash = object.hash, "applied");
    cx.memory.written.lock().insert(key, remember(object, &after.metadata));
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    Remember(Written),
    Write,
}

/// Whether an object must be written, from what the cache shows and what was written last.
fn needed(object: &Object, cached: Option<&ObjectMeta>, written: Option<&Written>) -> Need {
    let Some(cached) = cached else { return Need::Write };
    let written = written.filter(|written| written.uid == cached.uid);
    if let Some(written) = written
        && written.version.zip(version(cached)).is_some_and(|(ours, theirs)| theirs < ours)
    {
        // The cache is behind our own write.
        return if written.hash == object.hash { Need::Nothing } else { Need::Write };
    }
    let hash = cached.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION_APPLIED_HASH));
    if hash != Some(&object.hash) {
        return Need::Write;
    }
    match written {
        None => Need::Remember(remember(object, cached)),
        Some(written) if touched(object.kind, written, cached) => Need::Write,
        Some(_) => Need::Nothing,
    }
}

/// Whether somebody else wrote what we applied. Kinds with a generation tell by it; volume claims are written by others as a matter of
/// course, and what matters in them cannot be changed.
fn touched(kind: ObjectKind, written: &Written, cached: &ObjectMeta) -> bool {
    match kind {
        ObjectKind::VolumeClaim => false,
        ObjectKind::Deployment | ObjectKind::NetworkPolicy | ObjectKind::Ingress | ObjectKind::SyncReport => {
            cached.generation != written.generation
        }
        ObjectKind::ConfigMap
        | ObjectKind::Secret
        | ObjectKind::Service
        | ObjectKind::ServiceAccount
        | ObjectKind::Role
        | ObjectKind::RoleBinding => version(cached) != written.version,
    }
}

fn remember(object: &Object, meta: &ObjectMeta) -> Written {
    Written { hash: object.hash.clone(), uid: meta.uid.clone(), version: version(meta), generation: meta.generation }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn object(kind: ObjectKind) -> Object {
        Object { kind, name: "a".into(), body: Value::Null, hash: "h1".into() }
    }

    fn meta(hash: &str, version: u32, generation: i64) -> ObjectMeta {
        ObjectMeta {
            uid: Some("u".into()),
            resource_version: Some(version.to_string()),
            generation: Some(generation),
            annotations: Some([(ANNOTATION_APPLIED_HASH.to_owned(), hash.to_owned())].into()),
            ..ObjectMeta::default()
        }
    }

    fn written(hash: &str, version: u128, generation: i64) -> Written {
        Written { hash: hash.into(), uid: Some("u".into()), version: Some(version), generation: Some(generation) }
    }

    #[test]
    fn what_does_not_exist_or_differs_is_written() {
        let object = object(ObjectKind::ConfigMap);
        assert_eq!(needed(&object, None, Some(&written("h1", 5, 1))), Need::Write);
        assert_eq!(needed(&object, Some(&meta("h0", 5, 1)), None), Need::Write);
        assert_eq!(needed(&object, Some(&meta("h0", 5, 1)), Some(&written("h0", 5, 1))), Need::Write);
    }

    #[test]
    fn after_a_restart_what_is_as_it_should_be_is_believed() {
        let found = needed(&object(ObjectKind::ConfigMap), Some(&meta("h1", 5, 1)), None);
        assert_eq!(found, Need::Remember(written("h1", 5, 1)));
    }

    #[test]
    fn a_cache_behind_our_own_write_is_not_believed() {
        let stale = meta("h0", 5, 1);
        assert_eq!(needed(&object(ObjectKind::Deployment), Some(&stale), Some(&written("h1", 6, 2))), Need::Nothing);
        assert_eq!(needed(&object(ObjectKind::Deployment), Some(&stale), Some(&written("h2", 6, 2))), Need::Write);
    }

    #[test]
    fn what_somebody_else_changed_is_written_again() {
        let changed = meta("h1", 9, 3);
        assert_eq!(needed(&object(ObjectKind::Deployment), Some(&changed), Some(&written("h1", 6, 2))), Need::Write);
        assert_eq!(needed(&object(ObjectKind::ConfigMap), Some(&changed), Some(&written("h1", 6, 3))), Need::Write);
    }

    #[test]
    fn a_status_written_by_a_controller_is_no_change() {
        let status = meta("h1", 9, 2);
        assert_eq!(needed(&object(ObjectKind::Deployment), Some(&status), Some(&written("h1", 6, 2))), Need::Nothing);
        assert_eq!(
            needed(&object(ObjectKind::VolumeClaim), Some(&meta("h1", 9, 0)), Some(&written("h1", 6, 1))),
            Need::Nothing
        );
    }

    #[test]
    fn an_object_made_anew_by_somebody_else_is_written() {
        let other = ObjectMeta { uid: Some("other".into()), annotations: None, ..meta("h1", 9, 1) };
        assert_eq!(needed(&object(ObjectKind::ConfigMap), Some(&other), Some(&written("h1", 10, 1))), Need::Write);
    }
}
