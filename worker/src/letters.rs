//! What people do about dead letters: look, replay, drop; and the log of events, to look at. Served on a loopback address as `crosstie_crds::letters` says.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::{get, post},
};
use crosstie_connect::Clock;
use crosstie_crds::letters::{self as wire, Event, Events, Fate, Fates, Ids, Letter, MOST};
use crosstie_engine::{delivery::Seen, version::Version};
use serde::Deserialize;

use crate::{
    board::Board,
    intake::incoming,
    lane::Lane,
    receiver::brings_again,
    store::{DeadLetter, Incoming, LoggedEvent, ReadAgain, Replay, Replayed, SharedStore, StoreError},
};

/// The dead letters of a worker.
#[derive(Clone)]
pub struct Letters {
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
}

/// Why letters could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum NotReplayed {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no plan at work to replay them by.
    #[error("nothing can be replayed while the worker is not at work: {0}")]
    Idle(String),
}

impl Letters {
    pub(crate) fn new(board: Arc<Board>, clock: Arc<dyn Clock>) -> Self {
        Self { board, clock }
    }

    /// Letters with an id above `after`, oldest first, at most `limit` and at most [`MOST`], without their payloads.
    ///
    /// # Errors
    /// [`StoreError`], also while the store is not open.
    pub async fn list(&self, after: i64, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.store()?.dead_letters(after, limit.min(MOST)).await
    }

    /// A letter by its number; none when it is gone.
    ///
    /// # Errors
    /// [`StoreError`], also while the store is not open.
    pub async fn one(&self, id: i64) -> Result<Option<DeadLetter>, StoreError> {
        self.store()?.dead_letter(id).await
    }

    /// Puts letters at the end of their keys' queues, to be delivered under the plan at work; they pass the ledger like anything else. One that
    /// had no key or no version, or an event that could not be read, is read again by that plan. Says what became of each.
    ///
    /// # Errors
    /// [`NotReplayed`]. Then none of them was touched.
    pub async fn replay(&self, ids: &[i64]) -> Result<Vec<Fate>, NotReplayed> {
        let store = self.store()?;
        let posted = self.board.posted();
        let Some(crew) = &posted.crew else {
            return Err(NotReplayed::Idle(self.board.unready().unwrap_or_default()));
        };
        let lanes = &crew.lanes;
        let (mut replays, mut left) = (Vec::new(), HashSet::new());
        for id in ids.iter().copied().collect::<BTreeSet<i64>>() {
            let Some(letter) = self.one(id).await? else { continue };
            match lanes.iter().find(|lane| lane.scope == letter.scope_id) {
                Some(lane) => replays.push(Replay { id, read: read_again(lane, &letter) }),
                None => _ = left.insert(id),
            }
        }
        let numbers: Vec<i64> = replays.iter().map(|replay| replay.id).collect();
        let replayed = store.replay(replays, self.clock.now()).await?;
        for lane in lanes {
            lane.wake.notify_one();
        }
        let became: HashMap<i64, Replayed> = numbers.into_iter().zip(replayed).collect();
        let fates: Vec<Fate> = ids.iter().map(|id| fate(left.contains(id), became.get(id).copied())).collect();
        let count = fates.iter().filter(|fate| **fate == Fate::Replayed).count();
        tracing::info!(asked = ids.len(), replayed = count, "dead letters were replayed by hand");
        Ok(fates)
    }

    /// Removes letters for good. Says what became of each.
    ///
    /// # Errors
    /// [`StoreError`], also while the store is not open. Then none of them was touched.
    pub async fn discard(&self, ids: Vec<i64>) -> Result<Vec<Fate>, StoreError> {
        let dropped: HashSet<i64> = self.store()?.discard(ids.clone()).await?.into_iter().collect();
        tracing::warn!(asked = ids.len(), dropped = dropped.len(), "dead letters were dropped by hand");
        Ok(ids.iter().map(|id| if dropped.contains(id) { Fate::Dropped } else { Fate::Gone }).collect())
    }

    /// Events that webhooks brought, with a number below `before`, newest first, at most `limit` and at most [`MOST`].
    ///
    /// # Errors
    /// [`StoreError`], also while the store is not open.
    pub async fn events(&self, before: i64, limit: usize) -> Result<Vec<LoggedEvent>, StoreError> {
        self.store()?.events(before, limit.min(MOST)).await
    }

    fn store(&self) -> Result<SharedStore, StoreError> {
        self.board.posted().store.clone().ok_or(StoreError::Closed)
    }
}

