//! What the worker counts for Prometheus. Labels are names and kinds, never keys or values of records.

use std::sync::atomic::AtomicU64;

use crosstie_connect::{CacheUse, CallRecord, FailureKind, Observer};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::store::{EventFate, Figures, Taken};

/// Upper bounds of the duration histogram's buckets, in seconds.
const DURATIONS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written.
    Delivered,
    /// Needed no write.
    Unchanged,
    /// Left out by `when`.
    LeftOut,
    /// Left out because the destination does not have it, and its flow only changes what is there.
    Missing,
    /// A newer state was settled before.
    Superseded,
    /// Not, or no longer, at the destination.
    Deleted,
    /// Went to the dead letters.
    Buried,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Unchanged => "unchanged",
            Self::LeftOut => "left_out",
            Self::Missing => "missing",
            Self::Superseded => "superseded",
            Self::Deleted => "deleted",
            Self::Buried => "dead_letter",
        }
    }
}

/// Why a request was not taken as a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It was sent where no receiver is.
    Elsewhere,
    /// Its caller sent too many that were not verified.
    Throttled,
    /// It carries no signature.
    Unsigned,
    /// Its signature is wrong.
    Forged,
    /// It was sent too long ago.
    Stale,
    /// The credentials lack what it is verified with.
    NoSecret,
    /// Its body is larger than is taken.
    TooLarge,
    /// Its body ended before it was whole.
    BrokenOff,
    /// Its body took too long.
    TooSlow,
    /// Too much of other bodies is held to read its own.
    NoRoom,
    /// It is verified and cannot be read.
    Malformed,
    /// More came than is taken for whom it is counted.
    Limited,
    /// The store could not take it.
    NotStored,
}

