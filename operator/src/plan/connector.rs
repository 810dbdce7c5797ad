//! From an observed Connector to what should be: its credentials Secret, and what its status says.

use std::{collections::BTreeSet, sync::Arc};

use crosstie_crds::{
    Connector, ConnectorStatus,
    condition::{ConditionType, Reason},
    connector::{ApiVersionStatus, CredentialStatus, OnMaxAge},
    sync_report::{ApiReport, CredentialReport},
};
use crosstie_engine::{compile::Compiled, plan::System, preset};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    Step,
    age::{self, Aging, Lasting},
    conditions::{Draft, Truth, merge, whole_seconds},
    credentials::{Decision, Stored, Use, decide},
    lifecycle::{self, Word},
    objects::{self, CredentialVersions, Owner},
    rotation::{Facts, Said},
    tokens::{self, tokens},
};
use crate::{broker::Errand, vault::SecretKey};

/// How soon a Connector is looked at again when nothing calls for it.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// What was observed of a Connector.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The object, with the newest status that is known.
    pub connector: Arc<Connector>,
    /// It over its preset.
    pub compiled: Compiled<System>,
    /// What its vault holds.
    pub stored: Stored,
    /// What its vault says beside values.
    pub said: Said,
    /// What is known of its access tokens, where `stored` is what the operator gets them with.
    pub tokens: Option<tokens::Observed>,
    /// Metadata of its credentials Secret, if there is one.
    pub secret: Option<ObjectMeta>,
    /// How many Integrations use it.
    pub integrations: u32,
    /// Keys of its credentials that their alerts are signed with.
    pub signing_keys: BTreeSet<String>,
    /// What live workers say about its credentials; absent entries are workers that have not said anything.
    pub workers: Vec<Option<CredentialReport>>,
    /// What live workers heard of the version of its API.
    pub apis: Vec<ApiReport>,
}

/// What should be.
#[derive(Clone, Debug)]
pub struct Want {
    /// What to do.
    pub steps: Vec<Step>,
    /// When to look again.
    pub look_again: Timestamp,
    /// What is to be done about its access token.
    pub errand: Option<Errand>,
    seen: Seen,
    at: Timestamp,
    decision: Decision,
    published: Option<CredentialVersions>,
    publishing: Option<CredentialVersions>,
    /// Whether workers can do with what was published, as the spec is now.
    published_does: bool,
    aging: Aging,
}

/// Plans for a Connector.
pub fn connector(seen: &Seen, now: Timestamp) -> Want {
    let owner = Owner::connector(&seen.connector);
    let (seen, errand, look_again, aging) = with_tokens(&owner, seen, now);
    let needed: Vec<&str> = seen.compiled.value.iter().flat_map(System::credential_keys).collect();
    // One that is not there is the alert's trouble, and must not take the Connector from the others.
    let signing = seen.signing_keys.iter().map(String::as_str).filter(|key| seen.stored.holds(key));
    let keys: Vec<&str> = needed.iter().copied().chain(signing).collect();
    let published = seen.secret.as_ref().and_then(CredentialVersions::of);
    let (decision, published_does) = match &seen.compiled.value {
        Some(system) => {
            let hosts = hosts(system);
            let webhook_keys = &system.webhook_keys;
            let usage = Use { connector: &owner.name, keys: &keys, webhook_keys, hosts: &hosts };
            let before = Use { keys: &needed, ..usage };
            let does = published.as_ref().is_some_and(|published| before.goes_on_with(published, &seen.stored));
            (decide(usage, &seen.stored), does)
        }
        None => (Decision { publish: None, fault: None }, false),
    };
    let publishing = decision.publish.as_ref().map(|document| {
        let same = published.as_ref().filter(|published| published.version_id == document.current.version_id);
        CredentialVersions {
            version_id: document.current.version_id.clone(),
            previous_version_id: document.previous.as_ref().map(|previous| previous.version_id.clone()),
            seen_at: Some(same.and_then(|same| same.seen_at).unwrap_or_else(|| whole_seconds(now))),
            keys: objects::key_names(document),
        }
    });
    let steps = decision.publish.iter().zip(&publishing).map(|(document, versions)| {
        Step::Apply(objects::credentials(&owner, document, versions.seen_at.unwrap_or(now)))
    });
    let look_again = look_again.map_or(now + LOOK_AGAIN, |at| at.min(now + LOOK_AGAIN));
    let steps = steps.collect();
    Want { steps, look_again, errand, seen, at: now, decision, published, publishing, published_does, aging }
}

