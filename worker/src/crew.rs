//! The crew: the loops of all flows of one plan, and what they share. It is hired for a plan and dismissed with it; shares and credentials
//! change while it works.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    sync::Arc,
    time::Duration,
};

use crosstie_connect::{BuildError, Clock, CredentialStore, LONGEST_REQUEST, Surroundings, VendorClient, longest_call};
use crosstie_engine::{
    credentials::CredentialsDocument,
    delivery::{Terms, needed_fields, part_of},
    mapping::{Expression, Mapping, MappingProblem, MappingSource},
    plan::{Allowance, Flow, Plan, System},
    rate::Shares,
};
use tokio::{sync::Notify, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    board::Ear,
    delivery::{self, LookUps},
    gates::Shelf,
    intake,
    lane::{self, Lane, LaneFacts, Parent},
    metrics::Metrics,
    receiver::{Reception, keep_subscribed},
    resync::Again,
    slots::Slots,
    store::{Opened, Scope, ScopeId, SharedStore, StoreError},
    trouble::StoreTrouble,
};

/// Why a plan cannot be worked.
#[derive(Debug, thiserror::Error)]
pub enum HireError {
    /// A flow's mapping does not compile.
    #[error("the mapping of flow `{flow}` does not compile: {}", first(.problems))]
    Mapping {
        /// The flow.
        flow: String,
        /// What is wrong; at least one.
        problems: Vec<MappingProblem>,
    },
    /// A system cannot be called.
    #[error(transparent)]
    System(#[from] BuildError),
}

fn first(problems: &[MappingProblem]) -> String {
    problems.first().map(ToString::to_string).unwrap_or_default()
}

/// What a crew is given from outside.
#[derive(Clone)]
pub struct Outfit {
    /// The store.
    pub store: SharedStore,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What clients are given.
    pub surroundings: Surroundings,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What is wrong with the store.
    pub store_trouble: Arc<StoreTrouble>,
}

/// The mounted documents a crew works by.
#[derive(Clone)]
pub struct Papers {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The shares.
    pub shares: Arc<Shares>,
    /// The source's credentials.
    pub source: Arc<CredentialsDocument>,
    /// The destination's credentials.
    pub destination: Arc<CredentialsDocument>,
}

/// The loops of one plan.
pub struct Crew {
    papers: Papers,
    plan_hash: String,
    shares_hash: String,
    lanes: Vec<Arc<Lane>>,
    source: VendorClient,
    destination: VendorClient,
    slots: Arc<Slots>,
    look_ups: Arc<LookUps>,
    gates: Shelf,
    reception: Option<Arc<Reception>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// A plan that can be worked: mappings compiled, clients made. Nothing runs yet, so that the crew before works on when this fails.
pub struct Prepared {
    papers: Papers,
    expressions: Vec<Expressions>,
    source: VendorClient,
    destination: VendorClient,
}

impl Prepared {
    /// Compiles mappings and makes clients, or takes clients over from the crew before.
    pub fn new(papers: Papers, outfit: &Outfit, before: Option<&Crew>) -> Result<Self, HireError> {
        let expressions = papers.plan.flows.iter().map(compile).collect::<Result<_, _>>()?;
        let (plan, shares) = (&papers.plan, &papers.shares);
        let former = before.map(|crew| (&crew.papers.plan.source, &crew.source));
        let source = client(&plan.source, &papers.source, shares.source, outfit, former)?;
        let former = before.map(|crew| (&crew.papers.plan.destination, &crew.destination));
        let destination = client(&plan.destination, &papers.destination, shares.destination, outfit, former)?;
        Ok(Self { papers, expressions, source, destination })
    }
}

impl Crew {
    /// Hires a crew: opens scopes and starts the loops. What is wrong with the systems is taken over from the crew before, which must have been
    /// dismissed, so that a changed plan does not make an outage look over.
    pub async fn hire(prepared: Prepared, outfit: &Outfit, before: Option<&Self>) -> Result<Self, StoreError> {
        let Prepared { papers, expressions, source, destination } = prepared;
        let plan = Arc::clone(&papers.plan);
        let opened = open_scopes(&plan, outfit).await?;
        let scopes = plan.flows.iter().zip(&opened).map(|(flow, opened)| (flow.name.clone(), opened.id));
        let scopes: Arc<BTreeMap<String, ScopeId>> = Arc::new(scopes.collect());
        let gates = before.map(|crew| {
            let former = &crew.papers.plan;
            crew.gates.taken_over(former.source == plan.source, former.destination == plan.destination)
        });
        let mut crew = Self {
            plan_hash: plan.hash(),
            shares_hash: papers.shares.hash(),
            slots: Slots::new(slots(papers.shares.destination)),
            look_ups: Arc::default(),
            gates: gates.unwrap_or_default(),
            reception: plan.receiver.clone().map(|rules| {
                let (name, credentials) = (plan.source.connector.clone(), source.credentials().clone());
                Arc::new(Reception::new(rules, name, credentials))
            }),
            lanes: Vec::new(),
            source,
            destination,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
            papers,
        };
        let wakes: Wakes = plan.flows.iter().map(|flow| (flow.name.as_str(), Arc::default())).collect();
        let referring: Vec<BTreeSet<String>> = expressions.iter().map(|own| own.mapping.xrefs()).collect();
        for ((flow, expressions), opened) in plan.flows.iter().zip(expressions).zip(&opened) {
            let mut lane = crew.lane(flow, expressions, opened.id, &scopes, outfit);
            lane.wake = wakes.get(flow.name.as_str()).cloned().unwrap_or_default();
            lane.dependents = dependents(&plan, &referring, &flow.name, &wakes);
            crew.lanes.push(Arc::new(lane));
        }
        for (lane, opened) in crew.lanes.iter().zip(opened) {
            crew.tasks.spawn(intake::run(Arc::clone(lane), opened, crew.stop.clone()));
            crew.tasks.spawn(delivery::run(Arc::clone(lane), crew.stop.clone()));
        }
        if let Some(reception) = crew.reception() {
            crew.tasks.spawn(keep(reception, crew.source.clone(), crew.stop.clone()));
        }
        Ok(crew)
    }

