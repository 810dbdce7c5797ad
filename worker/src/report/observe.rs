//! Looking at board, gates, credentials and store, and making a report of what is there.

use std::sync::Arc;

use crosstie_connect::Clock;
use crosstie_crds::sync_report::WorkerReport;
use crosstie_engine::alert::Wrong;
use tokio::sync::Mutex;

use super::compose::{Api, FlowState, Identity, Memory, State, compose};
use crate::{
    alerts,
    board::{Board, CrewView, Ear, Posted},
    gate::Trouble,
    lane::{Failing, Lane},
    metrics::Metrics,
    problems::{self, Call, Facts, FlowFacts},
    store::{Figures, Scope, ScopeId},
};

/// What is wrong now.
#[derive(Clone, Debug)]
pub struct Troubles {
    /// Everything that is.
    pub wrong: Vec<Wrong>,
    /// Whether flows and store could be looked at; what is not among `wrong` is well only then.
    pub complete: bool,
}

/// Makes reports.
pub struct Reporter {
    board: Arc<Board>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    identity: Identity,
    memory: Mutex<Memory>,
}

impl Reporter {
    /// Makes reports of what a board shows, in the name of a pod.
    pub fn new(board: Arc<Board>, metrics: Arc<Metrics>, clock: Arc<dyn Clock>, pod: String) -> Self {
        let identity = Identity { pod, started_at: board.started_at() };
        Self { board, metrics, clock, identity, memory: Mutex::default() }
    }

    /// What is the case now.
    pub async fn report(&self) -> WorkerReport {
        let posted = self.board.posted();
        let now = self.clock.now();
        let figures = self.figures(&posted).await;
        let left_behind = self.left_behind(&posted).await;
        let facts = self.facts(&posted, &figures, left_behind);
        let problems = self.memory.lock().await.dated(problems::derive(&facts, now), now);
        let state = state(&posted, facts, figures);
        compose(&self.identity, state, problems, now)
    }

    /// What is wrong now, for alerts.
    pub async fn troubles(&self) -> Troubles {
        let posted = self.board.posted();
        let scopes = scopes(&posted);
        let now = self.clock.now();
        let answers = match &posted.store {
            Some(store) if !scopes.is_empty() => {
                let trouble = self.board.store_trouble();
                let figures = trouble.looked(store.figures(scopes.clone(), now).await).ok();
                figures.zip(trouble.looked(store.letter_digests(scopes).await).ok())
            }
            Some(_) | None => None,
        };
        let complete = answers.is_some();
        let (figures, digests) = answers.unwrap_or_default();
        let facts = self.facts(&posted, &figures, Vec::new());
        Troubles { wrong: alerts::wrong(&facts, &digests, now), complete }
    }

    /// Figures of the crew's lanes; empty ones when the store does not answer.
    async fn figures(&self, posted: &Posted) -> Vec<Figures> {
        let lanes = lanes(posted);
        let scopes = scopes(posted);
        let answer = match &posted.store {
            Some(store) if !scopes.is_empty() => {
                self.board.store_trouble().looked(store.figures(scopes, self.clock.now()).await).ok()
            }
            Some(_) | None => None,
        };
        let figures = answer.unwrap_or_else(|| vec![Figures::default(); lanes.len()]);
        for (lane, figures) in lanes.iter().zip(&figures) {
            self.metrics.set_figures(&lane.flow.name, figures);
        }
        figures
    }

    /// Records that wait where no lane takes them; none are known while no plan is at work.
    async fn left_behind(&self, posted: &Posted) -> Vec<(Scope, u64)> {
        let at_work = scopes(posted);
        match &posted.store {
            Some(store) if !at_work.is_empty() => {
                let left = self.board.store_trouble().looked(store.left_behind(at_work.clone()).await);
                // Another plan may have come to work while the store was asked: what waits for its lanes is not left behind.
                let changed = scopes(&self.board.posted()) != at_work;
                left.ok().filter(|_| !changed).unwrap_or_default()
            }
            Some(_) | None => Vec::new(),
        }
    }

