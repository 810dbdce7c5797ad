//! Condition types and reasons: every word a person can meet in `status.conditions`.
//! The decisions which of them hold are made in the operator; here are only the names and what they mean.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A condition's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionType {
    /// Connector: usable by Integrations. Integration: data flows, or the spec says it should not.
    Ready,
    /// Connector: the credentials were fetched and hold every key that `auth` names.
    CredentialsResolved,
    /// Connector: the credentials are not older than the rotation policy allows. Absent without such a policy.
    CredentialsFresh,
    /// Connector: the vendor serves the version that is asked for.
    VersionSupported,
    /// Integration: Connectors, presets and flows compiled into a plan.
    PlanCompiled,
    /// Integration: a worker pod is available.
    WorkerAvailable,
    /// Integration: every flow's last poll and delivery went through.
    Synced,
    /// Integration: no record waits in the dead letters.
    DeadLettersEmpty,
    /// Integration: neither Connector's API version is deprecated, about to end, or gone.
    ApiVersionCurrent,
    /// Integration: everybody who is to be told of troubles is; present only with `spec.alerts`.
    AlertsDelivered,
    /// Integration: the plan makes of the flows' fixtures what it has to; present only where a flow has some.
    Verified,
    /// kstatus: a change is being worked on; present only while true.
    Reconciling,
    /// kstatus: nothing will change until a person acts; present only while true.
    Stalled,
}

impl ConditionType {
    /// The name as it stands in `status.conditions[].type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::CredentialsResolved => "CredentialsResolved",
            Self::CredentialsFresh => "CredentialsFresh",
            Self::VersionSupported => "VersionSupported",
            Self::PlanCompiled => "PlanCompiled",
            Self::WorkerAvailable => "WorkerAvailable",
            Self::Synced => "Synced",
            Self::DeadLettersEmpty => "DeadLettersEmpty",
            Self::ApiVersionCurrent => "ApiVersionCurrent",
            Self::AlertsDelivered => "AlertsDelivered",
            Self::Verified => "Verified",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }
}

/// Why a condition has its status. Serialised as the CamelCase word in `status.conditions[].reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Reason {
    // ---- good ----
    /// Every flow's newest poll succeeded and deliveries pass.
    Flowing,
    /// `spec.suspend` is true: nothing runs, on purpose.
    Suspended,
    /// The Connector is resolved and usable.
    Available,
    /// The stored credentials hold every key that is needed.
    Resolved,
    /// The credentials are not older than the rotation policy allows.
    Fresh,
    /// The plan compiled without a problem.
    Compiled,
    /// A worker pod is available.
    WorkerRunning,
    /// Nothing waits in the dead letters.
    NoDeadLetters,
    /// The version that is asked for is served, and nothing says that it ends soon.
    VersionCurrent,
    /// Whoever is to be told of troubles took every alert.
    AlertsAccepted,
    /// The plan makes of every fixture what it has to.
    FixturesPassed,
    // ---- on the way ----
    /// Objects were applied; the worker has not reported yet.
    Starting,
    /// A newer plan, credential version or share was published; the worker has not reported it yet.
    RollingOut,
    // ---- a person must act on the spec ----
    /// A Connector named by the Integration does not exist in its namespace.
    ConnectorNotFound,
    /// A Connector named by the Integration exists but is not Ready.
    ConnectorNotReady,
    /// `preset` names none of the presets of this version.
    PresetUnknown,
    /// Connector or Integration cannot be compiled: the message lists every problem.
    PlanInvalid,
    /// The compiled plan does not fit into a ConfigMap.
    PlanTooLarge,
    /// A mapping does not make of a fixture's record what it has to; the message says where.
    FixtureFailed,
    /// Fixtures that a flow names are missing, cannot be read, or hold no case for it.
    FixturesUnusable,
    // ---- credentials ----
    /// The secret does not exist.
    SecretMissing,
    /// The secret's value is not a JSON object of strings.
    SecretMalformed,
    /// The secret lacks a key that `auth` names.
    KeyMissing,
    /// The secret's name is outside what the operator's policy allows this namespace.
    SecretNotAllowed,
    /// The secret may not be sent to a host that the Connector can reach.
    HostNotAllowed,
    /// AWS refused the operator.
    AccessDenied,
    /// AWS could not be asked; the last good values stay in use.
    VaultUnavailable,
    /// The credentials are older than the rotation policy allows. They work all the same.
    CredentialsOld,
    /// The vendor refused every credential version the worker has.
    CredentialsRejected,
    /// The vendor refuses the current version while the previous one works; the worker uses the previous one.
    RotationRejected,
    /// No new access token can be got until a person authorises the client again.
    ReauthRequired,
    /// The server that grants access tokens cannot be reached, or grants none at the moment; the last token stays in use while it lasts.
    TokenUnavailable,
    // ---- the worker ----
    /// The worker's pod keeps crashing.
    WorkerCrashLooping,
    /// The worker's image cannot be pulled.
    ImageUnavailable,
    /// No worker pod is available; the message says what Kubernetes says.
    WorkerUnavailable,
    /// The worker has not reported for too long.
    ReportStale,
    /// The volume with cursors and ledger is gone or empty; stopped so that nothing is sent twice.
    StateLost,
    /// The store cannot be written or read.
    StoreFailed,
    // ---- the vendors ----
    /// The source cannot be reached or answers with errors.
    SourceUnavailable,
    /// The destination cannot be reached or answers with errors; records wait in order.
    DestinationUnavailable,
    /// The vendor asked to slow down; records wait in order. Of a Connector: AWS did, and the last good values stay in use.
    Throttled,
    /// Address refused by the egress guard.
    EgressRefused,
    /// The source is not subscribed to send webhooks here, and could not be; records come by reading only.
    SubscriptionMissing,
    /// The vendor says that the API version is deprecated, or names the day of its end.
    VersionDeprecated,
    /// The API version ends within three months.
    SunsetNear,
    /// The vendor serves another API version than the one that is asked for.
    OtherVersionServed,
    /// The vendor does not serve the API version any more, or its end has passed.
    VersionUnsupported,
    // ---- records ----
    /// The mapping fails on most of the records.
    MappingFailing,
    /// Most of the last records did not reach the destination: it refused them, or their outcome is not known.
    RecordsFailing,
    /// As many records wait in the dead letters as are kept: the others wait, so that none is lost.
    DeadLettersFull,
    /// So much waits in a flow that nothing more is read.
    QueueFull,
    /// Records wait in the dead letters.
    DeadLetters,
    /// Writes with an unknown outcome are held until a person decides.
    OutcomeUnknown,
    /// Records wait in the store for a flow, Connector or environment that the plan does not name any more.
    RecordsLeftBehind,
    /// A channel that is to be told of troubles does not take alerts; they wait.
    AlertsFailing,
    /// Something inside Crosstie or the Kubernetes API failed; it is tried again.
    InternalError,
}

