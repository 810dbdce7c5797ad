//! The one place that writes status: once a look, also when applying failed, and only what changed. Conditions are written at once,
//! figures at most once a minute, but that nothing waits any more, or that something does again, within seconds.

use crosstie_crds::{
    Connector, ConnectorStatus, Integration, IntegrationStatus, connector::CredentialStatus, integration::SyncStatus,
    names::FIELD_MANAGER,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    context::Context,
    events,
    memory::{Table, WrittenStatus, version},
    trigger::Key,
};

/// How often figures are written at the most.
const FIGURES: SignedDuration = SignedDuration::from_secs(60);
/// How often they are written at the most when something that people look for came up or is over. Workers say so no more often either.
const ZERO: SignedDuration = SignedDuration::from_secs(5);

/// What is to be done about a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing changed.
    Nothing,
    /// Only figures changed, and were written lately.
    Later(Timestamp),
    /// Write it.
    Now,
}

/// A status whose figures can be told from the rest.
pub trait Figures: Clone + PartialEq + Default {
    /// The same without figures.
    #[must_use]
    fn without_figures(&self) -> Self;

    /// Which figures that people wait for to go are gone: when that turns, the figures are written soon.
    fn gone(&self) -> Vec<bool>;
}

impl Figures for IntegrationStatus {
    fn without_figures(&self) -> Self {
        Self { sync: None, flows: Vec::new(), ..self.clone() }
    }

    fn gone(&self) -> Vec<bool> {
        let figures = |sync: &SyncStatus| vec![sync.queue_depth == 0, sync.dead_letters == 0, sync.held == 0];
        self.sync.as_ref().map(figures).unwrap_or_default()
    }
}

impl Figures for ConnectorStatus {
    fn without_figures(&self) -> Self {
        let credentials =
            self.credentials.clone().map(|credentials| CredentialStatus { age_days: None, ..credentials });
        Self { integrations: None, credentials, ..self.clone() }
    }

    fn gone(&self) -> Vec<bool> {
        Vec::new()
    }
}

/// Tells whether a status is to be written.
pub fn due<S: Figures>(before: Option<&S>, after: &S, figures_at: Option<Timestamp>, now: Timestamp) -> Due {
    let nothing = S::default();
    let before = before.unwrap_or(&nothing);
    if before == after {
        return Due::Nothing;
    }
    let wait = if before.gone() == after.gone() { FIGURES } else { ZERO };
    let next = figures_at.map(|at| at + wait).filter(|next| *next > now);
    match next {
        Some(next) if before.without_figures() == after.without_figures() => Due::Later(next),
        Some(_) | None => Due::Now,
    }
}

/// Writes a Connector's status and tells people what is new. Returns when figures that were held back are due.
///
/// # Errors
/// When the API server refuses the write or cannot be reached.
pub async fn connector(
    cx: &Context,
    object: &Connector,
    after: ConnectorStatus,
    now: Timestamp,
) -> Result<Option<Timestamp>, kube::Error> {
    let before = object.status.as_ref();
    let notices = events::connector(before, &after);
    let outcome = write(cx, object, before, after, &cx.memory.connectors, now).await?;
    if outcome == Due::Now {
        events::publish(cx, &object.object_ref(&()), notices).await;
    }
    Ok(later(outcome))
}

/// Writes an Integration's status and tells people what is new. Returns when figures that were held back are due.
///
/// # Errors
/// When the API server refuses the write or cannot be reached.
pub async fn integration(
    cx: &Context,
    object: &Integration,
    after: IntegrationStatus,
    now: Timestamp,
) -> Result<Option<Timestamp>, kube::Error> {
    let before = object.status.as_ref();
    let notices = events::integration(before, &after);
    let outcome = write(cx, object, before, after, &cx.memory.integrations, now).await?;
    if outcome == Due::Now {
        events::publish(cx, &object.object_ref(&()), notices).await;
    }
    Ok(later(outcome))
}

fn later(due: Due) -> Option<Timestamp> {
    match due {
        Due::Later(at) => Some(at),
        Due::Nothing | Due::Now => None,
    }
}

async fn write<K, S>(
    cx: &Context,
    object: &K,
    before: Option<&S>,
    after: S,
    memory: &Table<Key, WrittenStatus<S>>,
    now: Timestamp,
) -> Result<Due, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned,
    S: Figures + Serialize,
{
    let meta = object.meta();
    let key = Key::of(meta);
    let figures_at =
        memory.lock().get(&key).filter(|written| written.uid == meta.uid).map(|written| written.figures_at);
    let due = due(before, &after, figures_at, now);
    if due != Due::Now {
        return Ok(due);
    }
    // The uid keeps an object's status from being written to the next one of the same name.
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": key.name, "uid": meta.uid},
        "status": after,
    });
    let api: Api<K> = Api::namespaced(cx.shared.client.clone(), &key.namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let mut outcome = api.patch_status(&key.name, &params, &Patch::Apply(&body)).await;
    if outcome.as_ref().is_err_and(is_of_an_older_shape) {
        tracing::info!(kind = K::kind(&()).as_ref(), object = %key, "the status has the shape of an older version and is written anew");
        api.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(json!({"status": {"apiVersion": null}})))
            .await?;
        outcome = api.patch_status(&key.name, &params, &Patch::Apply(&body)).await;
    }
    cx.shared.metrics.wrote("Status", outcome.is_ok());
    let written = match outcome {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Due::Nothing),
        outcome => outcome?,
    };
    let status = Some(Box::new(after));
    let entry = WrittenStatus { uid: meta.uid.clone(), version: version(written.meta()), status, figures_at: now };
    memory.lock().insert(key, entry);
    Ok(Due::Now)
}

