//! How an Integration receives its source's webhooks.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::connector::{LocalReference, WebhookPlace};

/// How the source's webhooks reach the worker, and what is taken of them. Used by flows with a webhook trigger.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.ingress) || has(self.host)").message("set receiver.host: an Ingress needs the name that vendors call")
)]
pub struct Receiver {
    /// Host name under which vendors reach the receiver, for example `hooks.example.com`. With it, status shows the address to enter at the
    /// vendor: `https://HOST/NAMESPACE/NAME`. Only the Service is made, and no address shown, when it is left out. 1 to 253 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub host: Option<String>,

    /// Makes an Ingress from host to the receiver. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressOptions>,

    /// Address ranges, in CIDR notation, of proxies whose `X-Forwarded-For` is believed, for example the ingress controller's `10.0.0.0/8`. A
    /// caller is the address that the connection comes from when it is left out. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 49)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub trusted_proxies: Vec<String>,

    /// How many verified events of one kind are taken; those beyond it are answered with 429 and have to be sent again. All are when it is left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<EventLimit>,

    /// Largest body that is taken, in bytes; larger ones are answered with 413. 1024 to 16777216; 1048576 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 16_777_216))]
    pub max_body_bytes: Option<u32>,

    /// For how many days the log of events is kept, and an event's id is known again. 1 to 90; 7 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 90))]
    pub audit_days: Option<u32>,
}

/// How many verified events are taken, counted by who they are about.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EventLimit {
    /// Where the event says whom it is counted for, for example `{pointer: /user/id}`. All events are counted together when it is left out, and
    /// so are those without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<WebhookPlace>,
    /// How many are taken in each span. 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: u32,
    /// Length of the span, in seconds. 1 to 86400; 60 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub per_seconds: Option<u32>,
}

/// What the Ingress is made with. Where more is needed, such as annotations, make one of your own that leads to the Service.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct IngressOptions {
    /// Ingress class. The cluster's default when left out. 1 to 253 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Secret, in the same namespace, with the certificate for host. The controller's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_secret_ref: Option<LocalReference>,
}
