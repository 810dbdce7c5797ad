//! What reaches a worker and what it reaches.

use crosstie_crds::names;
use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{COMPONENT_WORKER, Object, ObjectKind, Owner, deployment::PORT, webhooks};

/// Everything but the address where clouds hand out a node's credentials, for both address families.
const OUTSIDE: [(&str, &str); 2] = [("0.0.0.0/0", "169.254.169.254/32"), ("::/0", "fd00:ec2::254/128")];

/// Ingress to the port for health and metrics and, where the worker takes webhooks, to theirs; egress anywhere but to the cloud's metadata address. Which vendors are reached is
/// decided by the worker's egress guard, which knows names and pins addresses; a policy by address could not. Pods are named
/// beside address ranges because some network plugins do not count pods as addresses.
pub fn network_policy(owner: &Owner, receives: bool) -> Object {
    let name = names::worker(&owner.name);
    let everywhere = OUTSIDE.map(|(cidr, except)| NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: cidr.to_owned(), except: Some(vec![except.to_owned()]) }),
        ..NetworkPolicyPeer::default()
    });
    let port = |number: i32| NetworkPolicyPort {
        port: Some(IntOrString::Int(number)),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    };
    let pods = NetworkPolicyPeer { namespace_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() };
    let object = NetworkPolicy {
        metadata: owner.meta(&name, COMPONENT_WORKER, []),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector { match_labels: Some(owner.selector()), ..LabelSelector::default() }),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: None,
                ports: Some(std::iter::once(PORT).chain(receives.then_some(webhooks::PORT)).map(port).collect()),
            }]),
            egress: Some(vec![NetworkPolicyEgressRule {
                to: Some([pods].into_iter().chain(everywhere).collect()),
                ports: None,
            }]),
        }),
    };
    Object::new(ObjectKind::NetworkPolicy, name, &object)
}
