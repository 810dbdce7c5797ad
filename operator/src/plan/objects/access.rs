//! Who a worker is and what it may do: its own SyncReport and nothing else.

use crosstie_crds::{GROUP, SyncReport, SyncReportSpec, connector::LocalReference, names};
use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
};

use super::{COMPONENT_WORKER, Object, ObjectKind, Owner};

/// The worker's ServiceAccount. Pods that want its token must say so.
pub fn service_account(owner: &Owner) -> Object {
    let name = names::worker(&owner.name);
    let object = ServiceAccount {
        metadata: owner.meta(&name, COMPONENT_WORKER, []),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    Object::new(ObjectKind::ServiceAccount, name, &object)
}

/// What the worker may do.
pub fn role(owner: &Owner) -> Object {
    let name = names::worker(&owner.name);
    let rule = |resource: &str, verbs: &[&str]| PolicyRule {
        api_groups: Some(vec![GROUP.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        resource_names: Some(vec![owner.name.clone()]),
        verbs: verbs.iter().map(|&verb| verb.to_owned()).collect(),
        non_resource_urls: None,
    };
    let object = Role {
        metadata: owner.meta(&name, COMPONENT_WORKER, []),
        rules: Some(vec![rule("syncreports", &["get"]), rule("syncreports/status", &["get", "patch"])]),
    };
    Object::new(ObjectKind::Role, name, &object)
}

/// That the worker may.
pub fn role_binding(owner: &Owner) -> Object {
    let name = names::worker(&owner.name);
    let object = RoleBinding {
        metadata: owner.meta(&name, COMPONENT_WORKER, []),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "Role".to_owned(),
            name: name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: name.clone(),
            namespace: Some(owner.namespace.clone()),
            api_group: None,
        }]),
    };
    Object::new(ObjectKind::RoleBinding, name, &object)
}

/// Where the worker reports. It has the Integration's name.
pub fn sync_report(owner: &Owner) -> Object {
    let object = SyncReport {
        metadata: owner.meta(&owner.name, COMPONENT_WORKER, []),
        spec: SyncReportSpec { integration_ref: LocalReference { name: owner.name.clone() } },
        status: None,
    };
    Object::new(ObjectKind::SyncReport, owner.name.clone(), &object)
}
