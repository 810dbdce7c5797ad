//! Alerts: what of all that is wrong is told, when, and in which words. Pure: what is wrong now and what was told before come in, what is to be
//! told and remembered comes out. Whom it is told is in the plan; how it gets there is decided in the rooms that do I/O.

mod decide;
mod message;
mod text;

use crosstie_crds::{condition::Reason, integration::AlertCause};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use decide::{Decision, Said, Standing, Terms, decide};
pub use message::{Item, Kind, Message};

/// What an alert is about. Everything of one cause is told together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// Records were set aside.
    DeadLetters,
    /// Source or destination fail, or ask to wait.
    SystemFailing,
    /// Credentials are refused, or the new ones after a rotation.
    CredentialsRejected,
    /// Writes of unknown outcome are held.
    OutcomeUnknown,
    /// The mapping fails on most records.
    MappingFailing,
    /// The worker cannot work.
    WorkerTrouble,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DeadLetters,
        Self::SystemFailing,
        Self::CredentialsRejected,
        Self::OutcomeUnknown,
        Self::MappingFailing,
        Self::WorkerTrouble,
    ];

    /// The cause that a reason belongs to; none for what is not told, because it is no trouble, goes by itself, or is the operator's to say.
    pub fn of(reason: Reason) -> Option<Self> {
        match reason {
            Reason::DeadLetters => Some(Self::DeadLetters),
            Reason::SourceUnavailable
            | Reason::DestinationUnavailable
            | Reason::Throttled
            | Reason::EgressRefused
            | Reason::SubscriptionMissing
            | Reason::VersionUnsupported => Some(Self::SystemFailing),
            Reason::CredentialsRejected | Reason::RotationRejected => Some(Self::CredentialsRejected),
            Reason::OutcomeUnknown => Some(Self::OutcomeUnknown),
            Reason::MappingFailing => Some(Self::MappingFailing),
            // A worker says `KeyMissing` of what webhooks are verified with.
            Reason::StateLost
            | Reason::StoreFailed
            | Reason::DeadLettersFull
            | Reason::QueueFull
            | Reason::PlanInvalid
            | Reason::SecretMalformed
            | Reason::KeyMissing => Some(Self::WorkerTrouble),
            // Of `RecordsFailing` the dead letters or the held writes are told.
            Reason::Flowing
            | Reason::RecordsFailing
            | Reason::Suspended
            | Reason::Available
            | Reason::Resolved
            | Reason::Fresh
            | Reason::Compiled
            | Reason::WorkerRunning
            | Reason::NoDeadLetters
            | Reason::VersionCurrent
            | Reason::AlertsAccepted
            | Reason::Starting
            | Reason::RollingOut
            | Reason::ConnectorNotFound
            | Reason::ConnectorNotReady
            | Reason::PresetUnknown
            | Reason::PlanTooLarge
            | Reason::FixturesPassed
            | Reason::FixtureFailed
            | Reason::FixturesUnusable
            | Reason::SecretMissing
            | Reason::SecretNotAllowed
            | Reason::HostNotAllowed
            | Reason::CredentialsOld
            | Reason::ReauthRequired
            | Reason::TokenUnavailable
            | Reason::AccessDenied
            | Reason::VaultUnavailable
            | Reason::WorkerCrashLooping
            | Reason::ImageUnavailable
            | Reason::WorkerUnavailable
            | Reason::ReportStale
            | Reason::VersionDeprecated
            | Reason::SunsetNear
            | Reason::OtherVersionServed
            | Reason::RecordsLeftBehind
            | Reason::AlertsFailing
            | Reason::InternalError => None,
        }
    }

    /// The word, as specs and stores have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeadLetters => "DeadLetters",
            Self::SystemFailing => "SystemFailing",
            Self::CredentialsRejected => "CredentialsRejected",
            Self::OutcomeUnknown => "OutcomeUnknown",
            Self::MappingFailing => "MappingFailing",
            Self::WorkerTrouble => "WorkerTrouble",
        }
    }

    /// The cause of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

impl From<AlertCause> for Cause {
    fn from(cause: AlertCause) -> Self {
        match cause {
            AlertCause::DeadLetters => Self::DeadLetters,
            AlertCause::SystemFailing => Self::SystemFailing,
            AlertCause::CredentialsRejected => Self::CredentialsRejected,
            AlertCause::OutcomeUnknown => Self::OutcomeUnknown,
            AlertCause::MappingFailing => Self::MappingFailing,
            AlertCause::WorkerTrouble => Self::WorkerTrouble,
        }
    }
}

/// Something that is wrong now. Nothing in it is a value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Why, in the word that conditions show.
    pub reason: Reason,
    /// The flow; none for all.
    pub flow: Option<String>,
    /// What failed, on what, and what to do.
    pub message: String,
    /// Since when, as far as whoever looks knows.
    pub since: Option<Timestamp>,
    /// How often: records set aside or held, or calls that failed. 0 where nothing is counted.
    pub count: u64,
    /// A number that rises whenever one is added; 0 where nothing is counted one by one.
    pub newest: i64,
    /// Some of the vendor's ids of the requests that failed.
    pub request_ids: Vec<String>,
}

impl Wrong {
    /// What tells it from others of its cause.
    fn key(&self) -> String {
        format!("{}/{}", self.reason, self.flow.as_deref().unwrap_or_default())
    }
}
