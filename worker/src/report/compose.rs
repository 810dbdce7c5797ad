//! Putting a report together from facts and figures. Pure but for the memory of since when each problem has been there.

use std::collections::BTreeMap;

use crosstie_connect::CredentialReport as Credentials;
use crosstie_crds::{
    condition::Reason,
    connector::Lifecycle,
    sync_report::{ApiReport, CredentialReport, FlowReport, Problem, WorkerReport},
};
use crosstie_engine::lifecycle::{Notice, Observed};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{problems::Present, store::Figures};

/// Longest version id or hash, in characters.
const LONGEST_ID: usize = 128;
/// Longest message about a flow, in characters.
const LONGEST_MESSAGE: usize = 512;

/// Who reports.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the pod.
    pub pod: String,
    /// When the worker started.
    pub started_at: Timestamp,
}

/// What is reported of one flow.
#[derive(Clone, Debug)]
pub struct FlowState {
    /// Its name.
    pub flow: String,
    /// Its figures.
    pub figures: Figures,
    /// When it is read next.
    pub next_run: Option<Timestamp>,
    /// The flows whose records its own may wait for.
    pub parents: Vec<String>,
    /// The source does not find by itself what its list holds.
    pub finds_nothing: bool,
}

/// What is reported of the worker.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Hash of the plan at work.
    pub plan_hash: Option<String>,
    /// Hash of the shares in use.
    pub shares_hash: Option<String>,
    /// Id of the open store.
    pub store_id: Option<String>,
    /// What is known of each Connector's credentials.
    pub credentials: Vec<(String, Credentials)>,
    /// What vendors say of their APIs' versions.
    pub apis: Vec<Api>,
    /// The flows.
    pub flows: Vec<FlowState>,
}

/// What a vendor says of its API's version.
#[derive(Clone, Debug)]
pub struct Api {
    /// The Connector.
    pub connector: String,
    /// The version that was asked for.
    pub requested: Option<String>,
    /// What was heard.
    pub observed: Observed,
}

/// Remembers since when each problem has been there.
#[derive(Clone, Debug, Default)]
pub struct Memory(BTreeMap<(Reason, Option<String>), Timestamp>);

impl Memory {
    /// The problems with the times they appeared; those that are gone are forgotten.
    pub fn dated(&mut self, problems: Vec<Present>, now: Timestamp) -> Vec<Problem> {
        let dated: Vec<((Reason, Option<String>), Problem)> = problems
            .into_iter()
            .map(|Present { reason, flow, message }| {
                let key = (reason, flow.clone());
                let since = self.0.get(&key).copied().unwrap_or(now);
                (key, Problem { reason, flow, message, since: Time(since) })
            })
            .collect();
        self.0 = dated.iter().map(|(key, problem)| (key.clone(), problem.since.0)).collect();
        dated.into_iter().map(|(_, problem)| problem).collect()
    }
}

/// The report.
pub fn compose(identity: &Identity, state: State, problems: Vec<Problem>, now: Timestamp) -> WorkerReport {
    WorkerReport {
        pod: identity.pod.clone(),
        reported_at: Time(now),
        started_at: Time(identity.started_at),
        plan_hash: state.plan_hash,
        shares_hash: state.shares_hash,
        store_id: state.store_id,
        credentials: credentials(state.credentials),
        apis: apis(state.apis),
        flows: state.flows.into_iter().map(flow).collect(),
        problems,
    }
}

fn flow(state: FlowState) -> FlowReport {
    let amount = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let problem = waits(&state);
    let FlowState { flow, figures, next_run, parents: _, finds_nothing: _ } = state;
    FlowReport {
        flow,
        delivered: amount(figures.delivered),
        unchanged: amount(figures.unchanged),
        queue_depth: amount(figures.queue_depth),
        dead_letters: amount(figures.dead_letters),
        oldest_dead_letter_time: figures.oldest_dead_letter.map(Time),
        held: amount(figures.held),
        succeeded_1h: amount(figures.hour.delivered),
        failed_1h: amount(figures.hour.buried),
        succeeded_24h: amount(figures.day.delivered),
        failed_24h: amount(figures.day.buried),
        succeeded_7d: amount(figures.week.delivered),
        failed_7d: amount(figures.week.buried),
        oldest_waiting_time: figures.oldest_waiting.map(Time),
        last_sync_time: figures.last_sync.map(Time),
        next_run_time: next_run.map(Time),
        cursor: figures.cursor.map(Time),
        retrying: amount(figures.retrying),
        awaiting_parent: amount(figures.awaiting_parent),
        problem,
    }
}

