//! The board: what the worker knows of itself at the moment, for the report, the health checks and whoever runs it. The supervisor writes it;
//! everyone may read it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crosstie_connect::{CredentialStore, VendorClient};
use crosstie_crds::condition::Reason;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    alerts::{AlertView, Orders},
    lane::Lane,
    receiver::Reception,
    store::SharedStore,
    trouble::StoreTrouble,
};

/// How long the supervisor may be silent before the worker counts as stuck. Longer than calls under way are waited for.
const LONGEST_SILENCE: Duration = Duration::from_secs(90);

/// The board. Shared.
#[derive(Debug)]
pub struct Board {
    started_at: Timestamp,
    store_trouble: Arc<StoreTrouble>,
    posted: Mutex<Arc<Posted>>,
    alerts: Mutex<(Option<Arc<Orders>>, AlertView)>,
}

/// What the supervisor posted last.
#[derive(Default)]
pub struct Posted {
    /// The store, once it is open.
    pub store: Option<SharedStore>,
    /// The crew at work.
    pub crew: Option<CrewView>,
    /// What keeps the worker from working as it should.
    pub hindrances: Vec<Hindrance>,
    /// When the supervisor last came by.
    beat: Option<Instant>,
}

/// What is to be seen of a crew.
pub struct CrewView {
    /// Its lanes, in the plan's order.
    pub lanes: Vec<Arc<Lane>>,
    /// Hash of its plan.
    pub plan_hash: String,
    /// Hash of its shares.
    pub shares_hash: String,
    /// Its credentials by Connector.
    pub credentials: Vec<(String, CredentialStore)>,
    /// The systems it calls.
    pub ears: Vec<Ear>,
    /// How it receives webhooks, if a flow takes any.
    pub reception: Option<Arc<Reception>>,
}

/// A system that is called, and what of it is listened to for word of its API's version.
#[derive(Clone, Debug)]
pub struct Ear {
    /// Its Connector.
    pub connector: String,
    /// The version it is asked for.
    pub requested: Option<String>,
    /// How it is called.
    pub client: VendorClient,
    /// Streams that are read again and again.
    pub streams: Vec<String>,
    /// Streams and operations that are asked only now and then.
    pub others: Vec<String>,
}

/// Something that keeps the worker from working as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hindrance {
    /// The reason that conditions will show.
    pub reason: Reason,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::fmt::Debug for Posted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plan_hash = self.crew.as_ref().map(|crew| &crew.plan_hash);
        formatter
            .debug_struct("Posted")
            .field("plan_hash", &plan_hash)
            .field("hindrances", &self.hindrances)
            .finish_non_exhaustive()
    }
}

impl Board {
    /// An empty board of a worker that starts now.
    pub fn new(started_at: Timestamp, store_trouble: Arc<StoreTrouble>) -> Self {
        Self { started_at, store_trouble, posted: Mutex::default(), alerts: Mutex::default() }
    }

    /// When the worker started.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// What is wrong with the store.
    pub fn store_trouble(&self) -> &Arc<StoreTrouble> {
        &self.store_trouble
    }

    /// Posts what is the case now.
    pub fn post(&self, store: Option<SharedStore>, crew: Option<CrewView>, hindrances: Vec<Hindrance>) {
        *self.lock() = Arc::new(Posted { store, crew, hindrances, beat: Some(Instant::now()) });
    }

    /// What was posted last. Shared, because whoever receives webhooks asks for each.
    pub fn posted(&self) -> Arc<Posted> {
        Arc::clone(&self.lock())
    }

    /// Posts whom to tell.
    pub fn post_orders(&self, orders: Orders) {
        let mut alerts = self.alerts();
        if alerts.0.as_ref().is_none_or(|known| **known != orders) {
            alerts.0 = Some(Arc::new(orders));
        }
    }

    /// Whom to tell; none before a plan was read.
    pub fn alert_orders(&self) -> Option<Arc<Orders>> {
        self.alerts().0.clone()
    }

    /// Posts what is to be seen of alerts.
    pub fn post_alerts(&self, view: AlertView) {
        self.alerts().1 = view;
    }

    /// What is to be seen of alerts.
    pub fn alert_view(&self) -> AlertView {
        self.alerts().1.clone()
    }

    fn alerts(&self) -> MutexGuard<'_, (Option<Arc<Orders>>, AlertView)> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the supervisor came by lately.
    pub fn is_alive(&self) -> bool {
        self.lock().beat.is_none_or(|beat| beat.elapsed() < LONGEST_SILENCE)
    }

    /// Why the worker is not ready, if it is not: it is when a crew is at work on a store that works.
    pub fn unready(&self) -> Option<String> {
        if let Some(trouble) = self.store_trouble.message() {
            return Some(trouble);
        }
        let posted = self.lock();
        match (&posted.crew, posted.hindrances.first()) {
            (Some(_), _) => None,
            (None, Some(hindrance)) => Some(hindrance.message.clone()),
            (None, None) => Some("the worker is starting".to_owned()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Posted>> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
