//! Access tokens by OAuth 2.0 grants. The operator is the only one who gets them: what they are got with never reaches a worker. What is to be done is
//! decided in `decision`, from what `ledger` has; one renewal is `renewal`, in terms of what it keeps books in (`books`), where refresh tokens are
//! stored (`vault::aws`) and who grants (`exchange`, `connect::grants`). Here is what is remembered, and the loop that runs errands, as many at the
//! same moment as there are `seats`.

pub mod books;
pub mod decision;
mod exchange;
pub mod ledger;
pub mod renewal;
pub mod seats;

use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use crosstie_connect::{
    CallFailure, FailureKind, Surroundings, Timeouts,
    grants::{GrantFailure, Granted, Remains, TokenRequest, TokenSource},
};
use crosstie_engine::{credentials::CredentialVersion, grant::Grant, plan::System};
use futures::{StreamExt, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use self::{
    books::{Books, Revision},
    ledger::{Ledger, Source},
    renewal::{Grantor, Outcome, Renewals, Safe},
};
use crate::{
    plan::objects::Owner,
    telemetry::Metrics,
    trigger::Key,
    vault::{SecretKey, VaultFault, secrets::Secrets},
};

/// How many changes a slow listener may lag behind before it is told that it missed some.
const CHANGES_KEPT: usize = 1024;
/// Wait before the first try after one that came to nothing; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The longest such wait, unless the server asks for a longer one.
const LONGEST_RETRY: Duration = Duration::from_mins(5);
/// How long is waited for a server that grants tokens; together with storing what it grants less than a claim counts.
const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(5), first_byte: Duration::from_secs(12), whole: Duration::from_secs(15) };

/// Something to look after: what is needed to renew one Connector's token.
#[derive(Clone, Debug)]
pub struct Errand {
    /// The Connector, who owns what is kept.
    pub owner: Owner,
    /// It over its preset.
    pub system: System,
    /// How tokens are got.
    pub grant: Grant,
    /// The client's credentials.
    pub client: Arc<CredentialVersion>,
    /// The secret with the refresh token, if there is one.
    pub refresh: Option<SecretKey>,
    /// What tokens are to be got with, as far as is remembered.
    pub source: Source,
    /// The version of the token that a worker says the vendor refuses, if any.
    pub rejected: Option<String>,
}

impl Errand {
    fn key(&self) -> Key {
        Key::new(&self.owner.namespace, &self.owner.name)
    }
}

/// What is remembered of one Connector's tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// What is kept, as it was last read; none when it could not be read yet.
    pub ledger: Option<Arc<Ledger>>,
    /// Which version of it that is.
    pub revision: Revision,
    /// Why the last errand came to nothing, if it did.
    pub failure: Option<Failure>,
}

/// An errand that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason, and a sentence for people.
    pub fault: VaultFault,
    /// What it was tried with.
    pub source: Source,
    /// Before when it is not tried again with the same.
    pub not_before: Timestamp,
    /// How many there were in a row.
    pub count: u32,
}

/// The shared memory of tokens. Reading never waits; whoever needs what is not known sends an errand.
pub struct Broker {
    entries: RwLock<HashMap<Key, Entry>>,
    wanted: mpsc::UnboundedSender<Errand>,
    changes: broadcast::Sender<Key>,
}

impl Broker {
    /// An empty memory, and the list of errands.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Errand>) {
        let (wanted, asked) = mpsc::unbounded_channel();
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        (Self { entries: RwLock::default(), wanted, changes }, asked)
    }

    /// What is known of a Connector's tokens.
    pub fn look(&self, connector: &Key) -> Option<Entry> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(connector).cloned()
    }

    /// Has an errand run, unless one of the same Connector is under way. [`Broker::changes`] tells when it changed anything.
    pub fn send(&self, errand: Errand) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).entry(errand.key()).or_default();
        // Nobody listens only while the operator is stopping.
        let _ = self.wanted.send(errand);
    }

    /// Connectors whose tokens, or troubles with them, change from now on.
    pub fn changes(&self) -> broadcast::Receiver<Key> {
        self.changes.subscribe()
    }

    /// Drops what is known of a Connector that is gone. Errands of its end.
    pub fn forget(&self, connector: &Key) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(connector);
    }

    /// Takes over what came of an errand, and tells listeners if it changed anything. `random` is from 0 to 1. Says whether the Connector is still there.
    fn store(&self, errand: &Errand, outcome: Outcome, now: Timestamp, random: f64) -> bool {
        let key = errand.key();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get_mut(&key) else { return false };
        let failure = outcome.trouble.map(|trouble| {
            let before = entry.failure.as_ref().filter(|before| before.source == errand.source);
            let count = before.map_or(0, |before| before.count).saturating_add(1);
            if before.is_none_or(|before| before.fault != trouble.fault) {
                tracing::warn!(connector = %key, reason = %trouble.fault.reason, "{}", trouble.fault);
            }
            let wait = backoff(count, random).max(trouble.wait.unwrap_or_default());
            let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
            let not_before = now.checked_add(wait).unwrap_or(Timestamp::MAX);
            Failure { fault: trouble.fault, source: errand.source.clone(), not_before, count }
        });
        let id = |ledger: Option<&Ledger>| ledger?.current.as_ref().map(|token| token.version.version_id.clone());
        let (was, is) = (id(entry.ledger.as_deref()), id(outcome.kept.as_ref().map(|(ledger, _)| ledger)));
        if is.is_some() && was != is {
            tracing::info!(connector = %key, version = is, "an access token is there");
        }
        let after = match outcome.kept {
            Some((ledger, revision)) => Entry { ledger: Some(Arc::new(ledger)), revision, failure },
            None => Entry { failure, ..entry.clone() },
        };
        if *entry != after {
            *entry = after;
            let _ = self.changes.send(key);
        }
        true
    }
}