/// Why records of a flow wait although nothing is wrong with the flow as a whole: they failed and are tried again, or their parents are not at
/// the destination.
fn waits(state: &FlowState) -> Option<String> {
    let figures = &state.figures;
    let records = |number: u64| if number == 1 { "1 record".to_owned() } else { format!("{number} records") };
    let retrying = (figures.retrying > 0).then(|| {
        let cause = figures.retry_cause.as_deref().unwrap_or("the worker's log says why");
        let most = if figures.retrying == 1 { "" } else { ", most of them for this" };
        format!("{} failed and will be tried again{most}: {cause}", records(figures.retrying))
    });
    let awaiting = (figures.awaiting_parent > 0).then(|| {
        let flows = state.parents.iter().map(|flow| format!("`{flow}`")).collect::<Vec<_>>().join(" or ");
        let since = figures.awaiting_since.map(|since| format!(", since {since:.0}")).unwrap_or_default();
        format!(
            "{} of this flow came before the record of flow {flows} that `dependsOn` or `xref` names, and will be written once that one is at \
             the destination{since}",
            records(figures.awaiting_parent)
        )
    });
    let blind = state.finds_nothing.then(|| {
        "the source does not find by itself what its list holds, so that what went from the list is not deleted: check the stream's `one`".to_owned()
    });
    let message = [retrying, awaiting, blind].into_iter().flatten().collect::<Vec<_>>().join("; ");
    (!message.is_empty()).then(|| message.chars().take(LONGEST_MESSAGE).collect())
}

/// One entry a Connector: source and destination may be the same.
fn credentials(known: Vec<(String, Credentials)>) -> Vec<CredentialReport> {
    let mut reports: Vec<CredentialReport> = Vec::new();
    for (connector, known) in known {
        if reports.iter().any(|report| report.connector == connector) {
            continue;
        }
        let loaded_version_id = short(known.loaded_version_id);
        reports.push(CredentialReport {
            connector,
            // Before the first answer requests are made with what was loaded; `accepted` says that nothing is known of it yet.
            used_version_id: known.used_version_id.map_or_else(|| loaded_version_id.clone(), short),
            loaded_version_id,
            accepted: known.accepted,
            rejected_version_id: known.rejected_version_id.map(short),
        });
    }
    reports
}

/// One entry a Connector: source and destination may be the same.
fn apis(known: Vec<Api>) -> Vec<ApiReport> {
    let mut by_connector: BTreeMap<String, (Option<String>, Vec<Observed>)> = BTreeMap::new();
    for Api { connector, requested, observed } in known {
        by_connector.entry(connector).or_insert((requested, Vec::new())).1.push(observed);
    }
    let reports = by_connector.into_iter().map(|(connector, (requested, observed))| {
        let Observed { served, unsupported, notice } = Observed::worst(observed, requested.as_deref());
        ApiReport { connector, requested, served, unsupported, lifecycle: notice.map(lifecycle) }
    });
    reports.collect()
}

fn lifecycle(notice: Notice) -> Lifecycle {
    let Notice { source, deprecated_at, sunset_at, link } = notice;
    Lifecycle { deprecated_at: deprecated_at.map(Time), sunset_at: sunset_at.map(Time), source, link }
}

fn short(mut id: String) -> String {
    if let Some((end, _)) = id.char_indices().nth(LONGEST_ID) {
        id.truncate(end);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn present(reason: Reason) -> Present {
        Present { reason, flow: None, message: "something".into() }
    }

    #[test]
    fn a_problem_dates_from_when_it_appeared_and_anew_when_it_comes_back() {
        let mut memory = Memory::default();
        let since = |problems: Vec<Problem>| problems.into_iter().map(|problem| problem.since.0).collect::<Vec<_>>();
        assert_eq!(since(memory.dated(vec![present(Reason::Throttled)], at(1))), [at(1)]);
        let both = vec![present(Reason::StoreFailed), present(Reason::Throttled)];
        assert_eq!(since(memory.dated(both, at(2))), [at(2), at(1)]);
        assert_eq!(since(memory.dated(Vec::new(), at(3))), []);
        assert_eq!(since(memory.dated(vec![present(Reason::Throttled)], at(4))), [at(4)]);
    }

    #[test]
    fn a_connector_that_is_source_and_destination_is_reported_once() {
        let known = Credentials {
            loaded_version_id: "v".repeat(300),
            used_version_id: None,
            accepted: None,
            rejected_version_id: None,
        };
        let state =
            State { credentials: vec![("shop".into(), known.clone()), ("shop".into(), known)], ..State::default() };
        let identity = Identity { pod: "pod".into(), started_at: at(0) };
        let report = compose(&identity, state, Vec::new(), at(1));
        assert_eq!(report.credentials.len(), 1);
        assert_eq!(report.credentials[0].loaded_version_id.len(), LONGEST_ID);
        assert_eq!(report.credentials[0].used_version_id, report.credentials[0].loaded_version_id);
    }

    #[test]
    fn what_a_vendor_says_as_source_and_as_destination_is_folded_into_one() {
        let said = |served: &str, sunset: Option<i64>| Api {
            connector: "shop".into(),
            requested: Some("2026-07".into()),
            observed: Observed {
                served: Some(served.into()),
                unsupported: false,
                notice: sunset.map(|second| Notice {
                    source: crosstie_crds::connector::LifecycleSource::SunsetHeader,
                    deprecated_at: None,
                    sunset_at: Some(at(second)),
                    link: None,
                }),
            },
        };
        let reports = apis(vec![said("2026-07", Some(90)), said("2026-10", Some(50))]);
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].served.as_deref(), Some("2026-10"));
        assert_eq!(reports[0].lifecycle.as_ref().unwrap().sunset_at, Some(Time(at(50))));
    }
}
