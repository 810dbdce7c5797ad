//! One (vendor, instance): its state, behaviour and counts, and the table of all of them.
//!
//! Each part has a lock of its own that is held for a few microseconds and never across an await.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::fault::Faults;
use crate::limit::{Admission, Bucket};
use crate::merge::merge;
use crate::oauth2::OAuth2;
use crate::random::{Stream, seed_of};
use crate::store::State;
use crate::tokens::Tokens;
use crate::traffic::Traffic;
use crate::vendor::{self, Vendor};
use crate::wire::{Settings, Stats};

const MAX_NAME: usize = 63;
const MAX_CLOCK_OFFSET_MILLIS: i64 = 10 * 366 * 24 * 3600 * 1000;

/// Everything one instance has.
pub(crate) struct Instance {
    pub(crate) vendor: &'static dyn Vendor,
    state: Mutex<State>,
    tokens: Mutex<Tokens>,
    oauth2: Mutex<OAuth2>,
    faults: Mutex<Faults>,
    traffic: Mutex<Traffic>,
    bucket: Mutex<Bucket>,
    settings: RwLock<Arc<Settings>>,
    in_flight: AtomicU64,
    peak: AtomicU64,
    clock_offset_millis: AtomicI64,
    identity_seed: u64,
    requests: AtomicU64,
    started: Instant,
}

impl Instance {
    fn new(vendor: &'static dyn Vendor, name: &str) -> Self {
        let settings = vendor.settings();
        let mut state = State::new(vendor.layouts());
        vendor.furnish(&mut state, &settings);
        Self {
            vendor,
            state: Mutex::new(state),
            tokens: Mutex::default(),
            oauth2: Mutex::default(),
            faults: Mutex::default(),
            traffic: Mutex::default(),
            bucket: Mutex::default(),
            settings: RwLock::new(Arc::new(settings)),
            in_flight: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            clock_offset_millis: AtomicI64::new(0),
            identity_seed: seed_of(vendor.name()) ^ seed_of(name),
            requests: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    pub(crate) fn state_lock(&self) -> &Mutex<State> {
        &self.state
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        hold(&self.state)
    }

    pub(crate) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        hold(&self.tokens)
    }

    pub(crate) fn oauth2(&self) -> MutexGuard<'_, OAuth2> {
        hold(&self.oauth2)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        hold(&self.faults)
    }

    pub(crate) fn traffic(&self) -> MutexGuard<'_, Traffic> {
        hold(&self.traffic)
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Merges a change into the settings.
    ///
    /// # Errors
    /// A sentence that says what cannot be used; nothing is changed then.
    pub(crate) fn change_settings(&self, change: Value) -> Result<Arc<Settings>, String> {
        let mut slot = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let mut merged = serde_json::to_value(slot.as_ref()).map_err(|error| error.to_string())?;
        merge(&mut merged, change);
        let settings: Settings = serde_json::from_value(merged).map_err(|error| error.to_string())?;
        check(&settings)?;
        self.clock_offset_millis.store(settings.clock_offset_millis, Ordering::Relaxed);
        *slot = Arc::new(settings);
        Ok(Arc::clone(&slot))
    }

    /// The vendor's time.
    pub(crate) fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_millis(self.clock_offset_millis.load(Ordering::Relaxed));
        Timestamp::now().checked_add(offset).unwrap_or(Timestamp::MAX)
    }

    /// Counts a request as under way until the seat is dropped; also says how many there are now.
    pub(crate) fn enter(self: &Arc<Self>) -> (Seat, u64) {
        let now = self.in_flight.fetch_add(1, Ordering::AcqRel) + 1;
        self.peak.fetch_max(now, Ordering::AcqRel);
        (Seat(Arc::clone(self)), now)
    }

    /// An id that no other request of this instance gets.
    pub(crate) fn request_id(&self) -> String {
        Stream::new(self.identity_seed, self.requests.fetch_add(1, Ordering::Relaxed)).uuid()
    }

    /// Passes a request through the rate limit, if there is one.
    pub(crate) fn admit(&self, settings: &Settings) -> Admission {
        match settings.rate_limit {
            None => Admission { admitted: true, used: 1 },
            Some(limit) => {
                let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
                hold(&self.bucket).admit(limit, millis)
            }
        }
    }

    /// All counts.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            peak_concurrency: self.peak.load(Ordering::Acquire),
            in_flight: self.in_flight.load(Ordering::Acquire),
            writes: self.state().ledger.totals(),
            ..self.traffic().stats()
        }
    }

    /// Forgets all counts; records, tokens, faults and settings stay.
    pub(crate) fn reset_stats(&self) {
        self.traffic().reset();
        self.state().ledger.reset();
        self.peak.store(self.in_flight.load(Ordering::Acquire), Ordering::Release);
    }
}

/// A request under way.
pub(crate) struct Seat(Arc<Instance>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Locks; a panic of another holder does not matter, since no change is left half done across a call that can panic.
pub(crate) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(settings: &Settings) -> Result<(), String> {
    if settings.page_size_default == 0 || settings.page_size_default > settings.page_size_max {
        return Err("pageSizeDefault must be between 1 and pageSizeMax".to_owned());
    }
    if settings
        .rate_limit
        .is_some_and(|limit| limit.bucket_size == 0 || limit.leak_per_second.is_nan() || limit.leak_per_second <= 0.0)
    {
        return Err("rateLimit needs a bucketSize and a leakPerSecond above 0; null switches it off".to_owned());
    }
    if settings.clock_offset_millis.unsigned_abs() > MAX_CLOCK_OFFSET_MILLIS.unsigned_abs() {
        return Err("clockOffsetMillis must be within ten years".to_owned());
    }
    if let Err(error) = jiff::tz::TimeZone::get(&settings.time_zone) {
        return Err(format!("timeZone: {error}"));
    }
    for (name, value) in &settings.extra_headers {
        if name.parse::<axum::http::HeaderName>().is_err() || value.parse::<axum::http::HeaderValue>().is_err() {
            return Err(format!("extraHeaders: {name} is not a header HTTP allows"));
        }
    }
    Ok(())
}

/// All instances, made on first use.
#[derive(Default)]
pub(crate) struct Instances(RwLock<HashMap<(&'static str, String), Arc<Instance>>>);

impl Instances {
    /// The instance, or none when there is no such vendor or the name cannot be one (letters, digits, `-`, `_`, `.`).
    pub(crate) fn get(&self, vendor: &str, name: &str) -> Option<Arc<Instance>> {
        let vendor = vendor::find(vendor)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(allowed) {
            return None;
        }
        let key = (vendor.name(), name.to_owned());
        if let Some(instance) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Some(Arc::clone(instance));
        }
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(table.entry(key).or_insert_with(|| Arc::new(Instance::new(vendor, name)))))
    }
}
