//! The store's promises, tried on real database files. A crash is a store that is dropped without being closed.

mod alerts;
mod atomic;
mod batches;
mod calls;
mod care;
mod ends;
mod listed;
mod protocol;
mod retention;
mod trouble;
mod twins;

use std::path::Path;

use crosstie_engine::{
    delivery::{Seen, Settled},
    plan::{Environment, Method, Operation, Outcome},
    version::Version,
    window::PollState,
};
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::store::{Claimed, Incoming, MOST_DEAD_LETTERS};

/// A store in a folder of its own, with one scope.
pub struct Bench {
    pub folder: TempDir,
    pub store: SqliteStore,
    pub scope: ScopeId,
}

/// So many seconds into the test.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub fn names() -> Scope {
    Scope {
        flow: "orders".into(),
        source: "shop".into(),
        destination: "books".into(),
        environment: Environment::Production,
    }
}

/// Opens a store, waiting for the thread of a store that was just dropped to let go of the lock.
pub async fn open(folder: &Path, now: Timestamp) -> SqliteStore {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        match SqliteStore::open(folder, Uuid::new_v4(), now) {
            Err(StoreError::Locked { .. }) if std::time::Instant::now() < deadline => tokio::task::yield_now().await,
            other => return other.unwrap(),
        }
    }
}

impl Bench {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), at(0)).await;
        let scope = store.open_scope(names(), at(0)).await.unwrap().id;
        Self { folder, store, scope }
    }

    /// Drops the store in the middle of whatever it does, and opens it again.
    pub async fn crash(self, now: Timestamp) -> Self {
        let Self { folder, store, scope } = self;
        drop(store);
        let store = open(folder.path(), now).await;
        Self { folder, store, scope }
    }

    pub async fn take(&self, records: &[(&str, i64, &str)], now: Timestamp) -> Taken {
        self.take_with(records, PollState::default(), now).await.unwrap()
    }

    pub async fn take_with(
        &self,
        records: &[(&str, i64, &str)],
        poll: PollState,
        now: Timestamp,
    ) -> Result<Taken, StoreError> {
        let records = records.iter().map(|(key, version, content)| incoming(key, *version, content)).collect();
        self.store
            .take_page(TakenPage {
                scope: self.scope,
                records,
                poll,
                again: false,
                round: None,
                run: now,
                synced: Some(now),
                now,
            })
            .await
    }

    pub async fn claim(&self, limit: usize, now: Timestamp) -> Vec<Claimed> {
        self.store.claim(self.scope, limit, now).await.unwrap().records
    }

    pub async fn claim_one(&self, now: Timestamp) -> Claimed {
        self.claim(1, now).await.pop().expect("a record is due")
    }

    pub async fn settle(&self, claimed: &Claimed, how: Settled, now: Timestamp) {
        let (key, seen) = (claimed.key.clone(), claimed.facts.seen.clone());
        self.store
            .settle(Settlement {
                record: claimed.id,
                scope: self.scope,
                key,
                seen,
                how,
                is_parent: false,
                singles: false,
                paired: false,
                twin: None,
                now,
            })
            .await
            .unwrap();
    }

    pub async fn figures(&self, now: Timestamp) -> Figures {
        self.store.figures(vec![self.scope], now).await.unwrap().remove(0)
    }

    pub async fn backlog(&self, now: Timestamp) -> Backlog {
        self.store.backlog(self.scope, now).await.unwrap()
    }

    pub fn new_intent(&self, claimed: &Claimed, now: Timestamp) -> NewIntent {
        NewIntent {
            record: claimed.id,
            shown: None,
            scope: self.scope,
            flow: "orders".into(),
            key: claimed.key.clone(),
            operation: Arc::new(operation()),
            body: json!({"id": claimed.key}).into(),
            body_hash: "body".into(),
            seen: claimed.facts.seen.clone(),
            deletes: false,
            twin: None,
            now,
        }
    }
}

pub fn keys(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|claimed| claimed.key.as_str()).collect()
}

pub fn incoming(key: &str, version: i64, content: &str) -> Incoming {
    let record = json!({"id": key, "version": version, "content": content});
    Incoming::Record {
        key: key.into(),
        seen: Seen::of(Version::Counter(version), &record),
        payload: record.to_string(),
    }
}

pub fn operation() -> Operation {
    Operation {
        name: "upsert".into(),
        method: Method::Put,
        path: "/orders/{body.id}".to_owned().try_into().unwrap(),
        query: std::collections::BTreeMap::new(),
        headers: std::collections::BTreeMap::new(),
        identifier: None,
        outcome: Outcome::default(),
        omit: Vec::new(),
        ownership: crosstie_engine::plan::Ownership::default(),
        shape: crosstie_engine::plan::Shape::default(),
        find: None,
        if_match: None,
        only_there: None,
        job: None,
        batch: None,
    }
}

pub fn delivered(hash: &str) -> Settled {
    Settled::Delivered { body_hash: hash.into(), identifier: Some("over-there".into()) }
}