impl Reason {
    /// The word as it stands in `status.conditions[].reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flowing => "Flowing",
            Self::Suspended => "Suspended",
            Self::Available => "Available",
            Self::Resolved => "Resolved",
            Self::Fresh => "Fresh",
            Self::Compiled => "Compiled",
            Self::WorkerRunning => "WorkerRunning",
            Self::NoDeadLetters => "NoDeadLetters",
            Self::VersionCurrent => "VersionCurrent",
            Self::AlertsAccepted => "AlertsAccepted",
            Self::FixturesPassed => "FixturesPassed",
            Self::Starting => "Starting",
            Self::RollingOut => "RollingOut",
            Self::ConnectorNotFound => "ConnectorNotFound",
            Self::ConnectorNotReady => "ConnectorNotReady",
            Self::PresetUnknown => "PresetUnknown",
            Self::PlanInvalid => "PlanInvalid",
            Self::PlanTooLarge => "PlanTooLarge",
            Self::FixtureFailed => "FixtureFailed",
            Self::FixturesUnusable => "FixturesUnusable",
            Self::SecretMissing => "SecretMissing",
            Self::SecretMalformed => "SecretMalformed",
            Self::KeyMissing => "KeyMissing",
            Self::SecretNotAllowed => "SecretNotAllowed",
            Self::HostNotAllowed => "HostNotAllowed",
            Self::AccessDenied => "AccessDenied",
            Self::VaultUnavailable => "VaultUnavailable",
            Self::CredentialsOld => "CredentialsOld",
            Self::CredentialsRejected => "CredentialsRejected",
            Self::RotationRejected => "RotationRejected",
            Self::ReauthRequired => "ReauthRequired",
            Self::TokenUnavailable => "TokenUnavailable",
            Self::WorkerCrashLooping => "WorkerCrashLooping",
            Self::ImageUnavailable => "ImageUnavailable",
            Self::WorkerUnavailable => "WorkerUnavailable",
            Self::ReportStale => "ReportStale",
            Self::StateLost => "StateLost",
            Self::StoreFailed => "StoreFailed",
            Self::SourceUnavailable => "SourceUnavailable",
            Self::DestinationUnavailable => "DestinationUnavailable",
            Self::Throttled => "Throttled",
            Self::EgressRefused => "EgressRefused",
            Self::SubscriptionMissing => "SubscriptionMissing",
            Self::VersionDeprecated => "VersionDeprecated",
            Self::SunsetNear => "SunsetNear",
            Self::OtherVersionServed => "OtherVersionServed",
            Self::VersionUnsupported => "VersionUnsupported",
            Self::MappingFailing => "MappingFailing",
            Self::RecordsFailing => "RecordsFailing",
            Self::DeadLettersFull => "DeadLettersFull",
            Self::QueueFull => "QueueFull",
            Self::DeadLetters => "DeadLetters",
            Self::OutcomeUnknown => "OutcomeUnknown",
            Self::RecordsLeftBehind => "RecordsLeftBehind",
            Self::AlertsFailing => "AlertsFailing",
            Self::InternalError => "InternalError",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reason, from the schema that is made of the type itself.
    fn all() -> Vec<Reason> {
        let schema = serde_json::to_value(schemars::schema_for!(Reason)).unwrap();
        let variants = schema["oneOf"].as_array().expect("one entry a reason");
        variants.iter().map(|variant| serde_json::from_value(variant["const"].clone()).unwrap()).collect()
    }

    #[test]
    fn a_reason_is_spelled_the_same_in_conditions_and_in_reports() {
        assert!(all().len() > 30);
        for reason in all() {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }

    #[test]
    fn the_runbook_has_an_entry_for_every_reason() {
        let runbook = include_str!("../../docs/runbook.md");
        let missing: Vec<Reason> =
            all().into_iter().filter(|reason| !runbook.contains(&format!("\n| `{reason}` |"))).collect();
        assert!(missing.is_empty(), "docs/runbook.md has no entry for {missing:?}");
    }
}
