//! The paces of one system: its whole allowance, those of single endpoints beside it, and a quota a day. A request waits for all that are its own.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crosstie_engine::{
    glob,
    plan::{Allowance, Daily, Endpoint, RateRules, System},
    rate,
};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    bucket::Bucket,
    clock::Clock,
    connections::{Connections, Place},
    quota::Quota,
    signals::LONGEST_RETRY_AFTER,
    throttle::{LONGEST_WAIT, PAUSE},
};

/// One pace, shared by all requests that keep to it.
#[derive(Debug)]
pub struct Pace {
    connections: Connections,
    bucket: Mutex<Bucket>,
    /// One request at a time waits for the bucket; the others wait here, in order.
    turn: tokio::sync::Mutex<()>,
    /// Wakes the one that waits when the bucket was changed.
    changed: Notify,
}

impl Pace {
    /// The pace of a share.
    pub fn new(share: Allowance) -> Self {
        Self {
            connections: Connections::new(share.concurrency),
            bucket: Mutex::new(Bucket::new(share)),
            turn: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Takes on another share at once, also for requests that wait already.
    pub fn set_share(&self, share: Allowance) {
        self.connections.set_limit(share.concurrency);
        self.bucket().set_share(share, Instant::now());
        self.changed.notify_waiters();
    }

    /// Waits until a request may leave; or says after how long to come back.
    pub async fn leave(&self, deadline: Instant) -> Result<Place, Duration> {
        let place = timeout_at(deadline, self.connections.place()).await.ok().flatten().ok_or(PAUSE)?;
        let _turn = timeout_at(deadline, self.turn.lock()).await.map_err(|_| PAUSE)?;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listening begins before looking, so that no change falls between the two.
            changed.as_mut().enable();
            let now = Instant::now();
            let Err(later) = self.bucket().leave(now) else { return Ok(place) };
            if later > deadline {
                return Err(later - now);
            }
            tokio::select! {
                () = sleep_until(later) => {}
                () = changed => {}
            }
        }
    }

    /// Lets nothing leave for so long.
    pub fn hold(&self, wait: Duration) {
        self.bucket().close_until(Instant::now() + wait.min(LONGEST_RETRY_AFTER));
        self.changed.notify_waiters();
    }

    /// Keeps to what is left of a quota of which `weight` is ours.
    fn follow(&self, quota: &Quota, weight: f64) {
        self.bucket().follow(quota, weight, Instant::now());
        self.changed.notify_waiters();
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All paces of a system.
pub struct Paces {
    whole: Pace,
    endpoints: Vec<(Endpoint, Pace)>,
    daily: Option<Today>,
    account: Allowance,
    /// Which part of the account is ours, in 0..1.
    weight: Mutex<f64>,
    clock: Arc<dyn Clock>,
}

impl Paces {
    /// The paces of a system for a share of its account's allowance. What left today under those before them counts on.
    pub fn new(system: &System, share: Allowance, clock: Arc<dyn Clock>, before: Option<&Self>) -> Self {
        Self::of(system.allowance, &system.rate, share, clock, before)
    }

    pub fn of(
        account: Allowance,
        rules: &RateRules,
        share: Allowance,
        clock: Arc<dyn Clock>,
        before: Option<&Self>,
    ) -> Self {
        let counted = before.and_then(|before| before.daily.as_ref()).map(|today| Arc::clone(&today.count));
        let weight = rate::weight(&account, &share);
        let endpoints = rules.endpoints.iter().map(|endpoint| {
            let pace = Pace::new(rate::part(&endpoint.allowance, weight));
            (endpoint.clone(), pace)
        });
        Self {
            whole: Pace::new(share),
            endpoints: endpoints.collect(),
            daily: rules.daily.map(|daily| Today::new(daily, counted, clock.now())),
            account,
            weight: Mutex::new(weight),
            clock,
        }
    }

    /// Takes on another share at once; those of endpoints and of the day change in proportion.
    pub fn set_share(&self, share: Allowance) {
        let weight = rate::weight(&self.account, &share);
        *self.weight.lock().unwrap_or_else(PoisonError::into_inner) = weight;
        self.whole.set_share(share);
        for (endpoint, pace) in &self.endpoints {
            pace.set_share(rate::part(&endpoint.allowance, weight));
        }
    }

    /// Waits until a request may leave; or says after how long to come back.
    pub async fn leave(&self, method: &http::Method, path: &str) -> Result<Vec<Place>, Duration> {
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut places = Vec::with_capacity(1);
        for pace in self.own(method, path) {
            places.push(pace.leave(deadline).await?);
        }
        places.push(self.whole.leave(deadline).await?);
        if let Some(today) = &self.daily {
            today.take(self.weight(), self.clock.now())?;
        }
        Ok(places)
    }

    /// Lets nothing of the same endpoint leave for so long; nothing at all where a request is of none.
    pub fn hold(&self, method: &http::Method, path: &str, wait: Duration) {
        self.limiting(method, path).for_each(|pace| pace.hold(wait));
    }

    /// Keeps the same to what is left of a quota.
    pub fn follow(&self, method: &http::Method, path: &str, quota: &Quota) {
        let weight = self.weight();
        self.limiting(method, path).for_each(|pace| pace.follow(quota, weight));
        if let Some(today) = &self.daily {
            today.follow(quota, weight, self.clock.now());
        }
    }

    fn weight(&self) -> f64 {
        *self.weight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own<'a>(&'a self, method: &'a http::Method, path: &'a str) -> impl Iterator<Item = &'a Pace> {
        self.endpoints.iter().filter(|(endpoint, _)| is_of(endpoint, method, path)).map(|(_, pace)| pace)
    }

    fn limiting<'a>(&'a self, method: &'a http::Method, path: &'a str) -> impl Iterator<Item = &'a Pace> {
        let mut own = self.own(method, path).peekable();
        let whole = own.peek().is_none().then_some(&self.whole);
        own.chain(whole)
    }
}

