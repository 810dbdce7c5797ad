//! What keeps an Integration from running before its worker is asked: its spec, its store, its Connectors.

use crosstie_crds::{Connector, condition::Reason, names};

use super::{diagnosis::Trouble, integration::Seen, objects::ANNOTATION_ACCEPT_STATE_LOSS, state::State};

/// Why the spec has no plan.
pub fn refused(seen: &Seen) -> Option<Trouble> {
    let (spec, meta) = (&seen.integration.spec, &seen.integration.metadata);
    let ends = [(&spec.source, &seen.source), (&spec.destination, &seen.destination)];
    if let Some((end, _)) = ends.iter().find(|(_, connector)| connector.is_none()) {
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let message =
            format!("Connector {} does not exist in namespace {namespace}: create it", end.connector_ref.name);
        return Some(Trouble { reason: Reason::ConnectorNotFound, message });
    }
    let findings = &seen.compiled.as_ref()?.findings;
    let all: Vec<String> = findings.iter().map(ToString::to_string).collect();
    findings.first().map(|first| Trouble { reason: first.reason, message: all.join("; ") })
}

/// What is the matter with the store of the Integration of this name.
pub fn state(state: &State, integration: &str) -> Option<Trouble> {
    let claim = names::state(integration);
    let accept = |store_id: &str| {
        format!("kubectl annotate integration {integration} --overwrite {ANNOTATION_ACCEPT_STATE_LOSS}={store_id}")
    };
    let (reason, message) = match state {
        State::Held { .. } => return None,
        State::Waiting => (
            Reason::Starting,
            format!("volume claim {claim} of an earlier time is being deleted; the worker starts after that"),
        ),
        State::Going { store_id } => (
            Reason::StateLost,
            format!(
                "volume claim {claim} is marked for deletion and lives only until the worker's pod ends: copy what it holds, or \
                 accept the loss of cursors and ledger and begin anew with: {}",
                accept(store_id)
            ),
        ),
        State::Lost { store_id } => (
            Reason::StateLost,
            format!(
                "volume claim {claim} is gone or holds another store than {store_id}; the worker is stopped so that nothing is \
                 sent twice: restore the claim, or accept the loss of cursors and ledger and begin anew with: {}",
                accept(store_id)
            ),
        ),
    };
    Some(Trouble { reason, message })
}

/// What the Connectors' own status says against using them.
pub fn connectors(seen: &Seen) -> Option<Trouble> {
    let ends = [&seen.source, &seen.destination];
    let mut ends = ends.iter().zip(&seen.credentials).zip(needed_keys(seen));
    ends.find_map(|((end, stored), keys)| {
        connector(end.as_deref()?, stored.as_ref().is_some_and(|stored| stored.hold(&keys)))
    })
}

/// Keys of the credentials that the plan names at each end.
fn needed_keys(seen: &Seen) -> [Vec<&str>; 2] {
    let plan = seen.compiled.as_ref().and_then(|compiled| compiled.plan.as_ref());
    plan.map(|(plan, _)| [plan.source.credential_keys(), plan.destination.credential_keys()]).unwrap_or_default()
}

fn connector(connector: &Connector, has_credentials: bool) -> Option<Trouble> {
    let name = connector.metadata.name.as_deref().unwrap_or_default();
    let status = connector.status.as_ref().filter(|status| status.observed_generation == connector.metadata.generation);
    let ready = status.and_then(|status| status.conditions.iter().find(|condition| condition.type_ == "Ready"));
    let message = match ready {
        Some(ready) if ready.status == "True" => format!("the credentials of Connector {name} are being handed out"),
        Some(ready) if ready.reason != Reason::Starting.as_str() => {
            let message = format!("Connector {name} is not ready, {}: {}", ready.reason, ready.message);
            return Some(Trouble { reason: Reason::ConnectorNotReady, message });
        }
        Some(_) | None => format!("Connector {name} is being looked at"),
    };
    // With credentials in place, a Connector that was only edited holds nothing up.
    (!has_credentials).then_some(Trouble { reason: Reason::Starting, message })
}
