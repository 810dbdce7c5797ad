//! Kubernetes Events: what a person would want to be told, found by comparing two statuses. No change, no Event.

use crosstie_crds::{
    ConnectorStatus, IntegrationStatus,
    condition::{ConditionType, Reason},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};

use crate::context::Context;

/// Who publishes.
const CONTROLLER: &str = "crosstie-operator";
/// The longest note the API takes.
const LONGEST_NOTE: usize = 1000;

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether somebody should have a look.
    pub warning: bool,
    /// What, in one CamelCase word.
    pub reason: String,
    /// What led to it.
    pub action: &'static str,
    /// What happened, in a sentence.
    pub note: String,
}

/// What is new about an Integration.
pub fn integration(before: Option<&IntegrationStatus>, after: &IntegrationStatus) -> Vec<Notice> {
    let old = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let plan = after.plan.as_ref().map(|plan| &plan.hash);
    let published =
        plan.filter(|hash| before.and_then(|status| status.plan.as_ref()).map(|plan| &plan.hash) != Some(*hash));
    let published = published.map(|hash| Notice {
        warning: false,
        reason: "PlanPublished".to_owned(),
        action: "Publish",
        note: format!("plan {hash} was published for the worker"),
    });
    let drift = drifted(old, &after.conditions, ConditionType::ApiVersionCurrent);
    published.into_iter().chain(turned(old, &after.conditions)).chain(drift).collect()
}

/// What is new about a Connector.
pub fn connector(before: Option<&ConnectorStatus>, after: &ConnectorStatus) -> Vec<Notice> {
    let old = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let was = before.and_then(|status| status.credentials.as_ref()).map(|credentials| credentials.version_id.as_str());
    let is = after.credentials.as_ref().map(|credentials| credentials.version_id.as_str());
    let expires = after.credentials.as_ref().is_some_and(|credentials| credentials.expires_at.is_some());
    let rotated = match (was, is) {
        // An access token is another one twice in its life: that is no news.
        (Some(_), Some(_)) if expires => None,
        (Some(was), Some(is)) if was != is => Some(Notice {
            warning: false,
            reason: "CredentialsRotated".to_owned(),
            action: "Rotate",
            note: format!("version {is} of the credentials was handed to workers; version {was} was the one before"),
        }),
        (Some(_) | None, _) => None,
    };
    let refused = refused(old, &after.conditions);
    let drift = drifted(old, &after.conditions, ConditionType::VersionSupported);
    let age = drifted(old, &after.conditions, ConditionType::CredentialsFresh);
    rotated.into_iter().chain(refused).chain(turned(old, &after.conditions)).chain(drift).chain(age).collect()
}

/// Word of the version of a vendor's API, or of the age of credentials, at first sight and when it turns worse or better. What it says in detail may change without an Event: a
/// vendor that names another day in each answer must not fill the list.
fn drifted(before: &[Condition], after: &[Condition], kind: ConditionType) -> Option<Notice> {
    let find = |list: &'_ [Condition]| list.iter().find(|condition| condition.type_ == kind.as_str()).cloned();
    let (old, new) = (find(before), find(after)?);
    let quiet = [Reason::VersionCurrent, Reason::Fresh, Reason::Starting].map(Reason::as_str);
    let is_quiet = |condition: &Condition| quiet.contains(&condition.reason.as_str());
    let same = old.as_ref().is_some_and(|old| old.reason == new.reason);
    let never_loud = old.as_ref().is_none_or(is_quiet);
    if same || (is_quiet(&new) && never_loud) {
        return None;
    }
    Some(Notice { warning: !is_quiet(&new), reason: new.reason, action: "Observe", note: new.message })
}

/// A change of `Ready` worth telling: another reason, unless one of the two is only on the way.
fn turned(before: &[Condition], after: &[Condition]) -> Option<Notice> {
    let find = |list: &'_ [Condition]| list.iter().find(|condition| condition.type_ == "Ready").cloned();
    let (old, new) = (find(before), find(after)?);
    let on_the_way = [Reason::Starting, Reason::RollingOut].map(Reason::as_str);
    let same = old.as_ref().is_some_and(|old| old.reason == new.reason && old.status == new.status);
    let back_to_good = old.is_some_and(|old| old.reason == Reason::RollingOut.as_str() && new.status == "True");
    if same || back_to_good || on_the_way.contains(&new.reason.as_str()) {
        return None;
    }
    Some(Notice { warning: new.status != "True", reason: new.reason, action: "Watch", note: new.message })
}

