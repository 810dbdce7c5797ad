//! The cache layer: keeps answers to reads that may be a while old, such as records that mappings look up. An answer is used for a time; then the
//! vendor is asked whether it still holds (`If-None-Match`, `If-Modified-Since`). However many ask for the same at the same moment, one request is
//! made. Memory is bounded. Pages of streams, single records that delivery fetches anew and look-ups of writes never come from here.
//!
//! An answer is given again only to whoever asks the same: for the same stream, by the same URL and headers, and with the same version of the
//! credentials as it was given to, because another one may be another account's, which sees other records.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use crosstie_engine::{glob, plan::Cache as Rules};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use moka::future::Cache;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use crate::{
    call::{Answer, Call, Pending, Reading, Reply, Setback},
    credentials::CredentialStore,
    observe::{CacheUse, Observer, Purpose},
};

/// What an answer counts for beside its body, in bytes.
const OVERHEAD_BYTES: usize = 512;
/// How long an answer that nobody asks for is kept to be asked about.
const LONGEST_IDLE: Duration = Duration::from_hours(1);

/// Answers kept for one system.
pub struct Kept {
    ttl: Duration,
    paths: Vec<String>,
    answers: Cache<Key, Arc<Entry>>,
    /// Reads under way; whoever wants the same waits for its turn.
    flights: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>,
    credentials: CredentialStore,
    observer: Arc<dyn Observer>,
}

/// What has to be the same for an answer to be given again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// Number of the version of the credentials.
    version: u64,
    /// What is asked for, in one text: the stream, the URL, and the headers that the Connector gives it.
    asked: Arc<str>,
}

impl Key {
    fn of(call: &Call, version: u64) -> Self {
        let headers = call.headers.iter();
        let headers = headers.map(|(name, value)| format!("\n{name}: {}", value.as_bytes().escape_ascii()));
        let mut headers: Vec<String> = headers.collect();
        headers.sort_unstable();
        // None of them has a line break in it.
        Self { version, asked: format!("{}\n{}{}", call.name, call.url, headers.concat()).into() }
    }

    fn asked_as(self, version: u64) -> Self {
        Self { version, ..self }
    }
}

struct Entry {
    headers: HeaderMap,
    body: Bytes,
    fresh_until: Instant,
}

impl Entry {
    fn reply(&self) -> Reply {
        let (headers, body) = (self.headers.clone(), Ok(self.body.clone()));
        Reply::Success(Answer { status: StatusCode::OK, headers, body, code: None, asked_as: None })
    }

    fn is_fresh(&self) -> bool {
        Instant::now() < self.fresh_until
    }

    /// Asks the vendor whether this still holds; false where there is nothing to ask by.
    fn ask(&self, call: &mut Call) -> bool {
        let mut asks = false;
        for (validator, condition) in
            [(header::ETAG, header::IF_NONE_MATCH), (header::LAST_MODIFIED, header::IF_MODIFIED_SINCE)]
        {
            if let Some(value) = self.headers.get(&validator) {
                call.headers.insert(condition, value.clone());
                asks = true;
            }
        }
        asks
    }
}

