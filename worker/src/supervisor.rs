//! The supervisor: watches the mounted files, opens the store, and sees to it that the right crew is at work. Each round begins from what is
//! there now; nothing is remembered but what was tried in vain.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crosstie_connect::{Clock, Surroundings};
use crosstie_crds::condition::Reason;
use crosstie_engine::plan::Plan;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    alerts::Orders,
    board::{Board, CrewView, Hindrance},
    crew::{Crew, Outfit, Papers, Prepared},
    files::{Files, Found, Mounted},
    metrics::Metrics,
    store::{CallBook, SharedStore, StoreError, sqlite::SqliteStore},
};

/// How often the files are looked at.
const ROUND: Duration = Duration::from_millis(250);
/// How long is waited before a store that could not be opened is tried again.
const OPEN_AGAIN: Duration = Duration::from_secs(1);
/// How often the store is tidied.
const TIDY: Duration = Duration::from_mins(10);
/// How long calls to vendors wait to be stored along with something else.
const LONGEST_UNWRITTEN: Duration = Duration::from_secs(5);
/// How long calls under way may take to finish when a crew is dismissed.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// By how much the clock has to be set back for what waits to begin anew; by less, waits are only that much longer.
const SET_BACK: SignedDuration = SignedDuration::from_secs(1);
/// How long, at a stop, a store that fails is asked on.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// The supervisor.
pub struct Supervisor {
    files: Files,
    state: PathBuf,
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
    surroundings: Surroundings,
    metrics: Arc<Metrics>,
    calls: Arc<CallBook>,
    mounted: Option<Mounted>,
    store: Option<SharedStore>,
    open_failure: Option<(Instant, String)>,
    crew: Option<Crew>,
    /// A plan that could not be worked, and why.
    in_vain: Option<(Arc<Plan>, String)>,
    next_tidy: Instant,
    /// When the last round was, by the clock.
    last_round: Timestamp,
}

impl Supervisor {
    /// A supervisor over files and a state folder. Nothing is opened yet.
    pub fn new(
        (files, state): (Files, PathBuf),
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
        surroundings: Surroundings,
        metrics: Arc<Metrics>,
        calls: Arc<CallBook>,
    ) -> Self {
        Self {
            last_round: clock.now(),
            files,
            state,
            board,
            clock,
            surroundings,
            metrics,
            calls,
            mounted: None,
            store: None,
            open_failure: None,
            crew: None,
            in_vain: None,
            next_tidy: Instant::now() + TIDY,
        }
    }

