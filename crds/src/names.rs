//! Label keys, annotation keys, object names and file names that the operator, the worker and people share.
//! Only strings and how they are put together: no object is built here.

/// Field manager of every server-side apply by the operator.
pub const FIELD_MANAGER: &str = "crosstie-operator";
/// Label: the name of the Integration an object belongs to.
pub const LABEL_INTEGRATION: &str = "crosstie.dev/integration";
/// Label: the name of the Connector an object belongs to.
pub const LABEL_CONNECTOR: &str = "crosstie.dev/connector";
/// Label that opts a Kubernetes Secret in to be read by a Connector's `secretRef`; its value must be `"true"`.
pub const LABEL_CREDENTIALS: &str = "crosstie.dev/credentials";
/// Label that opts a ConfigMap in to be read as a flow's fixtures; its value must be `"true"`.
pub const LABEL_FIXTURES: &str = "crosstie.dev/fixtures";
/// Kubernetes' recommended label that names the tool managing an object.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`LABEL_MANAGED_BY`] on what the operator makes.
pub const MANAGED_BY: &str = "crosstie";
/// Kubernetes' recommended label that names an object's role in its application.
pub const LABEL_COMPONENT: &str = "app.kubernetes.io/component";

/// Annotation on owned objects: hash of the content the operator last applied; an equal hash means nothing to write.
pub const ANNOTATION_APPLIED_HASH: &str = "crosstie.dev/applied-hash";
/// Annotation on worker pods: patching it makes the kubelet refresh mounted files at once.
pub const ANNOTATION_NUDGE: &str = "crosstie.dev/nudge";
/// Annotation on a retained volume claim: the store id its worker wrote, so that an empty volume is noticed.
pub const ANNOTATION_STORE_ID: &str = "crosstie.dev/store-id";

/// Environment variable: what other Crosstie processes and tests use to point the AWS SDK at an emulator is AWS' own
/// `AWS_ENDPOINT_URL`; this one names the folder the worker's mounted files live in.
pub const ENV_FILES: &str = "CROSSTIE_FILES";

/// Environment variable: the address at which a worker receives webhooks. It receives none without it.
pub const ENV_WEBHOOKS_LISTEN: &str = "CROSSTIE_WEBHOOKS_LISTEN";

/// Environment variable, as others have it too: the proxy that requests by https leave through.
pub const ENV_PROXY: &str = "HTTPS_PROXY";

/// Environment variable, as others have it too: what is called past the proxy.
pub const ENV_NO_PROXY: &str = "NO_PROXY";

/// Folder in the worker's container under which plan, shares and credentials are mounted.
pub const FILES_FOLDER: &str = "/etc/crosstie";
/// Folder in the worker's container that holds the store.
pub const STATE_FOLDER: &str = "/var/lib/crosstie";
/// Key in the plan ConfigMap, and file name below `plan/`.
pub const PLAN_FILE: &str = "plan.json";
/// Key in the shares ConfigMap, and file name below `shares/`.
pub const SHARES_FILE: &str = "shares.json";
/// Key in a Connector's credentials Secret, and file name below `credentials/source/`, `credentials/destination/` and `credentials/alerts/NAME/`.
pub const CREDENTIALS_FILE: &str = "credentials.json";
/// Key in the Secret of a Connector's access tokens.
pub const TOKENS_FILE: &str = "tokens.json";

/// Name of the Deployment, ServiceAccount, Role, RoleBinding and NetworkPolicy of an Integration's workers.
pub fn worker(integration: &str) -> String {
    format!("{integration}-sync")
}

/// Name of the Service and Ingress that lead webhooks to an Integration's worker.
pub fn webhooks(integration: &str) -> String {
    format!("{integration}-webhooks")
}

/// Name of the ConfigMap that holds an Integration's plan.
pub fn plan(integration: &str) -> String {
    format!("{integration}-plan")
}

/// Name of the ConfigMap that holds an Integration's shares of rate allowances.
pub fn shares(integration: &str) -> String {
    format!("{integration}-shares")
}

/// Name of the PersistentVolumeClaim that holds an Integration's store.
pub fn state(integration: &str) -> String {
    format!("{integration}-state")
}

/// Name of the Secret that holds a Connector's credentials.
pub fn credentials(connector: &str) -> String {
    format!("{connector}-credentials")
}

/// Name of the Secret in which the operator keeps a Connector's access tokens, where it gets them by a grant. No worker sees it.
pub fn tokens(connector: &str) -> String {
    format!("{connector}-tokens")
}
