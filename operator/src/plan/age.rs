//! How old stored secrets are, and what follows where somebody says how old they may become. An access token that the operator got has no age that
//! anybody has to care about: what it is got with has.

use crosstie_crds::{
    condition::{ConditionType, Reason},
    connector::OnMaxAge,
};
use jiff::Timestamp;

use super::{conditions::Draft, rotation::Said};
use crate::vault::SecretKey;

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// What of a Connector's credentials has an age that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aging {
    /// The version that is handed out.
    HandedOut,
    /// What access tokens are got with.
    GotWith(Vec<Lasting>),
    /// What access tokens are got with, and not all of it is known now.
    NotKnown,
}

/// A stored secret that lasts until somebody rotates it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// What it is, for people, for example `the credentials`.
    pub what: &'static str,
    /// The version that is used.
    pub version_id: String,
    /// Since when that version is there, if it is known.
    pub since: Option<Timestamp>,
    /// The secret, where that version is the current one in AWS.
    pub secret: Option<SecretKey>,
    /// What the vault says of it.
    pub said: Said,
}

impl Lasting {
    fn is_older(&self, days: u32, now: Timestamp) -> bool {
        self.since.is_some_and(|since| now.as_second() - since.as_second() >= i64::from(days) * DAY)
    }

    fn then(&self, then: OnMaxAge) -> String {
        match (then, &self.said.not_rotated, self.said.rotates) {
            (OnMaxAge::Alert, _, _) => "rotate it".to_owned(),
            (OnMaxAge::Rotate, Some(problem), _) => problem.clone(),
            (OnMaxAge::Rotate, None, Some(true)) => "AWS Secrets Manager was asked to rotate it".to_owned(),
            (OnMaxAge::Rotate, None, Some(false)) => {
                "rotate it; AWS Secrets Manager cannot, because the secret has no rotation configured there".to_owned()
            }
            (OnMaxAge::Rotate, None, None) => {
                "rotate it; whether AWS Secrets Manager can is not known yet: if this stays, allow secretsmanager:DescribeSecret"
                    .to_owned()
            }
        }
    }
}

/// Whole days of the oldest. A clock that is behind the vault's makes nothing younger than new.
pub fn days(all: &[Lasting], now: Timestamp) -> Option<u32> {
    let since = all.iter().filter_map(|lasting| lasting.since).min()?;
    Some(u32::try_from((now.as_second() - since.as_second()) / DAY).unwrap_or_default())
}

/// Whether all of them are young enough, if anybody says how old they may become and there is any whose age counts.
pub fn fresh(all: &[Lasting], oldest: Option<(u32, OnMaxAge)>, now: Timestamp) -> Option<Draft> {
    let (days, then) = oldest.filter(|_| !all.is_empty())?;
    let kind = ConditionType::CredentialsFresh;
    let old: Vec<String> = all
        .iter()
        .filter(|lasting| lasting.is_older(days, now))
        // No figure that changes every day: the age itself stands in status.credentials.
        .map(|lasting| {
            let Lasting { what, version_id, .. } = lasting;
            format!("version {version_id} of {what} is at least {days} days old: {}", lasting.then(then))
        })
        .collect();
    if !old.is_empty() {
        return Some(Draft::no(kind, Reason::CredentialsOld, old.join("; ")));
    }
    if let Some(Lasting { what, version_id, .. }) = all.iter().find(|lasting| lasting.since.is_none()) {
        let message = format!("the age of version {version_id} of {what} is not known yet");
        return Some(Draft::unknown(kind, Reason::Starting, message));
    }
    // No version: a refresh token may have another one every hour.
    let whats: Vec<&str> = all.iter().map(|lasting| lasting.what).collect();
    Some(Draft::yes(kind, Reason::Fresh, format!("less than {days} days old: {}", whats.join(", "))))
}

/// What is said while it is not known how old all of them are.
pub fn not_known() -> Draft {
    let message = "it is not known yet how old that is which access tokens are got with";
    Draft::unknown(ConditionType::CredentialsFresh, Reason::Starting, message)
}

/// The versions that the vault is to be asked to replace: those that are current, too old, and that it knows how to rotate.
pub fn to_rotate(all: &[Lasting], oldest: Option<(u32, OnMaxAge)>, now: Timestamp) -> Vec<(SecretKey, String)> {
    let Some((days, OnMaxAge::Rotate)) = oldest else { return Vec::new() };
    let old = all.iter().filter(|lasting| lasting.said.rotates == Some(true) && lasting.is_older(days, now));
    old.filter_map(|lasting| Some((lasting.secret.clone()?, lasting.version_id.clone()))).collect()
}

#[cfg(test)]
#[path = "age_tests.rs"]
mod tests;
