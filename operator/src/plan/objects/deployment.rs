//! The worker's Deployment. Its pod template holds only what needs a restart: plan, shares and credentials are mounted files
//! that the worker reloads, so nothing of them, not even a hash, may stand here. The uid of the ServiceAccount does: the token of a pod is of no use
//! any more when its account is another one, also of the same name.

use crosstie_crds::names::{self, ENV_FILES, ENV_NO_PROXY, ENV_PROXY, ENV_WEBHOOKS_LISTEN, FILES_FOLDER, STATE_FOLDER};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy},
        core::v1::{
            Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource,
            HTTPGetAction, LocalObjectReference, ObjectFieldSelector, PersistentVolumeClaimVolumeSource,
            PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
            SecretVolumeSource, SecurityContext, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{ANNOTATION_ACCOUNT, COMPONENT_WORKER, Object, ObjectKind, Owner, webhooks};

/// Port of health and metrics.
pub(super) const PORT: i32 = 8080;
/// Name of that port.
const PORT_NAME: &str = "http";
/// User and group that workers run as.
const USER: i64 = 65532;
/// How long a worker has to finish what is under way, in seconds.
const GRACE_SECONDS: i64 = 45;

/// What the operator's settings say of every worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerTemplate {
    /// Image to run.
    pub image: String,
    /// When it is pulled.
    pub pull_policy: &'static str,
    /// Names of pull secrets.
    pub pull_secrets: Vec<String>,
    /// How the worker writes its log.
    pub log_format: &'static str,
    /// Whether a NetworkPolicy is made.
    pub network_policy: bool,
    /// URL of the proxy that requests by https leave through, and what is called past it.
    pub proxy: Option<(String, String)>,
}

/// The Connectors whose credentials a worker is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted<'a> {
    /// Source and destination.
    pub ends: [&'a str; 2],
    /// Those that alerts go through, each once.
    pub alerts: Vec<&'a str>,
}

/// Uid of the ServiceAccount that a Deployment's pods are made with, if it was noted. The template has it too, but is not kept in the cache.
pub fn account_of(deployment: &Deployment) -> Option<&str> {
    deployment.metadata.annotations.as_ref()?.get(ANNOTATION_ACCOUNT).map(String::as_str)
}

/// The Deployment of an Integration between two Connectors; `receives` says that its worker takes webhooks. `account` is the uid of the
/// ServiceAccount; none is noted without one.
pub fn deployment(
    owner: &Owner,
    template: &WorkerTemplate,
    connectors: &Mounted,
    resources: Option<&ResourceRequirements>,
    replicas: i32,
    receives: bool,
    account: Option<&str>,
) -> Object {
    let name = names::worker(&owner.name);
    let object = Deployment {
        metadata: owner.meta(&name, COMPONENT_WORKER, account.map(|uid| (ANNOTATION_ACCOUNT, uid.to_owned()))),
        spec: DeploymentSpec {
            replicas: Some(replicas),
            // The store is for one worker at a time.
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None }),
            revision_history_limit: Some(2),
            selector: LabelSelector { match_labels: Some(owner.selector()), ..LabelSelector::default() },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(owner.labels(COMPONENT_WORKER)),
                    annotations: account.map(|uid| [(ANNOTATION_ACCOUNT.to_owned(), uid.to_owned())].into()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(owner, template, connectors, resources, receives)),
            },
            ..DeploymentSpec::default()
        },
        status: None,
    };
    Object::new(ObjectKind::Deployment, name, &object)
}