fn is_of(endpoint: &Endpoint, method: &http::Method, path: &str) -> bool {
    let methods = endpoint.methods.is_empty() || endpoint.methods.iter().any(|name| name == method.as_str());
    methods && endpoint.paths.iter().any(|pattern| glob::matches(pattern, path))
}

/// Requests of a day. What left before this process began is known only where the vendor's headers say what is used of as large a quota.
struct Today {
    quota: Daily,
    count: Arc<Mutex<Count>>,
}

/// How many requests left, and until when they count.
struct Count {
    requests: f64,
    until: Timestamp,
}

impl Count {
    fn at(&mut self, quota: Daily, now: Timestamp) -> &mut Self {
        if now >= self.until {
            *self = Self { requests: 0.0, until: next_reset(quota, now) };
        }
        self
    }
}

impl Today {
    fn new(quota: Daily, counted: Option<Arc<Mutex<Count>>>, now: Timestamp) -> Self {
        let none = || Arc::new(Mutex::new(Count { requests: 0.0, until: next_reset(quota, now) }));
        Self { quota, count: counted.unwrap_or_else(none) }
    }

    /// Counts a request; or says how long nothing leaves any more.
    fn take(&self, weight: f64, now: Timestamp) -> Result<(), Duration> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.at(self.quota, now);
        let spent = count.requests + 1.0 > f64::from(self.quota.requests) * weight;
        if spent && count.requests > 0.0 {
            return Err(Duration::try_from(count.until.duration_since(now)).unwrap_or(PAUSE));
        }
        count.requests += 1.0;
        Ok(())
    }

    /// Counts what the vendor says is used of a quota as large as this one, whoever used it before: our part of it.
    fn follow(&self, quota: &Quota, weight: f64, now: Timestamp) {
        let Some(limit) = quota.limit.filter(|limit| *limit == u64::from(self.quota.requests)) else { return };
        #[expect(clippy::cast_precision_loss, reason = "no day has so many requests")]
        let ours = limit.saturating_sub(quota.remaining) as f64 * weight;
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.at(self.quota, now);
        count.requests = count.requests.max(ours);
    }
}

/// When a quota of a day is there again.
fn next_reset(quota: Daily, now: Timestamp) -> Timestamp {
    let midnight = now.to_zoned(TimeZone::UTC).start_of_day().unwrap_or_else(|_| now.to_zoned(TimeZone::UTC));
    let today = midnight.timestamp() + i64::from(quota.reset_minute).minutes();
    if today > now { today } else { today + 24.hours() }
}

#[cfg(test)]
mod tests;
