//! The crew: the loops of all flows of one plan, and what they share. It is hired for a plan and dismissed with it; shares and credentials
//! change while it works.

mod expressions;
mod way;

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    sync::Arc,
    time::Duration,
};

use crosstie_connect::{BuildError, Clock, CredentialStore, LONGEST_REQUEST, Surroundings, VendorClient, longest_call};
use crosstie_engine::{
    credentials::CredentialsDocument,
    delivery::Terms,
    mapping::MappingProblem,
    plan::{Allowance, Direction, Flow, Plan, System},
    rate::Shares,
};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use self::{
    expressions::{Expressions, Wakes, compile, dependents},
    way::{Ways, ends},
};
use crate::{
    board::Ear,
    delivery, intake,
    lane::{self, Lane, LaneFacts, Parent},
    metrics::Metrics,
    pairs::{Paired, TwinLocks},
    receiver::{Reception, keep_subscribed},
    store::{Opened, PairScopes, Scope, ScopeId, SharedStore, StoreError},
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
    ways: Ways,
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
        let ways = Ways::new(&plan, &papers.shares, before.map(|crew| (&crew.ways, &*crew.papers.plan)));
        let mut crew = Self {
            plan_hash: plan.hash(),
            shares_hash: papers.shares.hash(),
            ways,
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
        let mut locks: BTreeMap<ScopeId, Arc<TwinLocks>> = BTreeMap::new();
        for ((flow, expressions), opened) in plan.flows.iter().zip(expressions).zip(&opened) {
            let twin = expressions.twin.clone();
            let mut lane = crew.lane(flow, expressions, opened.id, &scopes, outfit);
            lane.wake = wakes.get(flow.name.as_str()).cloned().unwrap_or_default();
            lane.dependents = dependents(&plan, &referring, &flow.name, &wakes);
            lane.paired = flow.pair.as_ref().zip(twin).and_then(|(pair, key)| {
                let scopes = pair_scopes(flow.direction, opened.id, *scopes.get(&pair.flow)?);
                let locks = Arc::clone(locks.entry(scopes.forward).or_default());
                Some(Paired::new((flow.direction, scopes), (key, pair.named_by.clone()), &flow.operation, locks))
            });
            crew.lanes.push(Arc::new(lane));
        }
        crew.introduce();
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
        let way = self.ways.of(flow.direction);
        let (gates, slots, look_ups) = (way.gates.of(flow), Arc::clone(&way.slots), Arc::clone(&way.look_ups));
        let (from, to) = ends(&self.papers.plan, flow.direction);
        let (source, destination) = self.clients(flow.direction);
        let operations = [Some(&flow.operation), flow.delete_operation.as_ref()].into_iter().flatten();
        let flights = operations.map(|operation| longest_call(to, operation));
        let longest_flight = flights.max().unwrap_or(LONGEST_REQUEST);
        let terms = Terms { retry: self.papers.plan.retry, on_unknown: flow.on_unknown_outcome, longest_flight };
        let Expressions { mapping, remains, parent, twin: _ } = expressions;
        let parent_scope = flow.depends_on.as_ref().and_then(|depends_on| scopes.get(&depends_on.flow));
        let parent = parent_scope.zip(parent).map(|(scope, key)| Parent { scope: *scope, key });
        Lane {
            operation: Arc::new(flow.operation.clone()),
            delete_operation: flow.delete_operation.clone().map(Arc::new),
            flow: flow.clone(),
            source_name: from.connector.clone(),
            destination_name: to.connector.clone(),
            scope,
            scopes: Arc::clone(scopes),
            part: lane::part(flow, &mapping, remains.as_deref(), parent.as_ref()),
            mapping,
            remains,
            parent,
            paired: None,
            terms,
            plan_hash: self.plan_hash.clone(),
            store: Arc::clone(&outfit.store),
            source: source.clone(),
            singles: Arc::new(source.clone()),
            look_ups,
            destination: Arc::new(destination.clone()),
            gates,
            slots,
            clock: Arc::clone(&outfit.clock),
            chance: rand::random,
            metrics: Arc::clone(&outfit.metrics),
            store_trouble: Arc::clone(&outfit.store_trouble),
            wake: Arc::default(),
            dependents: Vec::new(),
            again: crate::resync::Again::default(),
            facts: LaneFacts::default(),
        }
    }

    /// Clients of the systems that the flows of a direction read and write to.
    fn clients(&self, direction: Direction) -> (&VendorClient, &VendorClient) {
        match direction {
            Direction::Forward => (&self.source, &self.destination),
            Direction::Reverse => (&self.destination, &self.source),
        }
    }

    /// Makes the lanes of each pair known to each other.
    fn introduce(&self) {
        for lane in &self.lanes {
            let pair = lane.paired.as_ref().zip(lane.flow.pair.as_ref());
            let Some((paired, pair)) = pair else { continue };
            if let Some(other) = self.lanes.iter().find(|other| other.flow.name == pair.flow) {
                paired.meet(other);
            }
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
        let flows = |direction: Direction| plan.flows.iter().filter(move |flow| flow.direction == direction);
        let streams = |direction: Direction| flows(direction).map(|flow| flow.stream.name.clone()).collect::<Vec<_>>();
        let looked_up =
            |direction: Direction| flows(direction).flat_map(|flow| &flow.lookups).map(|stream| stream.name.clone());
        let written = |direction: Direction| {
            let operations =
                flows(direction).flat_map(|flow| iter::once(&flow.operation).chain(&flow.delete_operation));
            operations.map(|operation| operation.name.clone())
        };
        let (to, fro) = (Direction::Forward, Direction::Reverse);
        let ear = |system: &System, client: &VendorClient, streams, others| Ear {
            connector: system.connector.clone(),
            requested: system.api_version.clone(),
            client: client.clone(),
            streams,
            others,
        };
        vec![
            ear(&plan.source, &self.source, streams(to), looked_up(to).chain(written(fro)).collect()),
            ear(&plan.destination, &self.destination, streams(fro), looked_up(fro).chain(written(to)).collect()),
        ]
    }

    /// Takes on other shares and credentials, at once and without a stop.
    pub fn take_on(&mut self, papers: Papers) {
        if papers.shares != self.papers.shares {
            self.source.set_share(papers.shares.source);
            self.destination.set_share(papers.shares.destination);
            self.ways.share(&papers.shares);
            self.shares_hash = papers.shares.hash();
        }
        if papers.source != self.papers.source {
            self.source.credentials().replace(&papers.source);
            self.reset(Direction::Forward);
        }
        if papers.destination != self.papers.destination {
            self.destination.credentials().replace(&papers.destination);
            self.reset(Direction::Reverse);
        }
        self.papers = Papers { plan: Arc::clone(&self.papers.plan), ..papers };
    }

    /// Something that could be why the system fails was changed that the flows of a direction read, and those of the other write to.
    fn reset(&self, reading: Direction) {
        for lane in &self.lanes {
            if lane.flow.direction == reading { lane.gates.reset_source() } else { lane.gates.reset_destination() }
        }
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

/// The client of a system: the one before, if the system is the same; with the same credentials and what left today, if the Connector is.
fn client(
    system: &System,
    document: &CredentialsDocument,
    share: Allowance,
    outfit: &Outfit,
    before: Option<(&System, &VendorClient)>,
) -> Result<VendorClient, BuildError> {
    let Some((former, client)) = before.filter(|(former, _)| former.connector == system.connector) else {
        return VendorClient::surrounded(system, CredentialStore::new(document), share, &outfit.surroundings);
    };
    client.credentials().replace(document);
    if former == system {
        client.set_share(share);
        return Ok(client.clone());
    }
    client.succeeding(system, client.credentials().clone(), share, &outfit.surroundings)
}

async fn open_scopes(plan: &Plan, outfit: &Outfit) -> Result<Vec<Opened>, StoreError> {
    let mut opened = Vec::with_capacity(plan.flows.len());
    for flow in &plan.flows {
        let (source, destination) = ends(plan, flow.direction);
        let (source, destination) = (source.connector.clone(), destination.connector.clone());
        let scope = Scope { flow: flow.name.clone(), source, destination, environment: plan.environment };
        opened.push(outfit.store_trouble.changed(outfit.store.open_scope(scope, outfit.clock.now()).await)?);
    }
    Ok(opened)
}

/// The scopes of a pair, by that of the flow of a direction and the other's.
fn pair_scopes(direction: Direction, own: ScopeId, other: ScopeId) -> PairScopes {
    match direction {
        Direction::Forward => PairScopes { forward: own, reverse: other },
        Direction::Reverse => PairScopes { forward: other, reverse: own },
    }
}