fn backoff(count: u32, random: f64) -> Duration {
    let wait = FIRST_RETRY.saturating_mul(1 << count.saturating_sub(1).min(16)).min(LONGEST_RETRY);
    wait.mul_f64(0.75 + 0.25 * random)
}

/// The loop that runs errands, each Connector's one at a time.
pub struct Work<B, S, G, N> {
    /// Where outcomes go.
    pub broker: Arc<Broker>,
    /// How an errand is run.
    pub renewals: Renewals<B, S, G, N>,
    /// What is remembered of secrets, refresh tokens among them.
    pub secrets: Arc<Secrets>,
    /// A random number from 0 to 1, so that those that wait do not come back together.
    pub jitter: fn() -> f64,
}

impl<B: Books, S: Safe, G: Grantor, N: Fn() -> Timestamp + Send + Sync> Work<B, S, G, N> {
    /// Runs until it is stopped. What is under way then is finished: a refresh token that was used and not stored would be lost.
    pub async fn run(self, mut asked: mpsc::UnboundedReceiver<Errand>, stop: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        // Connectors that are attended to, each with the newest errand that came meanwhile.
        let mut busy: HashMap<Key, Option<Errand>> = HashMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(errand) = asked.recv() => match busy.entry(errand.key()) {
                    hash_map::Entry::Occupied(mut waiting) => drop(waiting.insert(Some(errand))),
                    hash_map::Entry::Vacant(free) => {
                        free.insert(None);
                        under_way.push(self.attend(errand, &stop));
                    }
                },
                Some(key) = under_way.next(), if !under_way.is_empty() => {
                    if let Some(Some(errand)) = busy.remove(&key) {
                        busy.insert(key, None);
                        under_way.push(self.attend(errand, &stop));
                    }
                }
            }
        }
        while under_way.next().await.is_some() {}
    }

    async fn attend(&self, errand: Errand, stop: &CancellationToken) -> Key {
        let seat = self.renewals.seats.take(&errand.owner.namespace).await;
        if stop.is_cancelled() || self.broker.look(&errand.key()).is_none() {
            return errand.key();
        }
        let take_over = |outcome| self.broker.store(&errand, outcome, (self.renewals.now)(), (self.jitter)());
        let outcome = self.renewals.attend(&errand, seat, &take_over).await;
        let current = outcome.kept.as_ref().and_then(|(ledger, _)| ledger.current.as_ref());
        let refresh = current.and_then(|token| token.source.refresh.as_ref());
        if let Some(key) = errand.refresh.as_ref().filter(|_| refresh != errand.source.refresh.as_ref()) {
            self.secrets.hurry(key);
        }
        take_over(outcome);
        errand.key()
    }
}

/// Servers that grant tokens, through the egress guard.
pub struct Servers {
    surroundings: Surroundings,
    metrics: Metrics,
}

impl Servers {
    /// Reached as everything else is, with patience of their own.
    pub fn new(surroundings: Surroundings, metrics: Metrics) -> Self {
        Self { surroundings: Surroundings { timeouts: TIMEOUTS, ..surroundings }, metrics }
    }
}

impl Grantor for Servers {
    async fn fetch(&self, system: &System, request: &TokenRequest, nonce: &str) -> Result<Granted, GrantFailure> {
        let source = TokenSource::new(system, &self.surroundings).map_err(|error| {
            let failure = CallFailure::new(FailureKind::Refused, error.to_string());
            GrantFailure { failure, remains: Remains::Intact }
        })?;
        let granted = source.fetch(request, nonce).await;
        self.metrics.asked_for_token(granted.is_ok());
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_after_failures_grow_and_are_bounded() {
        assert_eq!(backoff(1, 1.0), FIRST_RETRY);
        assert_eq!(backoff(3, 1.0), Duration::from_secs(8));
        assert_eq!(backoff(1000, 1.0), LONGEST_RETRY);
    }
}