    fn lane(
        &mut self,
        flow: &Flow,
        expressions: Expressions,
        scope: ScopeId,
        scopes: &Arc<BTreeMap<String, ScopeId>>,
        outfit: &Outfit,
    ) -> Lane {
        let gates = self.gates.of(flow);
        let plan = &self.papers.plan;
        let operations = [Some(&flow.operation), flow.delete_operation.as_ref()].into_iter().flatten();
        let flights = operations.map(|operation| longest_call(&plan.destination, operation));
        let longest_flight = flights.max().unwrap_or(LONGEST_REQUEST);
        let terms = Terms { retry: plan.retry, on_unknown: flow.on_unknown_outcome, longest_flight };
        let Expressions { mapping, remains, parent } = expressions;
        let parent_scope = flow.depends_on.as_ref().and_then(|depends_on| scopes.get(&depends_on.flow));
        let parent = parent_scope.zip(parent).map(|(scope, key)| Parent { scope: *scope, key });
        Lane {
            operation: Arc::new(flow.operation.clone()),
            delete_operation: flow.delete_operation.clone().map(Arc::new),
            flow: flow.clone(),
            source_name: plan.source.connector.clone(),
            destination_name: plan.destination.connector.clone(),
            scope,
            scopes: Arc::clone(scopes),
            part: lane::part(flow, &mapping, remains.as_deref(), parent.as_ref()),
            mapping,
            remains,
            parent,
            terms,
            plan_hash: self.plan_hash.clone(),
            store: Arc::clone(&outfit.store),
            source: self.source.clone(),
            singles: Arc::new(self.source.clone()),
            look_ups: Arc::clone(&self.look_ups),
            destination: Arc::new(self.destination.clone()),
            gates,
            slots: Arc::clone(&self.slots),
            clock: Arc::clone(&outfit.clock),
            chance: rand::random,
            metrics: Arc::clone(&outfit.metrics),
            store_trouble: Arc::clone(&outfit.store_trouble),
            wake: Arc::default(),
            dependents: Vec::new(),
            again: Again::default(),
            facts: LaneFacts::default(),
        }
    }

    /// The lanes, in the plan's order.
    pub fn lanes(&self) -> &[Arc<Lane>] {
        &self.lanes
    }

    /// How it receives webhooks, if a flow takes any.
    pub fn reception(&self) -> Option<Arc<Reception>> {
        self.reception.clone()
    }

    /// What it works by.
    pub fn papers(&self) -> &Papers {
        &self.papers
    }

    /// The plan's hash.
    pub fn plan_hash(&self) -> &str {
        &self.plan_hash
    }

    /// Hash of the shares in use.
    pub fn shares_hash(&self) -> &str {
        &self.shares_hash
    }

    /// Credentials of source and destination.
    pub fn credentials(&self) -> Vec<(String, CredentialStore)> {
        let plan = &self.papers.plan;
        let both = [(&plan.source, &self.source), (&plan.destination, &self.destination)];
        both.map(|(system, client)| (system.connector.clone(), client.credentials().clone())).into()
    }

    /// The systems it calls, source first.
    pub fn ears(&self) -> Vec<Ear> {
        let plan = &self.papers.plan;
        let streams = plan.flows.iter().map(|flow| flow.stream.name.clone()).collect();
        let looked_up = plan.flows.iter().flat_map(|flow| &flow.lookups).map(|stream| stream.name.clone()).collect();
        let written = plan.flows.iter().flat_map(|flow| iter::once(&flow.operation).chain(&flow.delete_operation));
        let written = written.map(|operation| operation.name.clone()).collect();
        let ear = |system: &System, client: &VendorClient, streams, others| Ear {
            connector: system.connector.clone(),
            requested: system.api_version.clone(),
            client: client.clone(),
            streams,
            others,
        };
        vec![
            ear(&plan.source, &self.source, streams, looked_up),
            ear(&plan.destination, &self.destination, Vec::new(), written),
        ]
    }

