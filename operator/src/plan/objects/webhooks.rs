//! What leads webhooks to a worker: its Service and, where it is asked for, an Ingress.

use crosstie_crds::{
    integration::{Receiver as Spec, ReceiverStatus},
    names,
};
use crosstie_engine::plan::Receiver;
use k8s_openapi::{
    api::{
        core::v1::{Service, ServicePort, ServiceSpec},
        networking::v1::{
            HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
            IngressSpec, IngressTLS, ServiceBackendPort,
        },
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{COMPONENT_WORKER, Object, ObjectKind, Owner};

/// Port at which a worker receives webhooks.
pub(super) const PORT: i32 = 8082;
/// Name of that port.
pub(super) const PORT_NAME: &str = "webhooks";
/// Port of the Service.
const SERVICE_PORT: i32 = 80;

/// What status says of a receiver.
pub fn receiver_status(integration: &str, receiver: &Receiver) -> ReceiverStatus {
    ReceiverStatus { url: receiver.url(), service: names::webhooks(integration), path: receiver.path.clone() }
}

/// The Service in front of the worker.
pub fn service(owner: &Owner) -> Object {
    let name = names::webhooks(&owner.name);
    let object = Service {
        metadata: owner.meta(&name, COMPONENT_WORKER, []),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(owner.selector()),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: SERVICE_PORT,
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    Object::new(ObjectKind::Service, name, &object)
}

/// The Ingress from the name that vendors call to the Service; none where it is not asked for.
pub fn ingress(owner: &Owner, spec: &Spec, receiver: &Receiver) -> Option<Object> {
    let (options, host) = (spec.ingress.as_ref()?, spec.host.as_ref()?);
    let name = names::webhooks(&owner.name);
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: name.clone(),
            port: Some(ServiceBackendPort { name: Some(PORT_NAME.to_owned()), number: None }),
        }),
        resource: None,
    };
    let path = HTTPIngressPath { path: Some(receiver.path.clone()), path_type: "Exact".to_owned(), backend };
    let secret = options.tls_secret_ref.as_ref();
    let tls = secret
        .map(|secret| vec![IngressTLS { hosts: Some(vec![host.clone()]), secret_name: Some(secret.name.clone()) }]);
    let object = Ingress {
        metadata: owner.meta(&name, COMPONENT_WORKER, []),
        spec: Some(IngressSpec {
            ingress_class_name: options.class_name.clone(),
            rules: Some(vec![IngressRule {
                host: Some(host.clone()),
                http: Some(HTTPIngressRuleValue { paths: vec![path] }),
            }]),
            tls,
            default_backend: None,
        }),
        status: None,
    };
    Some(Object::new(ObjectKind::Ingress, name, &object))
}
