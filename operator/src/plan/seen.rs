//! What was observed of an Integration, as plans are made from it. Types only: who reads it is `observe`, what follows from it is `integration`.

use std::{collections::BTreeMap, sync::Arc};

use crosstie_crds::{Connector, Integration, SyncReport};
use crosstie_engine::{compile::Finding, plan::Plan};
use jiff::Timestamp;
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    in_force,
    objects::{CredentialVersions, ObjectKind},
    shares::Granted,
    verification::Verification,
};

/// A compiled spec. The plan is there exactly when there is no finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Compilation {
    /// The plan and its hash.
    pub plan: Option<(Plan, String)>,
    /// Every problem.
    pub findings: Vec<Finding>,
}

/// What was observed of an Integration.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The object, with the newest status that is known.
    pub integration: Arc<Integration>,
    /// The source's Connector, if it exists.
    pub source: Option<Arc<Connector>>,
    /// The destination's Connector, if it exists.
    pub destination: Option<Arc<Connector>>,
    /// What the spec compiles to; `None` when a Connector does not exist.
    pub compiled: Option<Arc<Compilation>>,
    /// What the flows' fixtures say of the plan.
    pub verification: Verification,
    /// The plan that was published last, while the one that the spec compiles to may not go out.
    pub last_good: Option<Arc<in_force::Published>>,
    /// Metadata of objects that carry this Integration's label, by kind and name.
    pub owned: BTreeMap<(ObjectKind, String), ObjectMeta>,
    /// What the Secrets of source and destination hold.
    pub credentials: [Option<CredentialVersions>; 2],
    /// The worker's Deployment.
    pub deployment: Option<Arc<Deployment>>,
    /// The worker's pods.
    pub pods: Vec<Arc<Pod>>,
    /// What workers report.
    pub report: Option<Arc<SyncReport>>,
    /// When the newest report of each pod came in, by the operator's clock; pods whose report was there before the operator are absent.
    pub heard: BTreeMap<String, Timestamp>,
    /// Shares of the rate allowances; `None` when no plan is known, and for one that [rests](super::integration::rests).
    pub granted: Option<Granted>,
}
