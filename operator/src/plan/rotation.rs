//! How far a rotation is: derived from facts each time, never kept as a phase. How old credentials may become is in `age`.

use crosstie_crds::{
    connector::{CredentialState, CredentialStatus},
    sync_report::CredentialReport,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{age::Lasting, conditions::whole_seconds, credentials::Stored, objects::CredentialVersions};
use crate::vault::SecretKey;

/// What a vault says of a secret beside its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// When the current version was made.
    pub made_at: Option<Timestamp>,
    /// When it ends, where it is an access token that the operator got.
    pub expires_at: Option<Timestamp>,
    /// Whether the vault rotates the secret by itself; unknown where it may not be asked.
    pub rotates: Option<bool>,
    /// When it does so next at the latest.
    pub next_rotation: Option<Timestamp>,
    /// Why it did not start the rotation that it was asked for, if it was.
    pub not_rotated: Option<String>,
}

/// What is known of the version that was handed out.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The version.
    pub handed_out: &'a CredentialVersions,
    /// What is stored.
    pub stored: &'a Stored,
    /// Whether versions have stages where they are stored: in AWS Secrets Manager they do, in a Kubernetes Secret they do not.
    pub has_stages: bool,
    /// Whether something about the newest version keeps it from being handed out.
    pub kept_back: bool,
    /// What workers say; absent entries are workers that have not said anything.
    pub workers: &'a [Option<CredentialReport>],
    /// What the vault says beside values.
    pub said: &'a Said,
    /// What status said before.
    pub before: Option<&'a CredentialStatus>,
}

impl Facts<'_> {
    /// How far a rotation is.
    pub fn state(&self) -> CredentialState {
        let version = &self.handed_out.version_id;
        let newest = stored_ids(self.stored).0;
        if newest.is_none()
            && let Some(state) = self.same_before().and_then(|before| before.state)
        {
            // Nothing has been learnt that would change it.
            return state;
        }
        let refused = |report: &CredentialReport| report.rejected_version_id.as_ref() == Some(version);
        if self.kept_back || self.workers.iter().flatten().any(refused) {
            return CredentialState::Held;
        }
        let uses = |report: &Option<CredentialReport>| {
            report.as_ref().is_some_and(|report| report.used_version_id == *version)
        };
        let current = newest.is_none_or(|newest| newest == version);
        if current && self.workers.iter().all(uses) { CredentialState::Settled } else { CredentialState::Rolling }
    }

    /// What status says of the credentials, but for their age.
    pub fn status(&self) -> CredentialStatus {
        let versions = self.handed_out;
        let uses = |report: &&CredentialReport| report.used_version_id == versions.version_id;
        let using = self.workers.iter().flatten().filter(uses).count();
        CredentialStatus {
            version_id: versions.version_id.clone(),
            state: Some(self.state()),
            stage: self.stage(),
            previous_version_id: versions.previous_version_id.clone(),
            seen_at: versions.seen_at.map(Time),
            rotated_at: self.made_at().map(|at| Time(whole_seconds(at))),
            age_days: None,
            next_rotation_time: self.next_rotation().map(|at| Time(whole_seconds(at))),
            expires_at: self.expires_at().map(|at| Time(whole_seconds(at))),
            workers: (!self.workers.is_empty()).then(|| format!("{using}/{}", self.workers.len())),
        }
    }

    /// The version as a secret whose age counts. `secret` is what the Connector names in AWS.
    pub fn lasting(&self, secret: Option<SecretKey>) -> Lasting {
        Lasting {
            what: "the credentials",
            version_id: self.handed_out.version_id.clone(),
            since: self.made_at().or(self.handed_out.seen_at),
            secret: secret.filter(|_| self.is_current()),
            said: self.said.clone(),
        }
    }

    fn stage(&self) -> Option<String> {
        if !self.has_stages {
            return None;
        }
        let version = &self.handed_out.version_id;
        match stored_ids(self.stored) {
            (Some(current), _) if current == version => Some("AWSCURRENT".to_owned()),
            (_, Some(previous)) if previous == version => Some("AWSPREVIOUS".to_owned()),
            (Some(_), _) => None,
            // After a restart nothing is known until the vault answers.
            (None, _) => self.same_before().and_then(|before| before.stage.clone()),
        }
    }

    /// What status said of this same version.
    fn same_before(&self) -> Option<&CredentialStatus> {
        self.before.filter(|before| before.version_id == self.handed_out.version_id)
    }

    fn is_current(&self) -> bool {
        stored_ids(self.stored).0 == Some(&self.handed_out.version_id)
    }

    fn made_at(&self) -> Option<Timestamp> {
        let said = self.said.made_at.filter(|_| self.is_current());
        said.or_else(|| self.same_before()?.rotated_at.as_ref().map(|at| at.0))
    }

    fn expires_at(&self) -> Option<Timestamp> {
        let said = self.said.expires_at.filter(|_| self.is_current());
        said.or_else(|| self.same_before()?.expires_at.as_ref().map(|at| at.0))
    }

    fn next_rotation(&self) -> Option<Timestamp> {
        if self.said.rotates.is_some() {
            return self.said.next_rotation;
        }
        self.same_before()?.next_rotation_time.as_ref().map(|at| at.0)
    }
}

fn stored_ids(stored: &Stored) -> (Option<&String>, Option<&String>) {
    match stored {
        Stored::Asked | Stored::Refused(_) => (None, None),
        Stored::Known { current, previous, .. } => (
            current.as_ref().map(|current| &current.version_id),
            previous.as_ref().map(|previous| &previous.version_id),
        ),
    }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
