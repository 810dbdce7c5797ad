//! What workers are told through ConfigMaps: their plan, and their shares of rate allowances.

use crosstie_crds::names::{self, ANNOTATION_STORE_ID, PLAN_FILE, SHARES_FILE};
use crosstie_engine::{plan::Plan, rate::Shares};
use k8s_openapi::api::core::v1::ConfigMap;

use super::{ANNOTATION_PLAN_HASH, ANNOTATION_SHARES, Object, ObjectKind, Owner, STORE_ID_FILE};
use crate::plan::shares::Published;

/// The plan.
pub fn plan(owner: &Owner, plan: &Plan, hash: &str) -> Object {
    let name = names::plan(&owner.name);
    let object = ConfigMap {
        metadata: owner.meta(&name, "plan", [(ANNOTATION_PLAN_HASH, hash.to_owned())]),
        data: Some([(PLAN_FILE.to_owned(), plan.to_json())].into()),
        ..ConfigMap::default()
    };
    Object::new(ObjectKind::ConfigMap, name, &object)
}

/// The shares, and the id of the store the worker must find. Its annotations keep what the operator must remember of both when
/// it restarts, and of the store when the volume is gone.
pub fn shares(owner: &Owner, shares: &Shares, published: &Published, store_id: Option<&str>) -> Object {
    let name = names::shares(&owner.name);
    let annotations = [(ANNOTATION_SHARES, published.to_json())]
        .into_iter()
        .chain(store_id.map(|id| (ANNOTATION_STORE_ID, id.to_owned())));
    let files = [(SHARES_FILE.to_owned(), shares.to_json())]
        .into_iter()
        .chain(store_id.map(|id| (STORE_ID_FILE.to_owned(), id.to_owned())));
    let object = ConfigMap {
        metadata: owner.meta(&name, "shares", annotations),
        data: Some(files.collect()),
        ..ConfigMap::default()
    };
    Object::new(ObjectKind::ConfigMap, name, &object)
}