impl Refused {
    fn as_str(self) -> &'static str {
        match self {
            Self::Elsewhere => "elsewhere",
            Self::Throttled => "throttled",
            Self::Unsigned => "unsigned",
            Self::Forged => "forged",
            Self::Stale => "stale",
            Self::NoSecret => "no_secret",
            Self::TooLarge => "too_large",
            Self::BrokenOff => "broken_off",
            Self::TooSlow => "too_slow",
            Self::NoRoom => "no_room",
            Self::Malformed => "malformed",
            Self::Limited => "limited",
            Self::NotStored => "not_stored",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FlowLabel {
    flow: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    flow: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    flow: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    purpose: &'static str,
    name: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    purpose: &'static str,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    stream: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlertLabel {
    alert: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SentLabels {
    alert: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CredentialLabels {
    connector: String,
    version: String,
}

type Amount = Gauge<i64>;
type Count = Counter<u64, AtomicU64>;

/// The worker's metrics.
pub struct Metrics {
    registry: Registry,
    polls: Family<FlowLabel, Count>,
    read: Family<FlowLabel, Count>,
    known: Family<FlowLabel, Count>,
    handled: Family<OutcomeLabels, Count>,
    failures: Family<FailureLabels, Count>,
    resolutions: Family<FlowLabel, Count>,
    queue_depth: Family<FlowLabel, Amount>,
    dead_letters: Family<FlowLabel, Amount>,
    held: Family<FlowLabel, Amount>,
    calls: Family<CallLabels, Count>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    mapping_look_ups: Family<CacheLabels, Count>,
    cache: Family<CacheLabels, Count>,
    credentials: Family<CredentialLabels, Amount>,
    events: Family<WebhookLabel, Count>,
    refused: Family<WebhookLabel, Count>,
    alerts: Family<SentLabels, Count>,
    alerts_waiting: Family<AlertLabel, Amount>,
    alerts_failing: Family<AlertLabel, Amount>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("crosstie_worker"),
            polls: Family::default(),
            read: Family::default(),
            known: Family::default(),
            handled: Family::default(),
            failures: Family::default(),
            resolutions: Family::default(),
            queue_depth: Family::default(),
            dead_letters: Family::default(),
            held: Family::default(),
            calls: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
            mapping_look_ups: Family::default(),
            cache: Family::default(),
            credentials: Family::default(),
            events: Family::default(),
            refused: Family::default(),
            alerts: Family::default(),
            alerts_waiting: Family::default(),
            alerts_failing: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("polls", "Windows that were begun to be read", self.polls.clone());
        registry.register("records_read", "Records that the source showed", self.read.clone());
        registry.register("records_known", "Records read that were known already", self.known.clone());
        registry.register(
            "records_handled",
            "Records that left the queue, by what became of them",
            self.handled.clone(),
        );
        registry.register(
            "call_failures",
            "Calls that came to nothing by the system's fault, by kind",
            self.failures.clone(),
        );
        registry.register("look_ups", "Writes of unknown outcome that were looked up", self.resolutions.clone());
        registry.register("queue_depth", "Records waiting to be delivered", self.queue_depth.clone());
        registry.register("dead_letters", "Records in the dead letters", self.dead_letters.clone());
        registry.register("held", "Records whose write has an unknown outcome", self.held.clone());
        registry.register("calls", "Requests that went out, by status; 0 is no answer", self.calls.clone());
        registry.register(
            "call_duration_seconds",
            "From sending a request to the end of its answer",
            self.durations.clone(),
        );
        registry.register(
            "mapping_look_ups",
            "Records that mappings looked up, by where they came from: remembered, or asked for",
            self.mapping_look_ups.clone(),
        );
        registry.register(
            "cache",
            "Answers that may be kept, by where they came from: hit, revalidated or miss",
            self.cache.clone(),
        );
        registry.register(
            "webhook_events",
            "Events of webhooks that were acknowledged, by what became of them",
            self.events.clone(),
        );
        registry.register("webhooks_refused", "Webhooks that were not taken, by reason", self.refused.clone());
        registry.register("credential_version", "1 for the version of credentials in use", self.credentials.clone());
        registry.register("alerts", "Alerts that were sent, by whether the channel took them", self.alerts.clone());
        registry.register("alerts_waiting", "Alerts that their channel has not taken yet", self.alerts_waiting.clone());
        registry.register("alerts_failing", "1 while a channel does not take alerts", self.alerts_failing.clone());
    }

    /// The metrics in the `OpenMetrics` text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _written = text::encode(&mut text, &self.registry);
        text
    }

    /// A window was begun to be read.
    pub fn polled(&self, flow: &str) {
        self.polls.get_or_create(&FlowLabel { flow: flow.into() }).inc();
    }

    /// So many records were read.
    pub fn read(&self, flow: &str, records: u64) {
        self.read.get_or_create(&FlowLabel { flow: flow.into() }).inc_by(records);
    }

    /// A page was taken.
    pub fn taken(&self, flow: &str, taken: Taken) {
        self.known.get_or_create(&FlowLabel { flow: flow.into() }).inc_by(taken.known);
        if taken.buried > 0 {
            self.handled_many(flow, Outcome::Buried, taken.buried);
        }
    }

    /// An event was acknowledged; `unrouted` says that no flow asks for its topic.
    pub fn event(&self, fate: &EventFate, unrouted: bool) {
        let outcome = match fate {
            EventFate::Repeated => "repeated",
            EventFate::Taken(_) if unrouted => "unrouted",
            EventFate::Taken(_) => "taken",
        };
        self.events.get_or_create(&WebhookLabel { outcome }).inc();
    }

    /// A webhook was not taken.
    pub fn webhook_refused(&self, reason: Refused) {
        self.refused.get_or_create(&WebhookLabel { outcome: reason.as_str() }).inc();
    }

    /// A record left the queue.
    pub fn handled(&self, flow: &str, outcome: Outcome) {
        self.handled_many(flow, outcome, 1);
    }

    fn handled_many(&self, flow: &str, outcome: Outcome, records: u64) {
        self.handled.get_or_create(&OutcomeLabels { flow: flow.into(), outcome: outcome.as_str() }).inc_by(records);
    }

    /// A call came to nothing by the system's fault.
    pub fn call_failed(&self, flow: &str, kind: FailureKind) {
        self.failures.get_or_create(&FailureLabels { flow: flow.into(), kind: kind.as_str() }).inc();
    }

    /// A write of unknown outcome was looked up.
    pub fn resolved(&self, flow: &str) {
        self.resolutions.get_or_create(&FlowLabel { flow: flow.into() }).inc();
    }

    /// A mapping looked a record up.
    pub fn looked_up(&self, stream: &str, remembered: bool) {
        let outcome = if remembered { "remembered" } else { "asked" };
        self.mapping_look_ups.get_or_create(&CacheLabels { stream: stream.into(), outcome }).inc();
    }

    /// Takes a flow's figures on.
    pub fn set_figures(&self, flow: &str, figures: &Figures) {
        let label = FlowLabel { flow: flow.into() };
        let amount = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.queue_depth.get_or_create(&label).set(amount(figures.queue_depth));
        self.dead_letters.get_or_create(&label).set(amount(figures.dead_letters));
        self.held.get_or_create(&label).set(amount(figures.held));
    }

    /// An alert was sent, and taken or not.
    pub fn alerted(&self, alert: &str, taken: bool) {
        let outcome = if taken { "taken" } else { "failed" };
        self.alerts.get_or_create(&SentLabels { alert: alert.into(), outcome }).inc();
    }

    /// Forgets which channels there were.
    pub fn forget_alerts(&self) {
        self.alerts_waiting.clear();
        self.alerts_failing.clear();
    }

    /// Takes on how many alerts wait for a channel, and whether it takes none.
    pub fn set_alerts(&self, alert: &str, waiting: usize, failing: bool) {
        let label = AlertLabel { alert: alert.into() };
        self.alerts_waiting.get_or_create(&label).set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.alerts_failing.get_or_create(&label).set(i64::from(failing));
    }

    /// Takes on which versions of credentials are in use: (Connector, version id).
    pub fn set_credentials<'a>(&self, versions: impl Iterator<Item = (&'a str, &'a str)>) {
        self.credentials.clear();
        for (connector, version) in versions {
            self.credentials
                .get_or_create(&CredentialLabels { connector: connector.into(), version: version.into() })
                .set(1);
        }
    }
}

impl Observer for Metrics {
    fn called(&self, record: &CallRecord<'_>) {
        let (purpose, name) = (record.purpose.as_str(), record.name.to_owned());
        self.durations
            .get_or_create(&DurationLabels { purpose, name: name.clone() })
            .observe(record.duration.as_secs_f64());
        self.calls.get_or_create(&CallLabels { purpose, name, status: record.status.unwrap_or(0) }).inc();
    }

    fn cached(&self, name: &str, cache_use: CacheUse) {
        self.cache.get_or_create(&CacheLabels { stream: name.into(), outcome: cache_use.as_str() }).inc();
    }
}

#[cfg(test)]
mod tests;