    /// Takes on other shares and credentials, at once and without a stop.
    pub fn take_on(&mut self, papers: Papers) {
        if papers.shares != self.papers.shares {
            self.source.set_share(papers.shares.source);
            self.destination.set_share(papers.shares.destination);
            self.slots.set_limit(slots(papers.shares.destination));
            self.shares_hash = papers.shares.hash();
        }
        if papers.source != self.papers.source {
            self.source.credentials().replace(&papers.source);
            self.lanes.iter().for_each(|lane| lane.gates.reset_source());
        }
        if papers.destination != self.papers.destination {
            self.destination.credentials().replace(&papers.destination);
            self.lanes.iter().for_each(|lane| lane.gates.reset_destination());
        }
        self.papers = Papers { plan: Arc::clone(&self.papers.plan), ..papers };
    }

    /// Whether one of the loops ended, which none does by itself.
    pub fn lost_a_loop(&mut self) -> bool {
        self.tasks.try_join_next().is_some()
    }

    /// Stops the loops: nothing new is begun, calls under way may take so long to finish, and what is not finished then is given up. Its
    /// outcome is resolved by the next crew.
    pub async fn dismiss(&mut self, patience: Duration) {
        self.stop.cancel();
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(patience, finished).await.is_err() {
            tracing::warn!(
                "calls under way did not finish in time and were given up; their outcome is resolved at the next start"
            );
            self.abandon().await;
        }
    }

    /// Ends the loops where they are.
    pub async fn abandon(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// Keeps the vendor subscribed for as long as the crew works: a loop of a crew never ends by itself.
async fn keep(reception: Arc<Reception>, source: VendorClient, stop: CancellationToken) {
    keep_subscribed(reception, source, stop.clone()).await;
    stop.cancelled().await;
}

/// What wakes the delivery of each flow.
type Wakes<'a> = BTreeMap<&'a str, Arc<Notify>>;

/// A flow's expressions, compiled.
struct Expressions {
    mapping: Arc<Mapping>,
    /// As much of it as deleting a record needs.
    remains: Option<Arc<Mapping>>,
    /// The key of what a record depends on.
    parent: Option<Arc<Expression>>,
}

fn compile(flow: &Flow) -> Result<Expressions, HireError> {
    let failed = |problems| HireError::Mapping { flow: flow.name.clone(), problems };
    let source = MappingSource { when: flow.when.as_deref(), map: &flow.map };
    let mapping = Mapping::compile(&source).map(Arc::new).map_err(failed)?;
    let fields = flow.delete_operation.as_ref().and_then(needed_fields);
    let part = fields.map(|fields| part_of(&flow.map, &fields));
    let remains = part.map(|part| Mapping::compile(&MappingSource { when: None, map: &part }));
    let remains = remains.transpose().map_err(failed)?.map(Arc::new);
    let parent = flow.depends_on.as_ref().map(|depends_on| Expression::compile("dependsOn.key", &depends_on.key));
    Ok(Expressions { mapping, remains, parent: parent.transpose().map_err(failed)?.map(Arc::new) })
}

/// What wakes the flows whose records may wait for a flow's.
fn dependents(plan: &Plan, referring: &[BTreeSet<String>], name: &str, wakes: &Wakes) -> Vec<Arc<Notify>> {
    let waits = |(flow, xrefs): &(&Flow, &BTreeSet<String>)| {
        flow.depends_on.as_ref().is_some_and(|depends_on| depends_on.flow == name) || xrefs.contains(name)
    };
    let flows = plan.flows.iter().zip(referring).filter(waits);
    flows.filter_map(|(flow, _)| wakes.get(flow.name.as_str()).cloned()).collect()
}

/// The client of a system: the one before, if the system is the same; with the same credentials, if the Connector is.
fn client(
    system: &System,
    document: &CredentialsDocument,
    share: Allowance,
    outfit: &Outfit,
    before: Option<(&System, &VendorClient)>,
) -> Result<VendorClient, BuildError> {
    let credentials = match before {
        Some((former, client)) if former.connector == system.connector => {
            client.credentials().replace(document);
            client.credentials().clone()
        }
        Some(_) | None => CredentialStore::new(document),
    };
    if let Some((former, client)) = before
        && former == system
    {
        client.set_share(share);
        return Ok(client.clone());
    }
    VendorClient::surrounded(system, credentials, share, &outfit.surroundings)
}

async fn open_scopes(plan: &Plan, outfit: &Outfit) -> Result<Vec<Opened>, StoreError> {
    let mut opened = Vec::with_capacity(plan.flows.len());
    for flow in &plan.flows {
        let (source, destination) = (plan.source.connector.clone(), plan.destination.connector.clone());
        let scope = Scope { flow: flow.name.clone(), source, destination, environment: plan.environment };
        opened.push(outfit.store_trouble.changed(outfit.store.open_scope(scope, outfit.clock.now()).await)?);
    }
    Ok(opened)
}

fn slots(share: Allowance) -> usize {
    usize::try_from(share.concurrency).unwrap_or(usize::MAX).min(1024)
}
