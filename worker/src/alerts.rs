//! Alerts: a loop of its own that looks at what is wrong, lets the engine decide what of it is told, stores that, and sends it until the channel
//! takes it. A message leaves the store only after it was accepted, so whatever is killed in between is sent again: at least once.
//!
//! It needs no crew at work, because that there is none may be what is to be told. What is wrong is gathered in `facts`, what was decided is
//! kept by the `desk`, a `channel` sends.

mod channel;
mod desk;
mod facts;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crosstie_connect::{Clock, CredentialStore, Surroundings};
use crosstie_engine::{
    credentials::CredentialsDocument,
    plan::{Alert, ObjectName, Plan, RetryPolicy},
};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use self::desk::Desk;
use crate::{board::Board, files::Mounted, metrics::Metrics, report::Reporter};

pub use facts::wrong;

/// How often it is looked what is wrong.
const LOOK: Duration = Duration::from_secs(2);
/// How long, at a stop, a message under way is waited for. It is sent again after the next start otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whom to tell, as the mounted files say.
#[derive(Clone, Debug, PartialEq)]
pub struct Orders {
    /// The Integration.
    pub integration: ObjectName,
    /// What happens to records that fail.
    pub retry: RetryPolicy,
    /// The channels.
    pub channels: Vec<Alert>,
    /// Credentials of the Connectors they go through, as far as there are any.
    pub credentials: BTreeMap<String, Arc<CredentialsDocument>>,
}

impl Orders {
    /// What a plan and the mounted credentials say.
    pub fn new(plan: &Plan, mounted: &Mounted) -> Self {
        let held = mounted.alerts.iter().filter_map(|(name, found)| Some((name.clone(), Arc::clone(found.content()?))));
        Self {
            integration: plan.integration.clone(),
            retry: plan.retry,
            channels: plan.alerts.clone(),
            credentials: held.filter(|(name, document)| document.connector == *name).collect(),
        }
    }
}

/// What is to be seen of alerts.
#[derive(Clone, Debug, Default)]
pub struct AlertView {
    /// Channels that do not take alerts: their names, and why.
    pub failing: Vec<(String, String)>,
    /// Credentials by Connector.
    pub credentials: Vec<(String, CredentialStore)>,
}

/// What the loop is given.
pub struct Outlook {
    /// What the worker knows of itself.
    pub board: Arc<Board>,
    /// Gathers what is wrong.
    pub reporter: Arc<Reporter>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What clients are given.
    pub surroundings: Surroundings,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// Tells whoever is to be told, until it is told to stop; then a message under way may finish.
pub async fn run(outlook: Outlook, stop: CancellationToken) {
    let mut desk = Desk::new(outlook);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            sent = desk.sent() => desk.settle(sent).await,
            _ = looks.tick() => desk.look().await,
        }
    }
    // What does not finish in time is in the store.
    let _late = timeout(PATIENCE, desk.finish()).await;
}