/// The same with access tokens in the place of what they are got with, where the Connector has such; and what of it has an age that counts.
fn with_tokens(owner: &Owner, seen: &Seen, now: Timestamp) -> (Seen, Option<Errand>, Option<Timestamp>, Aging) {
    let system = seen.compiled.value.as_ref();
    let grant = system.and_then(|system| Some((owner, system, system.grant.as_ref()?)));
    let Some((site, observed)) = grant.zip(seen.tokens.as_ref()) else {
        return (seen.clone(), None, None, Aging::HandedOut);
    };
    let tokens = tokens(site, &seen.stored, observed, &seen.workers, now);
    let secret = SecretKey::of(&seen.connector);
    let aging = tokens::aging(secret.as_ref(), (&seen.stored, &seen.said), observed.refresh.as_ref());
    // When the client's secret is rotated next is of use to people; a token is not rotated.
    let said = Said { rotates: seen.said.rotates, next_rotation: seen.said.next_rotation, ..tokens.said };
    (Seen { stored: tokens.stored, said, ..seen.clone() }, tokens.errand, tokens.look_again, aging)
}

/// Hosts that credentials of a system can be sent to.
fn hosts(system: &System) -> Vec<&str> {
    let allowed = system.egress.allow_hosts.iter().map(String::as_str);
    system.base_url.host_str().into_iter().chain(allowed).collect()
}

impl Want {
    /// The status after the steps were carried out, or failed with this message.
    pub fn status_after(&self, failure: Option<&str>, now: Timestamp) -> ConnectorStatus {
        let meta = &self.seen.connector.metadata;
        let before = self.seen.connector.status.as_ref();
        let handed_out = match failure {
            None => self.publishing.as_ref().or(self.published.as_ref()),
            Some(_) => self.published.as_ref(),
        };
        let word = self.word(before, now);
        let mut drafts = self.conditions(handed_out, failure);
        drafts.extend(self.fresh(handed_out, now));
        drafts.extend(word.supported(now));
        let conditions = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
        ConnectorStatus {
            observed_generation: meta.generation,
            conditions: merge(conditions, &drafts, meta.generation, now),
            api_version: (word.status != ApiVersionStatus::default()).then_some(word.status),
            integrations: Some(self.seen.integrations),
            credentials: handed_out.map(|versions| self.credentials(versions, now)),
        }
    }

    /// The versions that the vault is to be asked to replace, if it is.
    pub fn to_rotate(&self, now: Timestamp) -> Vec<(SecretKey, String)> {
        let handed_out = self.publishing.as_ref().or(self.published.as_ref());
        age::to_rotate(&self.lasting(handed_out).unwrap_or_default(), self.oldest(), now)
    }

    /// Secrets whose ages count; none while that is not known of all.
    fn lasting(&self, handed_out: Option<&CredentialVersions>) -> Option<Vec<Lasting>> {
        match &self.aging {
            Aging::HandedOut => {
                Some(handed_out.map(|versions| self.facts(versions).lasting(self.secret())).into_iter().collect())
            }
            Aging::GotWith(all) => Some(all.clone()),
            Aging::NotKnown => None,
        }
    }

    fn secret(&self) -> Option<SecretKey> {
        SecretKey::of(&self.seen.connector)
    }

    /// Whether they are young enough. What status said stays while nothing has been learnt that would change it.
    fn fresh(&self, handed_out: Option<&CredentialVersions>, now: Timestamp) -> Option<Draft> {
        let lasting = self.lasting(handed_out);
        let recalled = match &lasting {
            Some(_) => self.asking_again(handed_out),
            None => self.before_of_this_spec(),
        };
        let recalled = recalled.and_then(|before| recall(before, ConditionType::CredentialsFresh));
        recalled.or_else(|| match lasting {
            Some(lasting) => age::fresh(&lasting, self.oldest(), now),
            None => self.oldest().filter(|_| handed_out.is_some()).map(|_| age::not_known()),
        })
    }