/// What a letter that had no key or no version holds by the plan at work: an event by its routes, any other by the stream.
fn read_again(lane: &Lane, letter: &DeadLetter) -> Option<ReadAgain> {
    if letter.version.is_some() {
        return None;
    }
    let held: crosstie_engine::json::Json = serde_json::from_str(letter.payload.as_deref()?).ok()?;
    let again = brings_again(&lane.flow, &held, letter.first_failed_at);
    match again.unwrap_or_else(|| incoming(&held, &lane.flow.stream).1) {
        Incoming::Record { key, seen, payload } => Some(ReadAgain { key, seen, payload }),
        Incoming::Word { key, hash, payload } => {
            Some(ReadAgain { key, seen: Seen { version: Version::Unordered, hash }, payload })
        }
        Incoming::Faulty { .. } => None,
    }
}

fn fate(is_left: bool, became: Option<Replayed>) -> Fate {
    match became {
        _ if is_left => Fate::NoFlow,
        None | Some(Replayed::Gone) => Fate::Gone,
        Some(Replayed::Queued) => Fate::Replayed,
        Some(Replayed::Overtaken) => Fate::Overtaken,
        Some(Replayed::Unreadable) => Fate::Unreadable,
    }
}

/// The router that a loopback address is served by.
pub(crate) fn router(letters: Letters) -> Router {
    Router::new()
        .route("/letters", get(list))
        .route("/letters/{id}", get(one))
        .route("/letters/replay", post(replay))
        .route("/letters/drop", post(discard))
        .route("/events", get(events))
        .with_state(letters)
}

/// A status with a sentence.
type Refusal = (StatusCode, String);

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    after: i64,
    #[serde(default = "most")]
    limit: usize,
}

fn most() -> usize {
    MOST
}

async fn list(State(letters): State<Letters>, Query(part): Query<Part>) -> Result<Json<wire::Letters>, Refusal> {
    let found = letters.list(part.after, part.limit).await.map_err(failed)?;
    Ok(Json(wire::Letters { letters: found.into_iter().map(|letter| shown(letter, false)).collect() }))
}

async fn one(State(letters): State<Letters>, Path(id): Path<i64>) -> Result<Json<Letter>, Refusal> {
    let found = letters.one(id).await.map_err(failed)?;
    let gone = || (StatusCode::NOT_FOUND, format!("there is no dead letter {id} any more"));
    found.map(|letter| Json(shown(letter, true))).ok_or_else(gone)
}

async fn replay(State(letters): State<Letters>, Json(asked): Json<Ids>) -> Result<Json<Fates>, Refusal> {
    let fates = letters.replay(bounded(&asked)?).await.map_err(failed)?;
    Ok(Json(Fates { fates }))
}

async fn discard(State(letters): State<Letters>, Json(asked): Json<Ids>) -> Result<Json<Fates>, Refusal> {
    bounded(&asked)?;
    let fates = letters.discard(asked.ids).await.map_err(failed)?;
    Ok(Json(Fates { fates }))
}

#[derive(Deserialize)]
struct Latest {
    #[serde(default = "newest")]
    before: i64,
    #[serde(default = "most")]
    limit: usize,
}

fn newest() -> i64 {
    i64::MAX
}

async fn events(State(letters): State<Letters>, Query(latest): Query<Latest>) -> Result<Json<Events>, Refusal> {
    let found = letters.events(latest.before, latest.limit).await.map_err(failed)?;
    let shown = |event: LoggedEvent| Event {
        number: event.number,
        source: event.source,
        id: event.id,
        topic: event.topic,
        hash: event.hash,
        received_at: event.received_at,
        repeats: event.repeats,
        flows: event.flows,
        news: event.news,
    };
    Ok(Json(Events { events: found.into_iter().map(shown).collect() }))
}

fn bounded(asked: &Ids) -> Result<&[i64], Refusal> {
    let too_many = || (StatusCode::PAYLOAD_TOO_LARGE, format!("ask for at most {MOST} letters at once"));
    (asked.ids.len() <= MOST).then_some(asked.ids.as_slice()).ok_or_else(too_many)
}

fn failed(error: impl std::error::Error) -> Refusal {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

fn shown(letter: DeadLetter, whole: bool) -> Letter {
    let payload = letter.payload.map(|payload| serde_json::from_str(&payload).unwrap_or_default());
    Letter {
        id: letter.id,
        flow: letter.scope.flow,
        source: letter.scope.source,
        destination: letter.scope.destination,
        key: letter.key,
        version: letter.version.map(|version| version.to_string()),
        cause: letter.cause,
        status: letter.status,
        request_ids: letter.request_ids,
        excerpt: letter.excerpt.filter(|_| whole),
        attempts: letter.attempts,
        first_failed_at: letter.first_failed_at,
        last_failed_at: letter.last_failed_at,
        plan_hash: letter.plan_hash,
        payload,
    }
}
