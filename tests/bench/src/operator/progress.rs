//! When each object was created, when its status was written for its generation, and when it was as it should be.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::Notify;

/// The times of all objects.
#[derive(Debug, Default)]
pub struct Progress {
    times: Mutex<HashMap<String, Times>>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    created: Option<Instant>,
    status: Option<Instant>,
    ready: Option<Instant>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// From the last create to the last object being ready.
    pub reconciled_after: Duration,
    /// Of each object, from its create to its status being written for its generation; ascending.
    pub status_after: Vec<Duration>,
}

impl Progress {
    /// An object is being created now.
    pub fn creating(&self, object: &Value) {
        self.lock().entry(name(object)).or_default().created = Some(Instant::now());
    }

    /// An object was written by somebody. Those whose create was not told are passed over.
    pub fn seen(&self, object: &Value) {
        let status = &object["status"];
        if status["observedGeneration"].is_null() || status["observedGeneration"] != object["metadata"]["generation"] {
            return;
        }
        let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ready = conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        let now = Instant::now();
        let mut times = self.lock();
        let Some(entry) = times.get_mut(&name(object)) else { return };
        entry.status.get_or_insert(now);
        // What was ready may not be any more: the time counts from which it stayed so.
        entry.ready = ready.then(|| entry.ready.unwrap_or(now));
        drop(times);
        self.changed.notify_one();
    }

    /// Waits until this many objects are ready.
    ///
    /// # Errors
    /// With how many are not, after `patience`.
    pub async fn all_ready(&self, count: usize, patience: Duration) -> anyhow::Result<()> {
        let end = tokio::time::Instant::now() + patience;
        loop {
            let ready = self.lock().values().filter(|times| times.ready.is_some()).count();
            if ready >= count {
                return Ok(());
            }
            if tokio::time::timeout_at(end, self.changed.notified()).await.is_err() {
                anyhow::bail!("{} of {count} objects are not ready after {patience:?}", count - ready);
            }
        }
    }

    /// The times, once everything is ready.
    pub fn outcome(&self) -> Outcome {
        let times = self.lock();
        let last_created = times.values().filter_map(|times| times.created).max();
        let last_ready = times.values().filter_map(|times| times.ready).max();
        let mut status_after: Vec<Duration> =
            times.values().filter_map(|times| Some(times.status?.duration_since(times.created?))).collect();
        status_after.sort_unstable();
        let reconciled_after = last_ready.zip(last_created).map(|(ready, created)| ready.duration_since(created));
        Outcome { reconciled_after: reconciled_after.unwrap_or_default(), status_after }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Times>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outcome {
    /// The time within which this many hundredths of all objects had their status.
    pub fn percentile(&self, hundredths: usize) -> Duration {
        let place = (self.status_after.len() * hundredths).div_ceil(100).saturating_sub(1);
        self.status_after.get(place).copied().unwrap_or_default()
    }
}

fn name(object: &Value) -> String {
    format!(
        "{}/{}",
        object["kind"].as_str().unwrap_or_default(),
        object["metadata"]["name"].as_str().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(observed: u32, ready: &str) -> Value {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        let status = json!({"observedGeneration": observed, "conditions": conditions});
        json!({"kind": "Connector", "metadata": {"name": "a", "generation": 1}, "status": status})
    }

    #[tokio::test]
    async fn only_a_status_of_the_generation_counts() {
        let progress = Progress::default();
        progress.creating(&object(0, "False"));
        progress.seen(&object(0, "True"));
        assert!(progress.all_ready(1, Duration::ZERO).await.is_err());
        progress.seen(&object(1, "True"));
        progress.all_ready(1, Duration::ZERO).await.unwrap();
        progress.seen(&object(1, "False"));
        assert!(progress.all_ready(1, Duration::ZERO).await.is_err());
        assert_eq!(progress.outcome().status_after.len(), 1);
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let status_after = (1..=20).map(Duration::from_secs).collect();
        let outcome = Outcome { reconciled_after: Duration::ZERO, status_after };
        assert_eq!([50, 95, 100].map(|part| outcome.percentile(part).as_secs()), [10, 19, 20]);
    }
}