/// What is wrong with the credentials while `Ready` has no word of it: once for each message.
fn refused(before: &[Condition], after: &[Condition]) -> Option<Notice> {
    let find = |list: &'_ [Condition]| {
        let is = |condition: &&Condition| condition.type_ == "CredentialsResolved" && condition.status == "False";
        list.iter().find(is).cloned()
    };
    let new = find(after)?;
    let known = find(before).is_some_and(|old| old.message == new.message);
    let in_ready = after.iter().any(|condition| condition.type_ == "Ready" && condition.reason == new.reason);
    (!known && !in_ready).then_some(Notice { warning: true, reason: new.reason, action: "Rotate", note: new.message })
}

/// Writes Events. Kube's own recorder keeps every Event for minutes to count repeats; ours follow changes of status, and are not kept.
pub struct Recorder {
    client: Client,
    instance: String,
}

impl Recorder {
    /// One that writes in the name of this replica.
    pub fn new(client: Client, instance: String) -> Self {
        Self { client, instance }
    }

    async fn publish(&self, notice: &Notice, about: &ObjectReference, now: Timestamp) -> Result<(), kube::Error> {
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let event = event(notice, about, &self.instance, now);
        Api::namespaced(self.client.clone(), namespace).create(&PostParams::default(), &event).await.map(drop)
    }
}

