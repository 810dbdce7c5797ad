//! The volume claim of an Integration's store.

use crosstie_crds::{
    integration::DeletionPolicy,
    names::{self, ANNOTATION_STORE_ID},
};
use crosstie_engine::compile::ResolvedState;
use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{COMPONENT_WORKER, Object, ObjectKind, Owner};

/// The claim. Under `Retain` it has no owner, so that it outlives the Integration and is adopted by the next of the same name.
pub fn volume_claim(owner: &Owner, state: &ResolvedState, store_id: Option<&str>) -> Object {
    let name = names::state(&owner.name);
    let annotations = store_id.map(|id| (ANNOTATION_STORE_ID, id.to_owned()));
    let mut metadata = owner.meta(&name, COMPONENT_WORKER, annotations);
    match state.deletion_policy {
        DeletionPolicy::Retain => metadata.owner_references = None,
        DeletionPolicy::Delete => {}
    }
    let object = PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: state.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(state.storage.clone()))].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    };
    Object::new(ObjectKind::VolumeClaim, name, &object)
}