/// Whether the API server cannot apply over what is there because a member has the shape that it had in an older version: a Connector's
/// `status.apiVersion` was a text once. Only a merge takes such a member away.
fn is_of_an_older_shape(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.message.contains("typed live object") && status.message.contains(".status.apiVersion"))
}

#[cfg(test)]
mod tests {
    use crosstie_crds::{
        condition::{ConditionType, Reason},
        connector::CredentialState,
    };

    use super::*;
    use crate::plan::conditions::{Draft, merge};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status(queue_depth: i64, reason: Reason) -> IntegrationStatus {
        IntegrationStatus {
            observed_generation: Some(1),
            conditions: merge(&[], &[Draft::yes(ConditionType::Ready, reason, "m")], Some(1), at(0)),
            sync: Some(SyncStatus { queue_depth, ..SyncStatus::default() }),
            ..IntegrationStatus::default()
        }
    }

    #[test]
    fn what_did_not_change_is_not_written() {
        let before = status(1, Reason::Flowing);
        assert_eq!(due(Some(&before), &before.clone(), None, at(0)), Due::Nothing);
    }

    #[test]
    fn figures_are_written_once_a_minute() {
        let (before, after) = (status(1, Reason::Flowing), status(2, Reason::Flowing));
        assert_eq!(due(Some(&before), &after, Some(at(100)), at(130)), Due::Later(at(160)));
        assert_eq!(due(Some(&before), &after, Some(at(100)), at(160)), Due::Now);
        assert_eq!(due(Some(&before), &after, None, at(130)), Due::Now);
    }

    #[test]
    fn that_nothing_waits_any_more_or_that_the_first_record_does_is_written_within_seconds() {
        for (before, after) in [(144, 0), (0, 3)] {
            let (before, after) = (status(before, Reason::Flowing), status(after, Reason::Flowing));
            assert_eq!(due(Some(&before), &after, Some(at(100)), at(101)), Due::Later(at(105)));
            assert_eq!(due(Some(&before), &after, Some(at(100)), at(105)), Due::Now);
        }
    }

    #[test]
    fn how_many_integrations_use_a_connector_is_a_figure() {
        let status = |integrations| ConnectorStatus { integrations: Some(integrations), ..ConnectorStatus::default() };
        assert_eq!(due(Some(&status(1)), &status(2), Some(at(100)), at(130)), Due::Later(at(160)));
    }

    #[test]
    fn how_old_credentials_are_is_a_figure_and_how_far_their_rotation_is_is_not() {
        let status = |age_days, state| {
            let credentials = CredentialStatus { age_days, state, ..CredentialStatus::default() };
            ConnectorStatus { credentials: Some(credentials), ..ConnectorStatus::default() }
        };
        let before = status(Some(1), Some(CredentialState::Rolling));
        let older = status(Some(2), Some(CredentialState::Rolling));
        assert_eq!(due(Some(&before), &older, Some(at(100)), at(130)), Due::Later(at(160)));
        let settled = status(Some(1), Some(CredentialState::Settled));
        assert_eq!(due(Some(&before), &settled, Some(at(100)), at(101)), Due::Now);
    }

    #[test]
    fn a_condition_is_written_at_once() {
        let (before, after) = (status(1, Reason::Flowing), status(2, Reason::Suspended));
        assert_eq!(due(Some(&before), &after, Some(at(100)), at(101)), Due::Now);
    }

    #[test]
    fn a_first_status_is_written() {
        assert_eq!(due(None, &status(0, Reason::Flowing), None, at(0)), Due::Now);
    }

    #[test]
    fn only_a_status_of_an_older_shape_is_written_anew() {
        let refused = |message: &str| {
            let status = kube::core::Status { message: message.into(), code: 500, ..kube::core::Status::default() };
            kube::Error::Api(status.boxed())
        };
        let older = "failed to create typed live object (shop/shopify; crosstie.dev/v1alpha1, Kind=Connector): .status.apiVersion: expected map, got &{2026-07}";
        assert!(is_of_an_older_shape(&refused(older)));
        assert!(!is_of_an_older_shape(&refused("failed to create typed live object (a/b): .spec.x: expected map")));
        assert!(!is_of_an_older_shape(&refused("the server is shutting down")));
    }
}