impl Kept {
    /// Nothing is kept yet. Patterns are of whole paths, the base URL's with them.
    pub fn new(rules: &Rules, base_path: &str, credentials: CredentialStore, observer: Arc<dyn Observer>) -> Self {
        let weigh = |key: &Key, entry: &Arc<Entry>| {
            u32::try_from(key.asked.len() + entry.body.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        let base = base_path.trim_end_matches('/');
        Self {
            ttl: Duration::from_secs(u64::from(rules.ttl_seconds)),
            paths: rules.paths.iter().map(|pattern| format!("{base}{pattern}")).collect(),
            answers: Cache::builder()
                .max_capacity(u64::from(rules.max_mib) * 1024 * 1024)
                .weigher(weigh)
                .time_to_idle(LONGEST_IDLE)
                .build(),
            flights: Mutex::default(),
            credentials,
            observer,
        }
    }

    fn is_for(&self, call: &Call) -> bool {
        call.purpose == Purpose::Consult
            && call.method == Method::GET
            && call.reading == Reading::Whole
            && self.paths.iter().any(|pattern| glob::matches(pattern, call.url.path()))
    }

    async fn answer<S>(self: Arc<Self>, inner: S, mut call: Call) -> Result<Reply, Setback>
    where
        S: Service<Call, Response = Reply, Error = Setback, Future: Send> + Clone + Send + 'static,
    {
        let (key, name) = (Key::of(&call, self.credentials.in_turn()), Arc::clone(&call.name));
        if let Some(entry) = self.answers.get(&key).await.filter(|entry| entry.is_fresh()) {
            self.observer.cached(&name, CacheUse::Hit);
            return Ok(entry.reply());
        }
        let flight = Flight::of(&self, &key);
        let _turn = flight.turn.lock().await;
        let entry = self.answers.get(&key).await;
        if let Some(entry) = entry.as_ref().filter(|entry| entry.is_fresh()) {
            self.observer.cached(&name, CacheUse::Hit);
            return Ok(entry.reply());
        }
        let plain = call.clone();
        let old = entry.filter(|entry| entry.ask(&mut call));
        let mut outcome = inner.clone().oneshot(call).await;
        let still_holds = match &outcome {
            Ok(Reply::Redirect(answer)) if answer.status == StatusCode::NOT_MODIFIED => answer.asked_as,
            Ok(_) | Err(_) => None,
        };
        match (old, still_holds) {
            (Some(old), Some(version)) if version == key.version => {
                let entry = self.keep(key, old.headers.clone(), old.body.clone()).await;
                self.observer.cached(&name, CacheUse::Revalidated);
                return Ok(entry.reply());
            }
            // It was said to the other version of the credentials, which may be another account's: what is kept is not its.
            (Some(_), Some(_)) => outcome = inner.oneshot(plain).await,
            (Some(_) | None, None) | (None, Some(_)) => {}
        }
        self.observer.cached(&name, CacheUse::Miss);
        if let Ok(Reply::Success(Answer {
            status: StatusCode::OK,
            headers,
            body: Ok(body),
            asked_as: Some(version),
            ..
        })) = &outcome
            && !forbids(headers)
        {
            self.keep(key.asked_as(*version), copied(headers), Bytes::copy_from_slice(body)).await;
        }
        outcome
    }

    async fn keep(&self, key: Key, headers: HeaderMap, body: Bytes) -> Arc<Entry> {
        let entry = Arc::new(Entry { headers, body, fresh_until: Instant::now() + self.ttl });
        self.answers.insert(key, Arc::clone(&entry)).await;
        // Otherwise what is too much would be thrown out only after some more came.
        self.answers.run_pending_tasks().await;
        entry
    }
}

/// Headers with values of their own. Those of an answer are parts of what was read from the connection, as its body is, and would keep all of that.
fn copied(headers: &HeaderMap) -> HeaderMap {
    let values = headers.iter().map(|(name, value)| (name, HeaderValue::from_bytes(value.as_bytes())));
    values.filter_map(|(name, value)| Some((name.clone(), value.ok()?))).collect()
}

/// Whether the vendor forbids keeping an answer.
fn forbids(headers: &HeaderMap) -> bool {
    let said = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    said.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("no-store"))
}

/// One's place among those who want the same answer; forgotten with the last of them.
struct Flight<'a> {
    kept: &'a Kept,
    key: Key,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl<'a> Flight<'a> {
    fn of(kept: &'a Kept, key: &Key) -> Self {
        let mut flights = kept.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = Arc::clone(flights.entry(key.clone()).or_default());
        Self { kept, key: key.clone(), turn }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut flights = self.kept.flights.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's own and this one.
        if Arc::strong_count(&self.turn) <= 2 {
            flights.remove(&self.key);
        }
    }
}

/// Answers from what is kept.
#[derive(Clone)]
pub struct Caching<S> {
    inner: S,
    kept: Option<Arc<Kept>>,
}

impl<S> Caching<S> {
    pub fn new(inner: S, kept: Option<Arc<Kept>>) -> Self {
        Self { inner, kept }
    }
}

impl<S> Service<Call> for Caching<S>
where
    S: Service<Call, Response = Reply, Error = Setback, Future: Send> + Clone + Send + 'static,
{
    type Response = Reply;
    type Error = Setback;
    type Future = Pending<Reply, Setback>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Setback>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match self.kept.as_ref().filter(|kept| kept.is_for(&call)) {
            Some(kept) => Box::pin(Arc::clone(kept).answer(self.inner.clone(), call)),
            None => Box::pin(self.inner.call(call)),
        }
    }
}

#[cfg(test)]
mod tests;