fn pod(
    owner: &Owner,
    template: &WorkerTemplate,
    connectors: &Mounted,
    resources: Option<&ResourceRequirements>,
    receives: bool,
) -> PodSpec {
    let secrets = template.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    PodSpec {
        service_account_name: Some(names::worker(&owner.name)),
        // The token is for the SyncReport, all that the Role allows.
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        image_pull_secrets: Some(secrets.collect()).filter(|secrets: &Vec<_>| !secrets.is_empty()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        containers: vec![container(owner, template, connectors, resources, receives)],
        volumes: Some(volumes(owner, connectors)),
        ..PodSpec::default()
    }
}

fn container(
    owner: &Owner,
    template: &WorkerTemplate,
    connectors: &Mounted,
    resources: Option<&ResourceRequirements>,
    receives: bool,
) -> Container {
    let port = |name: &str, number: i32| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    let webhooks = receives.then(|| port(webhooks::PORT_NAME, webhooks::PORT));
    Container {
        name: "worker".to_owned(),
        image: Some(template.image.clone()),
        image_pull_policy: Some(template.pull_policy.to_owned()),
        env: Some(environment(owner, template, receives)),
        ports: Some(std::iter::once(port(PORT_NAME, PORT)).chain(webhooks).collect()),
        // A worker that repairs its store after a power loss may take a while before it answers.
        startup_probe: Some(probe("/livez", 1, 120)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        readiness_probe: Some(probe("/readyz", 3, 3)),
        resources: Some(resources.cloned().unwrap_or_else(default_resources)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(connectors)),
        ..Container::default()
    }
}

fn environment(owner: &Owner, template: &WorkerTemplate, receives: bool) -> Vec<EnvVar> {
    let plain =
        |name: &str, value: &str| EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None };
    let mut variables = vec![
        EnvVar {
            name: "CROSSTIE_POD".to_owned(),
            value: None,
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    field_path: "metadata.name".to_owned(),
                    // What the API server would fill in; said here so that the object reads back as it was applied.
                    api_version: Some("v1".to_owned()),
                }),
                ..EnvVarSource::default()
            }),
        },
        plain("CROSSTIE_NAMESPACE", &owner.namespace),
        plain("CROSSTIE_INTEGRATION", &owner.name),
        plain("CROSSTIE_LOG_FORMAT", template.log_format),
        plain(ENV_FILES, FILES_FOLDER),
    ];
    if let Some((url, exceptions)) = &template.proxy {
        variables.extend([plain(ENV_PROXY, url), plain(ENV_NO_PROXY, exceptions)]);
    }
    variables.extend(receives.then(|| plain(ENV_WEBHOOKS_LISTEN, &format!("0.0.0.0:{}", webhooks::PORT))));
    variables
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

fn default_resources() -> ResourceRequirements {
    let quantities = |list: &[(&str, &str)]| {
        Some(list.iter().map(|&(name, value)| (name.to_owned(), Quantity(value.to_owned()))).collect())
    };
    ResourceRequirements {
        requests: quantities(&[("cpu", "20m"), ("memory", "32Mi")]),
        limits: quantities(&[("memory", "128Mi")]),
        claims: None,
    }
}

/// Name of the volume with credentials of an alert. Names of Connectors are longer than those of volumes may be, and may have dots.
fn alert_volume(index: usize) -> String {
    format!("credentials-alerts-{index}")
}

fn mounts(connectors: &Mounted) -> Vec<VolumeMount> {
    let mount = |name: &str, path: String, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path,
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let mut mounts = vec![
        mount("plan", format!("{FILES_FOLDER}/plan"), true),
        mount("shares", format!("{FILES_FOLDER}/shares"), true),
        mount("credentials-source", format!("{FILES_FOLDER}/credentials/source"), true),
        mount("credentials-destination", format!("{FILES_FOLDER}/credentials/destination"), true),
        mount("state", STATE_FOLDER.to_owned(), false),
        mount("tmp", "/tmp".to_owned(), false),
    ];
    mounts.extend(connectors.alerts.iter().enumerate().map(|(index, connector)| {
        mount(&alert_volume(index), format!("{FILES_FOLDER}/credentials/alerts/{connector}"), true)
    }));
    mounts
}

fn volumes(owner: &Owner, connectors: &Mounted) -> Vec<Volume> {
    let Mounted { ends: [source, destination], alerts } = connectors;
    let config_map = |volume: &str, name: String| Volume {
        name: volume.to_owned(),
        config_map: Some(ConfigMapVolumeSource { name, ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    };
    let secret = |volume: &str, connector: &str, optional: Option<bool>| Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(names::credentials(connector)),
            optional,
            // Readable by the worker's group, which `fsGroup` makes the owner, and by nobody else.
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mut volumes = vec![
        config_map("plan", names::plan(&owner.name)),
        config_map("shares", names::shares(&owner.name)),
        secret("credentials-source", source, None),
        secret("credentials-destination", destination, None),
        Volume {
            name: "state".to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: names::state(&owner.name),
                read_only: None,
            }),
            ..Volume::default()
        },
        Volume {
            name: "tmp".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity("64Mi".to_owned())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        },
    ];
    // A worker starts without them: that nobody can be told must not keep data from flowing.
    let alerts = alerts.iter().enumerate();
    volumes.extend(alerts.map(|(index, connector)| secret(&alert_volume(index), connector, Some(true))));
    volumes
}