    fn facts(&self, posted: &Posted, figures: &[Figures], left_behind: Vec<(Scope, u64)>) -> Facts {
        let alerts = self.board.alert_view();
        let known = posted.crew.iter().flat_map(|crew| &crew.credentials).chain(&alerts.credentials);
        let credentials: Vec<_> = known.map(|(connector, store)| (connector.clone(), store.report())).collect();
        let in_use = credentials.iter().map(|(connector, report)| {
            (connector.as_str(), report.used_version_id.as_deref().unwrap_or(&report.loaded_version_id))
        });
        self.metrics.set_credentials(in_use);
        Facts {
            hindrances: posted.hindrances.clone(),
            store_trouble: self.board.store_trouble().message(),
            credentials,
            flows: lanes(posted).iter().zip(figures).map(|(lane, figures)| flow_facts(lane, figures)).collect(),
            left_behind,
            unalerted: alerts.failing,
        }
    }
}

/// What the crew's lanes have in the store.
fn scopes(posted: &Posted) -> Vec<ScopeId> {
    lanes(posted).iter().map(|lane| lane.scope).collect()
}

fn lanes(posted: &Posted) -> &[Arc<Lane>] {
    posted.crew.as_ref().map_or(&[], |crew| &crew.lanes)
}

fn flow_facts(lane: &Lane, figures: &Figures) -> FlowFacts {
    // What failed and is dealt with says nothing any more.
    let open = figures.dead_letters + figures.retrying + figures.held > 0;
    FlowFacts {
        flow: lane.flow.name.clone(),
        source: lane.source_name.clone(),
        destination: lane.destination_name.clone(),
        operation: lane.flow.operation.name.clone(),
        failing: failing(lane),
        mapping_failure: lane.facts.mappings.failing().filter(|_| open).map(|failing| failing.why),
        delivery_failure: lane.facts.deliveries.failing().filter(|_| open).as_ref().map(not_arrived),
        held: figures.held,
        dead_letters: figures.dead_letters,
        queue_depth: figures.queue_depth,
        awaiting_parent: figures.awaiting_parent,
        no_room_since: lane.facts.no_room_since(),
    }
}

/// That most records do not reach the destination.
fn not_arrived(Failing { failed, of, why }: &Failing) -> String {
    format!("{failed} of the last {of} did not arrive, the last of them because {why}")
}

/// What a system says of its API's version, once enough of it was heard.
fn heard(ear: &Ear) -> Option<Api> {
    let observed = ear.client.heard(&ear.streams, &ear.others)?;
    Some(Api { connector: ear.connector.clone(), requested: ear.requested.clone(), observed })
}

/// What is wrong with the calls of a lane.
fn failing(lane: &Lane) -> Vec<(Call, Trouble)> {
    let (flow, gates) = (&lane.flow, &lane.gates);
    let mut calls = vec![(Call::Pages(flow.stream.name.clone()), &gates.pages)];
    calls.extend(gates.singles.iter().map(|(stream, gate)| (Call::Single(stream.clone()), gate)));
    let operations = [Some((&flow.operation, &gates.write)), flow.delete_operation.as_ref().zip(gates.delete.as_ref())];
    for (operation, gates) in operations.into_iter().flatten() {
        calls.push((Call::Send(operation.name.clone()), &gates.send));
        calls.push((Call::LookUp(operation.name.clone()), &gates.look_up));
    }
    calls.into_iter().filter_map(|(call, gate)| gate.trouble().map(|trouble| (call, trouble))).collect()
}

fn state(posted: &Posted, facts: Facts, figures: Vec<Figures>) -> State {
    let hashes =
        posted.crew.as_ref().map(|CrewView { plan_hash, shares_hash, .. }| (plan_hash.clone(), shares_hash.clone()));
    let (plan_hash, shares_hash) = hashes.unzip();
    let flow = |(lane, figures): (&Arc<Lane>, Figures)| FlowState {
        flow: lane.flow.name.clone(),
        figures,
        next_run: lane.facts.next_run(),
        parents: parents(lane),
        finds_nothing: lane.facts.finds_nothing(),
    };
    State {
        plan_hash,
        shares_hash,
        store_id: posted.store.as_ref().map(|store| store.id().to_owned()),
        credentials: facts.credentials,
        apis: posted.crew.iter().flat_map(|crew| &crew.ears).filter_map(heard).collect(),
        flows: lanes(posted).iter().zip(figures).map(flow).collect(),
    }
}

/// The flows that a lane's records may wait for.
fn parents(lane: &Lane) -> Vec<String> {
    let mut flows = lane.mapping.xrefs();
    flows.extend(lane.flow.depends_on.iter().map(|depends_on| depends_on.flow.clone()));
    flows.into_iter().collect()
}