    fn credentials(&self, versions: &CredentialVersions, now: Timestamp) -> CredentialStatus {
        let facts = self.facts(versions);
        let age_days = match self.lasting(Some(versions)) {
            Some(lasting) => age::days(&lasting, now),
            None => facts.before.and_then(|before| before.age_days),
        };
        CredentialStatus { age_days, ..facts.status() }
    }

    fn oldest(&self) -> Option<(u32, OnMaxAge)> {
        preset::oldest(&self.seen.connector.spec)
    }

    fn facts<'a>(&'a self, handed_out: &'a CredentialVersions) -> Facts<'a> {
        let status = self.seen.connector.status.as_ref();
        let credentials = &self.seen.connector.spec.credentials;
        Facts {
            handed_out,
            stored: &self.seen.stored,
            has_stages: credentials.aws_secrets_manager.is_some() && credentials.oauth2.is_none(),
            kept_back: self.decision.fault.as_ref().is_some_and(|fault| keeps_back(fault.reason)),
            workers: &self.seen.workers,
            said: &self.seen.said,
            before: status.and_then(|status| status.credentials.as_ref()),
        }
    }

    fn word(&self, before: Option<&ConnectorStatus>, now: Timestamp) -> Word {
        let spec = &self.seen.connector.spec;
        let requested = match &self.seen.compiled.value {
            Some(system) => system.api_version.as_deref(),
            None => spec.api_version.as_deref(),
        };
        let calendar = preset::calendar(spec.preset.as_deref(), requested);
        lifecycle::word(requested, before, &self.seen.apis, calendar, now)
    }

    fn conditions(&self, handed_out: Option<&CredentialVersions>, failure: Option<&str>) -> Vec<Draft> {
        let known = |kind| self.asking_again(handed_out).and_then(|before| recall(before, kind));
        let resolved = known(ConditionType::CredentialsResolved).unwrap_or_else(|| self.resolved(handed_out, failure));
        let ready = known(ConditionType::Ready).unwrap_or_else(|| self.ready(handed_out, failure));
        let mut extra = Vec::new();
        if self.seen.compiled.value.is_none() {
            extra.push(Draft::yes(ConditionType::Stalled, ready.reason, ready.message.clone()));
        } else if let Some(failure) = failure {
            extra.push(Draft::yes(ConditionType::Reconciling, Reason::InternalError, failure));
        } else if ready.reason == Reason::Starting {
            extra.push(Draft::yes(ConditionType::Reconciling, Reason::Starting, ready.message.clone()));
        }
        [ready, resolved].into_iter().chain(extra).collect()
    }

    /// The status to go by while the vault has not answered yet after a restart: nothing has been learnt that would change it.
    fn asking_again(&self, handed_out: Option<&CredentialVersions>) -> Option<&ConnectorStatus> {
        let asking = handed_out.is_some() && self.seen.stored == Stored::Asked;
        self.before_of_this_spec().filter(|_| asking)
    }

    fn before_of_this_spec(&self) -> Option<&ConnectorStatus> {
        let before = self.seen.connector.status.as_ref()?;
        (before.observed_generation == self.seen.connector.metadata.generation).then_some(before)
    }

    fn ready(&self, handed_out: Option<&CredentialVersions>, failure: Option<&str>) -> Draft {
        let kind = ConditionType::Ready;
        if let Some(first) = self.seen.compiled.findings.first() {
            let all: Vec<String> = self.seen.compiled.findings.iter().map(ToString::to_string).collect();
            return Draft::no(kind, first.reason, all.join("; "));
        }
        match (&self.decision.fault, handed_out) {
            (Some(fault), None) => Draft::no(kind, fault.reason, fault.message.clone()),
            (Some(fault), Some(versions)) if !passing(fault.reason) && !self.goes_on_with(versions) => {
                Draft::no(kind, fault.reason, fault.message.clone())
            }
            (Some(_) | None, Some(_)) => Draft::yes(kind, Reason::Available, "Integrations can use this Connector"),
            (None, None) => Draft::no(
                kind,
                Reason::InternalError,
                failure.unwrap_or("the credentials could not be handed out; it is tried again"),
            ),
        }
    }

