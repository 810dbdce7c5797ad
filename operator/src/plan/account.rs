//! The ServiceAccount of a worker's pods. A pod's token is bound to the account's uid: when somebody deletes the account, the one that is made again
//! in its place has another, and the token that the pod has is refused until the kubelet gets the next one, an hour later perhaps. So the uid is
//! noted in the template of the pods: another account means another pod, and nothing else about an account does.
//!
//! Deployments that an earlier operator made have no note. One that is otherwise as it should be stays so: a note is no reason to start a worker
//! again. It comes in with the next change there is, or when a pod is seen to be older than the account.

use crosstie_crds::names::{self, ANNOTATION_APPLIED_HASH};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    objects::{Object, ObjectKind, account_of},
    seen::Seen,
};

/// The account that new pods get; none while it is not seen, because it is still to be made.
fn account(seen: &Seen) -> Option<&ObjectMeta> {
    let worker = names::worker(seen.integration.metadata.name.as_deref().unwrap_or_default());
    seen.owned.get(&(ObjectKind::ServiceAccount, worker))
}

/// Whether the worker's pod was made with another account than the one there is now.
pub fn was_replaced(seen: &Seen) -> bool {
    let Some((account, deployment)) = account(seen).zip(seen.deployment.as_deref()) else { return false };
    if let Some(noted) = account_of(deployment) {
        return account.uid.as_deref() != Some(noted);
    }
    seen.pods.iter().map(|pod| &pod.metadata).filter(|pod| pod.deletion_timestamp.is_none()).any(|pod| {
        let made = pod.creation_timestamp.as_ref().zip(account.creation_timestamp.as_ref());
        made.is_some_and(|(pod, account)| pod.0 < account.0)
    })
}

/// The Deployment as it should be, from how it is made with a note of an account and without one. None while the account is not seen: a pod that is
/// started before might have to be started again.
pub fn deployment(seen: &Seen, make: impl Fn(Option<&str>) -> Object) -> Option<Object> {
    let uid = account(seen)?.uid.as_deref();
    let unnoted = seen.deployment.as_deref().filter(|deployment| account_of(deployment).is_none());
    let stays = unnoted.filter(|_| !was_replaced(seen)).and_then(|deployment| {
        let applied = deployment.metadata.annotations.as_ref()?.get(ANNOTATION_APPLIED_HASH)?;
        Some(make(None)).filter(|object| object.hash == *applied)
    });
    Some(stays.unwrap_or_else(|| make(uid)))
}