    /// Works until it is told to stop, then lets calls under way finish and closes the store.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = rounds.tick() => self.round().await,
            }
        }
        self.part().await;
        if let Some(store) = self.store.take() {
            // Closed already means the same.
            let _closed = store.close().await;
        }
    }

    async fn round(&mut self) {
        if self.clock_was_set_back() {
            tracing::warn!("the clock was set back: what waits for a time begins to wait anew");
            self.dismiss().await;
        }
        let fresh = self.files.changed();
        let changed = fresh.is_some();
        self.mounted = fresh.or_else(|| self.mounted.take());
        self.open_store().await;
        let hindrances = self.align(changed).await;
        // At once: what works already is seen to work, and what receives webhooks is found.
        let crew = self.crew.as_ref().map(|crew| CrewView {
            lanes: crew.lanes().to_vec(),
            plan_hash: crew.plan_hash().to_owned(),
            shares_hash: crew.shares_hash().to_owned(),
            credentials: crew.credentials(),
            ears: crew.ears(),
            reception: crew.reception(),
        });
        self.board.post(self.store.clone(), crew, hindrances);
        if let Some(mounted) = self.mounted.as_ref().filter(|_| changed)
            && let Some(plan) = mounted.plan.content().or(self.crew.as_ref().map(|crew| &crew.papers().plan))
        {
            self.board.post_orders(Orders::new(plan, mounted));
        }
        self.write_calls().await;
        self.tidy().await;
    }

    /// Whether the clock was set back since the last round. What the loops wait for is then further off than was meant, in memory and in the store; a new
    /// crew begins with neither.
    fn clock_was_set_back(&mut self) -> bool {
        let now = self.clock.now();
        std::mem::replace(&mut self.last_round, now).duration_since(now) > SET_BACK
    }

    async fn open_store(&mut self) {
        if self.store.is_some() || self.open_failure.as_ref().is_some_and(|(at, _)| at.elapsed() < OPEN_AGAIN) {
            return;
        }
        let (folder, now) = (self.state.clone(), self.clock.now());
        let calls = Arc::clone(&self.calls);
        let open = move || SqliteStore::open_logging(&folder, Uuid::new_v4(), now, calls);
        match tokio::task::spawn_blocking(open).await {
            Ok(Ok(store)) => {
                tracing::info!(folder = %self.state.display(), "the store is open");
                self.store = Some(Arc::new(store));
                self.open_failure = None;
            }
            Ok(Err(error)) => self.store_failed(&error),
            Err(_) => self.store_failed(&StoreError::Closed),
        }
    }

    fn store_failed(&mut self, error: &StoreError) {
        let message = error.to_string();
        if self.open_failure.as_ref().is_none_or(|(_, before)| *before != message) {
            let source = std::error::Error::source(error).map(tracing::field::display);
            tracing::error!(%error, source, "the store cannot be opened; it is tried again");
        }
        self.open_failure = Some((Instant::now(), message));
    }

    /// Sees to it that the right crew is at work. Says what is in the way.
    async fn align(&mut self, changed: bool) -> Vec<Hindrance> {
        let Some(mounted) = self.mounted.clone() else { return Vec::new() };
        let Some(store) = self.store.clone() else {
            let failure = self.open_failure.as_ref().map(|(_, message)| hindrance(Reason::StoreFailed, message));
            return failure.into_iter().collect();
        };
        if let Some(lost) = state_lost(&mounted, &store) {
            self.dismiss().await;
            return vec![lost];
        }
        if self.crew.as_mut().is_some_and(Crew::lost_a_loop) {
            tracing::error!("a loop ended, which none should; all of them start anew");
            self.dismiss().await;
        }
        let mut hindrances = unusable(&mounted);
        let Some(papers) = self.papers(&mounted) else {
            hindrances.extend(self.crew.is_none().then(|| missing(&mounted)).flatten());
            return hindrances;
        };
        if !self.works_by(&papers.plan) && !self.was_in_vain(&papers.plan) {
            self.hire(papers.clone(), &store).await;
        }
        if changed && let Some(crew) = &mut self.crew {
            crew.take_on(papers.clone());
        }
        hindrances.extend(unverifiable(&papers));
        hindrances.extend(self.crew.as_ref().and_then(unsubscribed));
        if self.was_in_vain(&papers.plan) {
            hindrances.extend(self.in_vain.as_ref().map(|(_, why)| hindrance(Reason::PlanInvalid, why)));
        }
        hindrances
    }

    /// What a crew works by: all documents, each the last good one. None while one is missing, or belongs to another Connector than the plan
    /// names, because files are not refreshed at the same moment.
    fn papers(&self, mounted: &Mounted) -> Option<Papers> {
        let now = self.crew.as_ref().map(Crew::papers);
        let plan = mounted.plan.content().or(now.map(|papers| &papers.plan))?;
        let shares = mounted.shares.content().or(now.map(|papers| &papers.shares))?;
        let source = mounted.source.content().or(now.map(|papers| &papers.source))?;
        let destination = mounted.destination.content().or(now.map(|papers| &papers.destination))?;
        let belong = source.connector == plan.source.connector && destination.connector == plan.destination.connector;
        belong.then(|| Papers {
            plan: Arc::clone(plan),
            shares: Arc::clone(shares),
            source: Arc::clone(source),
            destination: Arc::clone(destination),
        })
    }

    fn works_by(&self, plan: &Plan) -> bool {
        self.crew.as_ref().is_some_and(|crew| *crew.papers().plan == *plan)
    }

    fn was_in_vain(&self, plan: &Plan) -> bool {
        self.in_vain.as_ref().is_some_and(|(tried, _)| **tried == *plan)
    }

    async fn hire(&mut self, papers: Papers, store: &SharedStore) {
        let outfit = Outfit {
            store: Arc::clone(store),
            clock: Arc::clone(&self.clock),
            surroundings: self.surroundings.clone(),
            metrics: Arc::clone(&self.metrics),
            store_trouble: Arc::clone(self.board.store_trouble()),
        };
        let plan = Arc::clone(&papers.plan);
        let prepared = match Prepared::new(papers, &outfit, self.crew.as_ref()) {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::error!(plan = plan.hash(), %error, "the plan cannot be worked; the last good one runs on");
                self.in_vain = Some((plan, error.to_string()));
                return;
            }
        };
        self.in_vain = None;
        let mut before = self.crew.take();
        if let Some(crew) = &mut before {
            crew.dismiss(PATIENCE).await;
        }
        if self.calls.set_days(plan.call_log_days) {
            self.next_tidy = Instant::now();
        }
        // A store that fails is said by its own trouble, and the next round tries again.
        if let Ok(crew) = Crew::hire(prepared, &outfit, before.as_ref()).await {
            tracing::info!(plan = crew.plan_hash(), flows = plan.flows.len(), "at work");
            self.crew = Some(crew);
        }
    }

    async fn dismiss(&mut self) {
        if let Some(mut crew) = self.crew.take() {
            crew.dismiss(PATIENCE).await;
        }
    }

    /// Dismisses the crew for good. What a store that fails does not take is not waited for: its outcome is resolved by the next start.
    async fn part(&mut self) {
        let Some(mut crew) = self.crew.take() else { return };
        let trouble = Arc::clone(self.board.store_trouble());
        let gave_up = tokio::select! {
            () = crew.dismiss(PATIENCE) => false,
            () = trouble.lasts(STORE_PATIENCE) => true,
        };
        if gave_up {
            tracing::warn!("the store does not take what is to be stored: the stop does not wait for it");
            crew.abandon().await;
        }
    }

    /// Stores calls that nothing else took along for a while. A store that fails is not asked for the log's sake.
    async fn write_calls(&self) {
        let Some(store) = &self.store else { return };
        if self.calls.has_waited(LONGEST_UNWRITTEN) && self.board.store_trouble().message().is_none() {
            let _later = store.write_calls().await;
        }
    }

    async fn tidy(&mut self) {
        let now = Instant::now();
        if now < self.next_tidy {
            return;
        }
        self.next_tidy = now + TIDY;
        if let Some(store) = &self.store
            && let Ok(tidied) = self.board.store_trouble().changed(store.tidy(self.clock.now()).await)
            && tidied.dead_letters_removed > 0
        {
            tracing::warn!(
                removed = tidied.dead_letters_removed,
                "dead letters were removed: they had lain there for thirty days"
            );
        }
    }
}