fn event(notice: &Notice, about: &ObjectReference, instance: &str, now: Timestamp) -> Event {
    let name = format!("{}.{:x}", about.name.as_deref().unwrap_or(CONTROLLER), now.as_nanosecond());
    Event {
        metadata: ObjectMeta { name: Some(name), namespace: about.namespace.clone(), ..ObjectMeta::default() },
        event_time: Some(MicroTime(now)),
        regarding: Some(about.clone()),
        type_: Some(if notice.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(notice.reason.clone()),
        action: Some(notice.action.to_owned()),
        note: Some(notice.note.chars().take(LONGEST_NOTE).collect()),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        ..Event::default()
    }
}

/// Publishes notices. An Event that cannot be published is logged: it repeats what status says.
pub async fn publish(cx: &Context, about: &ObjectReference, notices: Vec<Notice>) {
    for notice in notices {
        let outcome = cx.shared.recorder.publish(&notice, about, cx.now()).await;
        cx.shared.metrics.wrote("Event", outcome.is_ok());
        if let Err(error) = outcome {
            tracing::warn!(error = %error, reason = notice.reason, "an Event could not be published");
        }
    }
}

#[cfg(test)]
mod tests {
    use crosstie_crds::{connector::CredentialStatus, integration::PlanStatus};

    use super::*;
    use crate::plan::conditions::{Draft, merge};

    fn status(draft: &Draft, plan: &str) -> IntegrationStatus {
        IntegrationStatus {
            conditions: merge(&[], std::slice::from_ref(draft), Some(1), Timestamp::UNIX_EPOCH),
            plan: Some(PlanStatus { hash: plan.into(), applied_hash: None }),
            ..IntegrationStatus::default()
        }
    }

    fn ready(reason: Reason) -> Draft {
        let good = matches!(reason, Reason::Flowing | Reason::Suspended);
        let make = if good { Draft::yes } else { Draft::no };
        make(ConditionType::Ready, reason, "m".to_owned())
    }

    fn reasons(notices: &[Notice]) -> Vec<(&str, bool)> {
        notices.iter().map(|notice| (notice.reason.as_str(), notice.warning)).collect()
    }

    #[test]
    fn no_change_makes_no_event() {
        let same = status(&ready(Reason::SourceUnavailable), "p1");
        assert_eq!(integration(Some(&same), &same), []);
    }

    #[test]
    fn a_failure_warns_and_its_end_is_told() {
        let (good, bad) = (status(&ready(Reason::Flowing), "p1"), status(&ready(Reason::SourceUnavailable), "p1"));
        assert_eq!(reasons(&integration(Some(&good), &bad)), [("SourceUnavailable", true)]);
        assert_eq!(reasons(&integration(Some(&bad), &good)), [("Flowing", false)]);
    }

    #[test]
    fn a_change_that_rolls_out_is_told_once() {
        let (good, rolling) = (status(&ready(Reason::Flowing), "p1"), status(&ready(Reason::RollingOut), "p2"));
        assert_eq!(reasons(&integration(Some(&good), &rolling)), [("PlanPublished", false)]);
        assert_eq!(integration(Some(&rolling), &status(&ready(Reason::Flowing), "p2")), []);
    }

    #[test]
    fn a_rotation_is_told_and_a_first_version_is_not_one() {
        let with = |version: &str| ConnectorStatus {
            credentials: Some(CredentialStatus { version_id: version.into(), ..CredentialStatus::default() }),
            ..ConnectorStatus::default()
        };
        assert_eq!(connector(Some(&ConnectorStatus::default()), &with("v1")), []);
        assert_eq!(reasons(&connector(Some(&with("v1")), &with("v2"))), [("CredentialsRotated", false)]);
    }

    #[test]
    fn credentials_that_are_too_old_are_told_once() {
        let with = |reason: Reason| {
            let make = if reason == Reason::Fresh { Draft::yes } else { Draft::no };
            let draft = make(ConditionType::CredentialsFresh, reason, "m".to_owned());
            ConnectorStatus {
                conditions: merge(&[], &[draft], Some(1), Timestamp::UNIX_EPOCH),
                ..ConnectorStatus::default()
            }
        };
        let (fresh, old) = (with(Reason::Fresh), with(Reason::CredentialsOld));
        assert_eq!(connector(None, &fresh), []);
        assert_eq!(reasons(&connector(Some(&fresh), &old)), [("CredentialsOld", true)]);
        assert_eq!(connector(Some(&old), &old), []);
    }

    #[test]
    fn a_refused_rotation_is_told_once() {
        let held = Draft::no(ConditionType::CredentialsResolved, Reason::RotationRejected, "v2 is refused");
        let held = ConnectorStatus {
            conditions: merge(&[], &[held], Some(1), Timestamp::UNIX_EPOCH),
            ..ConnectorStatus::default()
        };
        assert_eq!(reasons(&connector(None, &held)), [("RotationRejected", true)]);
        assert_eq!(connector(Some(&held), &held), []);
    }

    #[test]
    fn a_fault_that_data_outlasts_is_told_once_and_one_that_it_does_not_is_no_news_twice() {
        let with = |good: bool| {
            let resolved = Draft::no(ConditionType::CredentialsResolved, Reason::KeyMissing, "v2 lacks a key");
            let ready = if good {
                Draft::yes(ConditionType::Ready, Reason::Available, "m")
            } else {
                Draft::no(ConditionType::Ready, Reason::KeyMissing, "v2 lacks a key")
            };
            let conditions = merge(&[], &[ready, resolved], Some(1), Timestamp::UNIX_EPOCH);
            ConnectorStatus { conditions, ..ConnectorStatus::default() }
        };
        let good = Draft::yes(ConditionType::Ready, Reason::Available, "m");
        let good = merge(&[], &[good], Some(1), Timestamp::UNIX_EPOCH);
        let good = ConnectorStatus { conditions: good, ..ConnectorStatus::default() };
        assert_eq!(reasons(&connector(Some(&good), &with(true))), [("KeyMissing", true)]);
        assert_eq!(connector(Some(&with(true)), &with(true)), []);
        assert_eq!(reasons(&connector(Some(&good), &with(false))), [("KeyMissing", true)]);
    }

    #[test]
    fn word_of_a_versions_end_is_told_at_first_sight_and_when_it_is_taken_back() {
        let with = |reason: Reason, message: &str| {
            let make = if reason == Reason::OtherVersionServed { Draft::no } else { Draft::yes };
            let draft = make(ConditionType::VersionSupported, reason, message.to_owned());
            ConnectorStatus {
                conditions: merge(&[], &[draft], Some(1), Timestamp::UNIX_EPOCH),
                ..ConnectorStatus::default()
            }
        };
        let (current, deprecated) = (with(Reason::VersionCurrent, "a"), with(Reason::VersionDeprecated, "ends on 1"));
        assert_eq!(connector(None, &current), []);
        assert_eq!(reasons(&connector(Some(&current), &deprecated)), [("VersionDeprecated", true)]);
        assert_eq!(connector(Some(&deprecated), &with(Reason::VersionDeprecated, "ends on 2")), []);
        assert_eq!(
            reasons(&connector(Some(&deprecated), &with(Reason::OtherVersionServed, "c"))),
            [("OtherVersionServed", true)]
        );
        assert_eq!(reasons(&connector(Some(&deprecated), &current)), [("VersionCurrent", false)]);
    }
}