    /// Whether data flows in spite of a fault: it keeps a newer version from being used, and workers can do with the one they have. Whether the vendor
    /// takes that one is the workers' to say.
    fn goes_on_with(&self, versions: &CredentialVersions) -> bool {
        let lasts = self.seen.tokens.is_none() || self.seen.said.expires_at.is_some_and(|at| self.at < at);
        let is_checked =
            self.publishing.as_ref().is_some_and(|publishing| publishing.version_id == versions.version_id);
        lasts && (is_checked || self.published_does)
    }

    fn resolved(&self, handed_out: Option<&CredentialVersions>, failure: Option<&str>) -> Draft {
        let kind = ConditionType::CredentialsResolved;
        if let Some(fault) = &self.decision.fault {
            return match fault.reason {
                reason if passing(reason) || reason == Reason::TokenUnavailable => {
                    Draft::unknown(kind, reason, fault.message.clone())
                }
                reason => {
                    let kept = handed_out.filter(|versions| self.goes_on_with(versions));
                    let kept =
                        kept.map(|kept| format!("; version {} of the credentials stays in use", kept.version_id));
                    Draft::no(kind, reason, format!("{}{}", fault.message, kept.unwrap_or_default()))
                }
            };
        }
        let Some(versions) = handed_out else {
            let (reason, message) = match self.seen.compiled.findings.first() {
                Some(first) => (first.reason, "the Connector must be corrected first: see Ready".to_owned()),
                None => (Reason::InternalError, failure.unwrap_or_default().to_owned()),
            };
            return Draft::unknown(kind, reason, message);
        };
        self.refused_by_vendor(versions).unwrap_or_else(|| {
            Draft::yes(
                kind,
                Reason::Resolved,
                format!("version {} holds every key that is needed", versions.version_id),
            )
        })
    }

    /// What workers say about the vendor's answer. It is shown here and changes nothing else: one worker's word must not take a
    /// Connector from the others.
    fn refused_by_vendor(&self, versions: &CredentialVersions) -> Option<Draft> {
        let kind = ConditionType::CredentialsResolved;
        let current = &versions.version_id;
        let reports: Vec<&CredentialReport> = self.seen.workers.iter().flatten().collect();
        if !reports.is_empty() && reports.iter().all(|report| report.accepted == Some(false)) {
            let advice = match self.seen.tokens {
                Some(_) => {
                    "another access token is asked for; if that is refused too, check what the client may do at the vendor"
                }
                None => "store credentials the vendor accepts",
            };
            let message =
                format!("the vendor refuses every version that workers have, the current one is {current}: {advice}");
            return Some(Draft::no(kind, Reason::CredentialsRejected, message));
        }
        let going_on = reports.iter().find(|report| {
            report.rejected_version_id.as_ref() == Some(current) && report.used_version_id != *current
        })?;
        let message = format!(
            "the vendor refuses version {current}; workers go on with version {}: store credentials the vendor accepts before it ends",
            going_on.used_version_id
        );
        Some(Draft::no(kind, Reason::RotationRejected, message))
    }
}

/// A condition as it stands in status.
fn recall(status: &ConnectorStatus, kind: ConditionType) -> Option<Draft> {
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind.as_str())?;
    let truth =
        [Truth::True, Truth::False, Truth::Unknown].into_iter().find(|truth| truth.as_str() == condition.status)?;
    let reason = serde_json::from_value(condition.reason.clone().into()).ok()?;
    Some(Draft { kind, truth, reason, message: condition.message.clone() })
}

/// Whether a fault is the newest version's own: there is one, and it cannot be used.
fn keeps_back(reason: Reason) -> bool {
    matches!(reason, Reason::SecretMalformed | Reason::KeyMissing | Reason::HostNotAllowed)
}

/// Whether a fault goes by itself and says nothing against the values in use.
fn passing(reason: Reason) -> bool {
    matches!(reason, Reason::VaultUnavailable | Reason::Throttled | Reason::Starting)
}

#[cfg(test)]
#[path = "connector_tests.rs"]
mod tests;