fn hindrance(reason: Reason, message: &str) -> Hindrance {
    Hindrance { reason, message: message.to_owned() }
}

/// Whether the store is another one than has to be there.
fn state_lost(mounted: &Mounted, store: &SharedStore) -> Option<Hindrance> {
    let expected = mounted.expected_store.as_deref().filter(|expected| *expected != store.id())?;
    let message = format!(
        "the volume holds another state (store {}) than the one this Integration had (store {expected}): nothing is read or written, so that \
         nothing is sent twice; bring the old volume back, or accept the loss and start anew",
        store.id()
    );
    Some(hindrance(Reason::StateLost, &message))
}

/// What is there and cannot be used.
fn unusable(mounted: &Mounted) -> Vec<Hindrance> {
    let plan =
        mounted.plan.problem().or(mounted.shares.problem()).map(|problem| hindrance(Reason::PlanInvalid, problem));
    let secrets = [&mounted.source, &mounted.destination].into_iter().filter_map(Found::problem);
    plan.into_iter().chain(secrets.map(|problem| hindrance(Reason::SecretMalformed, problem))).collect()
}

/// Keys that webhooks are verified with and the source's credentials lack.
fn unverifiable(papers: &Papers) -> Option<Hindrance> {
    let receiver = papers.plan.receiver.as_ref()?;
    let values = &papers.source.current.values;
    let lacking: Vec<&str> = receiver.credential_keys().filter(|key| !values.contains_key(*key)).collect();
    let message = format!(
        "the credentials of Connector `{}` lack {}, with which its webhooks are verified: none is taken until the secret holds it",
        papers.plan.source.connector,
        lacking.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ")
    );
    (!lacking.is_empty()).then(|| hindrance(Reason::KeyMissing, &message))
}

/// That the source does not send its webhooks here.
fn unsubscribed(crew: &Crew) -> Option<Hindrance> {
    let reception = crew.reception()?;
    let why = reception.unsubscribed()?;
    let message = format!(
        "Connector `{}` does not send its webhooks here, so records come by reading only: {why}; it is tried again",
        reception.source
    );
    Some(hindrance(Reason::SubscriptionMissing, &message))
}

/// What is not there yet, or does not belong together yet.
fn missing(mounted: &Mounted) -> Option<Hindrance> {
    let found = [
        ("the plan", matches!(mounted.plan, Found::Missing)),
        ("the shares", matches!(mounted.shares, Found::Missing)),
        ("the source's credentials", matches!(mounted.source, Found::Missing)),
        ("the destination's credentials", matches!(mounted.destination, Found::Missing)),
    ];
    let names: Vec<&str> = found.iter().filter(|(_, missing)| *missing).map(|(name, _)| *name).collect();
    let usable = unusable(mounted).is_empty();
    let message = match names.as_slice() {
        [] if usable => "waits for credentials of the Connectors that the plan names".to_owned(),
        [] => return None,
        names => format!("waits for {}", names.join(", ")),
    };
    Some(hindrance(Reason::Starting, &message))
}
